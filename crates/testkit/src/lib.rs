//! Helpers for black-box tests: a server process, a plain HTTP client, a scripted webhook receiver, bodies and waiting.
//!
//! Everything blocks and uses threads, so that a test reads from top to bottom and a hang has a stack. Helpers panic
//! with what they saw: a test has nothing better to do with a failure. Deliberately absent: anything that links the
//! server, and retries that could hide a lost or a doubled request.

pub mod audit;
pub mod bodies;
pub mod client;
pub mod logs;
pub mod receiver;
pub mod scratch;
pub mod seed;
pub mod server;
pub mod tool_server;
pub mod tools;
pub mod trackers;
pub mod wait;
pub mod wire;

pub use client::{Client, Reply};
pub use receiver::{Receiver, Script};
pub use scratch::Scratch;
pub use seed::Seed;
pub use server::{Launch, Server};
pub use tool_server::{Act, ToolServer};
pub use tools::FakeTools;
pub use trackers::{Fault, Tracker};
pub use wait::{now_ms, poll, until};
