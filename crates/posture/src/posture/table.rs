//! The rules by name, in the order in which they are listed. What they judge stands in the files beside this one.

use tandem_core::text::sha256_hex;

use crate::finding::Severity;

/// A rule. Its version rises when it judges differently.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    pub id: &'static str,
    pub category: &'static str,
    pub default_severity: Severity,
    pub version: u32,
    /// What it looks for, in a line.
    pub looks_for: &'static str,
}

macro_rules! rules {
    ($($name:ident $id:literal $category:literal $severity:ident $version:literal $looks_for:literal;)+) => {
        $(pub const $name: &str = $id;)+
        pub const RULES: &[Rule] = &[$(Rule {
            id: $id,
            category: $category,
            default_severity: Severity::$severity,
            version: $version,
            looks_for: $looks_for,
        }),+];
    };
}

/// The first nine are the baseline that clients know; the others follow.
pub const BASELINE: usize = 9;

rules! {
    TOOL_WITHOUT_APPROVAL "high_risk_tool_without_approval" "missing_approval" High 1 "A tool that changes something runs without approval policy or gate.";
    MCP_WITHOUT_ALLOWLIST "mcp_server_without_tool_allowlist" "mcp_allowlist_gap" High 2 "An agent or node may call every tool of a server.";
    BROAD_SCOPE "broad_source_destination_scope" "scoped_intake_gap" Medium 2 "A source may reach every outside destination.";
    MISSING_TENANT "missing_tenant_context" "tenant_context_gap" High 2 "An automation or source belongs to no tenant.";
    DESTINATION_WITHOUT_APPROVAL "external_destination_without_approval" "unsafe_destination" Medium 1 "An outside destination asks for no approval.";
    FAIL_OPEN "unready_destination_fail_open" "unsafe_destination" Medium 1 "An unfinished destination is not blocked.";
    MISSING_RECEIPT "external_action_missing_receipt" "audit_gap" Medium 1 "Something left without idempotency key or receipt.";
    RECURRING_DENIAL "recurring_denied_action" "recurrence_gap" Medium 2 "The same action is denied again and again.";
    SOURCE_READINESS "source_readiness_failed" "source_readiness" Medium 1 "A source's data is not governed, fresh, known or protected.";
    NO_DESTINATION_POLICY "source_without_destination_policy" "scoped_intake_gap" Medium 1 "A source names neither allowed nor default destinations.";
    RETENTION_UNSET "retention_unset" "retention_gap" Medium 1 "No retention period is set.";
    REDACTION_OFF "secret_redaction_off" "redaction_gap" High 1 "Secrets are not redacted by default.";
    GENERIC_MCP "generic_mcp_destination_enabled" "unsafe_destination" High 1 "A generic MCP destination is enabled.";
    SELF_WITHOUT_EXPORT "self_monitoring_without_export" "external_custody_gap" Medium 2 "Tandem watches itself and nothing of it leaves.";
    ROUTE_NEVER "route_never_requires_approval" "missing_approval" High 1 "A route lifts the inherited approval.";
    AUTO_PUBLISH "auto_publish_to_external_destination" "unsafe_destination" Medium 1 "A route or source publishes outside by itself.";
    ROUTE_SHADOWED "route_shadowed" "routing_gap" Medium 1 "A route can never win.";
    ROUTE_UNREACHABLE "route_destination_unreachable" "routing_gap" Medium 1 "A route sends to destinations that do not exist or are switched off.";
    KEY_UNUSED "intake_key_unused" "credential_hygiene" Low 1 "An intake key is enabled and not used.";
    KEY_WITHOUT_EXPIRY "intake_key_without_expiry" "credential_hygiene" Low 1 "An intake key never expires.";
    KEY_OVER_SCOPED "intake_key_over_scoped" "scoped_intake_gap" High 1 "An intake key has more than the scope to report.";
    KEY_UNKNOWN_PROJECT "intake_key_unknown_project" "scoped_intake_gap" Medium 1 "An intake key is for a project that is not configured.";
    TOKEN_WITHOUT_EXPIRY "api_token_without_expiry" "credential_hygiene" Low 1 "A full token never expires.";
    TOOL_DRIFT "mcp_tool_drift" "tool_drift" High 1 "A tool in use is not the one that was accepted.";
    SERVER_WITHOUT_ALLOWLIST "mcp_server_registered_without_allowlist" "mcp_allowlist_gap" Medium 1 "A registered MCP server admits every tool.";
    APPROVAL_WAITING "approval_waiting_too_long" "oversight_gap" Medium 1 "Nobody has decided a request for approval.";
    AGENT_WITHOUT_SPONSOR "agent_without_sponsor" "ownership_gap" Medium 1 "No person answers for an agent.";
    DECLARED_TOOL_WITHOUT_APPROVAL "declared_tool_without_approval" "missing_approval" High 1 "A declared workflow, hook or agent changes something without an approval policy.";
    DECLARED_SERVER_WITHOUT_ALLOWLIST "declared_server_without_allowlist" "mcp_allowlist_gap" Medium 1 "A declared agent or runtime may call every tool of a server.";
    DECLARED_STALE "declared_object_stale" "inventory_gap" Medium 1 "What was declared is no longer repeated.";
    DECLARED_WITHOUT_OWNER "declared_object_without_owner" "ownership_gap" Medium 1 "Nobody answers for something that was declared.";
    CARD_MISSING "deployment_card_missing" "production_governance" Low 1 "No deployment card is stored of something that can act.";
    CARD_UNSIGNED "deployment_card_unsigned" "production_governance" Low 1 "Nobody signed a deployment card off, or somebody rejected it.";
    CARD_STALE "deployment_card_stale" "production_governance" Medium 1 "A deployment card is due for review, or its subject reaches something else.";
    LOG_TAMPERED "audit_log_tampered" "audit_gap" Critical 1 "The audit log is not what was signed.";
}

pub fn find(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}

/// SHA-256 over `<id>@<version>` lines, hex: two answers with the same one were judged by the same rules.
pub fn digest() -> String {
    let text = RULES.iter().fold(String::new(), |text, rule| text + &format!("{}@{}\n", rule.id, rule.version));
    sha256_hex(&text)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_baseline_comes_first() {
        let ids: Vec<&str> = RULES[..BASELINE].iter().map(|rule| rule.id).collect();
        assert_eq!(
            ids,
            [
                "high_risk_tool_without_approval",
                "mcp_server_without_tool_allowlist",
                "broad_source_destination_scope",
                "missing_tenant_context",
                "external_destination_without_approval",
                "unready_destination_fail_open",
                "external_action_missing_receipt",
                "recurring_denied_action",
                "source_readiness_failed",
            ]
        );
        let of = |id: &str| find(id).map(|rule| (rule.category, rule.default_severity));
        assert_eq!(of(DESTINATION_WITHOUT_APPROVAL), Some(("unsafe_destination", Severity::Medium)));
        assert_eq!(of(SOURCE_READINESS), Some(("source_readiness", Severity::Medium)));
    }

    #[test]
    fn ids_are_unique_and_the_digest_is_of_them() {
        let ids: HashSet<&str> = RULES.iter().map(|rule| rule.id).collect();
        assert_eq!(ids.len(), RULES.len());
        assert_eq!(digest().len(), 64);
    }
}
