//! Monitoring of data boundaries, read from the audit log.

use tandem_core::{audit::integrity::Integrity, error::Failure, ports::AuditQuery, tenant::TenantKey};
use tandem_posture::boundary::{self, Filter, Monitoring};

use super::{Turn, rows::row_fact};
use crate::{App, store_failure};

/// The newest rows of each type that are counted.
const MOST: usize = 20_000;

#[derive(Clone, Debug, Default)]
pub struct BoundaryRequest {
    pub since_ms: Option<u64>,
    pub until_ms: Option<u64>,
    pub filter: Filter,
    pub recent: usize,
}

impl App {
    /// What was counted, how intact the log is, and whether there were more rows than are counted.
    pub async fn boundary_monitoring(
        &self,
        _: &Turn,
        tenant: &TenantKey,
        request: &BoundaryRequest,
    ) -> Result<(Monitoring, Integrity, bool), Failure> {
        let (mut rows, mut truncated) = (Vec::new(), false);
        for event_type in boundary::EVENTS {
            let query = AuditQuery {
                event_type: Some(event_type.into()),
                since_ms: request.since_ms,
                until_ms: request.until_ms,
                limit: MOST,
                ..AuditQuery::default()
            };
            let found = self.store().audit_rows(tenant, query).await.map_err(store_failure)?;
            truncated |= found.len() == MOST;
            rows.extend(found.iter().map(|row| row_fact(row, tenant)).map(|fact| boundary::Row {
                seq: fact.seq,
                event_id: fact.event_id,
                event_type: fact.event_type,
                created_at_ms: fact.created_at_ms,
                tenant: fact.tenant,
                payload: fact.payload,
            }));
        }
        let counted = boundary::monitoring(&rows, &request.filter, request.recent);
        Ok((counted, self.integrity(tenant).await?, truncated))
    }
}
