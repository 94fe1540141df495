//! Reads one line of an export as the documented format says, for the verifier only.
//!
//! This is the second implementation of the canonical form, written against the text in `event` and not with its
//! code: a mistake in the writer must not be able to hide itself here. It has two ways. A line laid out as the writer
//! lays it out is hashed as it stands, which is exact and fast. Any other line (another tool may have changed spaces,
//! key order or escapes) is read by a strict JSON reader that refuses unknown and repeated keys, and written again in
//! canonical order; numbers are copied as they are spelled, never computed with. A line that says that its body was dropped
//! is taken at its word for its hash, which the tree then proves or not.
//!
//! Deliberately absent: everything about the tree, and any use of the writer's types.

mod json;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use json::{Json, write_text};

/// What the verifier needs from a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub seq: u64,
    pub org: String,
    pub workspace: String,
    /// SHA-256 over a zero byte and the canonical bytes, computed here.
    pub leaf: [u8; 32],
    /// Whether the line's own `record_hash` says the same.
    pub as_recorded: bool,
    /// Its body was dropped: `leaf` is what the line says, and nothing here computed it.
    pub body_dropped: bool,
    /// The rows of which it tells that their bodies were dropped, first and last of each run.
    pub drops: Vec<(u64, u64)>,
}

/// The type of the row that tells of dropped bodies.
const DROPPED: &str = "audit.retention.dropped";

const SUFFIX_START: &[u8] = b",\"record_hash\":\"";
const SUFFIX_LEN: usize = SUFFIX_START.len() + 64 + 2;

const ROW_KEYS: [&str; 9] = [
    "seq",
    "event_id",
    "event_type",
    "created_at_ms",
    "durability",
    "tenant_context",
    "actor",
    "request_id",
    "payload",
];
const TENANT_KEYS: [&str; 5] = ["org_id", "workspace_id", "deployment_id", "actor_id", "source"];
const ACTOR_KEYS: [&str; 3] = ["kind", "actor_id", "source"];

/// Reads a row; the error says what is wrong with the line.
pub fn read(line: &[u8]) -> Result<Row, String> {
    match read_exact(line).or_else(|| read_without_body(line)) {
        Some(row) => Ok(row),
        None => read_strict(line),
    }
}

/// What is left of a row whose body was dropped.
fn read_without_body(line: &[u8]) -> Option<Row> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Left {
        seq: u64,
        #[serde(rename = "event_type")]
        _kind: String,
        #[serde(rename = "created_at_ms")]
        _at_ms: u64,
        tenant_context: Names,
        body_dropped: bool,
        record_hash: String,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Names {
        org_id: String,
        workspace_id: String,
    }
    let left = serde_json::from_slice::<Left>(line).ok().filter(|left| left.body_dropped)?;
    let mut leaf = [0; 32];
    hex::decode_to_slice(&left.record_hash, &mut leaf).ok()?;
    let Names { org_id: org, workspace_id: workspace } = left.tenant_context;
    Some(Row { seq: left.seq, org, workspace, leaf, as_recorded: true, body_dropped: true, drops: Vec::new() })
}

/// The fast way: the line is the canonical bytes with `record_hash` put before the last brace, and fits that hash.
fn read_exact(line: &[u8]) -> Option<Row> {
    let (head, suffix) = line.split_at_checked(line.len().checked_sub(SUFFIX_LEN)?)?;
    let recorded = suffix.strip_prefix(SUFFIX_START)?.strip_suffix(b"\"}")?;
    let leaf: [u8; 32] = Sha256::new().chain_update([0]).chain_update(head).chain_update(b"}").finalize().into();
    let mut claimed = [0; 32];
    hex::decode_to_slice(recorded, &mut claimed).ok()?;
    if claimed != leaf {
        return None;
    }
    let mut at = Cursor(head);
    at.literal(b"{\"seq\":")?;
    let seq = at.number()?;
    at.literal(b",\"event_id\":\"")?;
    at.plain_string()?;
    at.literal(b",\"event_type\":\"")?;
    if at.plain_string()? == DROPPED {
        return None;
    }
    at.literal(b",\"created_at_ms\":")?;
    at.number()?;
    at.literal(b",\"durability\":\"durable_required\",\"tenant_context\":{\"org_id\":\"")?;
    let org = at.plain_string()?.to_owned();
    at.literal(b",\"workspace_id\":\"")?;
    let workspace = at.plain_string()?.to_owned();
    Some(Row { seq, org, workspace, leaf, as_recorded: true, body_dropped: false, drops: Vec::new() })
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn literal(&mut self, text: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    fn number(&mut self) -> Option<u64> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        str::from_utf8(number).ok()?.parse().ok()
    }

    /// A string whose opening quote was read; one with escapes is left to the strict way.
    fn plain_string(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        let (text, rest) = self.0.split_at(end);
        self.0 = rest.strip_prefix(b"\"")?;
        str::from_utf8(text).ok()
    }
}

