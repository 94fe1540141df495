//! What assessments leave behind: a context run that owns an artifact.
//!
//! The body of an artifact is kept as the exact bytes that its digest is about, so that `sha256sum` over a download gives
//! the same digest. An artifact is named by a relative locator, never by a path of the server. Redaction is the business
//! of whoever builds the body; nothing here looks into it.
//!
//! Deliberately absent: changing an artifact. Its body can only be dropped, and its digest stays.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_core::{
    actor::{ActorRef, OpContext},
    audit::dsse::Envelope,
    custody::retention::{ArtifactPlace, OldArtifact},
    record::{Collection, Column, Put, Record},
    tenant::TenantContext,
    text::sha256_hex,
    wire_enum,
};
use utoipa::ToSchema;

wire_enum! {
    /// Which assessment ran.
    pub enum RunType {
        Probes = "incident_monitor_assessment_probes",
        Report = "incident_monitor_assessment_report",
    }
}

impl RunType {
    /// The start of the ids of its runs and artifacts.
    fn prefix(self) -> &'static str {
        match self {
            Self::Probes => "incident-monitor-assessment-probes",
            Self::Report => "incident-monitor-assessment-report",
        }
    }

    pub fn artifact_type(self) -> &'static str {
        match self {
            Self::Probes => "incident_monitor_assessment_probe_results",
            Self::Report => "incident_monitor_assessment_report",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Probes => "incident_monitor.assessment_probes.json",
            Self::Report => "incident_monitor.assessment_report.json",
        }
    }

    fn objective(self) -> &'static str {
        match self {
            Self::Probes => "Run the controlled assessment probes",
            Self::Report => "Write the security gap assessment report",
        }
    }
}

/// An artifact as a run lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = EvidenceArtifactRef)]
pub struct ArtifactRef {
    pub id: String,
    pub ts_ms: u64,
    /// Relative: `artifacts/<file>`.
    pub path: String,
    pub artifact_type: String,
    #[serde(default)]
    pub step_id: Option<String>,
    #[serde(default)]
    pub source_event_id: Option<String>,
    /// SHA-256 of the body, hex, as `sha256sum` gives it.
    pub content_sha256: String,
    pub content_bytes: u64,
}

/// A run that left evidence. It is complete from the beginning: what it did had ended when it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContextRun {
    pub run_id: String,
    pub run_type: RunType,
    pub source_client: String,
    /// Always `completed`.
    pub status: String,
    pub objective: String,
    pub tenant_context: TenantContext,
    pub requested_by: ActorRef,
    /// Of the request that made it; the audit rows of that request carry the same.
    pub request_id: String,
    pub artifacts: Vec<ArtifactRef>,
    pub started_at_ms: u64,
    pub finished_at_ms: u64,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
}

pub static CONTEXT_RUNS: Collection = Collection { name: "context_runs", columns: &["run_type", "updated_at_ms"] };

impl Record for ContextRun {
    const COLLECTION: &'static Collection = &CONTEXT_RUNS;
    fn id(&self) -> &str {
        &self.run_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::text(self.run_type.word()), Column::ms(self.updated_at_ms)]
    }
}

/// An artifact with its body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceArtifact {
    pub artifact_id: String,
    pub run_id: String,
    pub artifact_type: String,
    pub path: String,
    pub content_sha256: String,
    pub content_bytes: u64,
    /// The exact bytes, JSON. Absent once retention has dropped them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_dropped_at_ms: Option<u64>,
    /// A signed statement about the digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<Envelope>,
    pub created_at_ms: u64,
}

pub static EVIDENCE_ARTIFACTS: Collection =
    Collection { name: "evidence_artifacts", columns: &["run_id", "artifact_type", "created_at_ms"] };

impl Record for EvidenceArtifact {
    const COLLECTION: &'static Collection = &EVIDENCE_ARTIFACTS;
    fn id(&self) -> &str {
        &self.artifact_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::text(&self.run_id), Column::text(&self.artifact_type), Column::ms(self.created_at_ms)]
    }
}

impl EvidenceArtifact {
    /// Whether the body is what the digest says; `None` when retention has dropped it. One that is gone otherwise is not.
    pub fn intact(&self) -> Option<bool> {
        match &self.body {
            Some(body) => Some(sha256_hex(body) == self.content_sha256),
            None => self.body_dropped_at_ms.is_none().then_some(false),
        }
    }

    /// For retention: what stays when the body goes. `version` is that of the row.
    pub fn aged(self, version: u64, now_ms: u64) -> OldArtifact {
        let place = ArtifactPlace { created_at_ms: self.created_at_ms, artifact_id: self.artifact_id.clone() };
        let (content_sha256, content_bytes) = (self.content_sha256.clone(), self.content_bytes);
        let emptied = self.body.is_some().then(|| {
            let emptied = Self { body: None, body_dropped_at_ms: Some(now_ms), ..self };
            Put::update(&emptied, version)
        });
        OldArtifact { place, content_sha256, content_bytes, emptied }
    }
}

/// What an answer says of the evidence that it left, or of why it left none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct EvidencePack {
    pub persisted: bool,
    /// `context_run_artifact`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Why nothing was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// A locator within the context run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// SHA-256 of the artifact's bytes, hex, as `sha256sum` gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_bytes: Option<u64>,
}

impl EvidencePack {
    pub fn none(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::default() }
    }
}

/// The names of what is about to be written, known before its body is.
#[derive(Clone, Debug, PartialEq)]
pub struct Names {
    pub run_type: RunType,
    pub run_id: String,
    pub artifact_id: String,
}

