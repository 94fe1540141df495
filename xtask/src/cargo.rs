//! Cargo as a child, and what it knows about this workspace.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::process;

/// `cargo`, without the variables that `cargo run` set for this program. Build scripts watch some of them, so leaving
/// them in would compile the world again.
pub fn command() -> Command {
    let mut command = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let ours = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|prefix| name.starts_with(prefix));
        if ours || name == "CARGO_PRIMARY_PACKAGE" || name == "LD_LIBRARY_PATH" {
            command.env_remove(&name);
        }
    }
    command.current_dir(root());
    command
}

/// The directory of the workspace.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// `cargo metadata`. Without dependencies it needs no network.
pub fn metadata(dependencies: bool) -> Result<Value, String> {
    let mut command = command();
    command.args(["metadata", "--format-version", "1"]);
    if !dependencies {
        command.arg("--no-deps");
    }
    serde_json::from_str(&process::capture(&mut command)?).map_err(|error| format!("cargo metadata: {error}"))
}

pub fn target_dir() -> Result<PathBuf, String> {
    let metadata = metadata(false)?;
    let dir = metadata["target_directory"].as_str().ok_or("cargo metadata names no target directory")?;
    Ok(PathBuf::from(dir))
}
