//! What a caller sends. Unknown fields are ignored, `null` means absent, both casings are read.

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use utoipa::ToSchema;

use super::context::{Classification, SafetyContext, SourceRouting};
use crate::{approval::ApprovalPolicy, source::SourceKind};

/// `null` reads as the default.
pub fn null_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(de: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(de)?.unwrap_or_default())
}

/// A failure report. Every field is optional; which of them an untrusted caller may set is decided at intake.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Submission {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_root: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_source_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_kind: Option<SourceKind>,
    /// `owner/repo`; the configured repository when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    pub excerpt: Vec<String>,
    /// Lines around the failure, for whoever reads about it. Never part of the fingerprint.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<String>,
    /// The caller's own grouping key, kept as given when it is at most 200 printable characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    #[serde(flatten)]
    pub safety: SafetyContext,
    #[serde(flatten)]
    pub classification: Classification,
    #[serde(flatten)]
    pub routing: SourceRouting,
}

/// The same fields without groups. Reading groups would keep every field in an intermediate form first, and this is the
/// body of the busiest route.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Flat {
    #[serde(alias = "projectId", alias = "projectID")]
    project_id: Option<String>,
    #[serde(alias = "workspaceRoot")]
    workspace_root: Option<String>,
    #[serde(alias = "logSourceId", alias = "logSourceID")]
    log_source_id: Option<String>,
    #[serde(alias = "sourceKind")]
    source_kind: Option<SourceKind>,
    repo: Option<String>,
    title: Option<String>,
    detail: Option<String>,
    source: Option<String>,
    #[serde(alias = "runId", alias = "runID")]
    run_id: Option<String>,
    #[serde(alias = "sessionId", alias = "sessionID")]
    session_id: Option<String>,
    #[serde(alias = "correlationId", alias = "correlationID")]
    correlation_id: Option<String>,
    #[serde(alias = "fileName")]
    file_name: Option<String>,
    process: Option<String>,
    component: Option<String>,
    event: Option<String>,
    /// The same as `event`, as assessments and trackers of events call it.
    #[serde(alias = "eventType")]
    event_type: Option<String>,
    level: Option<String>,
    #[serde(deserialize_with = "null_default")]
    excerpt: Vec<String>,
    #[serde(deserialize_with = "null_default")]
    context: Vec<String>,
    fingerprint: Option<String>,
    actor: Option<String>,
    model: Option<String>,
    #[serde(alias = "toolName")]
    tool_name: Option<String>,
    action: Option<String>,
    policy: Option<String>,
    #[serde(alias = "approvalState")]
    approval_state: Option<String>,
    #[serde(alias = "riskCategory")]
    risk_category: Option<String>,
    #[serde(alias = "blastRadius")]
    blast_radius: Option<String>,
    #[serde(alias = "externalCorrelationIds", deserialize_with = "null_default")]
    external_correlation_ids: Vec<String>,
    confidence: Option<String>,
    #[serde(alias = "riskLevel")]
    risk_level: Option<String>,
    #[serde(alias = "expectedDestination")]
    expected_destination: Option<String>,
    #[serde(alias = "evidenceRefs", deserialize_with = "null_default")]
    evidence_refs: Vec<String>,
    #[serde(alias = "routeTags", deserialize_with = "null_default")]
    route_tags: Vec<String>,
    #[serde(alias = "allowedDestinationIds", deserialize_with = "null_default")]
    allowed_destination_ids: Vec<String>,
    #[serde(alias = "defaultDestinationIds", deserialize_with = "null_default")]
    default_destination_ids: Vec<String>,
    #[serde(alias = "tenantId", alias = "tenantID")]
    tenant_id: Option<String>,
    #[serde(alias = "workspaceId", alias = "workspaceID")]
    workspace_id: Option<String>,
    #[serde(alias = "eventSchemaVersion")]
    event_schema_version: Option<String>,
    #[serde(alias = "sourceApprovalPolicy")]
    source_approval_policy: Option<ApprovalPolicy>,
    #[serde(alias = "redactionProfile")]
    redaction_profile: Option<String>,
    #[serde(alias = "retentionProfile")]
    retention_profile: Option<String>,
}

/// From an object only. Left to itself, serde also reads a struct from an array, field by field in our order, and no
/// caller may depend on that.
impl<'de> Deserialize<'de> for Submission {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        struct Report;
        impl<'de> Visitor<'de> for Report {
            type Value = Flat;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Flat, A::Error> {
                Flat::deserialize(MapAccessDeserializer::new(map))
            }
        }
        de.deserialize_map(Report).map(Self::from)
    }
}