impl Names {
    /// `run` and `artifact` are fresh, 32 hex characters each.
    pub fn new(run_type: RunType, now_ms: u64, run: &str, artifact: &str) -> Self {
        let prefix = run_type.prefix();
        Self { run_type, run_id: format!("{prefix}-{now_ms}-{run}"), artifact_id: format!("{prefix}-{artifact}") }
    }

    pub fn path(&self) -> String {
        format!("artifacts/{}", self.run_type.file())
    }
}

/// The exact bytes of an artifact.
pub fn render(body: &Value) -> String {
    // A `Value` has string keys and finite numbers only, so it always serialises.
    serde_json::to_string_pretty(body).unwrap_or_default()
}

/// The rows of a context run and its artifact, to be written with the audit row of what made them. `body` is what
/// [`render`] gave; `attestation`, if any, is about its digest.
pub fn pack(ctx: &OpContext, names: &Names, body: String, attestation: Option<Envelope>) -> (Vec<Put>, EvidencePack) {
    let now_ms = ctx.now_ms;
    let artifact = EvidenceArtifact {
        artifact_id: names.artifact_id.clone(),
        run_id: names.run_id.clone(),
        artifact_type: names.run_type.artifact_type().into(),
        path: names.path(),
        content_sha256: sha256_hex(&body),
        content_bytes: body.len() as u64,
        body: Some(body),
        body_dropped_at_ms: None,
        attestation,
        created_at_ms: now_ms,
    };
    let run = ContextRun {
        run_id: names.run_id.clone(),
        run_type: names.run_type,
        source_client: "incident_monitor".into(),
        status: "completed".into(),
        objective: names.run_type.objective().into(),
        tenant_context: ctx.tenant.clone(),
        requested_by: ctx.actor.clone(),
        request_id: ctx.request_id.clone(),
        artifacts: vec![ArtifactRef {
            id: artifact.artifact_id.clone(),
            ts_ms: now_ms,
            path: artifact.path.clone(),
            artifact_type: artifact.artifact_type.clone(),
            step_id: None,
            source_event_id: None,
            content_sha256: artifact.content_sha256.clone(),
            content_bytes: artifact.content_bytes,
        }],
        started_at_ms: now_ms,
        finished_at_ms: now_ms,
        created_at_ms: now_ms,
        updated_at_ms: now_ms,
    };
    let pack = EvidencePack {
        persisted: true,
        kind: Some("context_run_artifact".into()),
        reason: None,
        context_run_id: Some(run.run_id.clone()),
        artifact_id: Some(artifact.artifact_id.clone()),
        artifact_type: Some(artifact.artifact_type.clone()),
        path: Some(artifact.path.clone()),
        content_sha256: Some(artifact.content_sha256.clone()),
        content_bytes: Some(artifact.content_bytes),
    };
    (vec![Put::insert(&run), Put::insert(&artifact)], pack)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn context() -> OpContext {
        OpContext {
            tenant: TenantContext::explicit("acme", "main"),
            actor: ActorRef::worker("test"),
            request_id: "req-1".into(),
            now_ms: 1_700,
        }
    }

    #[test]
    fn a_pack_names_its_rows_and_its_digest_is_of_the_bytes() {
        let names = Names::new(RunType::Report, 1_700, &"a".repeat(32), &"b".repeat(32));
        assert_eq!(names.run_id, format!("incident-monitor-assessment-report-1700-{}", "a".repeat(32)));
        let body = render(&json!({ "k": "v" }));
        let (puts, pack) = pack(&context(), &names, body.clone(), None);
        assert_eq!(
            puts.iter().map(|put| put.collection.name).collect::<Vec<_>>(),
            ["context_runs", "evidence_artifacts"]
        );
        assert_eq!(pack.content_sha256.as_deref(), Some(sha256_hex(&body).as_str()));
        assert_eq!(pack.path.as_deref(), Some("artifacts/incident_monitor.assessment_report.json"));
        let artifact: EvidenceArtifact = serde_json::from_str(&puts[1].body).unwrap();
        assert_eq!((artifact.body.as_deref(), artifact.intact()), (Some(body.as_str()), Some(true)));
        let forged = EvidenceArtifact { body: Some(body.replace('v', "w")), ..artifact };
        assert_eq!(forged.intact(), Some(false));
        let gone = EvidenceArtifact { body: None, ..forged };
        assert_eq!(gone.intact(), Some(false), "nobody says that retention dropped it");
        let dropped = EvidenceArtifact { body_dropped_at_ms: Some(2), ..gone };
        assert_eq!((dropped.intact(), dropped.aged(1, 3).emptied.map(|put| put.body)), (None, None));
    }

    #[test]
    fn an_aged_artifact_keeps_everything_but_its_body() {
        let names = Names::new(RunType::Report, 1_700, "a", "b");
        let (puts, _) = pack(&context(), &names, "{}".into(), None);
        let artifact: EvidenceArtifact = serde_json::from_str(&puts[1].body).unwrap();
        let aged = artifact.clone().aged(4, 9_000);
        let emptied = aged.emptied.unwrap();
        assert_eq!(emptied.expect, tandem_core::record::Expect::Version(4));
        let kept: EvidenceArtifact = serde_json::from_str(&emptied.body).unwrap();
        assert_eq!(kept, EvidenceArtifact { body: None, body_dropped_at_ms: Some(9_000), ..artifact });
    }
}
