//! The JSON that a webhook receives: which fields leave, how long each may be, and what goes first when it is too much.
//!
//! Every field of the contract is always present; what is absent is null. Beyond the contract there are `profile`,
//! `links` and `truncated_fields`, which names every field that does not hold its whole value. `incident.workspace_root`
//! is always null, because it is a path of the server.
//!
//! Order of work: collect whole values, redact all of them, and only then cut, because half of a secret is no longer
//! recognised as one. What is then still over the limit loses, step by step, the issue draft, the excerpt, the details,
//! and at last the reporter's reference lists. Deliberately absent: what must be the same for equal content (`digest`).

use serde_json::{Map, Value, json};

use super::{digest, sanitize};
use crate::{
    destination::DestinationKind,
    draft::Draft,
    incident::Incident,
    redaction::{Counts, redactor},
    text::truncate,
    wire::wire_enum,
};

pub const SCHEMA_VERSION: &str = "2026-06-29";

wire_enum! {
    /// What a webhook is told.
    pub enum Event {
        Incident = "incident_monitor.incident",
        /// An operator tries the destination out.
        Test = "incident_monitor.test",
    }
}

wire_enum! {
    /// How much a payload tells.
    pub enum Profile {
        /// Identifiers, title, status and links; the receiver fetches the rest.
        Thin = "thin",
        Full = "full",
    }
}

/// What the payload says about its own delivery.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    pub event: Event,
    pub delivery_id: &'a str,
    pub idempotency_key: &'a str,
    pub created_at_ms: u64,
    pub destination_id: &'a str,
    pub route_id: Option<&'a str>,
    pub route_match_reason: Option<&'a str>,
    pub target_ref: &'a str,
    pub redaction_profile: Option<&'a str>,
    pub profile: Profile,
    /// The server's public address, for links. Without it links are paths.
    pub base_url: Option<&'a str>,
    pub byte_limit: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Payload {
    /// Compact JSON. Every attempt sends these bytes.
    pub body: String,
    /// How many values each redaction rule replaced.
    pub redactions: Counts,
    pub truncated_fields: Vec<String>,
}

/// Even without everything that may be left out, the payload is over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    pub bytes: usize,
    pub limit: usize,
}

const DETAIL: usize = 4_000;
const EXCERPT_LINES: usize = 20;
const EXCERPT_LINE: usize = 500;
const REFS: usize = 20;
const REF: usize = 2_000;

/// Values that we made ourselves and that receivers compare byte by byte. Some look like random tokens, so they are
/// put back after redaction. None of them can hold a reporter's text.
const OWN: [&str; 10] = [
    "/delivery_id",
    "/idempotency_key",
    "/destination/destination_id",
    "/destination/route_id",
    "/destination/route_match_reason",
    "/destination/target_ref",
    "/draft/draft_id",
    "/draft/evidence_digest",
    "/draft/triage_run_id",
    "/incident/incident_id",
];

pub fn build(
    facts: &Facts<'_>,
    draft: &Draft,
    incident: Option<&Incident>,
    issue_draft: Option<Value>,
) -> Result<Payload, TooLarge> {
    let engine = redactor(facts.redaction_profile);
    let mut redactions = Counts::new();
    let mut payload = match facts.profile {
        Profile::Full => json!({
            "draft": full_draft(draft),
            "incident": incident.map(|i| {
                // A key block may span lines, so the excerpt is judged as one text.
                let joined = i.excerpt.join("\n");
                let clean = engine.text(&joined, &mut redactions);
                full_incident(i, clean.split('\n').filter(|_| !i.excerpt.is_empty()).collect())
            }),
            "issue_draft": null,
        }),
        Profile::Thin => json!({
            "draft": thin_draft(draft),
            "incident": incident.map(thin_incident),
            "issue_draft": null,
        }),
    };
    if let (Profile::Full, Some(issue)) = (facts.profile, issue_draft) {
        // Moved and not copied: it is most of the payload.
        payload["issue_draft"] = issue;
    }
    envelope(&mut payload, facts, draft, incident);

    let own: Vec<(&str, Value)> =
        OWN.iter().filter_map(|at| payload.pointer(at).map(|value| (*at, value.clone()))).collect();
    engine.json(&mut payload, &mut redactions);
    for (at, value) in own {
        if let Some(place) = payload.pointer_mut(at) {
            *place = value;
        }
    }

    let mut cuts = Cuts { payload, fields: Vec::new() };
    for step in CONTRACT {
        cuts.apply(*step);
    }
    let mut body = cuts.render();
    for step in OVERSIZE {
        if body.len() <= facts.byte_limit {
            break;
        }
        cuts.apply(*step);
        body = cuts.render();
    }
    if body.len() > facts.byte_limit {
        return Err(TooLarge { bytes: body.len(), limit: facts.byte_limit });
    }
    Ok(Payload { body, redactions, truncated_fields: cuts.fields })
}

