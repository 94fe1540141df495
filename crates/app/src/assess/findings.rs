//! Findings as they are kept: listed, read, and what a person says of them. Reassessments write the rest.

use std::sync::Arc;

use serde_json::json;
use tandem_core::{
    actor::OpContext,
    error::{Code, Failure},
    record::{Commit, Put},
    tenant::TenantKey,
};
use tandem_posture::{
    finding::Severity,
    lifecycle::{LifeStatus, LiveFinding, Update, update},
    posture::Options,
};

use crate::{
    App, decide_again,
    load::{Page, PageRequest},
    store_failure,
};

/// Filters of the list; all of them must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindingFilter {
    pub status: Option<LifeStatus>,
    pub severity: Option<Severity>,
    pub rule_id: Option<String>,
}

impl FindingFilter {
    fn fits(&self, row: &LiveFinding) -> bool {
        self.status.is_none_or(|status| row.life.status == status)
            && self.severity.is_none_or(|severity| row.severity == severity)
            && self.rule_id.as_ref().is_none_or(|rule| row.rule_id == *rule)
    }
}

/// Rows that one page looks at. Beyond it the page ends early, and its cursor goes on.
const LOOKED_AT: usize = 20_000;

impl App {
    /// Recorded findings, the last seen first, as they stand now: an acceptance that has run out is open. That is why
    /// the status is not asked of the store.
    pub async fn live_findings(
        &self,
        ctx: &OpContext,
        filter: &FindingFilter,
        page: &PageRequest,
    ) -> Result<Page<LiveFinding>, Failure> {
        let (mut items, mut after, mut looked) = (Vec::new(), page.after.clone(), 0);
        loop {
            let limit = if *filter == FindingFilter::default() { page.limit } else { 200 };
            let request = PageRequest { limit, after: after.take(), since_ms: None, equals: Vec::new() };
            let found = self.page::<LiveFinding>(&ctx.tenant.key(), "last_seen_at_ms", &request).await?;
            looked += found.items.len();
            for row in found.items {
                let row = as_of(row, ctx.now_ms);
                if !filter.fits(&row) {
                    continue;
                }
                if items.len() == page.limit {
                    return Ok(Page { next: last(&items), items });
                }
                items.push(row);
            }
            match found.next {
                None => return Ok(Page { items, next: None }),
                Some(next) if looked >= LOOKED_AT => return Ok(Page { items, next: Some(next) }),
                Some(next) if items.len() == page.limit && limit == page.limit => {
                    return Ok(Page { items, next: Some(next) });
                }
                Some(next) => after = Some(next),
            }
        }
    }

    pub async fn live_finding(self: &Arc<Self>, ctx: &OpContext, fingerprint: &str) -> Result<LiveFinding, Failure> {
        match self.load::<LiveFinding>(&ctx.tenant.key(), fingerprint).await? {
            Some(row) => Ok(as_of(row.value, ctx.now_ms)),
            None => self.finding_now(ctx, fingerprint).await,
        }
    }

    /// Writes down what a person says. A finding that nobody has recorded yet is recorded with it.
    pub async fn live_finding_update(
        self: &Arc<Self>,
        ctx: &OpContext,
        fingerprint: &str,
        said: &Update,
    ) -> Result<LiveFinding, Failure> {
        let tenant: TenantKey = ctx.tenant.key();
        decide_again(async || {
            let known = self.load::<LiveFinding>(&tenant, fingerprint).await?;
            let (row, put): (LiveFinding, fn(&LiveFinding, u64) -> Put) = match &known {
                Some(known) => (known.value.clone(), Put::update),
                None => (self.finding_now(ctx, fingerprint).await?, |row, _| Put::insert(row)),
            };
            let row = update(&row, said, &ctx.actor, ctx.now_ms)?;
            let version = known.as_ref().map_or(0, |known| known.version);
            let commit = Commit::new(ctx).put(put(&row, version)).audit(
                self.event_id(),
                "incident_monitor.finding.updated",
                payload(&row, said),
            );
            self.store().commit(commit).await.map_err(store_failure)?;
            Ok(row)
        })
        .await
    }

    /// A finding that is there now, as if it were seen for the first time.
    async fn finding_now(self: &Arc<Self>, ctx: &OpContext, fingerprint: &str) -> Result<LiveFinding, Failure> {
        let wanted = fingerprint.to_owned();
        self.assess(ctx, async move |app, turn, ctx| {
            let checks = app.posture_whole(turn, ctx, &Options::default()).await?;
            let found = checks.findings.iter().find(|finding| finding.fingerprint == wanted);
            let missing = || Failure::of(Code::FindingNotFound).with("fingerprint", wanted.as_str());
            Ok(LiveFinding::new(found.ok_or_else(missing)?, ctx.now_ms))
        })
        .await
    }
}

fn as_of(mut row: LiveFinding, now_ms: u64) -> LiveFinding {
    row.life = row.life.at(now_ms);
    row
}

fn last(items: &[LiveFinding]) -> Option<(i64, String)> {
    let row = items.last()?;
    Some((i64::try_from(row.life.last_seen_at_ms).unwrap_or(i64::MAX), row.fingerprint.clone()))
}

/// What was said, with a digest of the reason in its place.
fn payload(row: &LiveFinding, said: &Update) -> serde_json::Value {
    let accepted = row.life.accepted.as_ref();
    json!({
        "fingerprint": row.fingerprint,
        "finding_id": row.finding_id,
        "rule_id": row.rule_id,
        "severity": row.severity,
        "status": row.life.status,
        "owner": row.life.owner,
        "due_at_ms": row.life.due_at_ms,
        "accepted_until_ms": accepted.map(|accepted| accepted.expires_at_ms),
        "reason_sha256": accepted.map(|accepted| tandem_core::text::sha256_hex(&accepted.reason)),
        "reopened": said.reopen == Some(true),
    })
}
