//! Retention: what the configured number of days has passed is removed. The audit log keeps its rows.

use serde_json::json;
use tandem_core::{
    config::CONFIGS,
    error::Failure,
    incident::INCIDENTS,
    ports::Query,
    receipt::POSTS,
    record::{Collection, Commit, Expect, Write},
    source::evidence::LOG_EVIDENCE,
    tenant::{TenantContext, TenantKey},
};

use crate::{App, store_failure};

const DAY_MS: u64 = 86_400_000;
const CHUNK: usize = 200;

impl App {
    /// Sweeps every tenant once; returns how many rows were removed. Pausing the monitor does not stop it: retention is
    /// a promise about data, not a kind of monitoring.
    pub async fn remove_old_rows(&self) -> Result<u64, Failure> {
        let mut tenants = self.store().tenants(&CONFIGS).await.map_err(store_failure)?;
        let local = TenantContext::local().key();
        if !tenants.contains(&local) {
            tenants.push(local);
        }
        let mut removed = 0;
        for tenant in tenants {
            self.forget_receipts(&tenant).await?;
            let days = self.snapshot(&tenant).await?.config.safety_defaults.retention_days.unwrap_or(0);
            if days == 0 {
                continue;
            }
            let before = self.now_ms().saturating_sub(days.saturating_mul(DAY_MS));
            for collection in [&INCIDENTS, &POSTS, &LOG_EVIDENCE] {
                removed += self.remove_old(&tenant, collection, before).await?;
            }
        }
        Ok(removed)
    }

    async fn remove_old(
        &self,
        tenant: &TenantKey,
        collection: &'static Collection,
        before: u64,
    ) -> Result<u64, Failure> {
        let mut removed = 0;
        loop {
            let edge = i64::try_from(before).unwrap_or(i64::MAX);
            let rows = self
                .store()
                .page(Query {
                    collection,
                    tenant: tenant.clone(),
                    equals: Vec::new(),
                    order: "updated_at_ms",
                    since: None,
                    after: Some((edge, String::new())),
                    limit: CHUNK,
                })
                .await
                .map_err(store_failure)?;
            if rows.is_empty() {
                return Ok(removed);
            }
            let ctx = self.worker_ctx("retention", tenant);
            let ids: Vec<&str> = rows.iter().map(|found| found.row.id.as_str()).collect();
            let payload = json!({ "collection": collection.name, "ids": ids, "before_ms": before });
            let mut commit = Commit::new(&ctx).audit(self.event_id(), "incident_monitor.retention.removed", payload);
            for found in &rows {
                commit = commit.write(Write::Delete {
                    collection,
                    id: found.row.id.clone(),
                    expect: Expect::Version(found.row.version),
                });
            }
            match self.store().commit(commit).await {
                Ok(_) => removed += rows.len() as u64,
                // A row was seen again in between, so it is not old any more; the next round reads anew.
                Err(tandem_core::ports::StoreError::Conflict) => {}
                Err(error) => return Err(store_failure(error)),
            }
        }
    }
}
