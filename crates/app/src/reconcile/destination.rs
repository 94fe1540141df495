//! One attempt to one kind of destination.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use tandem_core::{
    destination::{
        self, DestinationKind,
        webhook::{Settings, Target},
    },
    error::Failure,
    ports::{BoxFuture, Secret},
    publish::{
        Prepared,
        breaker::{Admission, Breaker, State},
        digest, payload,
        settle::Outcome,
        target,
    },
    record::{Expect, Put},
    redaction::{Counts, redactor},
    text::truncate,
    tracker::answer::{Answer, Trouble},
    triage::{MemoryEntry, memory},
};

use super::{
    deliver::{Attempted, Ended, Kept, Work},
    tracker::ApiCall,
};
use crate::App;
use crate::audit::{ExportCall, ExportTrouble};

/// A signed webhook request, ready but for its signature.
#[derive(Clone, Debug)]
pub struct WebhookCall {
    pub target: Target,
    pub settings: Settings,
    pub event: &'static str,
    pub delivery_id: String,
    pub idempotency_key: String,
    pub body: String,
    /// What was done to the body when it was made.
    pub prepared: Prepared,
    /// The current secret first, then those still accepted during a rotation.
    pub secrets: Vec<Secret>,
    pub redaction_profile: Option<String>,
}

/// What leaves the process.
pub trait Outbound: Send + Sync {
    fn webhook(&self, call: WebhookCall) -> BoxFuture<'_, Outcome>;
    /// One request to a tracker's API.
    fn exchange(&self, call: ApiCall) -> BoxFuture<'_, Result<Answer, Trouble>>;
    /// Appends one line to a file beneath the state directory, durably.
    fn telemetry(&self, path: String, line: String) -> BoxFuture<'_, Result<(), String>>;
    /// Asks a witness: the status and the beginning of its answer, or a machine word.
    fn witness(&self, url: String, body: String) -> BoxFuture<'_, Result<(u16, String), String>>;
    /// Keeps one exported object elsewhere, durably, and says where. Doing so twice changes nothing.
    fn keep(&self, call: ExportCall) -> BoxFuture<'_, Result<String, ExportTrouble>>;
}

/// Circuit breakers by lane.
pub(crate) type Breakers = std::sync::Mutex<HashMap<String, Breaker>>;

impl App {
    /// Attempts once. What may be repeated under its key is simply sent; what may not is announced by
    /// [`intend`](App::intend) first, and looked up instead of sent where an intent was left behind.
    pub(super) async fn attempt(&self, work: &mut Work) -> Ended {
        match work.destination.kind {
            DestinationKind::Webhook => self.attempt_webhook(work).await,
            DestinationKind::Telemetry => Ended::Attempted(self.attempt_telemetry(work).await),
            DestinationKind::InternalMemory => Ended::Attempted(self.attempt_memory(work).await),
            DestinationKind::GithubIssue | DestinationKind::LinearIssue => self.attempt_tracker(work).await,
            DestinationKind::McpTool => self.attempt_tool(work).await,
        }
    }

