//! The hidden comments by which trackers' issues are recognised as ours. One place writes them; whoever looks for one
//! builds it here and compares the whole comment.

use std::fmt::Write as _;

use serde_json::Value;

pub fn fingerprint(fingerprint: &str) -> String {
    comment("fingerprint", fingerprint)
}

pub fn triage_run(run_id: &str) -> String {
    comment("triage_run_id", run_id)
}

/// Names one effect: the delivery's idempotency key. What carries it was sent by that delivery.
pub fn effect(key: &str) -> String {
    comment("effect", key)
}

pub fn evidence(digest: &str) -> String {
    comment("evidence", digest)
}

pub fn destination(kind: &str) -> String {
    comment("destination", kind)
}

fn comment(name: &str, value: &str) -> String {
    format!("<!-- tandem:{name}:v1:{} -->", safe(value))
}

/// Values that cannot break a comment stay as they are; the rest is percent-encoded, so both stay distinct.
fn safe(value: &str) -> String {
    let plain = |v: &str| !v.contains("--") && !v.contains(['<', '>']) && !v.chars().any(char::is_control);
    if plain(value) && !value.starts_with('-') && !value.ends_with('-') && value.trim() == value {
        return value.to_owned();
    }
    let mut out = String::with_capacity(value.len() * 2);
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"._:/+=@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The handoff to an agent. Inside JSON strings every character can be written so that it ends no comment.
pub fn coder_handoff(handoff: &Value) -> String {
    let json = serde_json::to_string_pretty(handoff).unwrap_or_default();
    let json = json.replace('<', "\\u003c").replace('>', "\\u003e").replace("--", "\\u002d\\u002d");
    format!("<!-- tandem:coder_handoff:v1\n{json}\n-->")
}
