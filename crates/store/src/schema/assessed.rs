//! Version 6: what assessments keep.

use super::tables::{INT, TEXT, Table};

pub const ASSESSED: &[Table] = &[
    Table {
        name: "authority_declared",
        columns: &[("kind", TEXT), ("last_seen_at_ms", INT), ("stale_at_ms", INT)],
        unique: &[],
        lists: &["last_seen_at_ms, id", "kind, last_seen_at_ms, id", "kind, stale_at_ms, id"],
    },
    Table {
        name: "deployment_cards",
        columns: &[("card_kind", TEXT), ("signed", TEXT), ("due_at_ms", INT), ("updated_at_ms", INT)],
        unique: &[],
        lists: &[
            "updated_at_ms, id",
            "card_kind, updated_at_ms, id",
            "signed, updated_at_ms, id",
            "card_kind, signed, updated_at_ms, id",
            "due_at_ms, id",
            "card_kind, due_at_ms, id",
        ],
    },
    Table {
        name: "deployment_card_versions",
        columns: &[("card_id", TEXT), ("number", INT)],
        unique: &[],
        lists: &["card_id, number, id"],
    },
    Table {
        name: "deployment_card_sign_offs",
        columns: &[("card_id", TEXT), ("signed_at_ms", INT)],
        unique: &[],
        lists: &["card_id, signed_at_ms, id"],
    },
    Table {
        name: "reassessments",
        columns: &[("scope_key", TEXT), ("generated_at_ms", INT)],
        unique: &[],
        lists: &["generated_at_ms, id", "scope_key, generated_at_ms, id"],
    },
    Table {
        name: "reassessment_scopes",
        columns: &[("first_seen_at_ms", INT)],
        unique: &[],
        lists: &["first_seen_at_ms, id"],
    },
    Table { name: "reassessment_seen", columns: &[], unique: &[], lists: &[] },
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
