//! A run as it is answered. `status` is a word that every client knows; where the precise one is another, it is in
//! `stored_status`.

use serde_json::{Map, Value, json};

use super::record::Run;

/// The id of the run's context, as clients link to it.
pub fn context_run_id(run_id: &str) -> String {
    format!("automation-v2-{run_id}")
}

pub fn run(run: &Run) -> Value {
    let mut map = match serde_json::to_value(run) {
        Ok(Value::Object(map)) => map,
        Ok(_) | Err(_) => Map::new(),
    };
    let safe = run.status.safe();
    if safe != run.status {
        map.insert("status".into(), safe.word().into());
        let note = format!("`{}` is shown as `{}` to clients that do not know it", run.status, safe);
        map.insert("statusDerivedNote".into(), note.into());
    }
    for key in ["stored_status", "storedStatus"] {
        map.insert(key.into(), run.status.word().into());
    }
    for key in ["runID", "runId"] {
        map.insert(key.into(), run.run_id.clone().into());
    }
    for key in ["automationID", "automationId"] {
        map.insert(key.into(), run.automation_id.clone().into());
    }
    for key in ["contextRunID", "linked_context_run_id"] {
        map.insert(key.into(), context_run_id(&run.run_id).into());
    }
    for key in ["last_activity_at_ms", "lastActivityAtMs"] {
        map.insert(key.into(), run.updated_at_ms.into());
    }
    map.insert("blockedNodeIDs".into(), json!(run.checkpoint.blocked_nodes));
    map.insert("needsRepairNodeIDs".into(), json!([]));
    map.insert("nodeRepairGuidance".into(), json!({}));
    map.insert("nodeAttemptEvidence".into(), json!({}));
    Value::Object(map)
}
