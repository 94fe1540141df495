//! What the machine lacks: Debian's packages, the Python and npm clients in their pinned versions. What is there already
//! is used; what is installed for this repository alone goes below the target directory.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    cargo,
    process::{capture, exists, retry},
};

/// Where the client suites find their programs.
pub struct Clients {
    pub python: PathBuf,
    pub schemathesis: PathBuf,
    /// Holds `node_modules` and a copy of the suite, because Node resolves packages from where a script lies.
    pub node: PathBuf,
}

pub fn clients(work: &Path) -> Result<Clients, String> {
    let venv = python(&work.join("python"), &cargo::root().join("tests/clients/requirements.txt"))?;
    let node = node(&work.join("node"))?;
    Ok(Clients { python: venv.join("bin/python"), schemathesis: venv.join("bin/schemathesis"), node })
}

/// Where the forms of an assessment report find their judges.
pub struct Forms {
    pub python: PathBuf,
    pub sarif_schema: PathBuf,
}

pub fn forms(work: &Path) -> Result<Forms, String> {
    let from = cargo::root().join("tests/assessment");
    let venv = python(&work.join("assessment-python"), &from.join("requirements.txt"))?;
    let node = npm(&from, &work.join("assessment-node"), &[])?;
    let schema = "node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json";
    Ok(Forms { python: venv.join("bin/python"), sarif_schema: node.join(schema) })
}

/// A virtual environment with exactly the packages of a list. A marker says which list it was made from.
fn python(venv: &Path, list: &Path) -> Result<PathBuf, String> {
    let wanted = read(list)?;
    let marker = venv.join("installed.txt");
    if fs::read_to_string(&marker).is_ok_and(|found| found == wanted) {
        return Ok(venv.to_owned());
    }
    let make = |venv: &Path| capture(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv));
    if !exists("python3") || make(venv).is_err() {
        // Debian splits the module off into a package of its own.
        apt(&["python3", "python3-venv"])?;
        make(venv)?;
    }
    retry(|| {
        let mut pip = Command::new(venv.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(list);
        capture(&mut pip)
    })?;
    fs::write(&marker, wanted).map_err(|error| error.to_string())?;
    Ok(venv.to_owned())
}

/// Real MCP servers, the conformance suite and the suite that drives them, installed like the clients.
pub fn mcp(work: &Path) -> Result<PathBuf, String> {
    npm(&cargo::root().join("tests/mcp"), &work.join("mcp"), &["mcp_servers.mjs", "conformance.mjs", "conformance.yml"])
}

fn node(dir: &Path) -> Result<PathBuf, String> {
    npm(&cargo::root().join("tests/clients"), dir, &["node_client.mjs"])
}

/// Installs the locked packages of `from` below `dir`, with copies of the `scripts` beside them.
fn npm(from: &Path, dir: &Path, scripts: &[&str]) -> Result<PathBuf, String> {
    fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let marker = dir.join("installed.json");
    let wanted = read(&from.join("package-lock.json"))?;
    for file in ["package.json", "package-lock.json"].iter().chain(scripts) {
        fs::copy(from.join(file), dir.join(file)).map_err(|error| format!("{file}: {error}"))?;
    }
    if fs::read_to_string(&marker).is_ok_and(|found| found == wanted) {
        return Ok(dir.to_owned());
    }
    if !exists("npm") {
        apt(&["nodejs", "npm"])?;
    }
    retry(|| {
        capture(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(dir))
    })?;
    fs::write(&marker, wanted).map_err(|error| error.to_string())?;
    Ok(dir.to_owned())
}

/// What GitHub and Linear publish of their APIs, and the suite that judges by it.
pub fn trackers(work: &Path) -> Result<PathBuf, String> {
    npm(&cargo::root().join("tests/clients/trackers"), &work.join("trackers"), &["trackers.mjs"])
}

/// Debian packages. Only as root and only where apt is; elsewhere the message says what to install.
pub fn apt(packages: &[&str]) -> Result<(), String> {
    let list = packages.join(" ");
    if !exists("apt-get") {
        return Err(format!("please install: {list}"));
    }
    println!("installing {list}");
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["--quiet", "--quiet"]).args(args);
        capture(&mut command)
    };
    retry(|| {
        apt(&["update"])?;
        apt(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
    })
    .map(drop)
    .map_err(|why| format!("please install: {list}\n{why}"))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
