//! Intake keys and full tokens: used, limited in time, in scope and to something that exists.

use tandem_core::credential::REPORT_SCOPES;

use super::{
    findings::{Findings, listed, path},
    table::{KEY_OVER_SCOPED, KEY_UNKNOWN_PROJECT, KEY_UNUSED, KEY_WITHOUT_EXPIRY, TOKEN_WITHOUT_EXPIRY},
};
use crate::{
    estate::Estate,
    finding::{AffectedObject, New, Severity},
    inventory::{AuthorityInventory, KeyRow},
};

const DAY_MS: u64 = 86_400_000;
/// A key that nobody has used by then was made for nothing.
const NEVER_USED_MS: u64 = 30 * DAY_MS;
/// A key that was used is forgotten after this.
const FORGOTTEN_MS: u64 = 90 * DAY_MS;

pub(super) fn judge(estate: &Estate, inventory: &AuthorityInventory, out: &mut Findings) {
    let now = estate.now_ms;
    let projects: std::collections::HashSet<String> =
        estate.config.monitored_projects.iter().map(|project| project.project_id.to_lowercase()).collect();
    let keys = &inventory.inventory.scoped_intake_keys;
    let live = |key: &&KeyRow| key.enabled && key.expires_at_ms.is_none_or(|at| now < at);
    for key in keys.iter().filter(live) {
        if is_unused(key, now) {
            let detail = match key.last_used_at_ms {
                Some(_) => format!("Intake key `{}` was not used for more than 90 days.", key.name),
                None => format!("Intake key `{}` was never used since it was made.", key.name),
            };
            add(
                key,
                KEY_UNUSED,
                Severity::Low,
                "Intake key is not used",
                detail,
                "Disable the key.",
                "last_used_at_ms",
                out,
            );
        }
        if key.expires_at_ms.is_none() {
            let detail = format!("Intake key `{}` is good until somebody disables it.", key.name);
            let advice = "Make keys with an expiry, and replace them before it.";
            add(
                key,
                KEY_WITHOUT_EXPIRY,
                Severity::Low,
                "Intake key without expiry",
                detail,
                advice,
                "expires_at_ms",
                out,
            );
        }
        let wider: Vec<&String> = key.scopes.iter().filter(|scope| !REPORT_SCOPES.contains(&scope.as_str())).collect();
        if !wider.is_empty() {
            let detail = format!("Intake key `{}` has the scopes {}.", key.name, listed(&wider));
            let advice = "Make a key that may report and nothing else, and disable this one.";
            add(key, KEY_OVER_SCOPED, Severity::High, "Intake key has too many scopes", detail, advice, "scopes", out);
        }
        if !projects.contains(&key.project_id.trim().to_lowercase()) {
            let detail =
                format!("Intake key `{}` is for project `{}`, which is not configured.", key.name, key.project_id);
            let advice = "Disable the key, or configure its project again.";
            add(
                key,
                KEY_UNKNOWN_PROJECT,
                Severity::Medium,
                "Intake key of an unknown project",
                detail,
                advice,
                "project_id",
                out,
            );
        }
    }
    for token in inventory.inventory.api_tokens.iter().filter(|token| token.live && token.expires_at_ms.is_none()) {
        out.add(TOKEN_WITHOUT_EXPIRY, Severity::Low, || New {
            rule_id: TOKEN_WITHOUT_EXPIRY,
            category: "credential_hygiene",
            severity: Severity::Low,
            title: "Full token without expiry".into(),
            detail: format!("Full token `{}` is good until somebody revokes it.", token.name),
            recommendation: "Make tokens with an expiry, and replace them before it.".into(),
            affected: vec![AffectedObject::new("api_token", token.token_id.clone()).with("name", token.name.clone())],
            evidence: vec![path(format!("inventory.api_tokens[{}].expires_at_ms", token.token_id))],
            extra: None,
        });
    }
}

fn is_unused(key: &KeyRow, now_ms: u64) -> bool {
    let past = |at: u64, limit: u64| now_ms.saturating_sub(at) > limit;
    match (key.last_used_at_ms, key.created_at_ms) {
        (Some(used), _) => past(used, FORGOTTEN_MS),
        (None, Some(made)) => past(made, NEVER_USED_MS),
        (None, None) => false,
    }
}

#[allow(clippy::too_many_arguments, reason = "a finding about a key is these texts and nothing else")]
fn add(
    key: &KeyRow,
    rule_id: &'static str,
    severity: Severity,
    title: &str,
    detail: String,
    recommendation: &str,
    field: &str,
    out: &mut Findings,
) {
    let category = super::table::find(rule_id).map_or("credential_hygiene", |rule| rule.category);
    out.add(rule_id, severity, || New {
        rule_id,
        category,
        severity,
        title: title.into(),
        detail,
        recommendation: recommendation.into(),
        affected: vec![
            AffectedObject::new("incident_monitor_intake_key", key.key_id.clone())
                .with("name", key.name.clone())
                .with("project_id", key.project_id.clone()),
        ],
        evidence: vec![path(format!("inventory.scoped_intake_keys[{}].{field}", key.key_id))],
        extra: None,
    });
}
