//! `cargo xtask`: what this repository does with itself. It needs nothing but the Rust toolchain to start, and says
//! what it installs. Arguments are read by hand, because this program is compiled before anything else can happen.

mod bench;
mod cargo;
mod openapi;
mod process;
mod suite;
mod tidy;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask test [--quick]     install what tests need, start what they need, run everything
                               (--quick: format, lints and the Rust tests only)
cargo xtask ci                 what .ci/run calls: the same as `test`
cargo xtask tidy               crate arrows, module headers, file sizes, leftovers, links in the docs, licences
cargo xtask openapi [FILE]     write the OpenAPI document, to standard output unless a file is named
cargo xtask bench [ARGS]       measure; see `cargo xtask bench --help`";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test"] | ["ci"] => suite::run(suite::Extent::Everything),
        ["test", "--quick"] => suite::run(suite::Extent::Quick),
        ["tidy"] => tidy::run(),
        ["openapi"] => openapi::run(None),
        ["openapi", file] => openapi::run(Some(file)),
        ["bench", ..] => return bench::run(&args[1..]),
        ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        _ => Err(format!("unknown arguments\n\n{HELP}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}
