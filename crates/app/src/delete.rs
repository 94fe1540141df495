//! Deleting rows of a list: one, some or all, in commits of bounded size, each with its audit row.

use serde_json::json;
use tandem_core::{
    actor::OpContext,
    draft::Draft,
    error::{Code, Failure},
    incident::{Amendment, Incident, Tombstone},
    receipt::Post,
    record::{Commit, Expect, Put, Record, Versioned, Write},
};

use crate::{App, decide_again, store_failure};

/// Which rows a bulk delete names. `all` wins.
#[derive(Clone, Debug, Default)]
pub struct Bulk {
    pub ids: Vec<String>,
    pub all: bool,
}

/// Rows deleted by one commit.
const CHUNK: usize = 200;

/// A record that operators may delete.
pub(crate) trait Deletable: Record {
    /// The column that its list is ordered by.
    const ORDER: &'static str;
    const EVENT: &'static str;
    /// The key of the ids in the audit row.
    const IDS: &'static str;

    /// What is written beside the deletion.
    fn aftermath(&self, now_ms: u64) -> Option<Write>;
}

impl Deletable for Incident {
    const ORDER: &'static str = "updated_at_ms";
    const EVENT: &'static str = "incident_monitor.incident.deleted";
    const IDS: &'static str = "incident_ids";

    /// A recurrence must find the draft again, so that a denial holds.
    fn aftermath(&self, now_ms: u64) -> Option<Write> {
        let draft_id = self.draft_id.clone()?;
        let tombstone = Tombstone { identity: self.identity.clone(), draft_id, deleted_at_ms: now_ms };
        Some(Put::of(&tombstone, Expect::Any).into())
    }
}

impl Deletable for Draft {
    const ORDER: &'static str = "created_at_ms";
    const EVENT: &'static str = "incident_monitor.draft.deleted";
    const IDS: &'static str = "draft_ids";

    /// The incident forgets the draft, so that the next occurrence opens a new one.
    fn aftermath(&self, _: u64) -> Option<Write> {
        let incident_id = self.incident_id.clone()?;
        let amendment = Amendment::DraftForgotten { draft_id: self.draft_id.clone() };
        Some(Write::Amend { incident_id, amendment })
    }
}

impl Deletable for Post {
    const ORDER: &'static str = "updated_at_ms";
    const EVENT: &'static str = "incident_monitor.post.deleted";
    const IDS: &'static str = "post_ids";

    /// What was delivered is known from the deliveries; the receipt alone goes.
    fn aftermath(&self, _: u64) -> Option<Write> {
        None
    }
}

impl App {
    pub async fn incident_delete(&self, ctx: &OpContext, id: &str) -> Result<(), Failure> {
        self.delete_one::<Incident>(ctx, id, Code::IncidentNotFound, "incident_id").await
    }

    pub async fn draft_delete(&self, ctx: &OpContext, id: &str) -> Result<(), Failure> {
        self.delete_one::<Draft>(ctx, id, Code::DraftNotFound, "draft_id").await
    }

    pub async fn post_delete(&self, ctx: &OpContext, id: &str) -> Result<(), Failure> {
        self.delete_one::<Post>(ctx, id, Code::PostNotFound, "post_id").await
    }

    pub async fn incidents_delete(&self, ctx: &OpContext, bulk: &Bulk) -> Result<u64, Failure> {
        self.delete_many::<Incident>(ctx, bulk).await
    }

    pub async fn drafts_delete(&self, ctx: &OpContext, bulk: &Bulk) -> Result<u64, Failure> {
        self.delete_many::<Draft>(ctx, bulk).await
    }

    pub async fn posts_delete(&self, ctx: &OpContext, bulk: &Bulk) -> Result<u64, Failure> {
        self.delete_many::<Post>(ctx, bulk).await
    }

    async fn delete_one<R: Deletable>(
        &self,
        ctx: &OpContext,
        id: &str,
        missing: Code,
        key: &str,
    ) -> Result<(), Failure> {
        decide_again(async || {
            let Some(found) = self.load::<R>(&ctx.tenant.key(), id).await? else {
                return Err(Failure::of(missing).with(key, id));
            };
            self.delete_rows(ctx, vec![found]).await?;
            Ok(())
        })
        .await
    }

    async fn delete_many<R: Deletable>(&self, ctx: &OpContext, bulk: &Bulk) -> Result<u64, Failure> {
        let mut deleted = 0;
        if bulk.all {
            loop {
                let rows = self.all::<R>(&ctx.tenant.key(), R::ORDER, Vec::new(), CHUNK).await?;
                if rows.is_empty() {
                    return Ok(deleted);
                }
                match self.delete_rows(ctx, rows).await {
                    Ok(n) => deleted += n,
                    // A row changed in between; the next round reads it anew.
                    Err(failure) if failure.code == Code::Conflict => {}
                    Err(failure) => return Err(failure),
                }
            }
        }
        for ids in bulk.ids.chunks(CHUNK) {
            deleted += decide_again(async || {
                let mut rows = Vec::new();
                for id in ids {
                    rows.extend(self.load::<R>(&ctx.tenant.key(), id.trim()).await?);
                }
                self.delete_rows(ctx, rows).await
            })
            .await?;
        }
        Ok(deleted)
    }

    async fn delete_rows<R: Deletable>(&self, ctx: &OpContext, mut rows: Vec<Versioned<R>>) -> Result<u64, Failure> {
        rows.sort_by(|a, b| a.value.id().cmp(b.value.id()));
        rows.dedup_by(|a, b| a.value.id() == b.value.id());
        if rows.is_empty() {
            return Ok(0);
        }
        let ids: Vec<&str> = rows.iter().map(|row| row.value.id()).collect();
        let mut commit = Commit::new(ctx).audit(self.event_id(), R::EVENT, json!({ R::IDS: ids }));
        for row in &rows {
            commit = commit.write(Write::Delete {
                collection: R::COLLECTION,
                id: row.value.id().to_owned(),
                expect: Expect::Version(row.version),
            });
            commit.writes.extend(row.value.aftermath(ctx.now_ms));
        }
        self.store().commit(commit).await.map_err(store_failure)?;
        Ok(rows.len() as u64)
    }
}
