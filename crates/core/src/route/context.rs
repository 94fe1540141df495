//! What is known of a draft, gathered from the explicit input, the report, the draft and the incident, in this order.
//!
//! Decided here: which of the source fields are believed. A report that stands alone and names a configured project
//! without the policy that bound reports carry loses all of them, as it does at intake.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    approval::ApprovalPolicy,
    draft::Draft,
    incident::Incident,
    signal::{Classification, SourceRouting, Submission, submission::null_default},
    source::SourceKind,
    text::non_blank,
};

/// The body of a route preview. All optional, `null` as absent, both casings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct PreviewInput {
    #[serde(alias = "draftId", alias = "draftID", skip_serializing_if = "Option::is_none")]
    pub draft_id: Option<String>,
    #[serde(alias = "incidentId", alias = "incidentID", skip_serializing_if = "Option::is_none")]
    pub incident_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Submission>,
    #[serde(alias = "eventType", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    #[serde(alias = "riskLevel", skip_serializing_if = "Option::is_none")]
    pub risk_level: Option<String>,
    #[serde(alias = "riskCategory", skip_serializing_if = "Option::is_none")]
    pub risk_category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<String>,
    #[serde(alias = "expectedDestination", skip_serializing_if = "Option::is_none")]
    pub expected_destination: Option<String>,
    #[serde(alias = "projectId", alias = "projectID", skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    #[serde(alias = "logSourceId", alias = "logSourceID", skip_serializing_if = "Option::is_none")]
    pub log_source_id: Option<String>,
    #[serde(alias = "sourceKind", skip_serializing_if = "Option::is_none")]
    pub source_kind: Option<SourceKind>,
    #[serde(alias = "tenantId", alias = "tenantID", skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    #[serde(alias = "workspaceId", alias = "workspaceID", skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<String>,
    #[serde(alias = "eventSchemaVersion", skip_serializing_if = "Option::is_none")]
    pub event_schema_version: Option<String>,
    #[serde(alias = "routeTags", deserialize_with = "null_default")]
    pub route_tags: Vec<String>,
    /// Names destinations instead of the routes' ones. Policies still apply.
    #[serde(alias = "destinationIds", alias = "destinationIDs", deserialize_with = "null_default")]
    pub destination_ids: Vec<String>,
}

/// Whose word the source fields are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Stored records, or a signal through a binding: set by us alone.
    Record,
    /// Nothing but explicit input: the question "what would happen to a signal of this project".
    Hypothetical,
    /// A report that someone wrote into the request.
    Report,
}

/// What the router matches on. Words are trimmed and compared without case.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    pub(super) origin: Origin,
    pub(super) event_type: Option<&'a str>,
    pub(super) source: Option<&'a str>,
    pub(super) component: Option<&'a str>,
    pub(super) risk_level: Option<&'a str>,
    pub(super) risk_category: Option<&'a str>,
    pub(super) confidence: Option<&'a str>,
    pub(super) expected_destination: Option<&'a str>,
    pub(super) claims: Claims<'a>,
    /// What remains when a lone report's word about its source is not believed.
    pub(super) without_report: Option<Claims<'a>>,
    /// Fields of the explicit input, which a binding does not overwrite.
    pub(super) explicit: Explicit,
    pub(super) requested: Vec<&'a str>,
}

/// What the parts say about the source.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims<'a> {
    pub project_id: Option<&'a str>,
    pub log_source_id: Option<&'a str>,
    pub source_kind: Option<SourceKind>,
    pub tenant_id: Option<&'a str>,
    pub workspace_id: Option<&'a str>,
    pub event_schema_version: Option<&'a str>,
    pub route_tags: Vec<&'a str>,
    /// Empty restricts nothing.
    pub allowed: &'a [String],
    pub defaults: &'a [String],
    /// The policy on the record.
    pub stored_policy: Option<ApprovalPolicy>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Explicit {
    pub source_kind: bool,
    pub tenant_id: bool,
    pub workspace_id: bool,
    pub event_schema_version: bool,
}

/// Where facts come from, in the order in which they win.
#[derive(Clone, Copy, Default)]
struct Parts<'a> {
    input: Option<&'a PreviewInput>,
    report: Option<&'a Submission>,
    draft: Option<&'a Draft>,
    incident: Option<&'a Incident>,
}

impl<'a> Context<'a> {
    /// From what a preview or a publish has at hand. A report beside a draft or an incident only wins field by field.
    pub fn from_parts(
        input: &'a PreviewInput,
        report: Option<&'a Submission>,
        draft: Option<&'a Draft>,
        incident: Option<&'a Incident>,
    ) -> Self {
        let origin = match (report, draft, incident) {
            (_, Some(_), _) | (_, _, Some(_)) => Origin::Record,
            (Some(_), None, None) => Origin::Report,
            (None, None, None) => Origin::Hypothetical,
        };
        Parts { input: Some(input), report, draft, incident }.gather(origin)
    }

    /// From a signal whose source fields intake has cleared or set itself.
    pub fn of_signal(submission: &'a Submission) -> Self {
        Parts { report: Some(submission), ..Parts::default() }.gather(Origin::Record)
    }

    /// From a stored draft and its incident, with nothing added: what publishing decides on.
    pub fn of_draft(draft: &'a Draft, incident: Option<&'a Incident>) -> Self {
        Parts { draft: Some(draft), incident, ..Parts::default() }.gather(Origin::Record)
    }

    /// Names destinations instead of the routes' ones. Blank and repeated ids do not count.
    pub fn requesting(mut self, destination_ids: &'a [String]) -> Self {
        self.requested = distinct(destination_ids);
        self
    }
}

