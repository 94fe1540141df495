//! `cargo xtask bench`: builds the server and the measuring program in release mode, then runs the latter. What is
//! measured is said there; this program only starts it.

use std::process::{Command, ExitCode};

use crate::cargo;

pub fn run(args: &[String]) -> ExitCode {
    match bench(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn bench(args: &[String]) -> Result<bool, String> {
    // Separately, so that what one needs of a library does not change how the other is compiled.
    for package in ["tandem", "tandem-bench"] {
        let built = cargo::command().args(["build", "--release", "-p", package]).status();
        if !built.map_err(|error| format!("cannot start cargo: {error}"))?.success() {
            return Err(format!("{package} did not build"));
        }
    }
    let program = cargo::target_dir()?.join("release/tandem-bench");
    let done = Command::new(&program).args(args).status();
    done.map(|status| status.success()).map_err(|error| format!("cannot start {}: {error}", program.display()))
}
