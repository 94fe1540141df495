//! The evidence package of a run: one JSON document for a reviewer. Payloads are reduced to digest and shape, free text
//! to what the redactor leaves of it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use tandem_core::{automation::run::gate::GateDecision, governance::policy::Effect, text::sha256_hex};

use super::{
    completeness::completeness,
    facts::{DecisionFact, Facts, GateFact, RowFact},
    ledger,
};

/// What an evidence package shows in place of a payload.
pub fn shape(value: &Value) -> Value {
    fn kind(value: &Value) -> Value {
        match value {
            Value::Null => "null".into(),
            Value::Bool(_) => "bool".into(),
            Value::Number(_) => "number".into(),
            Value::String(_) => "string".into(),
            Value::Array(_) => "array".into(),
            Value::Object(_) => "object".into(),
        }
    }
    match value {
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), kind(value))).collect::<Map<_, _>>())
        }
        other => kind(other),
    }
}

fn reduced(payload: &Value) -> Value {
    json!({ "sha256": sha256_hex(&payload.to_string()), "shape": shape(payload), "redacted": true })
}

/// Builds the package. `generated_at_ms` is now.
pub fn package(facts: &Facts, generated_at_ms: u64) -> Value {
    let run = &facts.run;
    json!({
        "schema_version": 1,
        "package_type": "tandem_run_governance_evidence",
        "provenance": provenance(facts, generated_at_ms),
        "run": {
            "run_id": run.run_id,
            "context_run_id": run.context_run_id,
            "run_type": run.run_type,
            "automation_id": run.automation_id,
            "draft_id": run.draft_id,
            "incident_id": run.incident_id,
            "goal": run.goal,
            "goal_sha256": sha256_hex(&run.goal),
            "tenant_context": run.tenant,
            "trigger": run.trigger,
            "status": run.status,
            "timing": {
                "created_at_ms": run.created_at_ms,
                "started_at_ms": run.started_at_ms,
                "finished_at_ms": run.finished_at_ms,
                "duration_ms": run.finished_at_ms.zip(run.started_at_ms).map(|(end, start)| end.saturating_sub(start)),
            },
            "counts": {
                "tool_effects": facts.effects.len(),
                "executor_reported_tool_calls": run.reported_tool_calls,
                "total_tokens": run.total_tokens,
                "policy_decisions": facts.decisions.len(),
                "gate_decisions": facts.gates.len(),
                "protected_events": facts.rows.len(),
                "dropped_events": facts.dropped.as_ref().map_or(0, |dropped| dropped.count),
                "artifacts": facts.artifacts.len(),
            },
            "estimated_cost_usd": run.estimated_cost_usd,
        },
        "actors": actors(facts),
        "tool_calls": ledger::rows(&facts.effects),
        "tool_manifest": ledger::manifest(&facts.effects),
        "tool_call_summary": ledger::summary(&facts.effects, run.reported_tool_calls),
        "policy_decisions": facts.decisions.iter().map(decision).collect::<Vec<_>>(),
        "approvals": {
            "pending_gate": run.pending_gate,
            "gate_history": facts.gates.iter().map(gate).collect::<Vec<_>>(),
        },
        "audit": {
            "policy_decision_ids": facts.decisions.iter().map(|fact| &fact.decision.decision_id).collect::<Vec<_>>(),
            "audit_event_ids": facts.rows.iter().map(|row| &row.event_id).collect::<Vec<_>>(),
            "protected_events": facts.rows.iter().map(event).collect::<Vec<_>>(),
            "integrity": facts.integrity,
            "truncated": facts.rows_truncated,
            "dropped_events": facts.dropped,
        },
        "audit_completeness": completeness(facts, generated_at_ms),
        "memory_promotions": [],
        "memory_audit": facts.memory,
        "artifacts": facts.artifacts,
        "final_outcome": {
            "status": run.status,
            "stop_kind": run.stop_kind,
            "failure_kind": run.failure_kind,
            "finished_at_ms": run.finished_at_ms,
        },
        "limitations": limitations(facts),
        "redaction_policy": {
            "payloads": "digest_and_shape",
            "free_text": "redacted",
            "prompts_and_outputs": "omitted",
            "approval_rationale": "omitted",
        },
    })
}

