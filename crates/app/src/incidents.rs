//! Incidents: list, read, delete.

use serde_json::json;
use tandem_core::{
    actor::OpContext,
    error::{Code, Failure},
    incident::{INCIDENTS, Incident, Tombstone},
    record::{Commit, Expect, Put, Versioned, Write},
};

use crate::{App, Page, PageRequest, decide_again, store_failure};

/// Which rows a bulk delete names. `all` wins.
#[derive(Clone, Debug, Default)]
pub struct Bulk {
    pub ids: Vec<String>,
    pub all: bool,
}

/// Rows deleted by one commit.
pub(crate) const CHUNK: usize = 200;

impl App {
    pub async fn incidents(&self, ctx: &OpContext, request: &PageRequest) -> Result<Page<Incident>, Failure> {
        self.page(&ctx.tenant.key(), "updated_at_ms", request).await
    }

    pub async fn incident(&self, ctx: &OpContext, id: &str) -> Result<Versioned<Incident>, Failure> {
        match self.load::<Incident>(&ctx.tenant.key(), id).await? {
            Some(found) => Ok(found),
            None => Err(Failure::of(Code::IncidentNotFound).with("incident_id", id)),
        }
    }

    pub async fn incident_delete(&self, ctx: &OpContext, id: &str) -> Result<(), Failure> {
        decide_again(async || {
            let found = self.incident(ctx, id).await?;
            let commit = delete_incident(Commit::new(ctx), &found).audit(
                self.event_id(),
                "incident_monitor.incident.deleted",
                json!({ "incident_ids": [id] }),
            );
            self.store().commit(commit).await.map_err(store_failure)?;
            Ok(())
        })
        .await
    }

    /// Deletes what exists of the named incidents, in commits of bounded size.
    pub async fn incidents_delete(&self, ctx: &OpContext, bulk: &Bulk) -> Result<u64, Failure> {
        let mut deleted = 0;
        if bulk.all {
            loop {
                let rows = self.all::<Incident>(&ctx.tenant.key(), "updated_at_ms", Vec::new(), CHUNK).await?;
                if rows.is_empty() {
                    return Ok(deleted);
                }
                match self.delete_incident_rows(ctx, rows).await {
                    Ok(n) => deleted += n,
                    // A report came in between; the next round reads the row anew.
                    Err(failure) if failure.code == Code::Conflict => {}
                    Err(failure) => return Err(failure),
                }
            }
        }
        for ids in bulk.ids.chunks(CHUNK) {
            deleted += decide_again(async || {
                let mut rows = Vec::new();
                for id in ids {
                    rows.extend(self.load::<Incident>(&ctx.tenant.key(), id.trim()).await?);
                }
                self.delete_incident_rows(ctx, rows).await
            })
            .await?;
        }
        Ok(deleted)
    }

    async fn delete_incident_rows(&self, ctx: &OpContext, rows: Vec<Versioned<Incident>>) -> Result<u64, Failure> {
        let mut rows = rows;
        rows.sort_by(|a, b| a.value.incident_id.cmp(&b.value.incident_id));
        rows.dedup_by(|a, b| a.value.incident_id == b.value.incident_id);
        if rows.is_empty() {
            return Ok(0);
        }
        let ids: Vec<&str> = rows.iter().map(|row| row.value.incident_id.as_str()).collect();
        let payload = json!({ "incident_ids": ids });
        let mut commit = Commit::new(ctx);
        for row in &rows {
            commit = delete_incident(commit, row);
        }
        let commit = commit.audit(self.event_id(), "incident_monitor.incident.deleted", payload);
        match self.store().commit(commit).await {
            Ok(_) => Ok(rows.len() as u64),
            Err(error) => Err(store_failure(error)),
        }
    }
}

fn delete_incident(mut commit: Commit, row: &Versioned<Incident>) -> Commit {
    if let Some(draft_id) = &row.value.draft_id {
        let tombstone = Tombstone {
            identity: row.value.identity.clone(),
            draft_id: draft_id.clone(),
            deleted_at_ms: commit.ctx.now_ms,
        };
        commit = commit.put(Put::of(&tombstone, Expect::Any));
    }
    commit.write(Write::Delete {
        collection: &INCIDENTS,
        id: row.value.incident_id.clone(),
        expect: Expect::Version(row.version),
    })
}
