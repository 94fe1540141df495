//! Version 4: log sources, what they left as evidence, and reports that are counted once.

use super::tables::{INT, TEXT, Table};

pub const LOGS: &[Table] = &[
    Table {
        name: "log_sources",
        columns: &[("project_id", TEXT), ("updated_at_ms", INT)],
        unique: &[],
        lists: &["updated_at_ms, id"],
    },
    Table {
        name: "log_evidence",
        columns: &[("project_id", TEXT), ("updated_at_ms", INT)],
        unique: &[],
        lists: &["updated_at_ms, id"],
    },
    Table { name: "intake_receipts", columns: &[("updated_at_ms", INT)], unique: &[], lists: &["updated_at_ms, id"] },
];
