//! Version 2: automations, and what governs them.

use super::tables::{INT, TEXT, Table};

pub const GOVERNED: &[Table] = &[
    Table {
        name: "automations",
        columns: &[("state", TEXT), ("status", TEXT), ("creator_id", TEXT), ("updated_at_ms", INT)],
        unique: &[],
        lists: &["state, updated_at_ms, id", "state, status, updated_at_ms, id"],
    },
    Table {
        name: "automation_runs",
        columns: &[("automation_id", TEXT), ("status", TEXT), ("created_at_ms", INT), ("turn", INT)],
        unique: &[],
        lists: &[
            "created_at_ms, id",
            "automation_id, created_at_ms, id",
            "automation_id, status, turn, id",
            "status, turn, id",
        ],
    },
    Table { name: "automation_run_reports", columns: &[], unique: &[], lists: &[] },
    Table { name: "automation_failures", columns: &[], unique: &[], lists: &[] },
    Table {
        name: "governance_records",
        columns: &[
            ("creator_agent", TEXT),
            ("review", TEXT),
            ("updated_at_ms", INT),
            ("next_check_at_ms", INT),
            ("health_at_ms", INT),
        ],
        unique: &[],
        lists: &["updated_at_ms, id", "review, updated_at_ms, id", "next_check_at_ms, id", "health_at_ms, id"],
    },
    Table {
        name: "governance_findings",
        columns: &[("automation_id", TEXT), ("observed_at_ms", INT)],
        unique: &[],
        lists: &["automation_id, observed_at_ms, id"],
    },
    Table {
        name: "governance_approvals",
        columns: &[
            ("status", TEXT),
            ("request_type", TEXT),
            ("target_type", TEXT),
            ("target_id", TEXT),
            ("target", TEXT),
            ("requester", TEXT),
            ("live", TEXT),
            ("updated_at_ms", INT),
            ("next_at_ms", INT),
        ],
        unique: &[],
        lists: &[
            "updated_at_ms, id",
            "status, updated_at_ms, id",
            "request_type, updated_at_ms, id",
            "target_type, updated_at_ms, id",
            "target_id, updated_at_ms, id",
            "target, live, updated_at_ms, id",
            "requester, updated_at_ms, id",
            "next_at_ms, id",
        ],
    },
    Table {
        name: "governance_agents",
        columns: &[("review", TEXT), ("telling", TEXT), ("updated_at_ms", INT)],
        unique: &[],
        lists: &["updated_at_ms, id", "review, updated_at_ms, id", "telling, updated_at_ms, id"],
    },
    Table {
        name: "governance_creations",
        columns: &[("agent_id", TEXT), ("created_at_ms", INT)],
        unique: &[],
        lists: &["agent_id, created_at_ms, id"],
    },
    Table { name: "governance_limits", columns: &[], unique: &[], lists: &[] },
    Table { name: "governance_usage", columns: &[], unique: &[], lists: &[] },
    Table { name: "governance_deleted", columns: &[], unique: &[], lists: &[] },
    Table {
        name: "governance_runs",
        columns: &[("automation_id", TEXT), ("active", TEXT), ("created_at_ms", INT)],
        unique: &[],
        lists: &[
            "automation_id, created_at_ms, id",
            "automation_id, active, created_at_ms, id",
            "active, created_at_ms, id",
        ],
    },
    Table {
        name: "policy_decisions",
        columns: &[("run_id", TEXT), ("automation_id", TEXT), ("created_at_ms", INT)],
        unique: &[],
        lists: &["created_at_ms, id", "run_id, created_at_ms, id", "automation_id, created_at_ms, id"],
    },
];
