//! The evidence of a run, gathered: its records, the decisions and approvals behind it, and the rows of the audit log
//! that name it.

use serde::Serialize;
use serde_json::{Value, json};
use tandem_core::{
    actor::{ActorKind, ActorRef, OpContext},
    automation::{
        Automation,
        run::{Run, gate::GateDecision, view},
    },
    draft::Draft,
    error::Failure,
    governance::{
        approval::Approval,
        policy::{Effect, PolicyDecision},
    },
    publish::digest::h,
    record::Column,
    redaction::{Counts, redactor},
    tenant::TenantKey,
    text::sha256_hex,
    triage::{MemoryEntry, TriageRun, run::RUN_TYPE},
};
use tandem_posture::{
    evidence::ContextRun,
    run::{
        Facts, RunFacts,
        facts::{ArtifactFact, DecisionFact, Dropped, EffectFact, GateFact, MemoryFact, PendingGate, RowFact},
        ledger,
        package::package,
    },
};
use utoipa::ToSchema;

use super::{Turn, context::Found, rows::Wanted};
use crate::{App, tenant_of};

/// Decisions of one run that are read at most.
const MOST_DECISIONS: usize = 1_000;
/// A row about a run may be written this long after the run changed last.
const AFTERWARDS_MS: u64 = 3_600_000;

#[derive(Debug, Serialize, ToSchema)]
pub struct GovernanceEvidence {
    #[schema(value_type = Object)]
    pub evidence_package: Value,
    pub filename: String,
    /// SHA-256 over the package as compact JSON and one zero byte, hex.
    pub content_sha256: String,
    /// SHA-256 over the package as compact JSON alone, hex, as `sha256sum` gives it.
    pub content_digest_sha256: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RunLedgerAnswer {
    pub records: Vec<ledger::LedgerRow>,
    pub summary: ledger::Summary,
    pub tool_manifest: Vec<ledger::ManifestRow>,
    pub integrity: tandem_core::audit::integrity::Integrity,
}

/// Which rows of a run's ledger are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct LedgerRequest {
    pub since_seq: Option<u64>,
    pub tail: Option<usize>,
}

impl App {
    pub async fn governance_evidence(
        &self,
        turn: &Turn,
        ctx: &OpContext,
        id: &str,
    ) -> Result<GovernanceEvidence, Failure> {
        let facts = self.run_facts(turn, ctx, id).await?;
        let filename = format!("tandem-governance-evidence-{}.json", file_part(&facts.run.run_id));
        let evidence_package = package(&facts, ctx.now_ms);
        let text = evidence_package.to_string();
        Ok(GovernanceEvidence {
            content_sha256: h([text.as_str()]),
            content_digest_sha256: sha256_hex(&text),
            filename,
            evidence_package,
        })
    }

    pub async fn run_ledger(
        &self,
        turn: &Turn,
        ctx: &OpContext,
        id: &str,
        request: LedgerRequest,
    ) -> Result<RunLedgerAnswer, Failure> {
        let facts = self.run_facts(turn, ctx, id).await?;
        let mut records = ledger::rows(&facts.effects);
        records.retain(|record| request.since_seq.is_none_or(|since| record.seq > since));
        let surplus = request.tail.map_or(0, |tail| records.len().saturating_sub(tail));
        records.drain(..surplus);
        Ok(RunLedgerAnswer {
            records,
            summary: ledger::summary(&facts.effects, facts.run.reported_tool_calls),
            tool_manifest: ledger::manifest(&facts.effects),
            integrity: facts.integrity,
        })
    }

    async fn run_facts(&self, turn: &Turn, ctx: &OpContext, id: &str) -> Result<Facts, Failure> {
        let (tenant, found) = self.context_found(ctx, id).await?;
        let artifacts = self.context_artifacts(&tenant, &found).await?.into_iter().map(|found| ArtifactFact {
            artifact_id: found.artifact.id,
            artifact_type: found.artifact.artifact_type,
            path: found.artifact.path,
            content_sha256: Some(found.artifact.content_sha256),
            intact: found.intact,
            body_dropped_at_ms: found.body_dropped_at_ms,
            created_at_ms: Some(found.artifact.ts_ms),
        });
        let artifacts = artifacts.collect();
        let mut facts = match found {
            Found::Assessment(run) => self.assessment_facts(turn, &tenant, &run).await?,
            Found::Triage(run) => self.triage_facts(turn, &tenant, &run).await?,
            Found::Automation(run) => self.automation_facts(turn, &tenant, &run).await?,
        };
        facts.artifacts.splice(0..0, Vec::from_iter::<Vec<ArtifactFact>>(artifacts));
        facts.integrity = self.integrity(&tenant).await?;
        Ok(facts)
    }

