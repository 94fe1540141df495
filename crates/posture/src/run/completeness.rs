//! Whether the evidence of a run is complete: each protected effect with its decision, its approval and its row in the
//! audit log. What is missing is a finding; nothing missing is not the same as nothing wrong.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tandem_core::{
    actor::ActorRef, audit::integrity, automation::run::gate::GateDecision, governance::policy::Effect,
    tenant::TenantContext, wire_enum,
};
use utoipa::ToSchema;

use super::facts::{DecisionFact, EffectFact, Facts};

wire_enum! {
    pub enum CompletenessStatus {
        Complete = "complete",
        CompleteWithWarnings = "complete_with_warnings",
        Incomplete = "incomplete",
    }
}

wire_enum! {
    pub enum GapSeverity {
        Error = "error",
        Warning = "warning",
    }
}

wire_enum! {
    pub enum GapKind {
        TenantMismatch = "tenant_mismatch",
        MissingToolEffectEvidence = "missing_tool_effect_evidence",
        MissingPolicyDecision = "missing_policy_decision",
        MissingApprovalEvidence = "missing_approval_evidence",
        MissingProtectedAuditEvent = "missing_protected_audit_event",
        ExpiredApproval = "expired_approval",
        UnattributedApproval = "unattributed_approval",
        SequenceGap = "sequence_gap",
        BodiesDropped = "bodies_dropped",
    }
}

impl GapKind {
    fn severity(self) -> GapSeverity {
        match self {
            Self::MissingToolEffectEvidence | Self::UnattributedApproval | Self::BodiesDropped => GapSeverity::Warning,
            Self::TenantMismatch
            | Self::MissingPolicyDecision
            | Self::MissingApprovalEvidence
            | Self::MissingProtectedAuditEvent
            | Self::ExpiredApproval
            | Self::SequenceGap => GapSeverity::Error,
        }
    }
}

/// The kinds of events that a complete package tells of.
pub const TAXONOMY: [&str; 8] = [
    "approval_granted",
    "approval_denied",
    "approval_reworked",
    "approval_cancelled",
    "protected_tool_call",
    "policy_decision",
    "evidence_export",
    "incident_failure",
];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = EvidenceGap)]
pub struct Gap {
    pub severity: GapSeverity,
    pub kind: GapKind,
    pub detail: String,
    /// The id that it is about.
    pub subject: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = EvidenceCompleteness)]
pub struct Completeness {
    pub schema_version: u32,
    pub status: CompletenessStatus,
    pub checked_at_ms: u64,
    pub event_taxonomy: Vec<String>,
    pub counts: BTreeMap<String, u64>,
    pub findings: Vec<Gap>,
}

/// The same tenant; where both name an actor, the same actor.
fn same(a: &TenantContext, b: &TenantContext) -> bool {
    let actors = a.actor_id.as_ref().zip(b.actor_id.as_ref());
    a.key() == b.key() && actors.is_none_or(|(a, b)| a == b)
}

fn attributed(by: &ActorRef) -> bool {
    by.actor_id.is_some() || by.source.is_some()
}

