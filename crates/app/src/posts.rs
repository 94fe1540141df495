//! Receipts: list and delete. Deleting a receipt forgets no idempotency: that lives in the deliveries.

use serde_json::json;
use tandem_core::{
    actor::OpContext,
    error::{Code, Failure},
    receipt::{POSTS, Post},
    record::{Commit, Expect, Versioned, Write},
};

use crate::{
    App, Page, PageRequest, decide_again,
    incidents::{Bulk, CHUNK},
    store_failure,
};

impl App {
    pub async fn posts(&self, ctx: &OpContext, request: &PageRequest) -> Result<Page<Post>, Failure> {
        self.page(&ctx.tenant.key(), "updated_at_ms", request).await
    }

    pub async fn post_delete(&self, ctx: &OpContext, id: &str) -> Result<(), Failure> {
        decide_again(async || {
            let Some(found) = self.load::<Post>(&ctx.tenant.key(), id).await? else {
                return Err(Failure::of(Code::PostNotFound).with("post_id", id));
            };
            self.delete_post_rows(ctx, vec![found]).await?;
            Ok(())
        })
        .await
    }

    pub async fn posts_delete(&self, ctx: &OpContext, bulk: &Bulk) -> Result<u64, Failure> {
        let mut deleted = 0;
        if bulk.all {
            loop {
                let rows = self.all::<Post>(&ctx.tenant.key(), "updated_at_ms", Vec::new(), CHUNK).await?;
                if rows.is_empty() {
                    return Ok(deleted);
                }
                match self.delete_post_rows(ctx, rows).await {
                    Ok(n) => deleted += n,
                    // A delivery ended in between; the next round reads the receipt anew.
                    Err(failure) if failure.code == Code::Conflict => {}
                    Err(failure) => return Err(failure),
                }
            }
        }
        for ids in bulk.ids.chunks(CHUNK) {
            deleted += decide_again(async || {
                let mut rows = Vec::new();
                for id in ids {
                    rows.extend(self.load::<Post>(&ctx.tenant.key(), id.trim()).await?);
                }
                self.delete_post_rows(ctx, rows).await
            })
            .await?;
        }
        Ok(deleted)
    }

    async fn delete_post_rows(&self, ctx: &OpContext, mut rows: Vec<Versioned<Post>>) -> Result<u64, Failure> {
        rows.sort_by(|a, b| a.value.post_id.cmp(&b.value.post_id));
        rows.dedup_by(|a, b| a.value.post_id == b.value.post_id);
        if rows.is_empty() {
            return Ok(0);
        }
        let ids: Vec<&str> = rows.iter().map(|row| row.value.post_id.as_str()).collect();
        let mut commit =
            Commit::new(ctx).audit(self.event_id(), "incident_monitor.post.deleted", json!({ "post_ids": ids }));
        for row in &rows {
            commit = commit.write(Write::Delete {
                collection: &POSTS,
                id: row.value.post_id.clone(),
                expect: Expect::Version(row.version),
            });
        }
        self.store().commit(commit).await.map_err(store_failure)?;
        Ok(rows.len() as u64)
    }
}
