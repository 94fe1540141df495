//! Names of schemas in the API document. They are the types' own names unless said otherwise, and of two types with one
//! name the document keeps only one, in silence.

use std::{collections::BTreeMap, fs, path::Path};

use super::{files, shown};

pub fn check(root: &Path) -> Result<Vec<String>, String> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in files(&root.join("crates"), "rs")? {
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        for (line, name) in names(&text) {
            places.entry(name).or_default().push(format!("{}:{line}", shown(&path)));
        }
    }
    Ok(places.into_iter().filter_map(|(name, places)| doubled(&name, &places)).collect())
}

fn doubled(name: &str, places: &[String]) -> Option<String> {
    (places.len() > 1)
        .then(|| format!("{}: more than one schema is called `{name}`; see `#[schema(as = …)]`", places.join(", ")))
}

/// The schemas that a file declares, with their lines.
fn names(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let (mut described, mut renamed) = (false, None);
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("#[derive(") && line.contains("ToSchema") || line.starts_with("wire_enum!") {
            described = true;
        } else if let Some(name) = line.strip_prefix("#[schema(as = ").and_then(|rest| rest.split([')', ',']).next()) {
            renamed = Some(name.to_owned());
        } else if let Some(own) = declared(line) {
            let name = renamed.take().unwrap_or_else(|| own.to_owned());
            if std::mem::take(&mut described) {
                found.push((at + 1, name));
            }
        }
    }
    found
}

/// The type that a line declares.
fn declared(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").or_else(|| line.strip_prefix("pub(crate) ")).unwrap_or(line);
    let line = line.strip_prefix("pub(super) ").unwrap_or(line);
    let rest = line.strip_prefix("struct ").or_else(|| line.strip_prefix("enum "))?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_found_under_the_name_that_the_document_has() {
        let text = "#[derive(Clone, ToSchema)]\npub struct Row {\n}\nstruct Own;\nwire_enum! {\n    /// x\n    #[schema(as = LogGap)]\n    \
                    pub enum Gap {\n#[derive(ToSchema)]\n#[serde(default)]\npub(super) struct List<T> {\n";
        let found: Vec<String> = names(text).into_iter().map(|(_, name)| name).collect();
        assert_eq!(found, ["Row", "LogGap", "List"]);
        assert!(doubled("Row", &["a:1".into(), "b:2".into()]).is_some() && doubled("Row", &["a:1".into()]).is_none());
    }
}