pub fn completeness(facts: &Facts, now_ms: u64) -> Completeness {
    let mut gaps: Vec<Gap> = Vec::new();
    let mut add = |kind: GapKind, subject: &str, detail: String| {
        gaps.push(Gap { severity: kind.severity(), kind, detail, subject: subject.to_owned() });
    };
    for decision in facts.decisions.iter().filter(|decision| !same(&decision.tenant, &facts.run.tenant)) {
        let id = &decision.decision.decision_id;
        add(GapKind::TenantMismatch, id, format!("Decision `{id}` belongs to another tenant."));
    }
    for row in facts.rows.iter().filter(|row| !same(&row.tenant, &facts.run.tenant)) {
        add(GapKind::TenantMismatch, &row.event_id, format!("Audit row {} belongs to another tenant.", row.seq));
    }
    for decision in facts.decisions.iter().filter(|decision| decision.effect() == Effect::ApprovalRequired) {
        let id = &decision.decision.decision_id;
        if !facts.effects.iter().any(|effect| effect.decision_id.as_deref() == Some(id)) {
            let detail = format!("Decision `{id}` asked for an approval, and nothing that followed names it.");
            add(GapKind::MissingToolEffectEvidence, id, detail);
        }
    }
    for effect in facts.effects.iter().filter(|effect| effect.protected && effect.succeeded) {
        judge(facts, effect, &mut add);
    }
    for gate in facts.gates.iter().filter(|gate| !attributed(&gate.by)) {
        let detail = format!("The decision `{}` at node `{}` names nobody.", gate.decision, gate.node_id);
        add(GapKind::UnattributedApproval, &gate.node_id, detail);
    }
    let mut seen: Option<u64> = None;
    for row in &facts.rows {
        if seen.is_some_and(|seen| row.seq <= seen) {
            add(GapKind::SequenceGap, &row.event_id, format!("Sequence {} is there twice, or out of order.", row.seq));
        } else if !row.intact {
            add(GapKind::SequenceGap, &row.event_id, format!("Audit row {} is not what was hashed.", row.seq));
        }
        seen = Some(row.seq);
    }
    if facts.integrity.status == integrity::Status::Tampered {
        let seq = facts.integrity.first_bad_seq.unwrap_or_default();
        let detail = format!("The audit log was tampered with from row {seq} on; its rows prove nothing beyond that.");
        add(GapKind::SequenceGap, &seq.to_string(), detail);
    }
    if let Some(dropped) = &facts.dropped {
        let detail = format!(
            "Retention has dropped the bodies of {} audit rows of this time. Effects and decisions that only they told of \
             are not known any more.",
            dropped.count
        );
        add(GapKind::BodiesDropped, &facts.run.run_id, detail);
    }
    let errors = gaps.iter().filter(|gap| gap.severity == GapSeverity::Error).count();
    let counts = [
        ("policy_decisions", facts.decisions.len()),
        ("tool_effects", facts.effects.len()),
        ("protected_tool_effects", facts.effects.iter().filter(|effect| effect.protected).count()),
        ("gate_decisions", facts.gates.len()),
        ("protected_audit_events", facts.rows.len()),
        ("dropped_audit_events", facts.dropped.as_ref().map_or(0, |dropped| dropped.count as usize)),
        ("errors", errors),
        ("warnings", gaps.len() - errors),
    ];
    Completeness {
        schema_version: 1,
        status: match (errors, gaps.len()) {
            (0, 0) => CompletenessStatus::Complete,
            (0, _) => CompletenessStatus::CompleteWithWarnings,
            _ => CompletenessStatus::Incomplete,
        },
        checked_at_ms: now_ms,
        event_taxonomy: TAXONOMY.iter().map(|word| (*word).to_owned()).collect(),
        counts: counts.into_iter().map(|(name, count)| (name.to_owned(), count as u64)).collect(),
        findings: gaps,
    }
}

/// A protected effect that succeeded: who decided, who approved, and where that is recorded.
fn judge(facts: &Facts, effect: &EffectFact, add: &mut impl FnMut(GapKind, &str, String)) {
    let id = &effect.event_id;
    let linked = |wanted: &str| facts.decisions.iter().find(|fact| fact.decision.decision_id == wanted);
    let decision: Option<&DecisionFact> = effect.decision_id.as_deref().and_then(linked);
    if decision.is_none() {
        let detail = format!("`{}` succeeded, and no decision is linked to it.", effect.tool);
        add(GapKind::MissingPolicyDecision, id, detail);
    }
    let approval = decision.and_then(|fact| fact.decision.approval_id.as_deref());
    let gate = facts.gates.iter().find(|gate| {
        gate.decision == GateDecision::Approve && effect.node_id.as_deref() == Some(gate.node_id.as_str())
    });
    if approval.is_none() && gate.is_none() {
        let detail = format!("`{}` succeeded without an approval that is known here.", effect.tool);
        add(GapKind::MissingApprovalEvidence, id, detail);
    }
    let recorded = |wanted: &str| facts.rows.iter().any(|row| row.event_id == wanted);
    let named = |wanted: &str| facts.rows.iter().any(|row| row.names(wanted));
    let by_decision = decision
        .is_some_and(|fact| fact.audit_event_id.as_deref().is_some_and(recorded) || named(&fact.decision.decision_id));
    let by_gate = gate.and_then(|gate| gate.audit_event_id.as_deref()).is_some_and(recorded);
    if !by_decision && !by_gate && !approval.is_some_and(named) {
        let detail =
            format!("No row of the audit log that can be read names the decision or approval of `{}`.", effect.tool);
        add(GapKind::MissingProtectedAuditEvent, id, detail);
    }
    if decision.and_then(|fact| fact.expires_at_ms).is_some_and(|expiry| effect.at_ms > expiry) {
        let detail = format!("`{}` happened after its approval had expired.", effect.tool);
        add(GapKind::ExpiredApproval, id, detail);
    }
}

#[cfg(test)]
#[path = "completeness_tests.rs"]
mod tests;
