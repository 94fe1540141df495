//! The audit log of a server, fetched and checked by the offline verifier.

use serde_json::Value;
use tandem_core::audit::{
    integrity::Status,
    verify::{Report, verify_bundle},
};

use crate::Client;

/// The export's lines.
#[track_caller]
pub fn export(client: &Client) -> Vec<String> {
    let reply = client.get("/audit/ledger/export");
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.text().lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

#[track_caller]
pub fn manifest(client: &Client) -> Value {
    client.get("/audit/ledger/manifest").ok()
}

/// Checks the whole log with the server's public key.
#[track_caller]
pub fn verify(client: &Client) -> Report {
    let key = manifest(client)["public_key"].as_str().expect("the manifest has a key").to_owned();
    let lines = export(client);
    verify_bundle(&lines, Some(&key), 2)
}

/// The log must be whole and as signed.
#[track_caller]
pub fn assert_verified(client: &Client) -> Report {
    let report = verify(client);
    assert_eq!(report.status, Status::Verified, "{report:?}");
    assert!(report.complete && report.key_trusted, "{report:?}");
    report
}

/// The newest sequence number.
#[track_caller]
pub fn last_seq(client: &Client) -> u64 {
    manifest(client)["last_seq"].as_u64().expect("the manifest has a sequence")
}

/// All rows of one type, oldest first.
#[track_caller]
pub fn rows(client: &Client, event_type: &str) -> Vec<Value> {
    let answer = client.get(&format!("/audit/protected?event_type={event_type}&limit=1000")).ok();
    answer["events"].as_array().cloned().unwrap_or_default()
}
