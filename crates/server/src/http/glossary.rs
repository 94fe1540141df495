//! What names of fields mean wherever they stand. A field that means the same in every record is described once, here; one
//! that says something of its own is described where it is declared, and that wins.

use utoipa::openapi::{Components, RefOr, Schema};

const INSTANT: &str = "Milliseconds since the Unix epoch.";
const DURATION: &str = "Milliseconds.";

/// Endings, and whole names, of moments. Every other name in `_ms` is a length of time.
const INSTANTS: [&str; 11] = [
    "at_ms",
    "until_ms",
    "decide_by_ms",
    "use_by_ms",
    "deadline_ms",
    "from_ms",
    "to_ms",
    "ts_ms",
    "since_ms",
    "mtime_ms",
    "window_start_ms",
];

const WORDS: &[(&str, &str)] = &[
    ("actor", "Who acted: a kind (`human`, `agent`, `system`), an id, and where the request came from."),
    ("actor_id", "Id of a person or an agent, as its credential or the caller's header names it."),
    ("agent_id", "Id of an agent."),
    ("allowed_destination_ids", "The only destinations that may be chosen; empty leaves the choice to the routes."),
    ("approval_id", "Id of an approval request."),
    ("approval_policy", "Whether a person must approve first: the route's or source's own rule."),
    ("approval_state", "What the reporter said of the approval under which the failing thing acted."),
    ("artifact_type", "What an artifact is."),
    ("auto_create_new_issues", "Whether a publish may create issues without a person asking for it."),
    ("automationID", "The automation's id, as the published clients read it."),
    ("automation_id", "Id of an automation."),
    ("blast_radius", "How far the failure reaches, in the reporter's words."),
    ("capability_id", "Something that a tool can do, such as `github.create_issue`."),
    ("completion_tokens", "Tokens that models wrote."),
    ("component", "The part of the system that failed."),
    ("confidence", "How sure the reporter is: `low`, `medium` or `high`."),
    ("contextRunID", "The context run's id, as the published clients read it."),
    ("context_run_id", "Id of the run of work whose evidence this is."),
    ("correlation_id", "The reporter's own id for what belongs together."),
    ("count", "How many there are in this answer."),
    ("data_classification", "How sensitive the data is, as its owner classified it."),
    ("default_destination_ids", "Destinations that are used where no route matches."),
    ("destination_id", "Id of a destination of the configuration."),
    ("destination_ids", "Ids of destinations of the configuration."),
    ("destination_kind", "`github_issue`, `linear_issue`, `webhook`, `telemetry`, `internal_memory` or `mcp_tool`."),
    ("draft_id", "Id of a draft, `failure-draft-` and 32 hex characters."),
    ("dry_run", "Whether everything was judged and nothing done."),
    ("duplicate_matches", "Incidents that resemble this one, the likeliest first."),
    ("effective_destination_ids", "The destinations that the router chose."),
    ("error_code", "For programs; codes do not change."),
    ("event_id", "Id of the audit row, unique and never used again."),
    ("event_schema_version", "Version of the form in which the source reports."),
    ("event_type", "What happened, in dotted words."),
    (
        "evidence_digest",
        "SHA-256 of the evidence that was approved, 64 hex characters; other evidence is another publish.",
    ),
    ("evidence_refs", "Where the evidence is: addresses or names, at most 50."),
    ("excerpt", "Lines that show the failure, redacted."),
    ("expected_destination", "Where the reporter expects the failure to go. Decides nothing."),
    ("external_correlation_ids", "Ids that other systems have for the failure, at most 50."),
    ("file_name", "The file in which it failed."),
    ("finding_id", "Id of a finding; the same finding keeps it from look to look."),
    (
        "fingerprint",
        "What equal failures or findings have in common: `v2:` and 32 hex characters, or the caller's own.",
    ),
    ("grant_id", "Id of a grant."),
    ("idempotency_key", "Equal for every attempt of one effect, so that a receiver can tell a repetition."),
    ("incident_id", "Id of an incident, `failure-incident-` and 32 hex characters."),
    ("inode", "Number of the file in its file system."),
    ("integrity", "Whether the audit log is as it was signed."),
    ("issue_number", "GitHub's number of the issue."),
    ("issue_url", "Address of the issue."),
    ("level", "Severity word of the source, such as `error`."),
    ("lineage_agent_ids", "Agents that answer for it, the closest first."),
    ("linked_context_run_id", "Id of the context run that keeps the evidence."),
    ("log_source_id", "Id of a log source of the project."),
    ("mcp_server", "Name of a registered MCP server."),
    ("model", "The model that was used, as the reporter names it."),
    ("mutates_external_systems", "Whether anything outside this server can have been changed by this call."),
    ("next_cursor", "Give it as `cursor` to get the next page; absent on the last one."),
    ("node_id", "Id of a node of the automation's flow."),
    ("ok", "Whether it held; in the answer to a call always true, because a refusal is another body."),
    ("omitted_fields", "Names of fields that were left out because they may hold secrets."),
    ("org_id", "The tenant's organisation."),
    ("parameter_keys", "Names of parameters; values are never kept."),
    ("post_id", "Id of a receipt, `failure-post-` and 32 hex characters."),
    ("process", "The process that failed."),
    ("project_id", "Id of a monitored project of the configuration."),
    ("prompt_tokens", "Tokens that models read."),
    ("public_key", "Verifier key of the log: `<name>+<id>+<base64>`."),
    ("quality_gate", "The questions that a report must answer before it becomes work, with their answers."),
    ("read_only", "Whether the call changed nothing."),
    ("redaction_profile", "Which redaction rules apply to the source."),
    ("repo", "Repository as `owner/repo`."),
    ("request_id", "Finds the request in the server's log and audit log."),
    ("request_type", "What is asked for."),
    ("require_approval", "Whether a person must approve before anything goes to this destination."),
    ("retention_profile", "How long the source's data is kept, as its owner names it."),
    ("risk_category", "What kind of risk it is, in the reporter's words."),
    ("risk_level", "`low`, `medium`, `high` or `critical`."),
    ("risk_tier", "`low`, `medium`, `high` or `critical`."),
    ("route_id", "Id of the route that matched."),
    ("route_match_reason", "Why this destination was chosen."),
    ("route_tags", "Words that routes can ask for; only a trusted source sets them."),
    ("rule_id", "Id of the rule that found it."),
    ("run_id", "Id of a run."),
    ("schema_version", "Version of this form; a higher number may have more fields."),
    ("sensitive_values", "What was done with values that may be secret."),
    ("session_id", "Id of the reporter's session."),
    ("source_approval_policy", "The source's own rule for approval."),
    ("source_id", "Id of a source of the project."),
    ("source_kind", "What kind of source it is, as the configuration says."),
    ("target_ref", "What the effect was aimed at, without secrets: an address without its query, an issue, a path."),
    ("tenant_context", "The tenant: organisation, workspace and deployment."),
    ("tenant_id", "The customer that the source belongs to, as the configuration says. Not the tenant of this server."),
    ("tool_name", "The tool that was used."),
    ("triage_run_id", "Id of the triage of the draft."),
    ("workspace_id", "The tenant's workspace."),
    ("workspace_root", "Directory of the source code on this server's machine; nothing outside it is read."),
];