    async fn attempt_webhook(&self, work: &Work) -> Ended {
        let now_ms = self.now_ms();
        let delivery = &work.delivery.value;
        let call = match self.webhook_call(work, now_ms) {
            Ok(call) => call,
            Err(outcome) => return Ended::Attempted(only(outcome)),
        };
        if let Admission::Wait { until_ms } = self.breaker(&work.claim.job.lane, |breaker| breaker.ask(now_ms)) {
            return Ended::Hold { until_ms };
        }
        let kept = Kept { body: call.body.clone(), prepared: call.prepared.clone() };
        let mut outcome = self.ports.outbound.webhook(call).await;
        // The breaker judges the endpoint: an answer that will not change is an answer. What was refused before it was
        // sent says nothing about the endpoint.
        if outcome.status_code.is_some() || outcome.retryable {
            self.breaker(&work.claim.job.lane, |breaker| breaker.settle(!outcome.retryable, self.now_ms()));
        }
        if outcome.gone {
            self.endpoint_gone(work).await;
        }
        if outcome.accepted {
            outcome.external_id = Some(delivery.delivery_id.clone());
            outcome.external_title = Some("Webhook delivery".into());
        }
        outcome.receipt.insert("signature_scheme".into(), json!("tandem_hmac_sha256_v1"));
        outcome.receipt.insert("redactions".into(), json!(kept.prepared.redactions));
        outcome.receipt.insert("truncated_fields".into(), json!(kept.prepared.truncated_fields));
        outcome.receipt.insert("payload_bytes".into(), json!(kept.body.len()));
        outcome.receipt.insert("payload_sha256".into(), json!(tandem_core::text::sha256_hex(&kept.body)));
        Ended::Attempted(Attempted { outcome, payload: Some(kept), puts: Vec::new() })
    }

    pub(crate) fn breaker<T>(&self, lane: &str, act: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breakers = self.breakers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        act(breakers.entry(lane.to_owned()).or_default())
    }

    /// The state of a lane's circuit; a lane that was never used is closed.
    pub(crate) fn breaker_state(&self, lane: &str) -> State {
        let breakers = self.breakers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        breakers.get(lane).copied().unwrap_or_default().state
    }

    fn webhook_call(&self, work: &Work, now_ms: u64) -> Result<WebhookCall, Outcome> {
        let delivery = &work.delivery.value;
        let destination = &work.destination;
        let settings = Settings::of(destination)
            .map_err(|error| Outcome::blocked("config_invalid", format!("`config.{}` cannot be read", error.key)))?;
        let target = Target::of(destination, &settings)
            .map_err(|problem| Outcome::blocked(problem.word(), "the webhook URL breaks the egress rules"))?;
        let refs = destination::secret::signing(destination, now_ms)
            .map_err(|_| Outcome::blocked("secret_unavailable", "the signing secret's reference cannot be read"))?;
        // The first secret must be there; a missing older one only shortens the overlap.
        let mut secrets = Vec::new();
        for (index, rotating) in refs.iter().enumerate() {
            match self.ports.secrets.resolve(&rotating.reference.to_string()) {
                Ok(secret) => secrets.push(secret),
                Err(_) if index > 0 => {}
                Err(_) => {
                    let outcome = Outcome::blocked("secret_unavailable", "the signing secret has no value now");
                    return Err(Outcome { retryable: true, ..outcome });
                }
            }
        }
        let (body, prepared) = match &delivery.payload {
            Some(body) => (body.clone(), delivery.prepared.clone().unwrap_or_default()),
            None => {
                let built = self.webhook_body(work, &settings)?;
                let redactions = built.redactions.into_iter().map(|(rule, n)| (rule.to_owned(), n)).collect();
                (built.body, Prepared { redactions, truncated_fields: built.truncated_fields })
            }
        };
        Ok(WebhookCall {
            target,
            settings,
            event: payload::Event::Incident.word(),
            delivery_id: delivery.delivery_id.clone(),
            idempotency_key: delivery.idempotency_key.clone(),
            body,
            prepared,
            secrets,
            redaction_profile: work.draft.routing.redaction_profile.clone(),
        })
    }

    fn webhook_body(&self, work: &Work, settings: &Settings) -> Result<payload::Payload, Outcome> {
        let delivery = &work.delivery.value;
        let facts = payload::Facts {
            event: payload::Event::Incident,
            delivery_id: &delivery.delivery_id,
            idempotency_key: &delivery.idempotency_key,
            created_at_ms: self.now_ms(),
            destination_id: &delivery.destination_id,
            route_id: delivery.route_id.as_deref(),
            route_match_reason: delivery.route_match_reason.as_deref(),
            target_ref: &delivery.target_ref,
            redaction_profile: work.draft.routing.redaction_profile.as_deref(),
            profile: target::payload_profile(&work.destination),
            base_url: None,
            byte_limit: settings.payload_byte_limit,
        };
        let stored = work.run.as_ref().and_then(|run| run.issue_draft.as_ref());
        let issue = stored.and_then(|issue| serde_json::from_str::<Value>(issue.get()).ok()).filter(|i| !i.is_null());
        payload::build(&facts, &work.draft, work.incident.as_ref(), issue).map_err(|over| {
            let text = format!("the payload has {} bytes; the limit is {}", over.bytes, over.limit);
            let mut outcome = Outcome::blocked("payload_too_large", text);
            outcome.receipt.insert("payload_bytes".into(), json!(over.bytes));
            outcome
        })
    }