fn read_strict(line: &[u8]) -> Result<Row, String> {
    let text = str::from_utf8(line).map_err(|_| "the line is not UTF-8".to_owned())?;
    let Json::Object(mut fields) = json::parse(text)? else { return Err("the line is no object".to_owned()) };
    let recorded = take(&mut fields, "record_hash")?;
    let seq = match fields.iter().find(|(key, _)| key == "seq") {
        Some((_, Json::Plain(number))) => number.parse().map_err(|_| "seq is no row number".to_owned())?,
        Some(_) | None => return Err("seq is missing or no number".to_owned()),
    };
    let mut tenant = (String::new(), String::new());
    if let Some((_, Json::Object(context))) = fields.iter().find(|(key, _)| key == "tenant_context") {
        for (key, value) in context {
            match (key.as_str(), value) {
                ("org_id", Json::Text(org)) => tenant.0.clone_from(org),
                ("workspace_id", Json::Text(workspace)) => tenant.1.clone_from(workspace),
                _ => (),
            }
        }
    }
    let drops = drops(&fields);
    let mut out = String::with_capacity(text.len());
    write_row(fields, &mut out)?;
    let leaf: [u8; 32] = Sha256::new().chain_update([0]).chain_update(&out).finalize().into();
    let as_recorded = matches!(recorded, Json::Text(hash) if hash == hex::encode(leaf));
    Ok(Row { seq, org: tenant.0, workspace: tenant.1, leaf, as_recorded, body_dropped: false, drops })
}

/// The `ranges` of a row that tells of dropped bodies; none of any other row.
fn drops(fields: &[(String, Json)]) -> Vec<(u64, u64)> {
    let of = |fields: &[(String, Json)], key: &str| fields.iter().position(|(name, _)| name == key);
    let kind = of(fields, "event_type").map(|at| &fields[at].1);
    let payload = of(fields, "payload").map(|at| &fields[at].1);
    let (Some(Json::Text(kind)), Some(Json::Object(payload))) = (kind, payload) else { return Vec::new() };
    let ranges = of(payload, "ranges").map(|at| &payload[at].1);
    let (DROPPED, Some(Json::List(ranges))) = (kind.as_str(), ranges) else { return Vec::new() };
    let number = |value: &Json| match value {
        Json::Plain(number) => number.parse::<u64>().ok(),
        Json::Text(_) | Json::List(_) | Json::Object(_) => None,
    };
    let range = |value: &Json| match value {
        Json::List(ends) if ends.len() == 2 => number(&ends[0]).zip(number(&ends[1])),
        Json::List(_) | Json::Plain(_) | Json::Text(_) | Json::Object(_) => None,
    };
    ranges.iter().filter_map(range).collect()
}

fn take(fields: &mut Vec<(String, Json)>, key: &str) -> Result<Json, String> {
    let at = fields.iter().position(|(name, _)| name == key).ok_or_else(|| format!("{key} is missing"))?;
    Ok(fields.swap_remove(at).1)
}

fn write_row(fields: Vec<(String, Json)>, out: &mut String) -> Result<(), String> {
    let missing = ROW_KEYS.iter().find(|key| !fields.iter().any(|(name, _)| name == *key));
    if let Some(key) = missing {
        return Err(format!("{key} is missing"));
    }
    write_ordered(fields, &ROW_KEYS, out, |key, value, out| match (key, value) {
        ("tenant_context", Json::Object(fields)) => write_ordered(fields, &TENANT_KEYS, out, write_other),
        ("actor", Json::Object(fields)) => write_ordered(fields, &ACTOR_KEYS, out, write_other),
        ("tenant_context" | "actor", _) => Err(format!("{key} is no object")),
        (_, value) => write_other(key, value, out),
    })
}

