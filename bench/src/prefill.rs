//! A history, written through the store itself: what a million reports would have left behind, without their HTTP.

use std::{path::Path, sync::Arc};

use tandem_core::{
    actor::{ActorKind, ActorRef, OpContext},
    audit::event::Draft,
    ports::Store,
    record::{Commit, Write},
    signal::{Door, accept, accept::FreshIds, accept::Settings},
    tenant::TenantContext,
};
use tandem_store::{SqliteStore, open_sqlite};
use tokio::task::JoinSet;

use crate::{Fault, reports};

/// Commits under way at once; the store puts up to 256 into one transaction.
const AT_ONCE: u64 = 512;

pub fn context(now_ms: u64) -> OpContext {
    OpContext {
        tenant: TenantContext::local(),
        actor: ActorRef { kind: ActorKind::System, actor_id: None, source: Some("bench".into()) },
        request_id: "bench".into(),
        now_ms,
    }
}

pub fn open(state: &Path) -> Result<Arc<SqliteStore>, Fault> {
    std::fs::create_dir_all(state)?;
    Ok(Arc::new(open_sqlite(&state.join("tandem.db"))?))
}

pub async fn close(store: Arc<SqliteStore>) -> Result<(), Fault> {
    Arc::into_inner(store).ok_or("the store is still in use")?.close().await;
    Ok(())
}

/// When incidents came in: the first one, and how long after each other the rest.
#[derive(Clone, Copy)]
pub struct Pace {
    pub from_ms: u64,
    pub every_ms: u64,
}

/// A while ago, 27 a second.
pub const LONG_AGO: Pace = Pace { from_ms: 1_700_000_000_000, every_ms: 37 };

/// Writes `count` incidents with their drafts and audit rows.
pub async fn incidents(state: &Path, count: u64, pace: Pace) -> Result<(), Fault> {
    let store = open(state)?;
    each(count, |n| {
        let store = Arc::clone(&store);
        async move {
            let ctx = context(pace.from_ms + n * pace.every_ms);
            let ids = FreshIds {
                incident_id: format!("failure-incident-{n:032x}"),
                draft_id: format!("failure-draft-{n:032x}"),
                event_id: format!("{n:08x}-0000-4000-8000-000000000000"),
            };
            let settings = Settings { redact_secrets: false, ..Settings::default() };
            let tenant = ctx.tenant.key();
            let submission = reports::submission(n)?;
            let accepted = accept(submission, Door::Report, &settings, &tenant, ids, "bench", ctx.now_ms)
                .map_err(|refused| refused.to_string())?;
            store.commit(Commit::new(&ctx).write(Write::Signal(Box::new(accepted)))).await?;
            Ok(())
        }
    })
    .await?;
    close(store).await
}

/// Appends `count` audit rows, `per_commit` in each commit.
pub async fn audit(store: &Arc<SqliteStore>, count: u64, per_commit: u64) -> Result<(), Fault> {
    each(count / per_commit, |n| {
        let store = Arc::clone(store);
        async move {
            let ctx = context(1_700_000_000_000 + n);
            let mut commit = Commit::new(&ctx);
            for _ in 0..per_commit {
                commit.audit.push(row(&ctx, n));
            }
            store.commit(commit).await?;
            Ok(())
        }
    })
    .await
}

/// As large as the row of a report.
fn row(ctx: &OpContext, n: u64) -> Draft {
    let payload = serde_json::json!({
        "incident_id": format!("failure-incident-{n:032x}"), "draft_id": format!("failure-draft-{n:032x}"),
        "draft_created": true, "fingerprint": format!("checkout-p{n:011}"), "occurrence_count": 1, "project_id": null,
        "log_source_id": null, "repo": "acme/checkout", "status": "draft_created", "redactions": {},
    });
    let event_id = format!("{n:08x}-0000-4000-8000-000000000000");
    Draft::new(ctx, event_id, "incident_monitor.incident.detected", payload)
}

async fn each<F>(count: u64, act: impl Fn(u64) -> F) -> Result<(), Fault>
where
    F: Future<Output = Result<(), Fault>> + Send + 'static,
{
    let mut running = JoinSet::new();
    for n in 0..count {
        if running.len() as u64 >= AT_ONCE
            && let Some(done) = running.join_next().await
        {
            done??;
        }
        running.spawn(act(n));
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(())
}
