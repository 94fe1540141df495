//! One call of a tool of an MCP server, as a destination.
//!
//! A tool is no store that can be asked what became of a call. So the call is announced before it is made, and one whose
//! outcome is not known ends as `unknown`: it is made again only where the operator said that the tool may be called
//! twice (`config.idempotent`). Values of arguments are never kept; their digest is.

use serde_json::{Value, json};
use tandem_core::{
    destination,
    mcp::{ToolAnswer, ToolCall, ToolError, ToolFault, ToolRow, listing, mapping},
    ports::Tools,
    publish::{
        Action, Intent,
        breaker::Admission,
        digest,
        refusal::{self, Refusal},
        settle::Outcome,
    },
    redaction::{Counts, redactor},
    text::truncate,
};

use super::{
    deliver::{Ended, Work},
    destination::only,
};
use crate::App;

const OPERATION: &str = "call_mcp_tool";
/// Of one call. `config.timeout_ms` may set another one, within these.
const TIMEOUT_MS: (u64, u64, u64) = (1_000, 12_000, 30_000);

/// A call that every check before sending let through.
struct Prepared {
    call: ToolCall,
    tool: ToolRow,
    keys: Vec<String>,
    sha256: String,
    redactions: Counts,
    idempotent: bool,
}

impl App {
    pub(super) async fn attempt_tool(&self, work: &mut Work) -> Ended {
        let now_ms = self.now_ms();
        let prepared = match self.prepare_tool(work).await {
            Ok(prepared) => prepared,
            Err(error) => {
                let outcome = Outcome::blocked(error.fault.word(), error.detail);
                let in_doubt = work.delivery.value.intent.is_some();
                return Ended::Attempted(only(Outcome {
                    retryable: error.fault.retryable() && !in_doubt,
                    in_doubt,
                    ..outcome
                }));
            }
        };
        if work.delivery.value.intent.is_some() && !prepared.idempotent {
            let text = "an earlier call may have taken effect, and the tool cannot be asked";
            let mut outcome = Outcome { in_doubt: true, ..Outcome::blocked("outcome_unknown", text) };
            outcome.receipt = receipt(&prepared, None);
            return Ended::Attempted(only(outcome));
        }
        if let Admission::Wait { until_ms } = self.breaker(&work.claim.job.lane, |breaker| breaker.ask(now_ms)) {
            return Ended::Hold { until_ms };
        }
        let intent = Intent {
            operation: OPERATION.to_owned(),
            action: Action::CallMcpTool,
            at_ms: now_ms,
            issue: None,
            effect: None,
            refused: None,
        };
        if let Err(ended) = self.intend(work, intent, None).await {
            return ended;
        }
        let begun = self.now_ms();
        let result = self.call(&work.claim.tenant, prepared.call.clone()).await;
        let mut outcome = self.tool_outcome(work, &prepared, result);
        outcome.duration_ms = Some(self.now_ms().saturating_sub(begun));
        self.breaker(&work.claim.job.lane, |breaker| {
            breaker.settle(!(outcome.retryable || outcome.in_doubt), self.now_ms());
        });
        Ended::Attempted(only(outcome))
    }

    /// Everything that can be refused before anything is sent.
    async fn prepare_tool(&self, work: &Work) -> Result<Prepared, ToolError> {
        let unreadable =
            |failure: tandem_core::error::Failure| ToolError::unsent(ToolFault::StoreUnavailable, failure.message);
        let tenant = &work.claim.tenant;
        let snapshot = self.snapshot(tenant).await.map_err(unreadable)?;
        let target = destination::mcp_target(&snapshot.config, &work.destination);
        let (Some(server), Some(wanted)) = (target.server, target.tool) else {
            return Err(ToolError::unsent(ToolFault::ToolUnknown, "the destination names no server or no tool"));
        };
        let allowed =
            |key| work.destination.config.as_ref().and_then(|config| config.get(key)) == Some(&Value::Bool(true));
        if !(allowed("allow_publish") || allowed("allow_mcp_publish")) {
            return Err(ToolError::unsent(ToolFault::ToolNotAllowed, "config.allow_publish is not true"));
        }
        let Some(row) = self.load::<tandem_core::mcp::ServerRow>(tenant, server).await.map_err(unreadable)? else {
            return Err(ToolError::unsent(ToolFault::ServerUnregistered, format!("`{server}` is not registered")));
        };
        row.value.reachable()?;
        let tools = self.mcp_tool_rows(tenant, server).await.map_err(unreadable)?;
        let tool = listing::callable(&row.value, &tools, wanted)?.clone();
        let template = mapping::read(&work.destination)
            .map_err(|_| ToolError::unsent(ToolFault::ArgumentsInvalid, "config.payload cannot be used"))?;
        let facts = mapping::Facts {
            draft: &work.draft,
            incident: work.incident.as_ref(),
            delivery: &work.delivery.value,
            server,
            tool: &tool.tool_name,
            namespaced_tool: &tool.namespaced_name,
            schema_hash: &tool.schema_hash,
        };
        let arguments = mapping::render(template, &facts);
        self.ports.mcp.fits(&tool.input_schema, &Value::Object(arguments.values.clone())).map_err(|why| {
            ToolError::unsent(ToolFault::ArgumentsInvalid, format!("the arguments do not fit the tool's schema: {why}"))
        })?;
        let (least, usual, most) = TIMEOUT_MS;
        let setting = |key: &str| work.destination.config.as_ref().and_then(|config| config.get(key));
        let timeout_ms = setting("timeout_ms").and_then(Value::as_u64).unwrap_or(usual).clamp(least, most);
        let keys = arguments.keys().into_iter().map(str::to_owned).collect();
        let call = ToolCall { timeout_ms, ..ToolCall::new(server, &tool.tool_name, arguments.values) };
        Ok(Prepared {
            call,
            tool,
            keys,
            sha256: arguments.sha256,
            redactions: arguments.redactions,
            idempotent: allowed("idempotent"),
        })
    }

