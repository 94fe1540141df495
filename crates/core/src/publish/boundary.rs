//! What happened to a payload at the border to an outside system, as the audit log tells it: secrets were taken out of it
//! before it went, or it was kept back. What went as it was is told by the publish itself.
//!
//! Deliberately absent: the payload. It is known by its digest, and what was found in it by the rules that found it.

use serde_json::{Map, Value, json};

use super::{Delivery, DeliveryState, settle::Outcome};
use crate::{destination::DestinationKind, draft::Draft, redaction, text::sha256_hex};

/// The row of one attempt, if there is anything to tell.
pub fn crossing(delivery: &Delivery, outcome: &Outcome, draft: Option<&Draft>) -> Option<(&'static str, Value)> {
    let provider = match delivery.destination_kind {
        DestinationKind::Webhook => "webhook",
        DestinationKind::GithubIssue => "github",
        DestinationKind::LinearIssue => "linear",
        DestinationKind::McpTool => "mcp",
        // Nothing leaves.
        DestinationKind::Telemetry | DestinationKind::InternalMemory => return None,
    };
    let found = outcome.receipt.get("redactions").and_then(Value::as_object).cloned().unwrap_or_default();
    let total: u64 = found.values().filter_map(Value::as_u64).sum();
    let (event, action, reasons) = match delivery.state {
        DeliveryState::Blocked => {
            let reason = delivery.error_code.clone().unwrap_or_else(|| "blocked".into());
            ("data_boundary.blocked", "block", vec![reason])
        }
        DeliveryState::Pending
        | DeliveryState::Retrying
        | DeliveryState::Posted
        | DeliveryState::Failed
        | DeliveryState::Unknown
            if total > 0 =>
        {
            ("data_boundary.redacted", "redact", found.keys().map(|rule| format!("redaction.{rule}")).collect())
        }
        DeliveryState::Pending
        | DeliveryState::Retrying
        | DeliveryState::Posted
        | DeliveryState::Failed
        | DeliveryState::Unknown => return None,
    };
    let profile = draft.and_then(|draft| draft.routing.redaction_profile.as_deref());
    let digest = ["payload_sha256", "arguments_sha256"].iter().find_map(|key| outcome.receipt.get(*key)?.as_str());
    Some((
        event,
        json!({
            "action": action,
            "provider_id": provider,
            "model_id": null,
            "boundary_class": "external_system",
            "classification_source": "redaction_rules",
            "source_kind": draft.map(|draft| json!(draft.source_kind)).unwrap_or_default(),
            "payload_hash": digest.map(|digest| format!("sha256:{digest}")),
            "policy_fingerprint": fingerprint(profile),
            "total_findings": total,
            "sensitive_classes": classes(&found),
            "reason_codes": reasons,
            "delivery_id": delivery.delivery_id,
            "destination_id": delivery.destination_id,
            "draft_id": delivery.draft_id,
            "incident_id": delivery.incident_id,
        }),
    ))
}

fn classes(found: &Map<String, Value>) -> Vec<&str> {
    found.iter().filter(|(_, count)| count.as_u64() > Some(0)).map(|(rule, _)| rule.as_str()).collect()
}

/// Which rules looked at the payload.
fn fingerprint(profile: Option<&str>) -> String {
    format!("sha256:{}", sha256_hex(&format!("redaction:{}", redaction::level(profile))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(kind: DestinationKind, state: DeliveryState) -> Delivery {
        let body = json!({
            "delivery_id": "bmwh_1", "draft_id": "d", "incident_id": "i", "post_id": "p", "destination_id": "x",
            "destination_kind": kind, "target_ref": "t", "operation": "o", "action": "post_webhook", "mode": "auto",
            "idempotency_key": "k", "evidence_digest": "e", "state": state, "max_attempts": 8, "attempts": [],
            "destination_digest": "g", "error_code": "config_invalid", "created_at_ms": 1, "updated_at_ms": 1,
        });
        serde_json::from_value(body).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn only_what_was_taken_out_or_kept_back_is_told() {
        use DeliveryState::{Blocked, Failed, Posted, Retrying};
        use DestinationKind::{GithubIssue, InternalMemory, Telemetry, Webhook};
        let some = json!({ "jwt": 2, "github_token": 1 });
        for (kind, state, redactions, expected) in [
            (Webhook, Posted, json!({}), None),
            (Webhook, Posted, some.clone(), Some(("data_boundary.redacted", "redact", 3))),
            (GithubIssue, Retrying, some.clone(), Some(("data_boundary.redacted", "redact", 3))),
            (Webhook, Failed, some.clone(), Some(("data_boundary.redacted", "redact", 3))),
            (Webhook, Blocked, json!({}), Some(("data_boundary.blocked", "block", 0))),
            (Telemetry, Posted, some.clone(), None),
            (InternalMemory, Blocked, some, None),
        ] {
            let mut outcome = Outcome::default();
            outcome.receipt.insert("redactions".into(), redactions.clone());
            outcome.receipt.insert("payload_sha256".into(), json!("ab"));
            let told = crossing(&delivery(kind, state), &outcome, None);
            let short = told.as_ref().map(|(event, told)| {
                (
                    *event,
                    told["action"].as_str().unwrap_or_default(),
                    told["total_findings"].as_u64().unwrap_or_default(),
                )
            });
            assert_eq!(short, expected, "{kind:?} {state:?} {redactions}");
            let Some((_, told)) = told else { continue };
            assert_eq!(told["payload_hash"], json!("sha256:ab"));
            let reasons = match state {
                Blocked => json!(["config_invalid"]),
                _ => json!(["redaction.github_token", "redaction.jwt"]),
            };
            assert_eq!(told["reason_codes"], reasons);
        }
        assert_ne!(fingerprint(None), fingerprint(Some("strict")));
        assert_eq!(fingerprint(None), fingerprint(Some("default")));
    }
}
