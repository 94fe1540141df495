//! Everything that leaves the machine, and the local sinks that stand beside it.
//!
//! What may leave, to where and when again is decided in `core`; here it is done, once per call, and the result is told
//! as a value. Nothing here retries, waits for a schedule, or touches the store.
//!
//! Every connection is made by [`egress`]: no other module has an HTTP client.

pub mod api;
pub mod egress;
pub mod failure;
pub mod intake;
pub mod keep;
pub mod mcp;
pub mod registry;
pub mod secrets;
pub mod telemetry;
pub mod webhook;
pub mod witness;
pub mod workspace;
