//! What followers of automations are told: a projection of the audit log.
//!
//! Every change of an automation, a run or their governance is a row of the log, written with the change. So the log's
//! sequence is the cursor of the stream, nothing can be told that did not happen, and a follower that comes back with
//! the last number it saw has missed nothing. Rows about other things are passed over, and a row's author and payload
//! are not shown beyond the keys named here.

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A frame of the stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    pub kind: String,
    pub properties: Value,
}

/// Which events a follower asked for. Absent means all.
#[derive(Clone, Debug, Default)]
pub struct Follow {
    pub automation_id: Option<String>,
    pub run_id: Option<String>,
}

/// The parts of a row that the projection reads.
#[derive(Deserialize)]
struct Row {
    event_id: String,
    event_type: String,
    created_at_ms: u64,
    payload: Map<String, Value>,
}

const RUN: &str = "automation.v2.run.";
const GOVERNANCE: &str = "automation.governance.";
/// The payload keys that are passed on.
const SHOWN: &[&str] = &[
    "automationID",
    "runID",
    "from",
    "status",
    "reason",
    "stopKind",
    "agentID",
    "approvalID",
    "reviewKind",
    "nodeID",
    "claimantID",
    "changed",
];

/// Whether a row of this type can be told at all: a cheap look before the row is parsed.
pub fn concerns(canonical: &str) -> bool {
    // The type is among the first keys of the canonical form.
    let head = &canonical[..crate::text::floor_char_boundary(canonical, 300)];
    head.contains("\"event_type\":\"automation.")
}

/// The frames of one row, in the order in which they are sent.
pub fn frames(canonical: &str, follow: &Follow) -> Vec<Frame> {
    if !concerns(canonical) {
        return Vec::new();
    }
    let Ok(row) = serde_json::from_str::<Row>(canonical) else { return Vec::new() };
    let named = |key: &str| row.payload.get(key).and_then(Value::as_str);
    let wanted = |asked: &Option<String>, key: &str| asked.as_deref().is_none_or(|asked| named(key) == Some(asked));
    if !wanted(&follow.automation_id, "automationID") || !wanted(&follow.run_id, "runID") {
        return Vec::new();
    }
    let mut properties: Map<String, Value> =
        SHOWN.iter().filter_map(|key| row.payload.get(*key).map(|value| ((*key).to_owned(), value.clone()))).collect();
    properties.insert("event_id".into(), row.event_id.into());
    properties.insert("occurred_at_ms".into(), row.created_at_ms.into());
    let mut kinds: Vec<String> = Vec::new();
    if let Some(what) = row.event_type.strip_prefix(RUN) {
        kinds.push(row.event_type.clone());
        match what {
            // The former spelling of the prefix, for followers that know only that one.
            "failed" | "blocked" => kinds.push("automation_v2.run.failed".into()),
            "created" | "reported" => {}
            _ => kinds.push(format!("{RUN}updated")),
        }
        if what == "reported" {
            kinds = vec![format!("{RUN}updated")];
        }
    } else if let Some(what) = row.event_type.strip_prefix(GOVERNANCE) {
        properties.insert("change".into(), what.into());
        match what {
            "created" | "updated" | "shared" | "paused" | "resumed" | "deleted" | "restored" => {
                kinds.push(format!("automation.v2.{what}"));
            }
            _ => {}
        }
        kinds.push("automation.v2.governance.changed".into());
    }
    kinds.into_iter().map(|kind| Frame { kind, properties: Value::Object(properties.clone()) }).collect()
}

/// A frame's data: one line of JSON.
pub fn data(frame: &Frame, seq: u64) -> String {
    let mut body = json!({ "type": frame.kind, "properties": frame.properties, "cursor": seq });
    // Clients look for the run beside the properties, too.
    for key in ["runID", "automationID"] {
        if let Some(id) = frame.properties.get(key) {
            body[key] = id.clone();
        }
    }
    body.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::event::{seal, tests::draft};

    fn row(event_type: &str, payload: Value) -> String {
        let mut draft = draft(7, payload);
        draft.event_type = event_type.to_owned().into();
        seal(&draft, 7).canonical
    }

    fn kinds(row: &str, follow: &Follow) -> Vec<String> {
        frames(row, follow).into_iter().map(|frame| frame.kind).collect()
    }

    #[test]
    fn rows_become_frames_or_nothing() {
        let all = Follow::default();
        let payload = json!({"automationID": "a", "runID": "r", "secretive": "not shown"});
        let cases: [(&str, &[&str]); 7] = [
            ("automation.v2.run.created", &["automation.v2.run.created"]),
            ("automation.v2.run.paused", &["automation.v2.run.paused", "automation.v2.run.updated"]),
            ("automation.v2.run.failed", &["automation.v2.run.failed", "automation_v2.run.failed"]),
            ("automation.v2.run.blocked", &["automation.v2.run.blocked", "automation_v2.run.failed"]),
            ("automation.governance.updated", &["automation.v2.updated", "automation.v2.governance.changed"]),
            ("automation.governance.spend.paused", &["automation.v2.governance.changed"]),
            ("incident_monitor.paused", &[]),
        ];
        for (kind, wanted) in cases {
            assert_eq!(kinds(&row(kind, payload.clone()), &all), wanted, "{kind}");
        }
        let frame = &frames(&row("automation.v2.run.created", payload), &all)[0];
        assert_eq!(frame.properties.get("secretive"), None);
        let line = data(frame, 7);
        assert!(!line.contains('\n') && line.contains("\"cursor\":7") && line.contains("\"runID\":\"r\""), "{line}");
    }

    #[test]
    fn a_follower_hears_of_what_it_asked_for() {
        let run = row("automation.v2.run.paused", json!({"automationID": "a", "runID": "r"}));
        let follow = |automation: Option<&str>, run: Option<&str>| Follow {
            automation_id: automation.map(str::to_owned),
            run_id: run.map(str::to_owned),
        };
        for (automation, id, heard) in
            [(Some("a"), None, true), (Some("b"), None, false), (None, Some("r"), true), (Some("a"), Some("s"), false)]
        {
            assert_eq!(!kinds(&run, &follow(automation, id)).is_empty(), heard);
        }
        assert!(kinds("{\"event_type\":\"automation.v2.run.created\"}", &Follow::default()).is_empty(), "unreadable");
    }
}