    async fn named(
        &self,
        turn: &Turn,
        tenant: &TenantKey,
        ids: &[&str],
        from_ms: u64,
        updated_at_ms: u64,
    ) -> Result<Logged, Failure> {
        let until_ms = updated_at_ms.saturating_add(AFTERWARDS_MS);
        let found = self.rows_naming(turn, tenant, &Wanted { ids, since_ms: from_ms, until_ms }).await?;
        let dropped = self.dropped(tenant, found.silent, found.silent_count).await?;
        Ok(Logged { rows: found.rows, truncated: found.truncated, dropped })
    }

    async fn assessment_facts(&self, turn: &Turn, tenant: &TenantKey, run: &ContextRun) -> Result<Facts, Failure> {
        let log = self.named(turn, tenant, &[&run.run_id], run.created_at_ms, run.updated_at_ms).await?;
        let effects =
            log.rows.iter().map(|row| effect(row, row.event_type.clone(), "outcome", "succeeded", true)).collect();
        let facts = RunFacts {
            run_id: run.run_id.clone(),
            context_run_id: run.run_id.clone(),
            run_type: run.run_type.word().into(),
            automation_id: None,
            draft_id: None,
            incident_id: None,
            goal: run.objective.clone(),
            tenant: run.tenant_context.clone(),
            trigger: "manual".into(),
            requested_by: Some(run.requested_by.clone()),
            status: run.status.clone(),
            stop_kind: None,
            failure_kind: None,
            created_at_ms: run.created_at_ms,
            started_at_ms: Some(run.started_at_ms),
            finished_at_ms: Some(run.finished_at_ms),
            updated_at_ms: run.updated_at_ms,
            reported_tool_calls: 0,
            total_tokens: 0,
            estimated_cost_usd: 0.0,
            mcp_servers: Vec::new(),
            lineage_agent_ids: Vec::new(),
            pending_gate: None,
        };
        Ok(whole(facts, effects, log))
    }

