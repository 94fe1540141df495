//! The OpenAPI document, as the binary itself prints it. No copy is kept in the repository: the code is the source.

use crate::{cargo, process};

pub fn run(file: Option<&str>) -> Result<(), String> {
    let mut command = cargo::command();
    command.args(["run", "--quiet", "--package", "tandem", "--", "openapi"]);
    let document = process::capture(&mut command)?;
    match file {
        None => {
            print!("{document}");
            Ok(())
        }
        Some(path) => std::fs::write(path, document).map_err(|error| format!("cannot write {path}: {error}")),
    }
}
