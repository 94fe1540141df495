//! Version 6: what assessments keep.

use super::tables::{INT, TEXT, Table};

pub const ASSESSED: &[Table] = &[
    Table {
        name: "authority_declared",
        columns: &[("kind", TEXT), ("last_seen_at_ms", INT)],
        unique: &[],
        lists: &["last_seen_at_ms, id", "kind, last_seen_at_ms, id"],
    },
    Table {
        name: "context_runs",
        columns: &[("run_type", TEXT), ("updated_at_ms", INT)],
        unique: &[],
        lists: &["updated_at_ms, id", "run_type, updated_at_ms, id"],
    },
    Table {
        name: "evidence_artifacts",
        columns: &[("run_id", TEXT), ("artifact_type", TEXT), ("created_at_ms", INT)],
        unique: &[],
        lists: &["created_at_ms, id", "run_id, created_at_ms, id", "artifact_type, created_at_ms, id"],
    },
    Table {
        name: "posture_findings",
        columns: &[("status", TEXT), ("severity", TEXT), ("rule_id", TEXT), ("last_seen_at_ms", INT)],
        unique: &[],
        lists: &["last_seen_at_ms, id", "status, last_seen_at_ms, id"],
    },
];
