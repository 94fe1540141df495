//! Digests and keys that clients and receivers may recompute.
//!
//! `H(parts)` is SHA-256 over each part's UTF-8 bytes followed by one zero byte, the last part included, as 64
//! lower-case hex characters.

use sha2::{Digest, Sha256};

use crate::{destination::DestinationKind, draft::Draft};

/// `H(parts)`.
pub fn h<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hex::encode(hash.finalize())
}

/// The digest of what is published: repository, fingerprint, title and detail. Triage and recurrence do not change it.
pub fn evidence(repo: &str, fingerprint: &str, title: Option<&str>, detail: Option<&str>) -> String {
    h([repo, fingerprint, title.unwrap_or_default(), detail.unwrap_or_default()])
}

/// The evidence digest of a draft. What an operator noted when deciding is no evidence, and does not make it another. One that follows a published draft has a digest of its own, even with the same
/// content: otherwise a receiver would take the recurrence for a repetition of what it has.
pub fn draft_evidence(draft: &Draft) -> String {
    let plain = evidence(&draft.repo, &draft.fingerprint, draft.title.as_deref(), draft.reported_detail());
    match &draft.recurrence_of {
        Some(previous) => h([&plain, "recurrence", previous]),
        None => plain,
    }
}

/// The digest of what is published after a closed issue, which `anchor` names.
pub fn recurrence(evidence_digest: &str, anchor: &str) -> String {
    h([evidence_digest, "recurrence", anchor])
}

/// Equal content to the same target of the same destination has the same key, across publishes and restarts.
pub fn idempotency_key(
    destination_id: &str,
    kind: DestinationKind,
    target: &str,
    fingerprint: &str,
    operation: &str,
    digest: &str,
) -> String {
    h([destination_id, kind.label(), target, fingerprint, operation, digest])
}

/// The id of a telemetry line, a memory entry or a tool record.
pub fn record_id(
    destination_id: &str,
    kind: DestinationKind,
    target: &str,
    repo: &str,
    fingerprint: &str,
    digest: &str,
) -> String {
    let prefix = match kind {
        DestinationKind::Telemetry => "bmtel_",
        DestinationKind::InternalMemory => "bmmem_",
        DestinationKind::McpTool => "bmmcp_",
        DestinationKind::GithubIssue | DestinationKind::LinearIssue | DestinationKind::Webhook => "bmrec_",
    };
    format!("{prefix}{}", &h([destination_id, kind.label(), target, repo, fingerprint, digest])[..24])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_notes_is_no_evidence() {
        for detail in [Some("reason: foo"), Some("ends with operator_note: odd"), Some(""), None] {
            let mut draft: Draft = serde_json::from_value(serde_json::json!({
                "draft_id": "d", "fingerprint": "fp-1", "repo": "acme/platform", "status": "approval_required",
                "created_at_ms": 1, "updated_at_ms": 1, "title": "Build failed", "detail": detail,
                "external_correlation_ids": [], "route_tags": [], "allowed_destination_ids": [],
                "default_destination_ids": [], "evidence_refs": [],
            }))
            .expect("a draft");
            let before = draft_evidence(&draft);
            for reason in ["looks right", "and\n\noperator_note: again"] {
                draft.status = crate::draft::DraftStatus::ApprovalRequired;
                draft.approval_granted_at_ms = None;
                let approve = crate::draft::Event::Approved { reason: Some(reason.into()) };
                crate::draft::transition(&mut draft, approve, 2).expect("waits for approval");
            }
            assert!(draft.detail.as_deref().is_some_and(|detail| detail.contains("operator_note: looks right")));
            assert_eq!(draft_evidence(&draft), before, "{detail:?}");
        }
    }

    /// The vectors of the wire contract.
    #[test]
    fn published_vectors() {
        let digest = evidence("acme/platform", "fp-1", Some("Build failed"), Some("reason: foo"));
        assert_eq!(digest, "32358ffdb077a6df9349955bb176112080b6ecba83334dc9a7a095b173cf0900");
        let key = |id, kind, target, operation| idempotency_key(id, kind, target, "fp-1", operation, &digest);
        assert_eq!(
            key("legacy-github", DestinationKind::GithubIssue, "acme/platform", "create_issue"),
            "986274edb2b59132fec152ad6891c4eabfcc616f1c44751af90ac2d69d60caee"
        );
        assert_eq!(
            key("hook-1", DestinationKind::Webhook, "https://hooks.example.com/in", "post_webhook"),
            "2688796e9043a2c220c3f1d1cb191a0147bbca46b64adfc3ddc0b906fe77849b"
        );
        let target = "telemetry:incident-monitor/telemetry";
        assert_eq!(
            record_id("telemetry-1", DestinationKind::Telemetry, target, "acme/platform", "fp-1", &digest),
            "bmtel_7cfc0688a45dd51397cab0e1"
        );
    }
}
