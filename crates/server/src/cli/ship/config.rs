//! `sources.toml`: what to read, and as which source of which project it is reported.

use std::{collections::BTreeSet, fs, path::Path};

use serde::Deserialize;
use tandem_core::config::{LogFormat, LogLevel, StartPosition};

use crate::cli::Fault;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    sources: Vec<Source>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The project at the server.
    pub project_id: String,
    /// The source's id at the server.
    pub source_id: String,
    /// Nothing outside is ever read.
    pub root: String,
    /// Relative to the root; may be a pattern.
    pub path: String,
    #[serde(default)]
    pub format: LogFormat,
    #[serde(default)]
    pub minimum_level: LogLevel,
    #[serde(default)]
    pub start_position: StartPosition,
}

impl Source {
    pub fn name(&self) -> String {
        format!("{}/{}", self.project_id, self.source_id)
    }
}

pub fn read(path: &Path) -> Result<Vec<Source>, Fault> {
    let text = fs::read_to_string(path).map_err(|error| Fault(format!("{}: {error}", path.display())))?;
    parse(&text).map_err(|why| Fault(format!("{}: {why}", path.display())))
}

fn parse(text: &str) -> Result<Vec<Source>, String> {
    let document: Document = toml::from_str(text).map_err(|error| error.to_string())?;
    if document.sources.is_empty() {
        return Err("no `[[sources]]`".to_owned());
    }
    let slug =
        |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    let mut names = BTreeSet::new();
    for source in &document.sources {
        let name = source.name();
        if !slug(&source.project_id) || !slug(&source.source_id) {
            return Err(format!("`{name}`: ids hold letters, digits, `.`, `_` and `-`"));
        }
        if !Path::new(&source.root).is_absolute() {
            return Err(format!("`{name}`: `root` must be an absolute path"));
        }
        if !names.insert(name.clone()) {
            return Err(format!("`{name}` is there twice"));
        }
    }
    Ok(document.sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_and_judged() {
        let good = "[[sources]]\nproject_id = \"shop\"\nsource_id = \"web\"\nroot = \"/srv\"\npath = \"*.log\"\n";
        let sources = parse(good).expect("reads");
        assert_eq!((sources[0].name().as_str(), sources[0].start_position), ("shop/web", StartPosition::End));
        let with = |more: &str| parse(&format!("{good}{more}"));
        assert!(with("start_position = \"beginning\"\nminimum_level = \"warn\"\nformat = \"json\"\n").is_ok());
        assert!(with("pth = \"x\"\n").is_err());
        assert!(parse(&format!("{good}{good}")).is_err());
        assert!(parse(&good.replace("/srv", "srv")).is_err());
        assert!(parse(&good.replace("web", "a/b")).is_err());
        assert!(parse("").is_err() && parse("[[sources").is_err());
    }
}
