//! Version 6: what assessments keep.

use super::tables::{INT, TEXT, Table};

pub const ASSESSED: &[Table] = &[
    Table {
        name: "authority_declared",
        columns: &[("kind", TEXT), ("last_seen_at_ms", INT), ("stale_at_ms", INT)],
        unique: &[],
        lists: &["last_seen_at_ms, id", "kind, last_seen_at_ms, id", "kind, stale_at_ms, id"],
    },
    Table { name: "authority_counts", columns: &[], unique: &[], lists: &[] },
    Table { name: "audit_export_settings", columns: &[("updated_at_ms", INT)], unique: &[], lists: &[] },
    Table { name: "checkpoint_cosignatures", columns: &[("attempted_at_ms", INT)], unique: &[], lists: &[] },
    Table {
        name: "audit_exports",
        columns: &[("destination_key", TEXT), ("last_seq", INT), ("created_at_ms", INT)],
        unique: &[],
        lists: &["created_at_ms, id", "destination_key, last_seq, id"],
    },
];
