//! What several files start from.

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};
use tandem_testkit::{
    Client, Launch, Server,
    bodies::{self, SECRET, SECRET_VARIABLE},
    poll, until,
};

/// Long enough for anything that happens at all, on a machine that is busy with other tests.
pub const SOON: Duration = Duration::from_secs(30);

pub fn launch(name: &str) -> Launch {
    Launch::new(env!("CARGO_BIN_EXE_tandem"), name).env(SECRET_VARIABLE, SECRET)
}

/// A running server with [`bodies::config`] and these fields over it.
#[track_caller]
pub fn configured(name: &str, over: Value) -> (Server, Client) {
    let server = launch(name).start();
    let client = server.client();
    configure(&client, over);
    (server, client)
}

#[track_caller]
pub fn configure(client: &Client, over: Value) -> Value {
    let body = json!({ "incident_monitor": bodies::config(over) });
    client.patch("/config/incident-monitor", body).ok()["incident_monitor"].clone()
}

/// Reports, and answers with the draft and the incident.
#[track_caller]
pub fn reported(client: &Client, report: Value) -> (Value, Value) {
    let answer = client.post("/incident-monitor/report", json!({ "report": report })).ok();
    (answer["draft"].clone(), answer["incident"].clone())
}

/// Reports and answers with the draft's id.
#[track_caller]
pub fn drafted(client: &Client, report: Value) -> String {
    text(&reported(client, report).0["draft_id"])
}

#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

#[track_caller]
pub fn draft(client: &Client, id: &str) -> Value {
    client.get(&format!("/incident-monitor/drafts/{id}")).ok()["draft"].clone()
}

#[track_caller]
pub fn incident(client: &Client, id: &str) -> Value {
    client.get(&format!("/incident-monitor/incidents/{id}")).ok()["incident"].clone()
}

#[track_caller]
pub fn publish(client: &Client, id: &str, body: Value) -> tandem_testkit::Reply {
    client.post(&format!("/incident-monitor/drafts/{id}/publish"), body)
}

/// The deliveries of a draft, newest first.
#[track_caller]
pub fn deliveries(client: &Client, draft_id: &str) -> Vec<Value> {
    let answer = client.get(&format!("/incident-monitor/deliveries?draft_id={draft_id}&limit=200")).ok();
    answer["deliveries"].as_array().cloned().unwrap_or_default()
}

/// Waits until the one delivery of a draft to a destination is in this state.
#[track_caller]
pub fn settled(client: &Client, draft_id: &str, destination: &str, state: &str) -> Value {
    let mut seen = Vec::new();
    let found = poll(SOON, || {
        seen = deliveries(client, draft_id);
        seen.iter().find(|delivery| delivery["destination_id"] == destination && delivery["state"] == state).cloned()
    });
    found.unwrap_or_else(|| panic!("{destination} is not {state} within {SOON:?}: {seen:?}"))
}

/// Every row of a list, page by page.
#[track_caller]
pub fn all(client: &Client, path: &str, key: &str) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), None::<String>);
    let joint = if path.contains('?') { '&' } else { '?' };
    loop {
        let more = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let answer = client.get(&format!("{path}{joint}limit=200{more}")).ok();
        rows.extend(answer[key].as_array().cloned().unwrap_or_default());
        match answer["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return rows,
        }
    }
}

/// The database file of a server on the embedded store.
#[track_caller]
pub fn database(server: &Server) -> PathBuf {
    let files = std::fs::read_dir(server.state_dir()).expect("the state directory can be read");
    let found = files.flatten().map(|file| file.path()).find(|path| path.extension().is_some_and(|end| end == "db"));
    found.expect("the state directory holds a database")
}

/// One project, and a key for it.
#[track_caller]
pub fn keyed(client: &Client, more: Value) -> (String, String) {
    let body = bodies::merged(json!({ "project_id": "shop", "name": "key" }), more);
    let answer = client.post("/incident-monitor/intake/keys", body).ok();
    (text(&answer["key"]["key_id"]), text(&answer["raw_key"]))
}

pub const KEY_HEADER: &str = "x-tandem-incident-monitor-intake-key";

/// Waits until the triage of a draft has ended.
#[track_caller]
pub fn triaged(client: &Client, draft_id: &str) {
    until("triage has ended", SOON, || {
        let status = draft(client, draft_id)["github_status"].as_str().unwrap_or_default().to_owned();
        matches!(status.as_str(), "triage_summary_ready" | "issue_draft_ready" | "proposal_blocked").then_some(())
    });
}
