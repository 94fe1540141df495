//! Exports: rows of one window line by line, then a trailer that proves them against a signed checkpoint.

use std::sync::Arc;

use tandem_core::{
    audit::{
        bundle::{About, Export},
        proof::{self, RangeProof},
    },
    error::{Code, Failure},
    ports::AuditQuery,
    tenant::TenantKey,
};

use crate::{App, store_failure, tenant_of};

const PAGE: usize = 1_000;

/// An export in progress. Call [`ExportStream::next`] until it gives nothing.
pub struct ExportStream {
    app: Arc<App>,
    tenant: TenantKey,
    about: About,
    export: Option<Export>,
    /// The last row written, and the last row to write.
    at: u64,
    last: u64,
    first: u64,
}

impl App {
    /// Signs the log and begins an export of the rows from `since_ms` to `until_ms`, both included. The window is one
    /// run of rows: from the first row that is not before it to the last row that is not after it.
    pub async fn audit_export(
        self: &Arc<Self>,
        tenant: &TenantKey,
        since_ms: Option<u64>,
        until_ms: Option<u64>,
    ) -> Result<ExportStream, Failure> {
        let integrity = self.integrity(tenant).await?;
        let signed = self.checkpoint(tenant).await?;
        let edge = async |query: AuditQuery| -> Result<Option<u64>, Failure> {
            let rows = self.store().audit_rows(tenant, query).await.map_err(store_failure)?;
            Ok(rows.first().map(|row| row.seq))
        };
        let first = match since_ms {
            None => Some(1),
            Some(_) => edge(AuditQuery { after_seq: Some(0), since_ms, limit: 1, ..AuditQuery::default() }).await?,
        };
        let last = match until_ms {
            None => Some(signed.size),
            Some(_) => edge(AuditQuery { until_ms, limit: 1, ..AuditQuery::default() }).await?,
        };
        let (first, last) = match (first, last.map(|last| last.min(signed.size))) {
            (Some(first), Some(last)) if first <= last => (first, last),
            (Some(_) | None, Some(_) | None) => (1, 0),
        };
        let (org_id, workspace_id) = Self::audit_names(tenant);
        let about = About {
            org_id,
            workspace_id,
            since_ms,
            until_ms,
            exported_at_ms: self.now_ms(),
            tree_size: signed.size,
            root: signed.root,
            checkpoint: signed.note,
            public_key: signed.public_key,
            integrity,
        };
        Ok(ExportStream::over(self, tenant, about, first, last))
    }
}

impl ExportStream {
    /// The rows from `first` to `last`, proved in the tree that `about` describes; none when `first` is greater.
    pub(super) fn over(app: &Arc<App>, tenant: &TenantKey, about: About, first: u64, last: u64) -> Self {
        Self {
            app: Arc::clone(app),
            tenant: tenant.clone(),
            about,
            export: Some(Export::default()),
            at: first - 1,
            last,
            first,
        }
    }

    /// The signed note that the rows are proved against.
    pub(super) fn checkpoint(&self) -> &str {
        &self.about.checkpoint
    }

    /// The next lines, each with its newline; `None` after the trailer.
    pub async fn next(&mut self) -> Result<Option<String>, Failure> {
        let Some(export) = &mut self.export else { return Ok(None) };
        let mut out = String::new();
        if self.at < self.last {
            let query = AuditQuery { after_seq: Some(self.at), limit: PAGE, ..AuditQuery::default() };
            let rows = self.app.store().audit_rows(&self.tenant, query).await.map_err(store_failure)?;
            let (before, tenant) = (self.at, tenant_of(&self.tenant));
            for row in rows.iter().filter(|row| row.seq <= self.last) {
                out.push_str(&export.stored(row, &tenant));
                out.push('\n');
                self.at = row.seq;
            }
            if self.at == before {
                // The rest of the rows is gone; the trailer says what should have been there.
                self.at = self.last;
            }
            return Ok(Some(out));
        }
        let Some(export) = self.export.take() else { return Ok(None) };
        let (start, end) = if self.first > self.last { (0, 0) } else { (self.first - 1, self.last) };
        let plan = proof::range_plan(self.about.tree_size, start, end).map_err(|_| Failure::of(Code::Internal))?;
        // A tree with a hole proves nothing. The bundle still ends with its trailer, which says how broken the log is.
        let proof = match self.app.fetch(&self.tenant, plan.ranges()).await {
            Ok(fetched) => plan.prove(&fetched).unwrap_or_default(),
            Err(failure) if failure.code == Code::StoreCorrupt => RangeProof::default(),
            Err(failure) => return Err(failure),
        };
        let trailer = export.trailer(self.about.clone(), proof);
        out.push_str(&serde_json::to_string(&trailer).unwrap_or_default());
        out.push('\n');
        Ok(Some(out))
    }
}