impl<'a> Parts<'a> {
    fn gather(self, origin: Origin) -> Context<'a> {
        let Self { input, report, draft, incident } = self;
        let first =
            |words: [Option<&'a String>; 4]| words.into_iter().find_map(|word| non_blank(word.map(String::as_str)));
        let judged = |own: Option<&'a String>, get: fn(&Classification) -> Option<&String>| {
            first([
                own,
                report.and_then(|r| get(&r.classification)),
                draft.and_then(|d| get(&d.classification)),
                incident.and_then(|i| get(&i.classification)),
            ])
        };
        let lone_claim = origin == Origin::Report
            && report.is_some_and(|r| r.project_id.is_some() && r.routing.source_approval_policy.is_none());
        Context {
            origin,
            event_type: first([
                input.and_then(|i| i.event_type.as_ref()),
                report.and_then(|r| r.event.as_ref()),
                incident.map(|i| &i.event_type),
                None,
            ]),
            source: first([
                input.and_then(|i| i.source.as_ref()),
                report.and_then(|r| r.source.as_ref()),
                incident.and_then(|i| i.source.as_ref()),
                None,
            ]),
            component: first([
                input.and_then(|i| i.component.as_ref()),
                report.and_then(|r| r.component.as_ref()),
                incident.and_then(|i| i.component.as_ref()),
                None,
            ]),
            risk_level: judged(input.and_then(|i| i.risk_level.as_ref()), |c| c.risk_level.as_ref()),
            risk_category: first([
                input.and_then(|i| i.risk_category.as_ref()),
                report.and_then(|r| r.safety.risk_category.as_ref()),
                draft.and_then(|d| d.safety.risk_category.as_ref()),
                incident.and_then(|i| i.safety.risk_category.as_ref()),
            ]),
            confidence: judged(input.and_then(|i| i.confidence.as_ref()), |c| c.confidence.as_ref()),
            expected_destination: judged(input.and_then(|i| i.expected_destination.as_ref()), |c| {
                c.expected_destination.as_ref()
            }),
            claims: self.claims(),
            without_report: lone_claim.then(|| Self { report: None, ..self }.claims()),
            explicit: input.map_or_else(Explicit::default, |i| Explicit {
                source_kind: i.source_kind.is_some(),
                tenant_id: non_blank(i.tenant_id.as_deref()).is_some(),
                workspace_id: non_blank(i.workspace_id.as_deref()).is_some(),
                event_schema_version: non_blank(i.event_schema_version.as_deref()).is_some(),
            }),
            requested: input.map_or_else(Vec::new, |i| distinct(&i.destination_ids)),
        }
    }

    fn claims(self) -> Claims<'a> {
        let Self { input, report, draft, incident } = self;
        let routings = [report.map(|r| &r.routing), draft.map(|d| &d.routing), incident.map(|i| &i.routing)];
        let first =
            |words: [Option<&'a String>; 4]| words.into_iter().find_map(|word| non_blank(word.map(String::as_str)));
        let routed = |own: Option<&'a String>, get: fn(&SourceRouting) -> Option<&String>| {
            let [r, d, i] = routings.map(|routing| routing.and_then(get));
            first([own, r, d, i])
        };
        let list = |get: fn(&SourceRouting) -> &Vec<String>| -> &'a [String] {
            routings.into_iter().flatten().map(get).find(|list| !list.is_empty()).map_or(&[], Vec::as_slice)
        };
        let mut route_tags = Vec::new();
        for tag in input.map_or(&[][..], |i| &i.route_tags) {
            add_tag(&mut route_tags, tag);
        }
        for tag in routings.into_iter().flatten().flat_map(|routing| &routing.route_tags) {
            add_tag(&mut route_tags, tag);
        }
        Claims {
            project_id: first([
                input.and_then(|i| i.project_id.as_ref()),
                report.and_then(|r| r.project_id.as_ref()),
                draft.and_then(|d| d.project_id.as_ref()),
                incident.and_then(|i| i.project_id.as_ref()),
            ]),
            log_source_id: first([
                input.and_then(|i| i.log_source_id.as_ref()),
                report.and_then(|r| r.log_source_id.as_ref()),
                draft.and_then(|d| d.log_source_id.as_ref()),
                incident.and_then(|i| i.log_source_id.as_ref()),
            ]),
            source_kind: input
                .and_then(|i| i.source_kind)
                .or(report.and_then(|r| r.source_kind))
                .or(draft.and_then(|d| d.source_kind))
                .or(incident.and_then(|i| i.source_kind)),
            tenant_id: routed(input.and_then(|i| i.tenant_id.as_ref()), |r| r.tenant_id.as_ref()),
            workspace_id: routed(input.and_then(|i| i.workspace_id.as_ref()), |r| r.workspace_id.as_ref()),
            event_schema_version: routed(input.and_then(|i| i.event_schema_version.as_ref()), |r| {
                r.event_schema_version.as_ref()
            }),
            route_tags,
            allowed: list(|r| &r.allowed_destination_ids),
            defaults: list(|r| &r.default_destination_ids),
            stored_policy: routings.into_iter().flatten().find_map(|routing| routing.source_approval_policy),
        }
    }
}

/// Trimmed, without blanks and repetitions.
pub(super) fn distinct(ids: &[String]) -> Vec<&str> {
    let mut out: Vec<&str> = Vec::with_capacity(ids.len());
    for id in ids.iter().map(|id| id.trim()) {
        if !id.is_empty() && !out.contains(&id) {
            out.push(id);
        }
    }
    out
}

/// Adds a tag that is not blank and not there yet, whatever its casing.
pub(super) fn add_tag<'a>(tags: &mut Vec<&'a str>, tag: &'a str) {
    let tag = tag.trim();
    if !tag.is_empty() && !tags.iter().any(|known| known.eq_ignore_ascii_case(tag)) {
        tags.push(tag);
    }
}
