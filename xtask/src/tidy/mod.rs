//! What the compiler does not check: the shape of the repository. Every finding is a line; no finding is fixed here.

mod arrows;
mod licences;
mod links;
mod schemas;
mod sources;

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::cargo;

pub fn run() -> Result<(), String> {
    let root = cargo::root();
    let metadata = cargo::metadata(true)?;
    let mut findings = arrows::check(&metadata);
    findings.extend(licences::check(&metadata, &root.join("deny.toml")));
    findings.extend(sources::check(root)?);
    findings.extend(schemas::check(root)?);
    findings.extend(links::check(root)?);
    if findings.is_empty() {
        println!("tidy: nothing found");
        return Ok(());
    }
    Err(format!("{}\ntidy: {} found", findings.join("\n"), findings.len()))
}

/// All files below `dir` that end in `.extension`, in a stable order. Hidden directories and build output are left out.
fn files(dir: &Path, extension: &str) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let entries = fs::read_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" && name != "node_modules" {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn shown(path: &Path) -> String {
    path.strip_prefix(cargo::root()).unwrap_or(path).display().to_string()
}