    /// The receiver said 410: no attempt will ever succeed, so the destination is switched off, with an audit row.
    async fn endpoint_gone(&self, work: &Work) {
        let id = &work.destination.destination_id;
        let done: Result<_, Failure> = self
            .config_change(&work.ctx, |config| {
                for destination in config.destinations.iter_mut().filter(|d| &d.destination_id == id) {
                    destination.enabled = false;
                }
            })
            .await;
        match done {
            Ok(_) => tracing::warn!(destination = %id, "the endpoint is gone (410); the destination was disabled"),
            Err(failure) => tracing::error!(code = failure.code.word(), "a gone destination could not be disabled"),
        }
    }

    async fn attempt_telemetry(&self, work: &Work) -> Attempted {
        let mut facts = local_facts(work);
        let path = match destination::local::telemetry_path(&work.destination) {
            Ok(path) => path,
            Err(_) => return only(Outcome::blocked("path_outside_state", "the telemetry path leaves the state")),
        };
        facts.insert("telemetry_path".into(), json!(destination::local::telemetry_configured(&work.destination)));
        facts.insert("title".into(), json!(clean(work.draft.title.as_deref(), 240)));
        facts.insert("timestamp_ms".into(), json!(self.now_ms()));
        let line = Value::Object(facts.clone()).to_string();
        match self.ports.outbound.telemetry(path, line).await {
            Ok(()) => only(local_outcome(work, facts)),
            Err(error) => only(Outcome {
                retryable: true,
                error_code: Some("write_failed".into()),
                error: Some(error),
                ..Outcome::default()
            }),
        }
    }

