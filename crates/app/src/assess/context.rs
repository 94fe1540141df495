//! Context runs: whatever ran and left something behind, found by its id. Assessments have records of their own; runs of
//! automations and triage runs are shown as what they are.

use serde::Serialize;
use serde_json::Value;
use tandem_core::{
    actor::{ActorRef, OpContext},
    automation::run::{Run, view},
    error::{Code, Failure},
    ports::Query,
    record::{Column, Record},
    tenant::{TenantContext, TenantKey},
    text::sha256_hex,
    triage::{ArtifactRecord, RunView, TriageRun, run::RUN_TYPE},
};
use tandem_posture::evidence::{ArtifactRef, ContextRun, EvidenceArtifact};
use utoipa::ToSchema;

use crate::{App, load::parse, store_failure, tenant_of};

/// Artifacts of one run that are read at most.
const MOST_ARTIFACTS: usize = 200;

/// What an id names, and whose it is.
pub(crate) enum Found {
    Assessment(ContextRun),
    Triage(TriageRun),
    Automation(Run),
}

/// A run as `/context/runs/{id}` shows it, of whatever kind.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ContextRunView {
    pub run_id: String,
    pub context_run_id: String,
    /// `automation_v2`, `incident_monitor_triage`, or the assessment that ran.
    pub run_type: String,
    pub source_client: String,
    pub status: String,
    pub objective: String,
    pub tenant_context: TenantContext,
    pub requested_by: Option<ActorRef>,
    pub automation_id: Option<String>,
    pub draft_id: Option<String>,
    pub incident_id: Option<String>,
    /// The phases of a triage run, as the run itself shows them; empty for others.
    #[schema(value_type = Vec<Object>)]
    pub steps: Vec<Value>,
    #[schema(value_type = Vec<Object>)]
    pub tasks: Vec<Value>,
    pub artifact_count: usize,
    pub artifacts: Vec<ArtifactRef>,
    pub created_at_ms: u64,
    pub started_at_ms: Option<u64>,
    pub finished_at_ms: Option<u64>,
    pub updated_at_ms: u64,
}

/// An artifact of a blackboard.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BlackboardArtifact {
    #[serde(flatten)]
    pub artifact: ArtifactRef,
    /// The body is still here.
    pub body_present: bool,
    /// The body has the digest that was recorded with it; absent where retention has dropped it.
    pub intact: Option<bool>,
    /// When retention dropped the body. Digest, size and signed statement stay.
    pub body_dropped_at_ms: Option<u64>,
    /// A signed statement about the digest (DSSE), where one was made.
    #[schema(value_type = Option<Object>)]
    pub attestation: Option<Value>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Blackboard {
    pub run_id: String,
    pub artifacts: Vec<BlackboardArtifact>,
    pub updated_at_ms: u64,
}

/// An artifact's bytes.
pub struct ArtifactBody {
    pub artifact_type: String,
    pub content_sha256: String,
    pub body: String,
}

fn unknown(id: &str) -> Failure {
    Failure::of(Code::ContextRunNotFound).with("run_id", id)
}

impl App {
    pub(crate) async fn find_visible<R: Record>(
        &self,
        ctx: &OpContext,
        id: &str,
    ) -> Result<Option<(TenantKey, R)>, Failure> {
        for tenant in self.seen_tenants(ctx, R::COLLECTION).await? {
            if let Some(found) = self.load::<R>(&tenant, id).await? {
                return Ok(Some((tenant, found.value)));
            }
        }
        Ok(None)
    }

