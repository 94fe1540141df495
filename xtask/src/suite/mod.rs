//! `cargo xtask test`: everything, on a bare machine. It installs what is missing, starts its own PostgreSQL and its own
//! servers on free ports, and stops them whatever happens. A failed step does not hide the later ones.
//!
//! Deliberately absent: any use of a service that happens to run on the machine, and any step that is skipped silently.

mod clients;
mod postgres;
mod report;
mod server;
mod tools;

use std::{fs, path::PathBuf};

use self::{
    postgres::Postgres,
    report::{Counts, Report},
};
use crate::{cargo, process, tidy};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Quick,
    Everything,
}

pub fn run(extent: Extent) -> Result<(), String> {
    let work = Work::prepare()?;
    let mut report = Report::default();
    lints(&mut report);
    let postgres = report.need("PostgreSQL", || Postgres::start(&work.dir));
    rust_tests(&mut report, postgres.as_ref());
    if extent == Extent::Everything {
        let built = report.need("build the binary", || binary(&work));
        if let Some(binary) = built {
            if let Some(node) = report.need("install the trackers' descriptions", || tools::trackers(&work.dir)) {
                clients::trackers(&mut report, &work, &binary, &node);
            }
            let clients = report.need("install the clients", || tools::clients(&work.dir));
            if let Some(clients) = clients {
                clients::run(&mut report, &work, &binary, &clients, postgres.as_ref());
            }
            if let Some(node) = report.need("install the MCP servers", || tools::mcp(&work.dir)) {
                clients::mcp(&mut report, &work, &binary, &node);
            }
            if let Some(forms) = report.need("install the readers of reports", || tools::forms(&work.dir)) {
                clients::forms(&mut report, &work, &binary, &forms);
            }
            report.gate("demo", || shown(std::process::Command::new(&binary).arg("demo")));
        }
    }
    drop(postgres);
    report.close()
}

/// Where everything of one run lives that is not compiled.
pub struct Work {
    pub target: PathBuf,
    pub dir: PathBuf,
}

impl Work {
    fn prepare() -> Result<Self, String> {
        let target = cargo::target_dir()?;
        let dir = target.join("xtask");
        fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        Ok(Self { target, dir })
    }
}

fn lints(report: &mut Report) {
    report.gate("format", || shown(cargo::command().args(["fmt", "--all", "--check"])));
    report.gate("tidy", tidy::run);
    report.gate("clippy", || {
        shown(cargo::command().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))
    });
    if process::exists("cargo-deny") {
        // Advisories live in a repository that a closed machine cannot reach.
        report.gate("cargo-deny", || shown(cargo::command().args(["deny", "check", "bans", "licenses", "sources"])));
    } else {
        report.skip("cargo-deny", "the program is not installed; licences were checked by tidy");
    }
}

fn rust_tests(report: &mut Report, postgres: Option<&Postgres>) {
    let url = postgres.map(Postgres::url);
    let test = |args: &[&str]| {
        let mut command = cargo::command();
        command.args(args).env("TANDEM_TEST_REQUIRED", "1");
        if let Some(url) = &url {
            command.env("TANDEM_TEST_POSTGRES_URL", url);
        }
        process::show(&mut command)
    };
    if process::exists("cargo-nextest") {
        report.suite("Rust tests (nextest)", Counts::of_nextest, || {
            test(&["nextest", "run", "--workspace", "--no-fail-fast", "--profile", "ci"])
        });
    } else {
        report.suite("Rust tests (cargo test)", Counts::of_cargo_test, || {
            test(&["test", "--workspace", "--no-fail-fast", "--all-targets"])
        });
    }
    report.suite("Rust examples in the documentation", Counts::of_cargo_test, || {
        test(&["test", "--workspace", "--no-fail-fast", "--doc"])
    });
}

fn binary(work: &Work) -> Result<PathBuf, String> {
    shown(cargo::command().args(["build", "--package", "tandem"]))?;
    Ok(work.target.join("debug/tandem"))
}

fn shown(command: &mut std::process::Command) -> Result<(), String> {
    let done = process::show(command)?;
    if done.ok { Ok(()) } else { Err("it ended with a failure".into()) }
}
