//! The record of a decision: allowed, denied, or waiting for an approval; by which rule; on which inputs.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    actor::{ActorKind, ActorRef},
    decide::{Desk, Halt},
    error::{Code, Failure},
    record::{Collection, Column, Record},
    wire::wire_enum,
};

wire_enum! {
    pub enum Effect {
        Allow = "allow",
        Deny = "deny",
        ApprovalRequired = "approval_required",
    }
}

/// One rule that was looked at, in its order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RuleResult {
    pub rule_id: String,
    pub decision: Effect,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PolicyDecision {
    pub decision_id: String,
    pub actor: ActorRef,
    #[serde(default)]
    pub actor_id: Option<String>,
    #[serde(default)]
    pub run_id: Option<String>,
    #[serde(default)]
    pub automation_id: Option<String>,
    /// What was asked for: `create`, `patch`, `run_start`, …
    pub operation: String,
    pub decision: Effect,
    /// The code of the refusal, or `allowed`.
    pub reason_code: String,
    pub reason: String,
    /// The rule that decided.
    pub rule_id: String,
    /// The same under the name that clients know.
    pub policy_id: String,
    /// SHA-256 over what the decision was made on.
    pub inputs_digest: String,
    #[serde(default)]
    pub approval_id: Option<String>,
    #[serde(default)]
    pub grant_id: Option<String>,
    pub rules: Vec<RuleResult>,
    pub request_id: String,
    pub created_at_ms: u64,
}

pub static POLICY_DECISIONS: Collection =
    Collection { name: "policy_decisions", columns: &["run_id", "automation_id", "created_at_ms"] };

impl Record for PolicyDecision {
    const COLLECTION: &'static Collection = &POLICY_DECISIONS;
    fn id(&self) -> &str {
        &self.decision_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![
            Column::opt(self.run_id.as_deref()),
            Column::opt(self.automation_id.as_deref()),
            Column::ms(self.created_at_ms),
        ]
    }
}

/// The rules of one decision as they are looked at, and what comes of them.
pub struct Trace {
    operation: &'static str,
    automation_id: Option<String>,
    run_id: Option<String>,
    inputs: Value,
    rules: Vec<RuleResult>,
    approval_id: Option<String>,
}

impl Trace {
    pub fn new(operation: &'static str, automation_id: Option<&str>, inputs: Value) -> Self {
        Self {
            operation,
            automation_id: automation_id.map(str::to_owned),
            run_id: None,
            inputs,
            rules: Vec::new(),
            approval_id: None,
        }
    }

    pub fn run(mut self, run_id: &str) -> Self {
        self.run_id = Some(run_id.to_owned());
        self
    }

    /// Something else that the decision is made on.
    pub fn input(&mut self, key: &str, value: impl Into<Value>) {
        self.inputs[key] = value.into();
    }

    /// The rule has nothing against it.
    pub fn pass(&mut self, rule_id: &str) {
        self.rules.push(RuleResult { rule_id: rule_id.into(), decision: Effect::Allow, reason_code: None });
    }

    /// An approval answered the rule.
    pub fn approved(&mut self, rule_id: &str, approval_id: &str) {
        self.pass(rule_id);
        self.approval_id = Some(approval_id.to_owned());
    }

    fn decision(&self, desk: &mut Desk<'_>, rule_id: &str, effect: Effect, code: &str, reason: &str) -> PolicyDecision {
        let actor = desk.ctx.actor.clone();
        PolicyDecision {
            decision_id: desk.id("policy_decision_"),
            actor_id: actor.actor_id.clone(),
            actor,
            run_id: self.run_id.clone(),
            automation_id: self.automation_id.clone(),
            operation: self.operation.into(),
            decision: effect,
            reason_code: code.into(),
            reason: reason.into(),
            rule_id: rule_id.into(),
            policy_id: rule_id.into(),
            inputs_digest: crate::text::sha256_hex(&super::approval::canonical(&self.inputs)),
            approval_id: self.approval_id.clone(),
            grant_id: None,
            rules: self.rules.clone(),
            request_id: desk.ctx.request_id.clone(),
            created_at_ms: desk.ctx.now_ms,
        }
    }

    /// All rules passed.
    pub fn allow(self, desk: &mut Desk<'_>) {
        let last = self.rules.last().map_or_else(|| "no_rule".to_owned(), |rule| rule.rule_id.clone());
        let decision = self.decision(desk, &last, Effect::Allow, "allowed", "Every rule allows it.");
        desk.save(&decision);
    }

    /// The rule refuses; the record of it and its audit row are all that is written.
    pub fn refuse(mut self, desk: &mut Desk<'_>, rule_id: &str, failure: Failure) -> Halt {
        let effect = match failure.code {
            Code::CapabilityEscalationForbidden
            | Code::GovernanceApprovalRequired
            | Code::AgentReviewRequired
            | Code::AgentSpendCapExceeded => Effect::ApprovalRequired,
            _ => Effect::Deny,
        };
        let code = failure.code.word();
        self.rules.push(RuleResult { rule_id: rule_id.into(), decision: effect, reason_code: Some(code.into()) });
        let decision = self.decision(desk, rule_id, effect, code, &failure.message);
        desk.audit_if_refused(
            "automation.governance.denied",
            json!({
                "operation": self.operation,
                "automationID": self.automation_id,
                "runID": self.run_id,
                "agentID": agent(&desk.ctx.actor),
                "code": code,
                "ruleID": rule_id,
                "decisionID": decision.decision_id,
                "inputsDigest": decision.inputs_digest,
            }),
        );
        desk.if_refused(&decision);
        let mut failure = failure.with("decision_id", decision.decision_id);
        if let Some(id) = self.automation_id {
            failure = failure.with("automationID", id);
        }
        if let Some(id) = self.run_id {
            failure = failure.with("runID", id);
        }
        failure.into()
    }
}

fn agent(actor: &ActorRef) -> Option<&str> {
    match actor.kind {
        ActorKind::Agent => actor.actor_id.as_deref(),
        ActorKind::Human | ActorKind::System => None,
    }
}
