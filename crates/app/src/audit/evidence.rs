//! Evidence in one file: documents about a tenant, and the export of its log that tells of them.

use std::sync::Arc;

use tandem_core::{
    actor::OpContext,
    audit::{
        checkpoint::Checkpoint,
        evidence::{Document, pack},
    },
    error::{Code, Failure},
    tenant::TenantKey,
};

use super::export::ExportStream;
use crate::{App, PageRequest, tenant_of};

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
        let documents = self.evidence_documents(&whose).await?;
        let stream = self.audit_export(tenant, since_ms, until_ms).await?;
        let signer = self.signer().await?;
        let head = Checkpoint::open(stream.checkpoint(), std::slice::from_ref(signer.verifier_key()))
            .map_err(|_| Failure::of(Code::StoreCorrupt))?;
        let lines = pack(&head, self.now_ms(), &documents, signer).map_err(|_| Failure::of(Code::Internal))?;
        Ok((lines, stream))
    }

    /// What is kept together with the log. Nothing in it holds a secret: each is an answer of this server.
    async fn evidence_documents(&self, ctx: &OpContext) -> Result<Vec<Document>, Failure> {
        let inventory = self.authority_inventory(ctx).await?;
        let receipts = self.exports(ctx, &PageRequest { limit: RECEIPTS, ..PageRequest::default() }).await?.items;
        let tenant = ctx.tenant.key();
        let witnessed = self.witnessed(&tenant, self.checkpoint(&tenant).await?.size).await?;
        Ok(vec![
            json("authority-inventory.json", &inventory),
            json("audit-exports.json", &receipts),
            json("audit-witnesses.json", &witnessed),
        ])
    }
}

fn json(name: &str, value: &impl serde::Serialize) -> Document {
    Document {
        name: name.to_owned(),
        media_type: "application/json".to_owned(),
        content: serde_json::to_vec_pretty(value).unwrap_or_default(),
    }
}
