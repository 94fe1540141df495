//! Versions of the schema. A migration is never edited once it has been released; a change is a new entry.
//!
//! Opening runs what is missing in one transaction. A schema newer than this release is refused, untouched.

mod assessed;
mod governed;
mod late;
mod logs;
mod retained;
mod tables;

use assessed::ASSESSED;
use governed::GOVERNED;
use late::LATE;
pub use late::{IS_LATE, SLACK_MS};
use logs::LOGS;
use retained::RETAINED;
pub use tables::{COMMON_EVENTS, IS_RARE};
use tables::{MCP_TABLES, SYSTEM, TABLES, TRACKER_TABLES, Table};

use crate::{
    error::OpenError,
    session::{Dialect, Session, Stmt},
};

/// One step: whole tables, and statements in which `{text}`, `{int}` and `{bytes}` name the dialect's types.
struct Migration {
    version: u64,
    tables: &'static [Table],
    statements: &'static [&'static str],
}

const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, tables: TABLES, statements: SYSTEM },
    Migration { version: 2, tables: GOVERNED, statements: &[] },
    Migration { version: 3, tables: TRACKER_TABLES, statements: &[] },
    Migration { version: 4, tables: LOGS, statements: &[] },
    Migration { version: 5, tables: MCP_TABLES, statements: &[] },
    Migration { version: 6, tables: ASSESSED, statements: &[] },
    Migration { version: 7, tables: RETAINED, statements: &[] },
    Migration { version: 8, tables: &[], statements: LATE },
];

/// The newest schema version that this release can read.
pub const KNOWN_VERSION: u64 = MIGRATIONS[MIGRATIONS.len() - 1].version;

/// Any number; it only has to be the same in every engine.
const MIGRATION_LOCK: &str = "SELECT pg_advisory_xact_lock(7232404823512)";

/// Whether the database may be one that nobody has written to yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Blank {
    Accept,
    Refuse,
}

/// Brings the schema up to [`KNOWN_VERSION`].
pub async fn migrate<S: Session>(session: &mut S, blank: Blank) -> Result<(), OpenError> {
    session.begin().await?;
    let outcome = run(session, blank).await;
    match outcome {
        Ok(()) => Ok(session.commit().await?),
        Err(error) => {
            session.rollback().await;
            Err(error)
        }
    }
}

async fn run<S: Session>(session: &mut S, blank: Blank) -> Result<(), OpenError> {
    let exists = match S::DIALECT {
        Dialect::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'",
        Dialect::Postgres => {
            session.control(MIGRATION_LOCK).await?;
            "SELECT table_name::text FROM information_schema.tables \
             WHERE table_schema = current_schema() AND table_name = 'schema_version'"
        }
    };
    let found = if session.query(Stmt::new(exists, [])).await?.is_empty() {
        if blank == Blank::Refuse {
            return Err(OpenError::Unreadable("it is a database, but not one of Tandem's".into()));
        }
        0
    } else {
        let mut rows = session.query(Stmt::new("SELECT version FROM schema_version", [])).await?;
        match (rows.pop(), rows.is_empty()) {
            (Some(mut row), true) => row.uint()?,
            _ => return Err(OpenError::Unreadable("the schema version is missing".into())),
        }
    };
    if found > KNOWN_VERSION {
        return Err(OpenError::NewerSchema { found, known: KNOWN_VERSION });
    }
    if found == KNOWN_VERSION {
        return Ok(());
    }
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > found) {
        for statement in statements(migration, S::DIALECT) {
            session.control(&statement).await?;
        }
    }
    if found == 0 {
        session.control(&format!("INSERT INTO schema_version (version) VALUES ({KNOWN_VERSION})")).await?;
    } else {
        session.control(&format!("UPDATE schema_version SET version = {KNOWN_VERSION}")).await?;
    }
    Ok(())
}

fn statements(migration: &Migration, dialect: Dialect) -> Vec<String> {
    let tables = migration.tables.iter().flat_map(Table::statements);
    let rest = migration.statements.iter().map(|statement| (*statement).to_owned());
    tables.chain(rest).map(|statement| typed(&statement, dialect)).collect()
}

/// PostgreSQL compares text by byte, as SQLite does, so that both order ids alike and indexes need no locale.
fn typed(statement: &str, dialect: Dialect) -> String {
    let (text, int, bytes, strict) = match dialect {
        Dialect::Sqlite => ("TEXT", "INTEGER", "BLOB", " STRICT"),
        Dialect::Postgres => ("TEXT COLLATE \"C\"", "BIGINT", "BYTEA", ""),
    };
    statement.replace("{text}", text).replace("{int}", int).replace("{bytes}", bytes).replace("{strict}", strict)
}

