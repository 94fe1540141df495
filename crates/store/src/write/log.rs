//! The audit log's heads. A head row is its tenant's write lock: whoever holds it decides on rows that nobody else
//! changes, and gives the next sequence numbers without a gap.
//!
//! Rows are sealed in memory and written at the end of the batch, so an operation that is rolled back has used no
//! number.

use tandem_core::{
    audit::event::{Draft, Sealed, seal},
    tenant::TenantKey,
};

use crate::{
    error::Fault,
    session::{Dialect, Session, Stmt, Value},
};

const READ: &str = "SELECT size, clock_ms FROM audit_head WHERE tenant = ?1";
const LOCK: &str = "SELECT size, clock_ms FROM audit_head WHERE tenant = ?1 FOR UPDATE";
const OPEN: &str = "INSERT INTO audit_head (tenant, size, clock_ms) VALUES (?1, 0, 0) ON CONFLICT DO NOTHING";
const MOVE: &str = "UPDATE audit_head SET size = ?2, clock_ms = ?3 WHERE tenant = ?1";
const APPEND: &str = "INSERT INTO audit_events (tenant, seq, event_type, created_at_ms, clock_ms, leaf, canonical) \
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

struct Head {
    tenant: TenantKey,
    stored: u64,
    size: u64,
    /// The latest time in the log.
    clock_ms: u64,
}

struct Entry {
    head: usize,
    seq: u64,
    event_type: String,
    created_at_ms: u64,
    clock_ms: u64,
    sealed: Sealed,
}

/// The locked heads of a batch's tenants, and the rows to append.
pub struct Log {
    heads: Vec<Head>,
    entries: Vec<Entry>,
}

impl Log {
    /// Locks the heads of `tenants`, which must be sorted: batches that lock in one order cannot wait for each other in
    /// a circle.
    pub async fn lock<S: Session>(session: &mut S, tenants: Vec<TenantKey>) -> Result<Self, Fault> {
        let found = Self::read(session, &tenants).await?;
        let new: Vec<_> = tenants.iter().zip(&found).filter(|(_, head)| head.is_none()).map(|(t, _)| t).collect();
        let found = if new.is_empty() {
            found
        } else {
            let open: Vec<_> = new.iter().map(|t| Stmt::new(OPEN, [Value::Text(t.as_str())])).collect();
            session.execute_all(&open).await?;
            Self::read(session, &tenants).await?
        };
        let mut heads = Vec::with_capacity(tenants.len());
        for (tenant, head) in tenants.into_iter().zip(found) {
            let (size, clock_ms) =
                head.ok_or_else(|| Fault::Retry(format!("the log of {} has no head", tenant.as_str())))?;
            heads.push(Head { tenant, stored: size, size, clock_ms });
        }
        Ok(Self { heads, entries: Vec::new() })
    }

    async fn read<S: Session>(session: &mut S, tenants: &[TenantKey]) -> Result<Vec<Option<(u64, u64)>>, Fault> {
        let sql = match S::DIALECT {
            Dialect::Sqlite => READ,
            Dialect::Postgres => LOCK,
        };
        let statements: Vec<_> = tenants.iter().map(|t| Stmt::new(sql, [Value::Text(t.as_str())])).collect();
        let answers = session.query_all(&statements).await?;
        answers
            .into_iter()
            .map(|mut rows| rows.pop().map(|mut row| Ok((row.uint()?, row.uint()?))).transpose())
            .collect()
    }

    /// Seals `drafts` as the tenant's next rows and returns the new size.
    pub fn append<'a>(
        &mut self,
        tenant: &TenantKey,
        drafts: impl IntoIterator<Item = &'a Draft>,
    ) -> Result<u64, Fault> {
        let head = self
            .heads
            .binary_search_by(|head| head.tenant.cmp(tenant))
            .map_err(|_| Fault::Refused(format!("the log of {} is not locked", tenant.as_str())))?;
        for draft in drafts {
            let seq = self.heads[head].size + 1;
            let clock_ms = self.heads[head].clock_ms.max(draft.created_at_ms);
            self.entries.push(Entry {
                head,
                seq,
                event_type: draft.event_type.clone().into_owned(),
                created_at_ms: draft.created_at_ms,
                clock_ms,
                sealed: seal(draft, seq),
            });
            self.heads[head].size = seq;
            self.heads[head].clock_ms = clock_ms;
        }
        Ok(self.heads[head].size)
    }

    pub async fn flush<S: Session>(self, session: &mut S) -> Result<(), Fault> {
        let appended = self.entries.iter().map(|entry| {
            Stmt::new(
                APPEND,
                [
                    Value::Text(self.heads[entry.head].tenant.as_str()),
                    Value::uint(entry.seq),
                    Value::Text(&entry.event_type),
                    Value::uint(entry.created_at_ms),
                    Value::uint(entry.clock_ms),
                    Value::Bytes(&entry.sealed.leaf),
                    Value::Text(&entry.sealed.canonical),
                ],
            )
        });
        let moved = self.heads.iter().filter(|head| head.size != head.stored).map(|head| {
            let tenant = Value::Text(head.tenant.as_str());
            Stmt::new(MOVE, [tenant, Value::uint(head.size), Value::uint(head.clock_ms)])
        });
        let statements: Vec<_> = appended.chain(moved).collect();
        if !statements.is_empty() {
            session.execute_all(&statements).await?;
        }
        Ok(())
    }
}
