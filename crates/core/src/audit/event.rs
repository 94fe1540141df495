//! What an audit row is: its fields, its canonical bytes, its leaf hash, its form on the wire.
//!
//! The canonical form is compact JSON with keys in exactly this order:
//! `seq`, `event_id`, `event_type`, `created_at_ms`, `durability`, `tenant_context` (`org_id`, `workspace_id`,
//! `deployment_id`, `actor_id`, `source`), `actor` (`kind`, `actor_id`, `source`), `request_id`, `payload`.
//! Absent optional values are left out; the keys of every object inside `payload` are sorted by their UTF-8 bytes.
//! The leaf hash is SHA-256 over a zero byte and the canonical bytes. On the wire the record is the canonical object
//! with one more key at its end, `record_hash`, the leaf hash in lowercase hex.
//!
//! A row whose body retention has dropped is shown as `seq`, `event_type`, `created_at_ms`, `tenant_context` (`org_id`,
//! `workspace_id`), `body_dropped` (true) and `record_hash`.
//!
//! Deliberately absent: a link to the previous row. The Merkle tree takes its place.

use std::borrow::Cow;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

pub use crate::{
    actor::{ActorKind, ActorRef},
    tenant::{TenantContext, TenantSource},
};

use super::merkle::{self, Hash};
use crate::{actor::OpContext, ports::AuditRow};

/// Every row is written in the transaction of the change that it records.
pub const DURABILITY: &str = "durable_required";

/// A row before it has its place in the log. The payload is redacted by whoever builds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    pub event_id: String,
    pub event_type: Cow<'static, str>,
    pub created_at_ms: u64,
    pub tenant: TenantContext,
    pub actor: ActorRef,
    pub request_id: String,
    pub payload: Value,
}

impl Draft {
    /// A row in the name of an operation. `event_id` must be fresh.
    pub fn new(ctx: &OpContext, event_id: String, event_type: impl Into<Cow<'static, str>>, payload: Value) -> Self {
        Self {
            event_id,
            event_type: event_type.into(),
            created_at_ms: ctx.now_ms,
            tenant: ctx.tenant.clone(),
            actor: ctx.actor.clone(),
            request_id: ctx.request_id.clone(),
            payload,
        }
    }
}

/// A row as the store keeps it: the canonical text and its leaf hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    pub canonical: String,
    pub leaf: Hash,
}

/// A row as clients read it (`/audit/protected`, export lines).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEvent {
    /// Place in the tenant's log, 1 to n without gaps.
    pub seq: u64,
    pub event_id: String,
    pub event_type: String,
    pub created_at_ms: u64,
    /// Always `durable_required`.
    pub durability: String,
    pub tenant_context: TenantContext,
    pub actor: ActorRef,
    pub request_id: String,
    #[schema(value_type = Object)]
    pub payload: Value,
    /// The leaf hash (RFC 6962) of the canonical bytes, lowercase hex.
    pub record_hash: String,
}

/// The field order of this struct is the canonical key order.
#[derive(Serialize)]
struct Canonical<'a> {
    seq: u64,
    event_id: &'a str,
    event_type: &'a str,
    created_at_ms: u64,
    durability: &'a str,
    tenant_context: &'a TenantContext,
    actor: &'a ActorRef,
    request_id: &'a str,
    payload: Sorted<'a>,
}

/// Gives the draft its place `seq` (1-based) and fixes its bytes for good.
pub fn seal(draft: &Draft, seq: u64) -> Sealed {
    let row = Canonical {
        seq,
        event_id: &draft.event_id,
        event_type: &draft.event_type,
        created_at_ms: draft.created_at_ms,
        durability: DURABILITY,
        tenant_context: &draft.tenant,
        actor: &draft.actor,
        request_id: &draft.request_id,
        payload: Sorted(&draft.payload),
    };
    // Every key is a string and every number in a `Value` is finite, so serialisation into memory cannot fail.
    let canonical = serde_json::to_string(&row).expect("a row made of strings, integers and JSON values serialises");
    let leaf = merkle::leaf_hash(canonical.as_bytes());
    Sealed { canonical, leaf }
}

/// The record on the wire: the canonical object with `record_hash` as its last key.
///
/// A stored row that was damaged until it is no JSON object any more is still shown, as
/// `{"damaged":"<the stored text>","record_hash":…}`, so that one broken row never makes an answer unreadable.
pub fn wire(canonical: &str, leaf: &Hash) -> String {
    let hash = hex::encode(leaf);
    match canonical.strip_suffix('}') {
        Some(head) if is_one_line_object(canonical) => format!("{head},\"record_hash\":\"{hash}\"}}"),
        Some(_) | None => format!("{{\"damaged\":{},\"record_hash\":\"{hash}\"}}", Value::from(canonical)),
    }
}

