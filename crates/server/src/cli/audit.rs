//! `tandem audit`: the verifier's command line. The checks themselves are pure and live in `core::audit`.

use std::{path::PathBuf, process::ExitCode};

use super::Fault;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check a bundle that `GET /audit/ledger/export` produced, without any server.
    Verify {
        bundle: PathBuf,
        /// The public key to trust, as a note verifier key or a file that holds one.
        #[arg(long)]
        key: Option<String>,
    },
    /// Say where a running server publishes its public key.
    Key,
}

pub fn run(args: Args) -> Result<ExitCode, Fault> {
    match args.command {
        Command::Verify { bundle, key: _ } => {
            Err(Fault(format!("{} was not checked: the verifier is not part of this build", bundle.display())))
        }
        Command::Key => {
            super::say("GET /audit/ledger/manifest of a running server carries its public key.");
            Ok(ExitCode::SUCCESS)
        }
    }
}
