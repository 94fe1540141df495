//! The published clients and the fuzzer, each against a server of its own, so that none depends on what another left
//! behind. The clients run on both back ends.

use std::{path::Path, process::Command};

use super::{
    Work,
    postgres::Postgres,
    report::{Counts, Report},
    server::{HOOK_SECRET, Server, TOKEN},
    tools::{Clients, Forms},
};
use crate::{cargo, process};

pub fn run(report: &mut Report, work: &Work, binary: &Path, clients: &Clients, postgres: Option<&Postgres>) {
    let at = Place { work, binary };
    at.suite(report, "Python client 0.7.2 on SQLite", "python", None, |server| python(clients, server));
    at.suite(report, "npm client 0.6.4 on SQLite", "node", None, |server| node(clients, server));
    if let Some(postgres) = postgres {
        let database = |name: &str| report_database(postgres, name);
        at.suite(report, "Python client 0.7.2 on PostgreSQL", "python-pg", database("python"), |server| {
            python(clients, server)
        });
        at.suite(report, "npm client 0.6.4 on PostgreSQL", "node-pg", database("node"), |server| node(clients, server));
    }
    at.suite(report, "schemathesis", "fuzz", None, |server| schemathesis(clients, work, server));
}

/// Real MCP servers behind the registry, and the conformance suite against our own endpoint.
pub fn mcp(report: &mut Report, work: &Work, binary: &Path, node: &Path) {
    let commands = work.dir.join("mcp-commands.json");
    report.suite("MCP servers from npm", Counts::of_closing_line, || {
        let server = Server::start_with(binary, &work.dir, "mcp-servers", |command| {
            command.env("TANDEM_API_TOKEN", TOKEN).env("TANDEM_MCP_COMMANDS", &commands);
        })?;
        let mut suite = Command::new("node");
        suite.arg("mcp_servers.mjs").current_dir(node).env("TANDEM_MCP_COMMANDS", &commands);
        let shown = process::show(with_server(&mut suite, &server));
        server.stop().and(shown)
    });
    // The suite can present no token, so the server asks for none.
    report.suite("MCP conformance 0.1.13", Counts::of_closing_line, || {
        let server = Server::start_with(binary, &work.dir, "mcp-conformance", |command| {
            command.arg("--unsafe-no-api-token");
        })?;
        let mut suite = Command::new("node");
        suite.arg("conformance.mjs").current_dir(node);
        let shown = process::show(with_server(&mut suite, &server));
        server.stop().and(shown)
    });
}

struct Place<'a> {
    work: &'a Work,
    binary: &'a Path,
}

impl Place<'_> {
    fn suite(
        &self,
        report: &mut Report,
        step: &str,
        name: &str,
        database: Option<Result<String, String>>,
        command: impl FnOnce(&Server) -> Command,
    ) {
        let mut stopped = Ok(());
        report.suite(step, Counts::of_closing_line, || {
            let database = database.transpose()?;
            let server = Server::start(self.binary, &self.work.dir, name, database.as_deref())?;
            let shown = process::show(&mut command(&server));
            stopped = server.stop();
            shown
        });
        report.gate(&format!("{step}: the server stops when asked"), || stopped);
    }
}

fn report_database(postgres: &Postgres, name: &str) -> Option<Result<String, String>> {
    Some(postgres.database(name))
}

fn python(clients: &Clients, server: &Server) -> Command {
    let mut command = Command::new(&clients.python);
    with_server(command.arg(cargo::root().join("tests/clients/python_client.py")), server);
    command
}

fn node(clients: &Clients, server: &Server) -> Command {
    let mut command = Command::new("node");
    with_server(command.arg(clients.node.join("node_client.mjs")), server);
    command
}

fn schemathesis(clients: &Clients, work: &Work, server: &Server) -> Command {
    let mut command = Command::new(&clients.python);
    command.arg(cargo::root().join("tests/clients/fuzz.py")).arg(&clients.schemathesis);
    command.current_dir(&work.dir);
    with_server(&mut command, server);
    command
}

fn with_server<'a>(command: &'a mut Command, server: &Server) -> &'a mut Command {
    command
        .env("TANDEM_URL", &server.url)
        .env("TANDEM_TOKEN", TOKEN)
        .env("HOOK_SECRET_NAME", HOOK_SECRET.0)
        .env("HOOK_SECRET", HOOK_SECRET.1)
        // What the suites say must appear while they run.
        .env("PYTHONUNBUFFERED", "1")
}

/// What is asked of GitHub and Linear, judged by their own descriptions.
pub fn trackers(report: &mut Report, work: &Work, binary: &Path, node: &Path) {
    report.suite("GitHub and Linear by their descriptions", Counts::of_closing_line, || {
        let server = Server::start(binary, &work.dir, "trackers", None)?;
        let mut suite = Command::new("node");
        suite.arg("trackers.mjs").current_dir(node);
        with_server(&mut suite, &server);
        let shown = process::show(&mut suite);
        server.stop().and(shown)
    });
}

/// The forms of an assessment report, judged by the programs that read them.
pub fn forms(report: &mut Report, work: &Work, binary: &Path, forms: &Forms) {
    report.suite("SARIF, OCSF and OSCAL by their readers", Counts::of_closing_line, || {
        let server = Server::start(binary, &work.dir, "forms", None)?;
        let mut suite = Command::new(&forms.python);
        suite.arg(cargo::root().join("tests/assessment/forms.py")).env("SARIF_SCHEMA", &forms.sarif_schema);
        let shown = process::show(with_server(&mut suite, &server));
        server.stop().and(shown)
    });
}