    /// A triage run has no effects outside; the publishes of its draft have. What routing and approval said of a publish
    /// is its decision.
    async fn triage_facts(&self, turn: &Turn, tenant: &TenantKey, run: &TriageRun) -> Result<Facts, Failure> {
        let ids = [run.run_id.as_str(), run.draft_id.as_str()];
        // A draft may have been approved before the publish that asked for this run.
        let draft = self.load::<Draft>(tenant, &run.draft_id).await?;
        let since_ms = draft.map_or(run.created_at_ms, |draft| draft.value.created_at_ms.min(run.created_at_ms));
        let log = self.named(turn, tenant, &ids, since_ms, self.now_ms()).await?;
        let (mut decisions, mut effects, mut approval) = (Vec::new(), Vec::new(), None);
        let mut decided = Vec::new();
        for row in &log.rows {
            let required = row.payload["approval_required"].as_bool().unwrap_or_default();
            let kind = row.payload["selected_destination_kind"].as_str().unwrap_or("none");
            match row.event_type.as_str() {
                "incident_monitor.draft.approved" | "incident_monitor.draft.denied" => {}
                // What was done before this run began belongs to an earlier one.
                _ if row.created_at_ms < run.created_at_ms => continue,
                _ => {}
            }
            match row.event_type.as_str() {
                "incident_monitor.draft.approved" => {
                    approval = Some(row.event_id.clone());
                    decided.push(decided_draft(row, GateDecision::Approve));
                }
                "incident_monitor.draft.denied" => decided.push(decided_draft(row, GateDecision::Cancel)),
                "incident_monitor.publish.attempted" => {
                    decisions.push(publish_decision(row, run, required, approval.clone()));
                }
                "incident_monitor.publish.completed" | "incident_monitor.publish.failed" => {
                    // Only what a delivery tells of left the server.
                    let left = row.payload["delivery_id"].is_string();
                    let done = left && row.event_type.ends_with(".completed");
                    let status = if done { "succeeded" } else { row.payload["action"].as_str().unwrap_or("failed") };
                    let mut effect = effect(row, format!("publish:{kind}"), "outcome", status, done);
                    effect.protected = required && left;
                    effect.decision_id = decisions.last().map(|fact: &DecisionFact| fact.decision.decision_id.clone());
                    effects.push(effect);
                }
                other => effects.push(effect(row, other.to_owned(), "outcome", "succeeded", true)),
            }
        }
        let facts = RunFacts {
            run_id: run.run_id.clone(),
            context_run_id: run.run_id.clone(),
            run_type: RUN_TYPE.into(),
            automation_id: Some(run.automation_id.clone()),
            draft_id: Some(run.draft_id.clone()),
            incident_id: run.incident_id.clone(),
            goal: run.objective.clone(),
            tenant: tenant_of(tenant),
            trigger: RUN_TYPE.into(),
            requested_by: None,
            status: run.status.word().into(),
            stop_kind: None,
            failure_kind: run.last_error.as_ref().map(|_| "triage_failed".into()),
            created_at_ms: run.created_at_ms,
            started_at_ms: run.started_at_ms,
            finished_at_ms: run.finished_at_ms,
            updated_at_ms: run.updated_at_ms,
            reported_tool_calls: 0,
            total_tokens: 0,
            estimated_cost_usd: 0.0,
            mcp_servers: Vec::new(),
            lineage_agent_ids: Vec::new(),
            pending_gate: None,
        };
        let mut facts = whole(facts, effects, log);
        facts.decisions = decisions;
        facts.gates = decided;
        let memory = self.all::<MemoryEntry>(tenant, "created_at_ms", Vec::new(), 500).await?;
        facts.memory = memory
            .into_iter()
            .filter(|entry| entry.value.run_id.as_deref() == Some(run.run_id.as_str()))
            .map(|entry| MemoryFact {
                memory_id: entry.value.memory_id,
                category: entry.value.category.word().into(),
                created_at_ms: entry.value.created_at_ms,
            })
            .collect();
        Ok(facts)
    }

    async fn automation_facts(&self, turn: &Turn, tenant: &TenantKey, run: &Run) -> Result<Facts, Failure> {
        let log = self.named(turn, tenant, &[&run.run_id], run.created_at_ms, run.updated_at_ms).await?;
        let own = vec![("run_id", Column::text(&run.run_id))];
        let decisions = self.all::<PolicyDecision>(tenant, "created_at_ms", own, MOST_DECISIONS).await?;
        let rows = &log.rows;
        let mut facts_of = Vec::new();
        for decision in decisions.into_iter().rev().map(|row| row.value) {
            let expires_at_ms = match &decision.approval_id {
                Some(id) => self.load::<Approval>(tenant, id).await?.map(|found| found.value.use_by_ms),
                None => None,
            };
            // The row that names it; the admission of a run is told by the run's first row.
            let first = (decision.operation == "run_start" && decision.decision == Effect::Allow)
                .then(|| rows.iter().find(|row| row.event_type == "automation.v2.run.created"))
                .flatten();
            let row = rows.iter().find(|row| row.names(&decision.decision_id)).or(first);
            let audit_event_id = row.map(|row| row.event_id.clone());
            facts_of.push(DecisionFact { decision, tenant: tenant_of(tenant), audit_event_id, expires_at_ms });
        }
        let admitted =
            facts_of.iter().find(|fact| fact.decision.operation == "run_start" && fact.effect() == Effect::Allow);
        let admitted = admitted.map(|fact| fact.decision.decision_id.clone());
        let gates = gates(run, rows);
        let automation = self.load::<Automation>(tenant, &run.automation_id).await?.map(|found| found.value);
        let effects = effects(run, automation.as_ref(), rows, admitted.as_deref());
        let facts = RunFacts {
            run_id: run.run_id.clone(),
            context_run_id: view::context_run_id(&run.run_id),
            run_type: "automation_v2".into(),
            automation_id: Some(run.automation_id.clone()),
            draft_id: None,
            incident_id: None,
            goal: run.workflow_name.clone(),
            tenant: run.tenant_context.clone(),
            trigger: run.trigger_type.clone(),
            requested_by: Some(run.requested_by.clone()),
            status: run.status.word().into(),
            stop_kind: run.stop_kind.map(|kind| kind.word().into()),
            failure_kind: run.checkpoint.last_failure.as_ref().and_then(|failure| failure.failure_kind.clone()),
            created_at_ms: run.created_at_ms,
            started_at_ms: run.started_at_ms,
            finished_at_ms: run.finished_at_ms,
            updated_at_ms: run.updated_at_ms,
            reported_tool_calls: run.tool_calls,
            total_tokens: run.total_tokens,
            estimated_cost_usd: run.estimated_cost_usd,
            mcp_servers: automation.as_ref().map(servers).unwrap_or_default(),
            lineage_agent_ids: run.lineage_agent_ids.clone(),
            pending_gate: run.checkpoint.awaiting_gate.as_ref().map(|gate| PendingGate {
                node_id: gate.node_id.clone(),
                requested_at_ms: gate.requested_at_ms,
                expires_at_ms: gate.expires_at_ms,
            }),
        };
        let mut facts = whole(facts, effects, log);
        facts.decisions = facts_of;
        facts.gates = gates;
        facts.artifacts = run.artifact_refs.iter().map(|reference| reported(reference)).collect();
        Ok(facts)
    }
}