fn envelope(payload: &mut Value, facts: &Facts<'_>, draft: &Draft, incident: Option<&Incident>) {
    let link = |path: String| format!("{}{path}", facts.base_url.unwrap_or_default().trim_end_matches('/'));
    let head = json!({
        "event": facts.event.word(),
        "schema_version": SCHEMA_VERSION,
        "delivery_id": facts.delivery_id,
        "idempotency_key": facts.idempotency_key,
        "created_at_ms": facts.created_at_ms,
        "profile": facts.profile.word(),
        "destination": {
            "destination_id": facts.destination_id,
            "kind": DestinationKind::Webhook.label(),
            "route_id": facts.route_id,
            "route_match_reason": facts.route_match_reason,
            "target_ref": facts.target_ref,
        },
        "links": {
            "draft": link(format!("/incident-monitor/drafts/{}", draft.draft_id)),
            "incident": incident.map(|i| link(format!("/incident-monitor/incidents/{}", i.incident_id))),
            "issue": draft.github_issue_url,
        },
        "truncated_fields": [],
    });
    if let (Value::Object(payload), Value::Object(head)) = (payload, head) {
        payload.extend(head);
    }
}

fn full_draft(d: &Draft) -> Value {
    let mut fields = Map::new();
    merge(&mut fields, thin_draft(d));
    merge(&mut fields, safety(&d.safety));
    merge(
        &mut fields,
        json!({
            "event_schema_version": d.routing.event_schema_version,
            "detail": d.detail,
            "risk_level": d.classification.risk_level,
            "confidence": d.classification.confidence,
            "expected_destination": d.classification.expected_destination,
            "route_tags": d.routing.route_tags,
            "evidence_digest": d.evidence_digest.clone().unwrap_or_else(|| digest::draft_evidence(d)),
            "evidence_refs": d.classification.evidence_refs,
            "quality_gate": d.quality_gate,
            "triage_run_id": d.triage_run_id,
        }),
    );
    Value::Object(fields)
}

fn thin_draft(d: &Draft) -> Value {
    json!({
        "draft_id": d.draft_id,
        "fingerprint": d.fingerprint,
        "repo": d.repo,
        "project_id": d.project_id,
        "log_source_id": d.log_source_id,
        "source_kind": d.source_kind,
        "tenant_id": d.routing.tenant_id,
        "workspace_id": d.routing.workspace_id,
        "status": d.status,
        "title": d.title,
    })
}

fn full_incident(i: &Incident, excerpt: Vec<&str>) -> Value {
    let mut fields = Map::new();
    merge(&mut fields, thin_incident(i));
    merge(&mut fields, safety(&i.safety));
    merge(
        &mut fields,
        json!({
            "event_type": i.event_type,
            "workspace_root": null,
            "detail": i.detail,
            "excerpt": excerpt,
            "source": i.source,
            "component": i.component,
            "level": i.level,
            "risk_level": i.classification.risk_level,
            "occurrence_count": i.occurrence_count,
            "created_at_ms": i.created_at_ms,
            "updated_at_ms": i.updated_at_ms,
            "last_seen_at_ms": i.last_seen_at_ms,
        }),
    );
    Value::Object(fields)
}

fn thin_incident(i: &Incident) -> Value {
    json!({
        "incident_id": i.incident_id,
        "fingerprint": i.fingerprint,
        "repo": i.repo,
        "project_id": i.project_id,
        "log_source_id": i.log_source_id,
        "source_kind": i.source_kind,
        "status": i.status,
        "title": i.title,
    })
}

fn safety(s: &crate::signal::SafetyContext) -> Value {
    json!({
        "actor": s.actor,
        "model": s.model,
        "tool_name": s.tool_name,
        "action": s.action,
        "policy": s.policy,
        "approval_state": s.approval_state,
        "risk_category": s.risk_category,
        "blast_radius": s.blast_radius,
        "external_correlation_ids": s.external_correlation_ids,
    })
}