/// Every table of the current schema.
pub fn table_names() -> impl Iterator<Item = &'static str> {
    let system =
        ["schema_version", "meta", "audit_head", "audit_events", "audit_nodes", "checkpoints", "last_used", "jobs"];
    tables().map(|table| table.name).chain(system)
}

fn tables() -> impl Iterator<Item = &'static Table> {
    MIGRATIONS.iter().flat_map(|migration| migration.tables)
}

#[cfg(test)]
mod tests {
    use tandem_core::{
        audit, automation, config, credential, draft, governance, incident, mcp, publish, receipt, record::Collection,
        signal, source, tracker, triage,
    };

    use super::*;

    #[test]
    fn every_collection_has_its_table_with_its_columns() {
        let collections: [&'static Collection; 50] = [
            &automation::AUTOMATIONS,
            &automation::run::RUNS,
            &automation::run::failure::NOTES,
            &automation::act::report::TAKEN,
            &incident::INCIDENTS,
            &incident::TOMBSTONES,
            &draft::DRAFTS,
            &receipt::POSTS,
            &publish::delivery::DELIVERIES,
            &credential::API_TOKENS,
            &credential::INTAKE_KEYS,
            &config::CONFIGS,
            &triage::run::TRIAGE_RUNS,
            &triage::artifact::ARTIFACTS,
            &triage::memory::MEMORY_ENTRIES,
            &publish::external_action::EXTERNAL_ACTIONS,
            &audit::acknowledge::INTEGRITY_ACKS,
            &source::state::LOG_SOURCES,
            &source::evidence::LOG_EVIDENCE,
            &signal::once::INTAKE_RECEIPTS,
            &governance::record::RECORDS,
            &governance::record::FINDINGS,
            &governance::approval::APPROVALS,
            &governance::agent::AGENTS,
            &governance::usage::CREATIONS,
            &governance::usage::USAGE,
            &governance::limits::LIMITS,
            &governance::deletion::DELETED,
            &governance::ledger::RUN_LEDGERS,
            &governance::policy::POLICY_DECISIONS,
            &tracker::TRACKED_ISSUES,
            &tracker::TRACKER_CURSORS,
            &mcp::MCP_SERVERS,
            &mcp::MCP_TOOLS,
            &tandem_posture::declared::DECLARED,
            &tandem_posture::cards::CARDS,
            &tandem_posture::cards::VERSIONS,
            &tandem_posture::cards::SIGN_OFFS,
            &tandem_posture::reassess::REASSESSMENTS,
            &tandem_posture::reassess::SCOPES,
            &tandem_posture::reassess::SEEN,
            &tandem_posture::evidence::CONTEXT_RUNS,
            &tandem_posture::evidence::EVIDENCE_ARTIFACTS,
            &tandem_posture::lifecycle::POSTURE_FINDINGS,
            &tandem_posture::declared::DECLARED_COUNTS,
            &tandem_core::custody::setting::EXPORT_SETTINGS,
            &tandem_core::custody::receipt::AUDIT_EXPORTS,
            &tandem_core::audit::cosigned::COSIGNED,
            &tandem_core::custody::retention::AUDIT_RETENTION,
            &tandem_core::custody::retention::AUDIT_HOLDS,
        ];
        for collection in collections {
            let table = tables().find(|table| table.name == collection.name);
            let mut columns: Vec<_> = table.map(|t| t.columns.iter().map(|c| c.0).collect()).unwrap_or_default();
            let mut wanted = collection.columns.to_vec();
            columns.sort_unstable();
            wanted.sort_unstable();
            assert!(table.is_some(), "{} has no table", collection.name);
            assert_eq!(columns, wanted, "{}", collection.name);
        }
    }

    #[test]
    fn versions_rise_by_one() {
        let versions: Vec<u64> = MIGRATIONS.iter().map(|m| m.version).collect();
        assert_eq!(versions, (1..=MIGRATIONS.len() as u64).collect::<Vec<_>>());
    }

    #[test]
    fn no_type_is_left_open() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            for statement in MIGRATIONS.iter().flat_map(|m| statements(m, dialect)) {
                assert!(!statement.contains('{'), "{statement}");
            }
        }
    }
}
