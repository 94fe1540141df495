//! The audit of the internal memory: what was remembered, when, for which run.

use serde::Serialize;
use tandem_core::{actor::OpContext, error::Failure, record::Record, tenant::TenantContext, triage::MemoryEntry};
use utoipa::ToSchema;

use super::Turn;
use crate::{App, PageRequest, tenant_of};

/// Entries looked through at most for one answer.
const LOOKED_THROUGH: usize = 10_000;

/// One thing that happened to the memory. It carries its names in both spellings that clients read.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MemoryAuditRow {
    pub id: String,
    pub audit_id: String,
    pub ts_ms: u64,
    pub created_at_ms: u64,
    pub action: String,
    pub run_id: Option<String>,
    pub tenant_context: TenantContext,
    pub memory_id: String,
    pub source_memory_id: Option<String>,
    pub to_tier: Option<String>,
    /// The repository that it is about.
    pub partition_key: String,
    pub actor: String,
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl App {
    /// Newest first.
    pub async fn memory_audit(
        &self,
        _: &Turn,
        ctx: &OpContext,
        run_id: Option<&str>,
        limit: usize,
    ) -> Result<Vec<MemoryAuditRow>, Failure> {
        let mut rows = Vec::new();
        for tenant in self.seen_tenants(ctx, MemoryEntry::COLLECTION).await? {
            let context = tenant_of(&tenant);
            let (mut after, mut looked, mut own) = (None, 0, Vec::new());
            while own.len() < limit && looked < LOOKED_THROUGH {
                let request = PageRequest { limit: 500, after, ..PageRequest::default() };
                let page = self.page::<MemoryEntry>(&tenant, "created_at_ms", &request).await?;
                looked += page.items.len();
                let fits = |entry: &&MemoryEntry| run_id.is_none_or(|id| entry.run_id.as_deref() == Some(id));
                own.extend(page.items.iter().filter(fits).map(|entry| row(entry, &context)));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            rows.extend(own);
        }
        rows.sort_by(|a, b| b.ts_ms.cmp(&a.ts_ms).then_with(|| a.id.cmp(&b.id)));
        rows.truncate(limit);
        Ok(rows)
    }
}

fn row(entry: &MemoryEntry, tenant: &TenantContext) -> MemoryAuditRow {
    let id = format!("memory_stored:{}", entry.memory_id);
    MemoryAuditRow {
        audit_id: id.clone(),
        id,
        ts_ms: entry.created_at_ms,
        created_at_ms: entry.created_at_ms,
        action: "memory.stored".into(),
        run_id: entry.run_id.clone(),
        tenant_context: tenant.clone(),
        memory_id: entry.memory_id.clone(),
        source_memory_id: None,
        to_tier: None,
        partition_key: entry.repo.clone(),
        actor: if entry.run_id.is_some() { "worker:triage" } else { "worker:deliver" }.into(),
        status: "stored".into(),
        detail: Some(entry.category.word().into()),
    }
}