    /// What the id names. An automation's run answers under its own id and under that of its context.
    pub(crate) async fn context_found(&self, ctx: &OpContext, id: &str) -> Result<(TenantKey, Found), Failure> {
        if let Some((tenant, run)) = self.find_visible::<ContextRun>(ctx, id).await? {
            return Ok((tenant, Found::Assessment(run)));
        }
        if let Some((tenant, run)) = self.find_visible::<TriageRun>(ctx, id).await? {
            return Ok((tenant, Found::Triage(run)));
        }
        let prefix = view::context_run_id("");
        for id in [Some(id), id.strip_prefix(prefix.as_str())].into_iter().flatten() {
            if let Some((tenant, run)) = self.find_visible::<Run>(ctx, id).await? {
                return Ok((tenant, Found::Automation(run)));
            }
        }
        Err(unknown(id))
    }

    pub async fn context_run(&self, ctx: &OpContext, id: &str) -> Result<ContextRunView, Failure> {
        let (tenant, found) = self.context_found(ctx, id).await?;
        let artifacts = self.context_artifacts(&tenant, &found).await?;
        let artifacts: Vec<ArtifactRef> = artifacts.into_iter().map(|found| found.artifact).collect();
        let artifact_count = artifacts.len();
        Ok(match found {
            Found::Assessment(run) => ContextRunView {
                context_run_id: run.run_id.clone(),
                run_id: run.run_id,
                run_type: run.run_type.word().into(),
                source_client: run.source_client,
                status: run.status,
                objective: run.objective,
                tenant_context: run.tenant_context,
                requested_by: Some(run.requested_by),
                automation_id: None,
                draft_id: None,
                incident_id: None,
                steps: Vec::new(),
                tasks: Vec::new(),
                artifact_count,
                artifacts,
                created_at_ms: run.created_at_ms,
                started_at_ms: Some(run.started_at_ms),
                finished_at_ms: Some(run.finished_at_ms),
                updated_at_ms: run.updated_at_ms,
            },
            Found::Triage(run) => {
                let RunView { steps, tasks, .. } = run.view();
                ContextRunView {
                    steps,
                    tasks,
                    context_run_id: run.run_id.clone(),
                    run_id: run.run_id,
                    run_type: RUN_TYPE.into(),
                    source_client: "incident_monitor".into(),
                    status: run.status.word().into(),
                    objective: run.objective,
                    tenant_context: tenant_of(&tenant),
                    requested_by: None,
                    automation_id: Some(run.automation_id),
                    draft_id: Some(run.draft_id),
                    incident_id: run.incident_id,
                    artifact_count,
                    artifacts,
                    created_at_ms: run.created_at_ms,
                    started_at_ms: run.started_at_ms,
                    finished_at_ms: run.finished_at_ms,
                    updated_at_ms: run.updated_at_ms,
                }
            }
            Found::Automation(run) => ContextRunView {
                context_run_id: view::context_run_id(&run.run_id),
                run_id: run.run_id,
                run_type: "automation_v2".into(),
                source_client: "automation_v2".into(),
                status: run.status.word().into(),
                objective: run.workflow_name,
                tenant_context: run.tenant_context,
                requested_by: Some(run.requested_by),
                automation_id: Some(run.automation_id),
                draft_id: None,
                incident_id: None,
                steps: Vec::new(),
                tasks: Vec::new(),
                artifact_count,
                artifacts,
                created_at_ms: run.created_at_ms,
                started_at_ms: run.started_at_ms,
                finished_at_ms: run.finished_at_ms,
                updated_at_ms: run.updated_at_ms,
            },
        })
    }

    pub async fn blackboard(&self, ctx: &OpContext, id: &str) -> Result<Blackboard, Failure> {
        let (tenant, found) = self.context_found(ctx, id).await?;
        let artifacts = self.context_artifacts(&tenant, &found).await?;
        let (run_id, updated_at_ms) = match found {
            Found::Assessment(run) => (run.run_id, run.updated_at_ms),
            Found::Triage(run) => (run.run_id, run.updated_at_ms),
            Found::Automation(run) => (run.run_id, run.updated_at_ms),
        };
        Ok(Blackboard { run_id, artifacts, updated_at_ms })
    }

