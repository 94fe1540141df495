//! A fresh listing of a server, folded into the stored tools: which rows change, and which change is a finding.
//!
//! A tool is pinned to the description and schema with which it was first seen. While nobody uses it, the pin follows
//! the server. Once it is in use, a change leaves the pin where it is: the tool is changed, and is not called until an
//! operator accepts it. A tool that was taken away and comes back is judged against its old pin.

use serde_json::{Map, Value, json};

use super::{
    names,
    server::ServerRow,
    tool::{ToolError, ToolRow},
};
use crate::{
    record::Record,
    redaction::{Counts, redactor},
    text::{sha256_hex, truncate},
};

/// What a server says it offers, bounded by the driver.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    pub protocol_version: Option<String>,
    /// `name version` in the server's own words.
    pub server_info: Option<String>,
    pub tools: Vec<Offered>,
    pub resources: Vec<Value>,
    /// What was left out, and why.
    pub warnings: Vec<String>,
    /// The connection on which it was said. A call names it, so that no tool is called on a connection that never said
    /// what the tool is.
    pub connection: u64,
}

/// A tool as its server describes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offered {
    pub name: String,
    pub title: Option<String>,
    pub description: Option<String>,
    pub input_schema: Value,
    pub output_schema: Option<Value>,
    pub annotations: Option<Value>,
}

/// What a listing does to the stored rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    /// New or changed rows.
    pub write: Vec<ToolRow>,
    /// Rows of tools that are no longer offered and that nobody uses.
    pub remove: Vec<String>,
    /// Names, for the audit row.
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub updated: Vec<String>,
    /// Tools in use that are not what was accepted: findings.
    pub changed: Vec<String>,
    pub tool_count: usize,
    pub warnings: Vec<String>,
}

impl Listed {
    pub fn is_empty(&self) -> bool {
        self.write.is_empty() && self.remove.is_empty()
    }
}

/// At most this many tools of one server are kept.
pub const TOOLS: usize = 500;
const DESCRIPTION: usize = 8_000;
const SCHEMA_BYTES: usize = 64 * 1024;

