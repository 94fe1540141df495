//! The decisions of Tandem, as pure functions.
//!
//! No async, no clock, no randomness, no files, no network: time and ids come in as values. Read the modules in
//! order and you read what the product does: a **signal** with a **source** identity becomes an **incident** with a
//! **draft**, which passes **triage** and **risk** and **approval**, is **routed** to **destinations**,
//! **published**, and leaves a **receipt** and an **audit** row.

// The shared vocabulary.
pub mod actor;
pub mod error;
pub mod redaction;
pub mod tenant;
pub mod text;
mod wire;

// The flow.
pub mod approval;
pub mod audit;
pub mod automation;
pub mod destination;
pub mod draft;
pub mod fingerprint;
pub mod governance;
pub mod incident;
pub mod mcp;
pub mod publish;
pub mod receipt;
pub mod risk;
pub mod route;
pub mod signal;
pub mod source;
pub mod tracker;
pub mod triage;

// What the flow is configured with, and how it reaches the world.
pub mod config;
pub mod credential;
pub mod custody;
pub mod decide;
pub mod ports;
pub mod record;