fn provenance(facts: &Facts, generated_at_ms: u64) -> Value {
    let run = &facts.run;
    let approved = facts.gates.iter().any(|gate| gate.decision == GateDecision::Approve);
    let reviewer = match (approved, facts.gates.is_empty()) {
        (true, _) => "approved",
        (false, false) => "reviewed",
        (false, true) => "draft",
    };
    json!({
        "generated_at_ms": generated_at_ms,
        "generated_by": "tandem",
        "transparency_label": "machine-generated record of an automated run",
        "reviewer_state": reviewer,
        "run_ids": BTreeSet::from([&run.run_id, &run.context_run_id]),
        "model": null,
        "mcp_servers": run.mcp_servers,
        "created_at_ms": run.created_at_ms,
        "updated_at_ms": run.updated_at_ms,
    })
}

fn actors(facts: &Facts) -> Value {
    let run = &facts.run;
    let mut deciders: Vec<&str> =
        facts.gates.iter().filter_map(|gate| gate.by.actor_id.as_deref().or(gate.by.source.as_deref())).collect();
    deciders.sort_unstable();
    deciders.dedup();
    let mut policy: Vec<&str> = facts.decisions.iter().filter_map(|fact| fact.decision.actor_id.as_deref()).collect();
    policy.sort_unstable();
    policy.dedup();
    json!({
        "tenant": { "org_id": run.tenant.org_id, "workspace_id": run.tenant.workspace_id, "actor_id": run.tenant.actor_id },
        "automation": { "automation_id": run.automation_id, "lineage_agent_ids": run.lineage_agent_ids },
        "requester": { "actor": run.requested_by, "org_units": [], "roles": [], "grants": [] },
        "policy": policy,
        "memory": [],
        "approval_deciders": deciders,
    })
}

fn decision(fact: &DecisionFact) -> Value {
    let decision = &fact.decision;
    let metadata = json!({ "rules": decision.rules, "inputs_digest": decision.inputs_digest });
    json!({
        "decision_id": decision.decision_id,
        "tenant_context": fact.tenant,
        "actor_id": decision.actor_id,
        "run_id": decision.run_id,
        "automation_id": decision.automation_id,
        "tool": decision.operation,
        "decision": decision.decision,
        "reason_code": decision.reason_code,
        "policy_id": decision.policy_id,
        "grant_id": decision.grant_id,
        "approval_id": decision.approval_id,
        "audit_event_id": fact.audit_event_id,
        "expires_at_ms": fact.expires_at_ms,
        "created_at_ms": decision.created_at_ms,
        "inputs_digest": decision.inputs_digest,
        "metadata": reduced(&metadata),
    })
}

fn gate(gate: &GateFact) -> Value {
    json!({
        "node_id": gate.node_id,
        "decision": gate.decision,
        "reason": gate.reason,
        "decided_at_ms": gate.at_ms,
        "decided_by": gate.by,
        "audit_event_id": gate.audit_event_id,
        "metadata": null,
    })
}

fn event(row: &RowFact) -> Value {
    json!({
        "event_id": row.event_id,
        "event_type": row.event_type,
        "created_at_ms": row.created_at_ms,
        "seq": row.seq,
        "record_hash": row.record_hash,
        "actor": row.actor,
        "payload": reduced(&row.payload),
    })
}

fn limitations(facts: &Facts) -> Vec<String> {
    let mut lines = vec![
        "An executor runs the work and counts its tool calls; calls that it does not report are not known here."
            .to_owned(),
        "What an outside system keeps of an effect is not proved by this package.".to_owned(),
        "This package records what was observed and decided; it certifies nothing.".to_owned(),
    ];
    if facts.rows_truncated {
        lines.push(
            "The audit log holds more rows of this time than were looked through; the list of rows is not whole."
                .into(),
        );
    }
    if let Some(dropped) = &facts.dropped {
        lines.push(format!(
            "Retention has dropped the bodies of {} audit rows of this time. Which of them are about this run cannot be \
             told; their digests are listed with a proof against the signed log, and what they said is missing here.",
            dropped.count
        ));
    }
    if facts.decisions.iter().any(|fact| fact.effect() == Effect::Deny) {
        lines.push("Decisions that denied something are listed; what was denied did not happen.".into());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_becomes_digest_and_shape() {
        let payload = json!({ "token": "canary", "list": ["canary"], "n": 1 });
        let reduced = reduced(&payload);
        assert!(!reduced.to_string().contains("canary"));
        assert_eq!(reduced["shape"], json!({ "token": "string", "list": "array", "n": "number" }));
        assert_eq!(reduced["sha256"], sha256_hex(&payload.to_string()));
    }
}