/// SHA-256 over everything that tells a caller what the tool does. Object keys are in order, so two spellings of the
/// same schema have one hash.
pub fn schema_hash(offered: &Offered) -> String {
    let told = json!([
        "mcp_tool_v1",
        offered.name,
        offered.title,
        offered.description,
        offered.input_schema,
        offered.output_schema,
        offered.annotations,
    ]);
    sha256_hex(&sorted(&told).to_string())
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            Value::Object(keys.into_iter().map(|key| (key.clone(), sorted(&map[key]))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// Folds `listing` into `stored`. `in_use` says which tools something publishes through.
pub fn fold(
    server: &str,
    listing: &Listing,
    stored: &[ToolRow],
    in_use: &dyn Fn(&ToolRow) -> bool,
    now_ms: u64,
) -> Listed {
    let mut out = Listed { warnings: listing.warnings.clone(), ..Listed::default() };
    let mut seen: Vec<&str> = Vec::new();
    for offered in &listing.tools {
        if out.tool_count == TOOLS {
            out.warnings.push(format!("only the first {TOOLS} tools are kept"));
            break;
        }
        if let Err(why) = usable(offered) {
            out.warnings.push(format!("a tool is left out: {why}"));
            continue;
        }
        if seen.iter().any(|name| name.eq_ignore_ascii_case(&offered.name)) {
            out.warnings.push(format!("`{}` is listed twice; the first one is kept", offered.name));
            continue;
        }
        seen.push(&offered.name);
        out.tool_count += 1;
        let hash = schema_hash(offered);
        let known = stored.iter().find(|row| row.tool_name == offered.name);
        if known.is_some_and(|row| row.schema_hash == hash && !row.withdrawn) {
            continue;
        }
        let mut row = ToolRow {
            server_name: server.to_owned(),
            tool_name: offered.name.clone(),
            namespaced_name: names::namespaced(server, &offered.name),
            description: told(offered),
            input_schema: offered.input_schema.clone(),
            output_schema: offered.output_schema.clone(),
            accepted_hash: hash.clone(),
            schema_hash: hash,
            fetched_at_ms: now_ms,
            withdrawn: false,
            used: known.is_some_and(|row| row.used),
        };
        match known {
            None => out.added.push(offered.name.clone()),
            Some(known) => {
                out.updated.push(offered.name.clone());
                if known.used || in_use(known) {
                    row.accepted_hash.clone_from(&known.accepted_hash);
                    if !row.accepted() {
                        out.changed.push(offered.name.clone());
                    }
                }
            }
        }
        out.write.push(row);
    }
    for row in stored.iter().filter(|row| !seen.contains(&row.tool_name.as_str())) {
        if !(row.used || in_use(row)) {
            out.removed.push(row.tool_name.clone());
            out.remove.push(row.id().to_owned());
        } else if !row.withdrawn {
            // Its pin is kept: taking a tool away and bringing it back changed must not launder the change.
            out.removed.push(row.tool_name.clone());
            out.write.push(ToolRow { withdrawn: true, fetched_at_ms: now_ms, ..row.clone() });
        }
    }
    out.warnings.truncate(20);
    out
}

fn usable(offered: &Offered) -> Result<(), String> {
    if !names::valid_tool(&offered.name) {
        return Err("its name is not printable ASCII of at most 128 bytes".into());
    }
    let size = |schema: &Value| schema.to_string().len();
    if size(&offered.input_schema) > SCHEMA_BYTES
        || offered.output_schema.as_ref().is_some_and(|s| size(s) > SCHEMA_BYTES)
    {
        return Err(format!("the schema of `{}` is over {SCHEMA_BYTES} bytes", offered.name));
    }
    if !offered.input_schema.is_object() {
        return Err(format!("`{}` has no schema", offered.name));
    }
    Ok(())
}

fn told(offered: &Offered) -> String {
    let text = offered.description.as_deref().or(offered.title.as_deref()).unwrap_or_default();
    truncate(&redactor(None).text(text, &mut Counts::new()), DESCRIPTION)
}

/// The tool that `wanted` names, if the server's allowlist admits it and it is what was accepted.
pub fn callable<'a>(server: &ServerRow, tools: &'a [ToolRow], wanted: &str) -> Result<&'a ToolRow, ToolError> {
    use super::ToolFault as F;
    let found = tools.iter().find(|tool| !tool.withdrawn && names::same_tool(&server.name, &tool.tool_name, wanted));
    let Some(tool) = found else {
        let text = format!("the server `{}` offers no tool `{}`", server.name, truncate(wanted, 200));
        return Err(ToolError::unsent(F::ToolUnknown, text));
    };
    if !names::allowed(server.allowed_tools.as_deref(), &server.name, &tool.tool_name) {
        let text = format!("`{}` is not in the allowlist of `{}`", tool.tool_name, server.name);
        return Err(ToolError::unsent(F::ToolNotAllowed, text));
    }
    if !tool.accepted() {
        let text = format!("the description or schema of `{}` changed; an operator must accept it", tool.tool_name);
        return Err(ToolError::unsent(F::ToolChanged, text));
    }
    Ok(tool)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::ToolFault;

    fn offered(name: &str, description: &str) -> Offered {
        Offered {
            name: name.into(),
            description: Some(description.into()),
            input_schema: json!({"type": "object", "properties": {"a": {"type": "string"}}}),
            ..Offered::default()
        }
    }

    fn listing(tools: &[Offered]) -> Listing {
        Listing { tools: tools.to_vec(), ..Listing::default() }
    }

    /// Folds and keeps what a store would.
    fn step(stored: &mut Vec<ToolRow>, tools: &[Offered], in_use: bool) -> Listed {
        let listed = fold("s", &listing(tools), stored, &|_| in_use, 5);
        stored.retain(|row| !listed.remove.iter().any(|id| id == row.id()));
        for row in &listed.write {
            stored.retain(|known| known.tool_name != row.tool_name);
            stored.push(row.clone());
        }
        listed
    }

    #[test]
    fn the_order_of_keys_does_not_matter_and_every_part_does() {
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
        let base = Offered { input_schema: parse(r#"{"type":"object","x":{"b":1,"a":2}}"#), ..offered("t", "d") };
        let turned = Offered { input_schema: parse(r#"{"x":{"a":2,"b":1},"type":"object"}"#), ..base.clone() };
        assert_eq!(schema_hash(&base), schema_hash(&turned));
        for other in [
            Offered { description: Some("D".into()), ..base.clone() },
            Offered { title: Some("T".into()), ..base.clone() },
            Offered { annotations: Some(json!({"readOnlyHint": true})), ..base.clone() },
            Offered { output_schema: Some(json!({})), ..base.clone() },
            Offered { input_schema: json!({"type": "object"}), ..base.clone() },
        ] {
            assert_ne!(schema_hash(&base), schema_hash(&other), "{other:?}");
        }
    }

    #[test]
    fn the_pin_follows_an_unused_tool_and_holds_a_used_one() {
        let mut stored = Vec::new();
        assert_eq!(step(&mut stored, &[offered("t", "one")], false).added, ["t"]);
        assert!(step(&mut stored, &[offered("t", "one")], false).is_empty());
        let unused = step(&mut stored, &[offered("t", "two")], false);
        assert!(unused.changed.is_empty() && stored[0].accepted());
        let used = step(&mut stored, &[offered("t", "three")], true);
        assert_eq!(used.changed, ["t"]);
        assert!(!stored[0].accepted());
        let back = step(&mut stored, &[offered("t", "two")], true);
        assert!(back.changed.is_empty() && stored[0].accepted());
    }

    #[test]
    fn taking_a_tool_away_does_not_launder_a_change() {
        let mut stored = Vec::new();
        step(&mut stored, &[offered("t", "one")], true);
        assert_eq!(step(&mut stored, &[], true).removed, ["t"]);
        assert!(step(&mut stored, &[], true).is_empty());
        assert!(stored[0].withdrawn);
        let row = ServerRow { name: "s".into(), ..ServerRow::default() };
        assert_eq!(callable(&row, &stored, "t").map_err(|e| e.fault).err(), Some(ToolFault::ToolUnknown));
        assert_eq!(step(&mut stored, &[offered("t", "evil")], true).changed, ["t"]);
        assert_eq!(callable(&row, &stored, "t").map_err(|e| e.fault).err(), Some(ToolFault::ToolChanged));
        let mut unused = Vec::new();
        step(&mut unused, &[offered("t", "one")], false);
        step(&mut unused, &[], false);
        assert!(unused.is_empty());
    }

    #[test]
    fn what_cannot_be_kept_is_left_out_and_said() {
        let huge = Offered { input_schema: json!({"x": "y".repeat(SCHEMA_BYTES)}), ..offered("huge", "") };
        let shapeless = Offered { input_schema: json!(null), ..offered("none", "") };
        let tools = [offered("a b", ""), huge, shapeless, offered("ok", ""), offered("OK", "")];
        let listed = fold("s", &listing(&tools), &[], &|_| false, 5);
        assert_eq!(listed.added, ["ok"]);
        assert_eq!(listed.warnings.len(), 4);
        let many: Vec<Offered> = (0..TOOLS + 1).map(|n| offered(&format!("t{n}"), "")).collect();
        assert_eq!(fold("s", &listing(&many), &[], &|_| false, 5).tool_count, TOOLS);
    }

    #[test]
    fn a_call_needs_the_allowlist_and_the_accepted_tool() {
        let mut stored = Vec::new();
        step(&mut stored, &[offered("create_issue", "")], false);
        let row = |list: Option<Vec<String>>| ServerRow {
            name: "Git Hub".into(),
            allowed_tools: list,
            ..ServerRow::default()
        };
        let fault = |row: &ServerRow, wanted: &str| callable(row, &stored, wanted).map_err(|e| e.fault).err();
        assert_eq!(fault(&row(None), "Create_Issue"), None);
        assert_eq!(fault(&row(None), "mcp.git_hub.create_issue"), None);
        assert_eq!(fault(&row(None), "create"), Some(ToolFault::ToolUnknown));
        assert_eq!(fault(&row(Some(vec![])), "create_issue"), Some(ToolFault::ToolNotAllowed));
    }
}
