//! The command line. Every flag of `serve` has its `TANDEM_…` variable; secrets come from the environment or a file,
//! never from a flag, because a process list shows flags to every user of the machine.

pub mod audit;
pub mod demo;
pub mod openapi;
pub mod scan;
pub mod serve;
pub mod ship;

use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand};

/// Turns failures into governed, evidence-backed issues.
#[derive(Debug, Parser)]
#[command(name = "tandem", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::Args),
    /// Check an exported audit bundle offline, or print the public key that it names.
    Audit(audit::Args),
    /// Show the whole way of a failure on a temporary server.
    Demo(demo::Args),
    /// Read logs on this host and report what they say to a server elsewhere.
    Ship(ship::Args),
    /// Read the configuration files of agents and MCP clients beneath a directory, and print or declare what they name.
    Scan(scan::Args),
    /// Print the OpenAPI document of this binary.
    Openapi,
}

/// Why a command ended badly, for the person at the terminal.
#[derive(Debug)]
pub struct Fault(pub String);

impl<E: std::fmt::Display> From<E> for Fault {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Ship(args) => ship::run(args),
        Command::Scan(args) => scan::run(args),
        Command::Openapi => openapi::run(),
    };
    match done {
        Ok(code) => code,
        Err(Fault(why)) => {
            complain(&why);
            ExitCode::FAILURE
        }
    }
}

/// Writes a line for people to standard output. A closed pipe is not a failure of the server.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

pub fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "tandem: {line}");
}
