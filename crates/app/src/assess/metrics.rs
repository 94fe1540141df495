//! Governance metrics: the rows of two windows, read by time and not by number, and measured.
//!
//! Each window is read on its own, so that many events now do not push out what they are compared with. What a window
//! holds beyond the bound is not read, and the answer says so.

use std::collections::BTreeSet;

use serde::{Deserialize, de::DeserializeOwned};
use tandem_core::{
    actor::OpContext,
    error::Failure,
    governance::policy::POLICY_DECISIONS,
    incident::INCIDENTS,
    ports::{AuditQuery, Query, Row, StoreError},
    receipt::POSTS,
    record::Collection,
    risk,
    tenant::TenantKey,
};
use tandem_posture::{
    estate::Estate,
    inventory::{AuthorityInventory, inventory},
    metrics::{Facts, IncidentFact, Maturity, Measured, ReceiptFact, Request, Settings, Span, measure, settings},
};

use super::{Turn, viewer};
use crate::{App, store_failure};

/// Rows of a kind in one window at most.
const WINDOW_ROWS: usize = 25_000;
/// Rows of one read.
const PAGE: usize = 1_000;
/// Publishes that the audit log is asked for at most.
const PUBLISHES: usize = 25_000;
/// What the audit log calls a publish.
const PUBLISH_EVENTS: [&str; 3] =
    ["incident_monitor.publish.attempted", "incident_monitor.publish.completed", "incident_monitor.publish.failed"];

impl App {
    pub async fn governance_metrics(
        &self,
        turn: &Turn,
        ctx: &OpContext,
        request: &Request,
    ) -> Result<Measured, Failure> {
        let settings = settings(request, ctx.now_ms)?;
        let estate = self.estate(turn, ctx).await?;
        let inventory = inventory(&estate, &viewer(ctx));
        Ok(Measured::of(&ctx.tenant, self.maturity(turn, ctx, &estate, &inventory, &settings).await?))
    }

    /// The metrics on what is loaded already.
    pub async fn maturity(
        &self,
        turn: &Turn,
        ctx: &OpContext,
        estate: &Estate,
        inventory: &AuthorityInventory,
        settings: &Settings,
    ) -> Result<Maturity, Failure> {
        let mut truncated = Vec::new();
        let (current, baseline) = (&settings.window.current, &settings.window.baseline);
        let mut incidents: Vec<IncidentFact> = Vec::new();
        let mut receipts: Vec<ReceiptFact> = Vec::new();
        let mut decisions = Vec::new();
        for span in [current, baseline] {
            let mut note = |kind: &str, whole: bool| {
                if !whole && !truncated.iter().any(|known| known == kind) {
                    truncated.push(kind.to_owned());
                }
            };
            note("incidents", self.window(turn, ctx, &INCIDENTS, "updated_at_ms", span, &mut incidents).await?);
            note("receipts", self.window(turn, ctx, &POSTS, "updated_at_ms", span, &mut receipts).await?);
            note(
                "policy_decisions",
                self.window(turn, ctx, &POLICY_DECISIONS, "created_at_ms", span, &mut decisions).await?,
            );
        }
        let receipted: BTreeSet<&str> = receipts.iter().filter_map(|receipt| receipt.incident_id.as_deref()).collect();
        let untold = incidents.iter().any(|incident| {
            current.holds(incident.updated_at_ms)
                && incident.risk_level.as_deref().is_some_and(risk::is_high)
                && !receipted.contains(incident.incident_id.as_str())
        });
        let published = if untold { self.published(ctx, baseline.from_ms).await? } else { BTreeSet::new() };
        let (enabled, ready) = surfaces(estate, inventory);
        let facts = Facts {
            incidents,
            receipts,
            decisions,
            published,
            enabled_surfaces: enabled,
            ready_surfaces: ready,
            truncated,
            integrity: estate.integrity,
        };
        Ok(measure(&ctx.tenant, &facts, settings))
    }

