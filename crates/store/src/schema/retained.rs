//! Version 7: how long bodies of audit rows are kept, and what is held. A dropped body is an empty `canonical`; nothing of
//! the log's own tables changes.

use super::tables::{INT, Table};

pub const RETAINED: &[Table] = &[
    Table { name: "audit_retention", columns: &[("updated_at_ms", INT)], unique: &[], lists: &[] },
    Table { name: "audit_holds", columns: &[("created_at_ms", INT)], unique: &[], lists: &["created_at_ms, id"] },
];