impl From<Flat> for Submission {
    fn from(flat: Flat) -> Self {
        Self {
            project_id: flat.project_id,
            workspace_root: flat.workspace_root,
            log_source_id: flat.log_source_id,
            source_kind: flat.source_kind,
            repo: flat.repo,
            title: flat.title,
            detail: flat.detail,
            source: flat.source,
            run_id: flat.run_id,
            session_id: flat.session_id,
            correlation_id: flat.correlation_id,
            file_name: flat.file_name,
            process: flat.process,
            component: flat.component,
            event: flat.event.or(flat.event_type),
            level: flat.level,
            excerpt: flat.excerpt,
            context: flat.context,
            fingerprint: flat.fingerprint,
            safety: SafetyContext {
                actor: flat.actor,
                model: flat.model,
                tool_name: flat.tool_name,
                action: flat.action,
                policy: flat.policy,
                approval_state: flat.approval_state,
                risk_category: flat.risk_category,
                blast_radius: flat.blast_radius,
                external_correlation_ids: flat.external_correlation_ids,
            },
            classification: Classification {
                confidence: flat.confidence,
                risk_level: flat.risk_level,
                expected_destination: flat.expected_destination,
                evidence_refs: flat.evidence_refs,
            },
            routing: SourceRouting {
                route_tags: flat.route_tags,
                allowed_destination_ids: flat.allowed_destination_ids,
                default_destination_ids: flat.default_destination_ids,
                tenant_id: flat.tenant_id,
                workspace_id: flat.workspace_id,
                event_schema_version: flat.event_schema_version,
                source_approval_policy: flat.source_approval_policy,
                redaction_profile: flat.redaction_profile,
                retention_profile: flat.retention_profile,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_may_be_called_its_type() {
        let event = |body: serde_json::Value| serde_json::from_value::<Submission>(body).expect("a report").event;
        assert_eq!(event(serde_json::json!({ "event_type": "a.b" })).as_deref(), Some("a.b"));
        assert_eq!(event(serde_json::json!({ "eventType": "a.b" })).as_deref(), Some("a.b"));
        assert_eq!(event(serde_json::json!({ "event": "c", "event_type": "a.b" })).as_deref(), Some("c"));
    }

    #[test]
    fn a_report_is_an_object() {
        for body in [serde_json::json!([]), serde_json::json!(["p", "/w"]), serde_json::json!("x")] {
            let refused = serde_json::from_value::<Submission>(body.clone()).expect_err("no object");
            assert!(refused.to_string().contains("expected an object"), "{body}: {refused}");
        }
    }

    #[test]
    fn every_field_is_read_in_both_casings_and_written_back() {
        let snake = serde_json::json!({
            "project_id": "p", "workspace_root": "/w", "log_source_id": "l", "source_kind": "ci", "repo": "a/b",
            "title": "t", "detail": "d", "source": "s", "run_id": "r", "session_id": "s", "correlation_id": "c",
            "file_name": "f", "process": "p", "component": "c", "event": "e", "level": "error", "excerpt": ["x"],
            "context": ["y"],
            "fingerprint": "fp", "actor": "a", "model": "m", "tool_name": "t", "action": "a", "policy": "p",
            "approval_state": "s", "risk_category": "r", "blast_radius": "b", "external_correlation_ids": ["x"],
            "confidence": "high", "risk_level": "low", "expected_destination": "d", "evidence_refs": ["e"],
            "route_tags": ["t"], "allowed_destination_ids": ["d"], "default_destination_ids": ["d"],
            "tenant_id": "t", "workspace_id": "w", "event_schema_version": "1", "source_approval_policy": "always",
            "redaction_profile": "r", "retention_profile": "r",
        });
        let read: Submission = serde_json::from_value(snake.clone()).expect("every field has its type");
        assert_eq!(serde_json::to_value(&read).expect("it is written"), snake);
        let camel = |key: &str| {
            let mut parts = key.split('_');
            let first = parts.next().unwrap_or_default().to_owned();
            parts.fold(first, |out, part| out + &part[..1].to_uppercase() + &part[1..])
        };
        let object = snake.as_object().expect("an object");
        let cameled: serde_json::Map<_, _> = object.iter().map(|(key, value)| (camel(key), value.clone())).collect();
        assert_eq!(serde_json::from_value::<Submission>(cameled.into()).expect("both casings"), read);
        let nulls: serde_json::Map<_, _> = object.keys().map(|key| (key.clone(), serde_json::Value::Null)).collect();
        assert_eq!(serde_json::from_value::<Submission>(nulls.into()).expect("null is absent"), Submission::default());
    }
}