/// Describes every field that its record does not describe.
pub fn describe(components: &mut Components) {
    for schema in components.schemas.values_mut() {
        if let RefOr::T(schema) = schema {
            fields(schema);
        }
    }
}

fn fields(schema: &mut Schema) {
    match schema {
        Schema::Object(object) => {
            for (name, field) in &mut object.properties {
                if let Some(text) = meaning(name) {
                    give(field, text);
                }
                if let RefOr::T(field) = field {
                    fields(field);
                }
            }
        }
        Schema::AllOf(all) => all.items.iter_mut().for_each(inner),
        Schema::OneOf(one) => one.items.iter_mut().for_each(inner),
        _ => {}
    }
}

fn inner(item: &mut RefOr<Schema>) {
    if let RefOr::T(schema) = item {
        fields(schema);
    }
}

/// What a field of this name is.
pub fn meaning(name: &str) -> Option<&'static str> {
    if name.ends_with("_ms") {
        let instant =
            INSTANTS.iter().any(|end| name == *end || name.strip_suffix(end).is_some_and(|rest| rest.ends_with('_')));
        return Some(if instant { INSTANT } else { DURATION });
    }
    let at = WORDS.binary_search_by(|(word, _)| word.cmp(&name)).ok()?;
    Some(WORDS[at].1)
}

fn give(field: &mut RefOr<Schema>, text: &str) {
    let description = match field {
        RefOr::Ref(reference) => {
            if reference.description.is_empty() {
                reference.description.push_str(text);
            }
            return;
        }
        RefOr::T(Schema::Object(schema)) => &mut schema.description,
        RefOr::T(Schema::Array(schema)) => &mut schema.description,
        RefOr::T(Schema::OneOf(schema)) => &mut schema.description,
        RefOr::T(Schema::AllOf(schema)) => &mut schema.description,
        RefOr::T(Schema::AnyOf(schema)) => &mut schema.description,
        RefOr::T(_) => return,
    };
    description.get_or_insert_with(|| text.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sorted_and_times_told_apart() {
        assert!(WORDS.is_sorted_by_key(|(word, _)| *word));
        for (name, wanted) in [
            ("created_at_ms", Some(INSTANT)),
            ("at_ms", Some(INSTANT)),
            ("circuit_open_until_ms", Some(INSTANT)),
            ("decide_by_ms", Some(INSTANT)),
            ("lease_ms", Some(DURATION)),
            ("triage_timeout_ms", Some(DURATION)),
            ("format_ms", Some(DURATION)),
            ("status", None),
        ] {
            assert_eq!(meaning(name), wanted, "{name}");
        }
    }
}