/// What the log says of a run.
struct Logged {
    rows: Vec<RowFact>,
    truncated: bool,
    dropped: Option<Dropped>,
}

fn whole(run: RunFacts, effects: Vec<EffectFact>, log: Logged) -> Facts {
    Facts {
        run,
        decisions: Vec::new(),
        effects,
        gates: Vec::new(),
        rows: log.rows,
        artifacts: Vec::new(),
        memory: Vec::new(),
        integrity: tandem_core::audit::integrity::Integrity::EMPTY,
        rows_truncated: log.truncated,
        dropped: log.dropped,
    }
}

fn effect(row: &RowFact, tool: String, phase: &str, status: &str, succeeded: bool) -> EffectFact {
    EffectFact {
        seq: row.seq,
        event_id: row.event_id.clone(),
        at_ms: row.created_at_ms,
        event_type: row.event_type.clone(),
        tool,
        phase: phase.into(),
        status: status.into(),
        succeeded,
        protected: false,
        decision_id: None,
        node_id: row.payload["nodeID"].as_str().map(str::to_owned),
        payload_sha256: sha256_hex(&row.payload.to_string()),
    }
}

/// What the run did: its steps as the log tells them, and each node that needed a person and was done.
fn effects(run: &Run, automation: Option<&Automation>, rows: &[RowFact], admitted: Option<&str>) -> Vec<EffectFact> {
    const RUN: &str = "automation.v2.run.";
    let mut effects: Vec<EffectFact> = Vec::new();
    for row in rows {
        let Some(what) = row.event_type.strip_prefix(RUN) else { continue };
        let (tool, phase) = match what {
            "created" => ("run_start".to_owned(), "request"),
            other => (format!("run.{other}"), "outcome"),
        };
        let failed = matches!(what, "failed" | "blocked" | "cancelled");
        let status = if failed { what } else { "succeeded" };
        let mut effect = effect(row, tool, phase, status, !failed);
        effect.decision_id = admitted.map(str::to_owned);
        effects.push(effect);
    }
    let required = |node: &str| {
        let spec = automation.and_then(|found| found.spec.flow.nodes.iter().find(|spec| spec.node_id == node));
        let gated = spec.and_then(|spec| spec.extra.get("gate")).is_some_and(|gate| gate["required"] == json!(true));
        gated || run.checkpoint.gate_history.iter().any(|decided| decided.node_id == node)
    };
    for node in run.checkpoint.completed_nodes.iter().filter(|node| required(node)) {
        let last = rows.iter().rev().find(|row| row.event_type.starts_with(RUN) && row.names(node));
        let Some(row) = last.or_else(|| rows.iter().rev().find(|row| row.event_type.starts_with(RUN))) else {
            continue;
        };
        let mut effect = effect(row, format!("node:{node}"), "outcome", "succeeded", true);
        effect.protected = true;
        effect.node_id = Some(node.clone());
        effect.decision_id = admitted.map(str::to_owned);
        effects.push(effect);
    }
    effects.sort_by_key(|effect| effect.seq);
    effects
}