    fn tool_outcome(&self, work: &Work, prepared: &Prepared, result: Result<ToolAnswer, ToolError>) -> Outcome {
        let mut outcome = match &result {
            Err(error) => {
                let in_doubt = error.may_have_acted && !prepared.idempotent;
                let refusal = error.refusal();
                Outcome {
                    retryable: (error.fault.retryable() || refusal.is_some_and(|no| no != Refusal::Final)) && !in_doubt,
                    refusal,
                    in_doubt,
                    retry_after_ms: error.retry_after_ms,
                    auth_required: error.fault == ToolFault::AuthRequired,
                    ..Outcome::blocked(error.fault.word(), error.detail.clone())
                }
            }
            Ok(answer) if answer.auth_required => Outcome {
                auth_required: true,
                ..Outcome::blocked(ToolFault::AuthRequired.word(), "the tool wants an authorisation first")
            },
            Ok(answer) if answer.is_error => {
                let text = excerpt(answer, 300);
                let refusal = refusal::of_words(&text);
                // It may have acted before it failed: only a tool that may be called twice is asked again.
                let retryable = prepared.idempotent && refusal != Refusal::Final;
                Outcome { retryable, refusal: Some(refusal), ..Outcome::blocked("mcp_tool_error", text) }
            }
            Ok(_) => Outcome {
                accepted: true,
                external_id: Some(self.tool_record_id(work)),
                external_title: Some(prepared.tool.namespaced_name.clone()),
                ..Outcome::default()
            },
        };
        let answer = result.as_ref().ok();
        outcome.response_excerpt = answer.map(|answer| excerpt(answer, 1_000));
        outcome.receipt = receipt(prepared, answer);
        outcome.receipt.insert("mcp_auth_required".into(), json!(outcome.auth_required));
        if outcome.auth_required {
            outcome.receipt.insert("mcp_auth_status".into(), json!("blocked"));
        }
        if let Some(error) = &outcome.error {
            outcome.receipt.insert("error".into(), json!(truncate(error, 500)));
        }
        outcome
    }

    fn tool_record_id(&self, work: &Work) -> String {
        let delivery = &work.delivery.value;
        digest::record_id(
            &delivery.destination_id,
            work.destination.kind,
            &delivery.target_ref,
            &work.draft.repo,
            &work.draft.fingerprint,
            &delivery.evidence_digest,
        )
    }
}

fn receipt(prepared: &Prepared, answer: Option<&ToolAnswer>) -> serde_json::Map<String, Value> {
    let told = json!({
        "server": prepared.call.server,
        "tool": prepared.tool.tool_name,
        "namespaced_tool": prepared.tool.namespaced_name,
        "tool_schema_hash": prepared.tool.schema_hash,
        "argument_keys": prepared.keys,
        "arguments_redacted": true,
        "arguments_sha256": prepared.sha256,
        "redactions": prepared.redactions,
        "result_excerpt": answer.map(|answer| excerpt(answer, 1_000)),
        "result_metadata_keys": answer.map(|answer| &answer.metadata_keys),
    });
    told.as_object().cloned().unwrap_or_default()
}

/// The beginning of what the tool said, redacted.
fn excerpt(answer: &ToolAnswer, limit: usize) -> String {
    let text = if answer.text.is_empty() {
        answer.structured.as_ref().map(Value::to_string).unwrap_or_default()
    } else {
        answer.text.join("\n")
    };
    // Cut before redaction to what redaction may look at, and after it to what is shown.
    let bounded = truncate(&text, 16 * 1024);
    truncate(&redactor(None).text(&bounded, &mut Counts::new()), limit)
}
