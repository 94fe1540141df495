//! `tandem demo`: the whole way of a failure, on a temporary state directory and a free port.

use std::process::ExitCode;

use super::Fault;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leave the server running at the end and print how to reach it.
    #[arg(long)]
    pub keep: bool,
}

pub fn run(args: Args) -> Result<ExitCode, Fault> {
    Err(Fault(format!("the demo is not part of this build (keep: {})", args.keep)))
}
