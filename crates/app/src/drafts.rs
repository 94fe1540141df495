//! Drafts: list, read, delete.

use serde_json::json;
use tandem_core::{
    actor::OpContext,
    draft::{DRAFTS, Draft},
    error::{Code, Failure},
    incident::{Amendment, Incident},
    record::{Commit, Expect, Versioned, Write},
    tenant::TenantKey,
};

use crate::{
    App, Page, PageRequest, decide_again,
    incidents::{Bulk, CHUNK},
    store_failure,
};

impl App {
    pub async fn drafts(&self, ctx: &OpContext, request: &PageRequest) -> Result<Page<Draft>, Failure> {
        self.page(&ctx.tenant.key(), "created_at_ms", request).await
    }

    pub async fn draft(&self, ctx: &OpContext, id: &str) -> Result<Versioned<Draft>, Failure> {
        match self.load::<Draft>(&ctx.tenant.key(), id).await? {
            Some(found) => Ok(found),
            None => Err(Failure::of(Code::DraftNotFound).with("draft_id", id)),
        }
    }

    /// The incident of a draft, unless it was deleted.
    pub(crate) async fn incident_of(
        &self,
        tenant: &TenantKey,
        draft: &Draft,
    ) -> Result<Option<Versioned<Incident>>, Failure> {
        match &draft.incident_id {
            Some(id) => self.load(tenant, id).await,
            None => Ok(None),
        }
    }

    pub async fn draft_delete(&self, ctx: &OpContext, id: &str) -> Result<(), Failure> {
        decide_again(async || {
            let found = self.draft(ctx, id).await?;
            self.delete_draft_rows(ctx, vec![found]).await?;
            Ok(())
        })
        .await
    }

    pub async fn drafts_delete(&self, ctx: &OpContext, bulk: &Bulk) -> Result<u64, Failure> {
        let mut deleted = 0;
        if bulk.all {
            loop {
                let rows = self.all::<Draft>(&ctx.tenant.key(), "created_at_ms", Vec::new(), CHUNK).await?;
                if rows.is_empty() {
                    return Ok(deleted);
                }
                match self.delete_draft_rows(ctx, rows).await {
                    Ok(n) => deleted += n,
                    // Someone changed a draft in between; the next round reads it anew.
                    Err(failure) if failure.code == Code::Conflict => {}
                    Err(failure) => return Err(failure),
                }
            }
        }
        for ids in bulk.ids.chunks(CHUNK) {
            deleted += decide_again(async || {
                let mut rows = Vec::new();
                for id in ids {
                    rows.extend(self.load::<Draft>(&ctx.tenant.key(), id.trim()).await?);
                }
                self.delete_draft_rows(ctx, rows).await
            })
            .await?;
        }
        Ok(deleted)
    }

    async fn delete_draft_rows(&self, ctx: &OpContext, mut rows: Vec<Versioned<Draft>>) -> Result<u64, Failure> {
        rows.sort_by(|a, b| a.value.draft_id.cmp(&b.value.draft_id));
        rows.dedup_by(|a, b| a.value.draft_id == b.value.draft_id);
        if rows.is_empty() {
            return Ok(0);
        }
        let ids: Vec<&str> = rows.iter().map(|row| row.value.draft_id.as_str()).collect();
        let payload = json!({ "draft_ids": ids });
        let mut commit = Commit::new(ctx);
        for row in &rows {
            commit = commit.write(Write::Delete {
                collection: &DRAFTS,
                id: row.value.draft_id.clone(),
                expect: Expect::Version(row.version),
            });
            // The incident forgets the draft, so that the next occurrence opens a new one.
            if let Some(incident_id) = row.value.incident_id.clone() {
                let amendment = Amendment::DraftForgotten { draft_id: row.value.draft_id.clone() };
                commit = commit.write(Write::Amend { incident_id, amendment });
            }
        }
        let commit = commit.audit(self.event_id(), "incident_monitor.draft.deleted", payload);
        self.store().commit(commit).await.map_err(store_failure)?;
        Ok(rows.len() as u64)
    }
}
