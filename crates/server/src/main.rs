//! The `tandem` binary: reads the command line and hands over. Decisions live in `core`, use cases in `app`; this crate
//! holds what only a process has: flags, files of the state directory, sockets, the HTTP surface, logs and metrics.

mod boot;
mod cli;
mod extract;
mod http;
mod telemetry;

use std::process::ExitCode;

/// Requests are many small values that live for a moment. The system's allocator took a fifth of their time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