fn merge(into: &mut Map<String, Value>, from: Value) {
    if let Value::Object(from) = from {
        into.extend(from);
    }
}

/// One way to make a payload smaller.
#[derive(Clone, Copy, Debug)]
enum Cut {
    IssueDraft(&'static sanitize::Bounds),
    IssueDraftGone,
    /// A list of texts: how many, and how long each.
    List(&'static str, usize, usize),
    /// At most so many bytes; none at all makes it null.
    Text(&'static str, usize),
}

const DRAFT_DETAIL: &str = "/draft/detail";
const INCIDENT_DETAIL: &str = "/incident/detail";
const EXCERPT: &str = "/incident/excerpt";
const EVIDENCE: &str = "/draft/evidence_refs";
const DRAFT_CORRELATION: &str = "/draft/external_correlation_ids";
const INCIDENT_CORRELATION: &str = "/incident/external_correlation_ids";

/// What every payload is held to.
const CONTRACT: &[Cut] = &[
    Cut::IssueDraft(&sanitize::STANDARD),
    Cut::List(EXCERPT, EXCERPT_LINES, EXCERPT_LINE),
    Cut::Text(DRAFT_DETAIL, DETAIL),
    Cut::Text(INCIDENT_DETAIL, DETAIL),
    Cut::List(EVIDENCE, REFS, REF),
];

/// What a payload over the limit loses, in order, until it fits.
const OVERSIZE: &[Cut] = &[
    Cut::IssueDraft(&sanitize::TIGHT),
    Cut::IssueDraftGone,
    Cut::List(EXCERPT, 5, 200),
    Cut::List(EXCERPT, 0, 0),
    Cut::Text(INCIDENT_DETAIL, 1_000),
    Cut::Text(DRAFT_DETAIL, 1_000),
    Cut::Text(INCIDENT_DETAIL, 0),
    Cut::Text(DRAFT_DETAIL, 0),
    Cut::List(EVIDENCE, 5, 200),
    Cut::List(INCIDENT_CORRELATION, 0, 0),
    Cut::List(DRAFT_CORRELATION, 0, 0),
    Cut::List(EVIDENCE, 0, 0),
];

struct Cuts {
    payload: Value,
    fields: Vec<String>,
}

impl Cuts {
    fn apply(&mut self, cut: Cut) {
        let (at, shortened) = match cut {
            Cut::IssueDraft(bounds) => ("/issue_draft", self.issue_draft(bounds)),
            Cut::IssueDraftGone => ("/issue_draft", self.issue_draft_gone()),
            Cut::List(at, items, bytes) => (at, self.payload.pointer_mut(at).is_some_and(|v| list(v, items, bytes))),
            Cut::Text(at, bytes) => (at, self.payload.pointer_mut(at).is_some_and(|v| text(v, bytes))),
        };
        let field = at.trim_start_matches('/').replace('/', ".");
        if shortened && !self.fields.contains(&field) {
            self.fields.push(field);
        }
    }

    fn issue_draft(&mut self, bounds: &sanitize::Bounds) -> bool {
        self.payload.get_mut("issue_draft").is_some_and(|value| sanitize::sanitize(value, bounds))
    }

    fn issue_draft_gone(&mut self) -> bool {
        self.payload.get_mut("issue_draft").is_some_and(|value| !std::mem::take(value).is_null())
    }

    fn render(&mut self) -> String {
        self.payload["truncated_fields"] = json!(self.fields);
        // Our own values have text for keys, so this cannot fail.
        serde_json::to_string(&self.payload).unwrap_or_default()
    }
}

fn text(value: &mut Value, bytes: usize) -> bool {
    let Value::String(whole) = value else { return false };
    if bytes == 0 {
        *value = Value::Null;
        return true;
    }
    // The mark is part of the text once it is cut, so a text that only just grew by it is left alone.
    if whole.len() <= bytes + if whole.ends_with(crate::text::TRUNCATED) { crate::text::TRUNCATED.len() } else { 0 } {
        return false;
    }
    *whole = truncate(whole, bytes);
    true
}

fn list(value: &mut Value, items: usize, bytes: usize) -> bool {
    let Value::Array(whole) = value else { return false };
    let mut cut = whole.len() > items;
    whole.truncate(items);
    for item in whole {
        cut |= text(item, bytes);
    }
    cut
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