/// The line of a row whose body was dropped: what is still known of it. Of this, the place and the hash are proved by the
/// tree; time and type are as the store has them.
pub fn without_body(seq: u64, event_type: &str, created_at_ms: u64, tenant: &TenantContext, leaf: &Hash) -> String {
    #[derive(Serialize)]
    struct Left<'a> {
        seq: u64,
        event_type: &'a str,
        created_at_ms: u64,
        tenant_context: Names<'a>,
        body_dropped: bool,
        record_hash: String,
    }
    #[derive(Serialize)]
    struct Names<'a> {
        org_id: &'a str,
        workspace_id: &'a str,
    }
    let tenant_context = Names { org_id: &tenant.org_id, workspace_id: &tenant.workspace_id };
    let record_hash = hex::encode(leaf);
    let left = Left { seq, event_type, created_at_ms, tenant_context, body_dropped: true, record_hash };
    serde_json::to_string(&left).unwrap_or_default()
}

/// A stored row on the wire, with or without its body.
pub fn stored(row: &AuditRow, tenant: &TenantContext) -> String {
    match row.body() {
        Some(canonical) => wire(canonical, &row.leaf),
        None => without_body(row.seq, &row.event_type, row.created_at_ms, tenant, &row.leaf),
    }
}

fn is_one_line_object(text: &str) -> bool {
    text.starts_with('{')
        && text.len() > 2
        && !text.contains('\n')
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Writes a JSON value with the keys of every object sorted, whatever map type serde_json was built with.
struct Sorted<'a>(&'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => {
                let mut object = out.serialize_map(Some(map.len()))?;
                if map.keys().is_sorted() {
                    for (key, value) in map {
                        object.serialize_entry(key, &Sorted(value))?;
                    }
                } else {
                    let mut entries: Vec<_> = map.iter().collect();
                    entries.sort_unstable_by_key(|(key, _)| *key);
                    for (key, value) in entries {
                        object.serialize_entry(key, &Sorted(value))?;
                    }
                }
                object.end()
            }
            Value::Array(items) => {
                let mut array = out.serialize_seq(Some(items.len()))?;
                for item in items {
                    array.serialize_element(&Sorted(item))?;
                }
                array.end()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => self.0.serialize(out),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn draft(n: u64, payload: Value) -> Draft {
        Draft {
            event_id: format!("0198c0de-0000-7000-8000-{n:012}"),
            event_type: "incident_monitor.publish.attempted".into(),
            created_at_ms: 1_760_000_000_000 + n,
            tenant: TenantContext {
                org_id: "acme".into(),
                workspace_id: "main".into(),
                deployment_id: None,
                actor_id: None,
                source: TenantSource::Explicit,
            },
            actor: ActorRef { kind: ActorKind::Human, actor_id: Some("ana".into()), source: None },
            request_id: format!("req-{n}"),
            payload,
        }
    }

    #[test]
    fn the_canonical_bytes_are_fixed() {
        let sealed = seal(&draft(7, json!({"z": 1, "a": {"d": [true, null], "b": "ñ\n\u{1}"}})), 7);
        assert_eq!(
            sealed.canonical,
            concat!(
                r#"{"seq":7,"event_id":"0198c0de-0000-7000-8000-000000000007","#,
                r#""event_type":"incident_monitor.publish.attempted","created_at_ms":1760000000007,"#,
                r#""durability":"durable_required","#,
                r#""tenant_context":{"org_id":"acme","workspace_id":"main","source":"explicit"},"#,
                r#""actor":{"kind":"human","actor_id":"ana"},"request_id":"req-7","#,
                r#""payload":{"a":{"b":"ñ\n\u0001","d":[true,null]},"z":1}}"#,
            )
        );
        assert_eq!(sealed.leaf, merkle::leaf_hash(sealed.canonical.as_bytes()));
    }

    #[test]
    fn the_wire_record_reads_back_as_an_event() {
        let sealed = seal(&draft(3, json!({"k": "v"})), 3);
        let event: AuditEvent = serde_json::from_str(&wire(&sealed.canonical, &sealed.leaf)).unwrap();
        assert_eq!((event.seq, event.record_hash), (3, hex::encode(sealed.leaf)));
        assert_eq!(event.payload, json!({"k": "v"}));
    }

    #[test]
    fn a_damaged_row_is_still_one_line_of_json() {
        for broken in ["", "{", "{}", "{\"seq\":1", "{\"a\":}", "{\"a\":\n1}", "[]", "{\"a\":1}}"] {
            let line = wire(broken, &[0; 32]);
            assert!(!line.contains('\n'));
            let value: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["damaged"], broken);
        }
    }
}