    /// Adds the rows of a window, newest first. Says whether they are all.
    async fn window<T: DeserializeOwned>(
        &self,
        _: &Turn,
        ctx: &OpContext,
        collection: &'static Collection,
        order: &'static str,
        span: &Span,
        into: &mut Vec<T>,
    ) -> Result<bool, Failure> {
        let mut left = WINDOW_ROWS;
        let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        for tenant in self.seen_tenants(ctx, collection).await? {
            // Everything up to the end of the window: the first row would be later by a millisecond.
            let mut after = Some((ms(span.to_ms.saturating_add(1)), String::new()));
            loop {
                let limit = PAGE.min(left);
                if limit == 0 {
                    return Ok(false);
                }
                let query = Query {
                    collection,
                    tenant: tenant.clone(),
                    equals: Vec::new(),
                    order,
                    since: Some(ms(span.from_ms.saturating_add(1))),
                    after: after.take(),
                    limit,
                };
                let rows = self.store().page(query).await.map_err(store_failure)?;
                for found in &rows {
                    into.push(fact(collection, &found.row).map_err(store_failure)?);
                }
                left -= rows.len();
                match rows.last() {
                    Some(last) if rows.len() == limit => after = Some((last.order, last.row.id.clone())),
                    Some(_) | None => break,
                }
            }
        }
        Ok(true)
    }

    /// Tenants whose rows the caller sees: its own, or all for the implicit one.
    pub(crate) async fn seen_tenants(
        &self,
        ctx: &OpContext,
        collection: &'static Collection,
    ) -> Result<Vec<TenantKey>, Failure> {
        match ctx.tenant.is_local_implicit() {
            true => self.store().tenants(collection).await.map_err(store_failure),
            false => Ok(vec![ctx.tenant.key()]),
        }
    }

    /// Incidents that the audit log names in a publish since then.
    async fn published(&self, ctx: &OpContext, since_ms: u64) -> Result<BTreeSet<String>, Failure> {
        let tenants = match ctx.tenant.is_local_implicit() {
            true => self.store().audit_tenants().await.map_err(store_failure)?,
            false => vec![ctx.tenant.key()],
        };
        let mut found = BTreeSet::new();
        for (tenant, event_type) in tenants.iter().flat_map(|tenant| PUBLISH_EVENTS.map(|event| (tenant, event))) {
            let (mut before_seq, mut read) = (None, 0);
            while read < PUBLISHES {
                let query = AuditQuery {
                    event_type: Some(event_type.to_owned()),
                    before_seq,
                    since_ms: Some(since_ms),
                    limit: PAGE,
                    ..AuditQuery::default()
                };
                let rows = self.store().audit_rows(tenant, query).await.map_err(store_failure)?;
                // A row that cannot be read names nothing; that the log is damaged is told as its integrity.
                let named = rows.iter().filter_map(|row| serde_json::from_str::<Named>(&row.canonical).ok());
                found.extend(named.filter_map(|row| row.payload.incident_id));
                read += rows.len();
                before_seq = rows.last().map(|row| row.seq);
                if rows.len() < PAGE {
                    break;
                }
            }
        }
        Ok(found)
    }
}

/// What is read of an audit row.
#[derive(Deserialize)]
struct Named {
    payload: NamedPayload,
}

#[derive(Deserialize)]
struct NamedPayload {
    #[serde(default)]
    incident_id: Option<String>,
}

fn fact<T: DeserializeOwned>(collection: &Collection, row: &Row) -> Result<T, StoreError> {
    serde_json::from_str(&row.body)
        .map_err(|error| StoreError::Corrupt(format!("{}/{}: {error}", collection.name, row.id)))
}

/// Enabled destinations and sources that the caller sees, and how many of them are ready.
fn surfaces(estate: &Estate, inventory: &AuthorityInventory) -> (u64, u64) {
    let destinations = estate.destinations.iter().filter(|row| row.enabled).map(|row| row.publish_ready);
    let sources = inventory.inventory.monitored_sources.iter().filter(|row| row.enabled && !row.paused);
    let sources = sources.map(|row| row.readiness.as_ref().is_some_and(|readiness| readiness.ready));
    destinations.chain(sources).fold((0, 0), |(all, ready), is| (all + 1, ready + u64::from(is)))
}