/// What a person said of the draft that a run looked into: the gate before its publishing.
fn decided_draft(row: &RowFact, decision: GateDecision) -> GateFact {
    let nobody = || ActorRef { kind: ActorKind::System, actor_id: None, source: None };
    GateFact {
        node_id: "publish".into(),
        decision,
        by: row.actor.clone().unwrap_or_else(nobody),
        at_ms: row.created_at_ms,
        // The note stands in the draft; here its row is enough.
        reason: None,
        audit_event_id: Some(row.event_id.clone()),
    }
}

fn gates(run: &Run, rows: &[RowFact]) -> Vec<GateFact> {
    let (redactor, mut counts) = (redactor(None), Counts::new());
    let mut fact = |decided: &tandem_core::automation::run::gate::Decided| GateFact {
        node_id: decided.node_id.clone(),
        decision: decided.decision,
        by: decided.decided_by.clone(),
        at_ms: decided.decided_at_ms,
        reason: decided.reason.as_deref().map(|reason| redactor.text(reason, &mut counts).into_owned()),
        audit_event_id: rows
            .iter()
            .find(|row| {
                row.event_type == "automation.governance.gate_decided"
                    && row.created_at_ms == decided.decided_at_ms
                    && row.names(&decided.node_id)
            })
            .map(|row| row.event_id.clone()),
    };
    run.checkpoint.gate_history.iter().map(&mut fact).collect()
}

fn publish_decision(row: &RowFact, run: &TriageRun, required: bool, approval: Option<String>) -> DecisionFact {
    let blocked = row.payload["blocked"].as_bool().unwrap_or_default();
    let (effect, reason_code) = match (blocked, required) {
        (true, _) => (Effect::Deny, "blocked"),
        (false, true) => (Effect::ApprovalRequired, "approval_required"),
        (false, false) => (Effect::Allow, "allowed"),
    };
    let actor = row.actor.clone().unwrap_or_else(|| ActorRef::worker("unknown"));
    DecisionFact {
        tenant: row.tenant.clone(),
        audit_event_id: Some(row.event_id.clone()),
        expires_at_ms: None,
        decision: PolicyDecision {
            decision_id: format!("publish:{}", row.event_id),
            actor_id: actor.actor_id.clone(),
            actor,
            run_id: Some(run.run_id.clone()),
            automation_id: None,
            operation: "publish".into(),
            decision: effect,
            reason_code: reason_code.into(),
            reason: String::new(),
            rule_id: "incident_monitor.routing".into(),
            policy_id: "incident_monitor.routing".into(),
            inputs_digest: sha256_hex(&row.payload.to_string()),
            approval_id: approval,
            grant_id: None,
            rules: Vec::new(),
            request_id: String::new(),
            created_at_ms: row.created_at_ms,
        },
    }
}

fn servers(automation: &Automation) -> Vec<String> {
    let agents = automation.spec.agents.iter();
    let lists = agents.filter_map(|agent| serde_json::to_value(agent).ok());
    let mut names: Vec<String> = lists
        .flat_map(|agent| agent["mcp_policy"]["allowed_servers"].as_array().cloned().unwrap_or_default())
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What the executor pointed to. Its bytes are elsewhere.
fn reported(reference: &str) -> ArtifactFact {
    ArtifactFact {
        artifact_id: sha256_hex(reference)[..16].to_owned(),
        artifact_type: "executor_reported".into(),
        path: redactor(None).text(reference, &mut Counts::new()).into_owned(),
        content_sha256: None,
        intact: None,
        body_dropped_at_ms: None,
        created_at_ms: None,
    }
}

/// An id as a part of a file name.
fn file_part(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect()
}