    async fn attempt_memory(&self, work: &Work) -> Attempted {
        let Some(category) = target::memory_category(&work.destination) else {
            return only(Outcome::blocked("category_unknown", "the memory category is none of ours"));
        };
        let draft = &work.draft;
        let by_fingerprint = vec![("fingerprint", tandem_core::record::Column::text(&draft.fingerprint))];
        let earlier = match self.all::<MemoryEntry>(&work.claim.tenant, "created_at_ms", by_fingerprint, 200).await {
            Ok(rows) => rows,
            Err(failure) => {
                let outcome = Outcome::blocked("store_unavailable", failure.message);
                return only(Outcome { retryable: true, ..outcome });
            }
        };
        let target = &work.delivery.value.target_ref;
        let same = |entry: &MemoryEntry| {
            entry.repo == draft.repo
                && entry.metadata["destination_id"] == json!(work.destination.destination_id)
                && entry.metadata["target_ref"] == json!(target)
        };
        let recurrence_count = earlier.iter().filter(|row| same(&row.value)).count() as u64 + 1;
        let facts = local_facts(work);
        let memory_id = facts.get("record_id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let text = memory::summary(category, draft, recurrence_count);
        let entry = MemoryEntry {
            memory_id: memory_id.clone(),
            category,
            repo: draft.repo.clone(),
            fingerprint: draft.fingerprint.clone(),
            summary: clean(Some(&text), memory::SUMMARY_LIMIT).unwrap_or_default(),
            recurrence_count,
            draft_id: Some(draft.draft_id.clone()),
            run_id: draft.triage_run_id.clone(),
            exception: None,
            top_frame: None,
            linked_issue_numbers: draft.issue_number.into_iter().collect(),
            metadata: json!({ "destination_id": work.destination.destination_id, "target_ref": target }),
            created_at_ms: self.now_ms(),
        };
        let mut facts = facts;
        facts.insert("memory_ref".into(), json!(memory_id));
        facts.insert("category".into(), json!(category));
        facts.insert("summary".into(), json!(entry.summary));
        facts.insert("recurrence_count".into(), json!(recurrence_count));
        facts.insert("stored".into(), json!(true));
        facts.insert("storage_backend".into(), json!("incident_monitor_memories"));
        // The id follows from the content, so a redelivery rewrites the same entry.
        Attempted { puts: vec![Put::of(&entry, Expect::Any)], ..only(local_outcome(work, facts)) }
    }
}

pub(super) fn only(outcome: Outcome) -> Attempted {
    Attempted { outcome, payload: None, puts: Vec::new() }
}

fn clean(text: Option<&str>, limit: usize) -> Option<String> {
    text.map(|text| truncate(&redactor(None).text(text, &mut Counts::new()), limit))
}

fn local_outcome(work: &Work, facts: Map<String, Value>) -> Outcome {
    Outcome {
        accepted: true,
        external_id: facts.get("record_id").and_then(Value::as_str).map(str::to_owned),
        external_title: clean(work.draft.title.as_deref(), 240),
        receipt: facts,
        ..Outcome::default()
    }
}

/// The keys that telemetry lines and memory receipts share.
fn local_facts(work: &Work) -> Map<String, Value> {
    let (draft, delivery) = (&work.draft, &work.delivery.value);
    let (provider, retention) = match work.destination.kind {
        DestinationKind::InternalMemory => ("incident_monitor_internal_memory", "incident_monitor_memory_signal"),
        DestinationKind::Telemetry
        | DestinationKind::Webhook
        | DestinationKind::GithubIssue
        | DestinationKind::LinearIssue
        | DestinationKind::McpTool => ("incident_monitor_telemetry", "incident_monitor_destination_receipt"),
    };
    let record_id = digest::record_id(
        &delivery.destination_id,
        work.destination.kind,
        &delivery.target_ref,
        &draft.repo,
        &draft.fingerprint,
        &delivery.evidence_digest,
    );
    let facts = json!({
        "provider": provider,
        "destination_id": delivery.destination_id,
        "operation": delivery.operation,
        "status": "posted",
        "record_id": record_id,
        "target_ref": delivery.target_ref,
        "repo": draft.repo,
        "fingerprint": draft.fingerprint,
        "incident_id": delivery.incident_id,
        "draft_id": draft.draft_id,
        "evidence_digest": delivery.evidence_digest,
        "confidence": draft.classification.confidence,
        "risk_level": draft.classification.risk_level,
        "risk_category": draft.safety.risk_category,
        "actor": draft.safety.actor,
        "model": draft.safety.model,
        "tool_name": draft.safety.tool_name,
        "action": draft.safety.action,
        "policy": draft.safety.policy,
        "approval_state": draft.safety.approval_state,
        "blast_radius": draft.safety.blast_radius,
        "external_correlation_ids": draft.safety.external_correlation_ids,
        "expected_destination": draft.classification.expected_destination,
        "route_id": delivery.route_id,
        "route_match_reason": delivery.route_match_reason,
        "project_id": draft.project_id,
        "log_source_id": draft.log_source_id,
        "tenant_id": draft.routing.tenant_id,
        "workspace_id": draft.routing.workspace_id,
        "event_schema_version": draft.routing.event_schema_version,
        "redaction_profile": draft.routing.redaction_profile.as_deref().unwrap_or("incident_monitor_local_default"),
        "retention_profile": draft.routing.retention_profile.as_deref().unwrap_or(retention),
        "idempotency_key": delivery.idempotency_key,
    });
    match facts {
        Value::Object(facts) => facts,
        _ => Map::new(),
    }
}
