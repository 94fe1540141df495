//! `tandem openapi`: the document that a running server answers at `/openapi.json`, without starting one.

use std::process::ExitCode;

use super::{Fault, say};
use crate::http;

pub fn run() -> Result<ExitCode, Fault> {
    say(&http::document::pretty(&http::document()));
    Ok(ExitCode::SUCCESS)
}