fn write_other(_: &str, value: Json, out: &mut String) -> Result<(), String> {
    value.write(out);
    Ok(())
}

/// Writes the fields in the order of `keys`; a key outside them is an error.
fn write_ordered(
    fields: Vec<(String, Json)>,
    keys: &[&str],
    out: &mut String,
    write: impl Fn(&str, Json, &mut String) -> Result<(), String>,
) -> Result<(), String> {
    let mut ranked = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        let Some(rank) = keys.iter().position(|key| *key == name) else { return Err(format!("unknown key {name:?}")) };
        ranked.push((rank, value));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    out.push('{');
    for (at, (rank, value)) in ranked.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_text(keys[rank], out);
        out.push(':');
        write(keys[rank], value, out)?;
    }
    out.push('}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::audit::event::{seal, tests::draft, wire};

    /// Keys reversed, ASCII only, spaced out: what another tool might make of a record.
    fn reformat(value: &Value) -> String {
        match value {
            Value::Object(map) => {
                let fields: Vec<_> = map
                    .iter()
                    .rev()
                    .map(|(key, value)| format!("{} : {}", reformat(&json!(key)), reformat(value)))
                    .collect();
                format!("{{ {} }}", fields.join(" , "))
            }
            Value::Array(items) => format!("[ {} ]", items.iter().map(reformat).collect::<Vec<_>>().join(" , ")),
            Value::String(text) => {
                let units: Vec<_> = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
                format!("\"{}\"", units.concat())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            // Fractions that serde_json, which the test reformats with, reads back without rounding.
            any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn both_ways_find_the_writers_hash(payload in any_json(), seq in 1u64..1_000_000) {
            let sealed = seal(&draft(seq, payload), seq);
            let line = wire(&sealed.canonical, &sealed.leaf);
            let exact = read_exact(line.as_bytes()).unwrap();
            prop_assert_eq!((exact.seq, exact.leaf, exact.org.as_str()), (seq, sealed.leaf, "acme"));
            prop_assert_eq!(&read_strict(line.as_bytes()).unwrap(), &exact);
            let other = reformat(&serde_json::from_str(&line).unwrap());
            prop_assert_eq!(&read(other.as_bytes()).unwrap(), &exact);
        }

        #[test]
        fn nothing_panics(line in prop::collection::vec(any::<u8>(), 0..200), text in "[{\\[\"\\\\u0-9a-f:,}\\] ]{0,60}") {
            let _ = read(&line);
            let _ = read(text.as_bytes());
        }
    }

    #[test]
    fn lines_that_are_no_rows_are_refused() {
        let sealed = seal(&draft(1, json!({"a": {"b": 1}})), 1);
        let line = wire(&sealed.canonical, &sealed.leaf);
        let table = [
            ("unknown key", line.replacen("{\"seq\"", "{\"x\":1,\"seq\"", 1)),
            ("unknown key of the tenant", line.replace("\"org_id\"", "\"x\":1,\"org_id\"")),
            ("unknown key of the actor", line.replace("\"kind\"", "\"x\":1,\"kind\"")),
            ("repeated key", line.replacen("{\"seq\":1", "{\"seq\":1,\"seq\":1", 1)),
            ("repeated key in the payload", line.replace("{\"b\":1}", "{\"b\":2,\"b\":1}")),
            ("missing key", line.replace(",\"request_id\":\"req-1\"", "")),
            ("no hash", sealed.canonical.clone()),
            ("two records", format!("{line}{line}")),
            ("half a record", line[..line.len() / 2].to_owned()),
            ("a list", "[]".to_owned()),
            ("nothing", String::new()),
            ("leading zero", line.replacen("\"seq\":1", "\"seq\":01", 1)),
            ("negative", line.replacen("\"seq\":1", "\"seq\":-1", 1)),
            ("too deep", line.replace("{\"b\":1}", &format!("{}{}", "[".repeat(500), "]".repeat(500)))),
        ];
        for (what, line) in table {
            assert!(read(line.as_bytes()).is_err(), "{what}");
        }
        assert!(read(b"\xff\xfe").is_err());
        let edited = read(line.replace("req-1", "req-2").as_bytes()).unwrap();
        assert!(!edited.as_recorded);
    }
}
