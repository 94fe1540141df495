//! Evidence in one file: documents about a tenant, and the export of its log that tells of them.

use std::sync::Arc;

use tandem_core::{
    actor::OpContext,
    audit::{
        checkpoint::Checkpoint,
        dsse,
        evidence::{Document, STATEMENT, WITNESSES, pack},
    },
    error::{Code, Failure},
    record::Column,
    tenant::TenantKey,
};
use tandem_posture::evidence::{EvidenceArtifact, RunType};

use super::export::ExportStream;
use crate::{App, PageRequest, assess::Turn, tenant_of};

/// Assessment reports that are listed, and bytes of those that go along.
const REPORTS: usize = 200;
const REPORT_BYTES: usize = 32 << 20;
/// Receipts of exports that go along.
const RECEIPTS: usize = 1_000;

impl App {
    /// The lines before the export, and the export. Documents and rows are bound to one signed tree.
    pub async fn evidence_export(
        self: &Arc<Self>,
        ctx: &OpContext,
        tenant: &TenantKey,
        since_ms: Option<u64>,
        until_ms: Option<u64>,
    ) -> Result<(String, ExportStream), Failure> {
        let whose = OpContext { tenant: tenant_of(tenant), ..ctx.clone() };
        let tenant = tenant.clone();
        self.assess(&whose, async move |app, turn, whose| {
            let documents = app.evidence_documents(turn, whose).await?;
            let stream = app.audit_export(&tenant, since_ms, until_ms).await?;
            let signer = app.signer().await?;
            let head = Checkpoint::open(stream.checkpoint(), std::slice::from_ref(signer.verifier_key()))
                .map_err(|_| Failure::of(Code::StoreCorrupt))?;
            let lines = pack(&head, app.now_ms(), &documents, signer).map_err(|_| Failure::of(Code::Internal))?;
            Ok((lines, stream))
        })
        .await
    }

    /// What is kept together with the log. Nothing in it holds a secret: each is an answer of this server.
    async fn evidence_documents(&self, turn: &Turn, ctx: &OpContext) -> Result<Vec<Document>, Failure> {
        let inventory = self.authority_inventory(turn, ctx).await?;
        let receipts = self.exports(ctx, &PageRequest { limit: RECEIPTS, ..PageRequest::default() }).await?.items;
        let tenant = ctx.tenant.key();
        let witnessed = self.witnessed(&tenant, self.checkpoint(&tenant).await?.size).await?;
        let mut documents = vec![
            json("authority-inventory.json", &inventory),
            json("audit-exports.json", &receipts),
            json(WITNESSES, &witnessed),
        ];
        documents.extend(self.report_documents(&tenant).await?);
        Ok(documents)
    }

    /// The stored assessment reports, newest first: the bytes that were kept, and what was signed about each. A list says
    /// of every report what it is, also where its body does not go along.
    async fn report_documents(&self, tenant: &TenantKey) -> Result<Vec<Document>, Failure> {
        let of_reports = vec![("artifact_type", Column::text(RunType::Report.artifact_type()))];
        let rows = self.all::<EvidenceArtifact>(tenant, "created_at_ms", of_reports, REPORTS).await?;
        let signer = self.signer().await?;
        let (mut listed, mut documents, mut bytes) = (Vec::new(), Vec::new(), 0);
        for artifact in rows.into_iter().map(|row| row.value) {
            let intact = artifact.intact();
            let size = artifact.body.as_ref().map_or(0, String::len);
            let included = intact == Some(true) && bytes + size <= REPORT_BYTES;
            listed.push(serde_json::json!({
                "artifact_id": artifact.artifact_id,
                "context_run_id": artifact.run_id,
                "content_sha256": artifact.content_sha256,
                "content_bytes": artifact.content_bytes,
                "created_at_ms": artifact.created_at_ms,
                "intact": intact,
                "body_dropped_at_ms": artifact.body_dropped_at_ms,
                "included": included,
            }));
            let Some(body) = artifact.body.filter(|_| included) else { continue };
            bytes += size;
            let name = format!("assessment-reports/{}", artifact.artifact_id);
            // One that an earlier key has signed says nothing under this one.
            let known = std::slice::from_ref(signer.verifier_key());
            if let Some(statement) = artifact.attestation.filter(|statement| dsse::open(statement, known).is_ok()) {
                documents.push(json(&format!("{name}{STATEMENT}"), &statement));
            }
            documents.push(Document {
                name: format!("{name}.json"),
                media_type: "application/json".to_owned(),
                content: body.into_bytes(),
            });
        }
        documents.insert(0, json("assessment-reports.json", &listed));
        Ok(documents)
    }
}

fn json(name: &str, value: &impl serde::Serialize) -> Document {
    Document {
        name: name.to_owned(),
        media_type: "application/json".to_owned(),
        content: serde_json::to_vec_pretty(value).unwrap_or_default(),
    }
}