    /// The exact bytes of an artifact, with the digest that was recorded for them.
    pub async fn context_artifact(
        &self,
        ctx: &OpContext,
        run_id: &str,
        artifact_id: &str,
    ) -> Result<ArtifactBody, Failure> {
        let missing = || Failure::of(Code::EvidenceArtifactNotFound).with("artifact_id", artifact_id);
        let (tenant, _) = self.context_found(ctx, run_id).await?;
        if let Some(found) = self.load::<EvidenceArtifact>(&tenant, artifact_id).await? {
            let artifact = found.value;
            if artifact.run_id != run_id {
                return Err(missing());
            }
            let body = artifact.body.ok_or_else(|| {
                missing()
                    .with("content_sha256", artifact.content_sha256.as_str())
                    .with("detail", "retention dropped the body")
            })?;
            let (artifact_type, content_sha256) = (artifact.artifact_type, artifact.content_sha256);
            return Ok(ArtifactBody { artifact_type, content_sha256, body });
        }
        let found = self.load::<ArtifactRecord>(&tenant, artifact_id).await?;
        let record = found.map(|found| found.value).filter(|record| record.run_id == run_id).ok_or_else(missing)?;
        let body = record.body.to_string();
        let (artifact_type, content_sha256) = (record.artifact.artifact_type.word().to_owned(), sha256_hex(&body));
        Ok(ArtifactBody { artifact_type, content_sha256, body })
    }

    async fn of_run<R: Record>(&self, tenant: &TenantKey, run_id: &str) -> Result<Vec<R>, Failure> {
        let query = Query {
            collection: R::COLLECTION,
            tenant: tenant.clone(),
            equals: vec![("run_id", Column::text(run_id))],
            order: "created_at_ms",
            since: None,
            after: None,
            limit: MOST_ARTIFACTS,
        };
        let rows = self.store().page(query).await.map_err(store_failure)?;
        rows.iter().map(|found| parse(&found.row).map(|row| row.value)).collect::<Result<_, _>>().map_err(store_failure)
    }

    pub(crate) async fn context_artifacts(
        &self,
        tenant: &TenantKey,
        found: &Found,
    ) -> Result<Vec<BlackboardArtifact>, Failure> {
        match found {
            Found::Assessment(run) => {
                let rows: Vec<EvidenceArtifact> = self.of_run(tenant, &run.run_id).await?;
                let with = |artifact: &ArtifactRef| {
                    let row = rows.iter().find(|row| row.artifact_id == artifact.id);
                    BlackboardArtifact {
                        artifact: artifact.clone(),
                        body_present: row.is_some_and(|row| row.body.is_some()),
                        intact: row.and_then(EvidenceArtifact::intact),
                        body_dropped_at_ms: row.and_then(|row| row.body_dropped_at_ms),
                        attestation: row.and_then(|row| row.attestation.as_ref()).map(|seal| serde_json::json!(seal)),
                    }
                };
                Ok(run.artifacts.iter().map(with).collect())
            }
            Found::Triage(run) => {
                let rows: Vec<ArtifactRecord> = self.of_run(tenant, &run.run_id).await?;
                Ok(rows.into_iter().rev().map(triage_artifact).collect())
            }
            // An executor keeps what it made; the run holds references only.
            Found::Automation(_) => Ok(Vec::new()),
        }
    }
}

fn triage_artifact(record: ArtifactRecord) -> BlackboardArtifact {
    let body = record.body.to_string();
    let artifact = record.artifact;
    BlackboardArtifact {
        artifact: ArtifactRef {
            id: artifact.id,
            ts_ms: artifact.ts_ms,
            path: artifact.path,
            artifact_type: artifact.artifact_type.word().into(),
            step_id: artifact.step_id,
            source_event_id: artifact.source_event_id,
            content_sha256: sha256_hex(&body),
            content_bytes: body.len() as u64,
        },
        body_present: true,
        intact: None,
        body_dropped_at_ms: None,
        attestation: None,
    }
}
