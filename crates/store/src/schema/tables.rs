//! The one list of tables.
//!
//! A collection's table has tenant, id, version, the listed columns and the body, and is keyed by tenant and id. Every
//! index costs each insert a page somewhere, so a list that nobody asks for has none.

pub struct Table {
    pub name: &'static str,
    pub columns: &'static [(&'static str, &'static str)],
    /// Columns that are unique over all tenants.
    pub unique: &'static [&'static str],
    /// Indexes for lists; `tenant` goes before each.
    pub lists: &'static [&'static str],
}

pub const TEXT: &str = "{text}";
pub const INT: &str = "{int}";
const BYTES: &str = "{bytes}";

impl Table {
    pub fn statements(&self) -> Vec<String> {
        let name = self.name;
        let columns: String = self.columns.iter().fold(String::new(), |out, (c, kind)| out + c + " " + kind + ", ");
        // The body is last: SQLite then finds the columns without reading a long body's further pages.
        let mut out = vec![format!(
            "CREATE TABLE {name} (tenant {{text}} NOT NULL, id {{text}} NOT NULL, version {{int}} NOT NULL, {columns}\
             body {{text}} NOT NULL, PRIMARY KEY (tenant, id)){{strict}}"
        )];
        for column in self.unique {
            out.push(format!("CREATE UNIQUE INDEX {name}_by_{column} ON {name} ({column})"));
        }
        for (n, list) in self.lists.iter().enumerate() {
            out.push(format!("CREATE INDEX {name}_list_{n} ON {name} (tenant, {list})"));
        }
        out
    }
}

pub const TABLES: &[Table] = &[
    Table {
        name: "incidents",
        columns: &[
            ("identity", BYTES),
            ("status", TEXT),
            ("project_id", TEXT),
            ("updated_at_ms", INT),
            ("fingerprint", TEXT),
        ],
        unique: &["identity"],
        lists: &["updated_at_ms, id", "status, updated_at_ms, id", "project_id, updated_at_ms, id"],
    },
    Table { name: "incident_tombstones", columns: &[], unique: &[], lists: &[] },
    Table {
        name: "drafts",
        columns: &[
            ("status", TEXT),
            ("project_id", TEXT),
            ("created_at_ms", INT),
            ("updated_at_ms", INT),
            ("incident_id", TEXT),
        ],
        unique: &[],
        lists: &["created_at_ms, id", "status, created_at_ms, id", "project_id, created_at_ms, id"],
    },
    Table {
        name: "posts",
        columns: &[("draft_id", TEXT), ("destination_id", TEXT), ("status", TEXT), ("updated_at_ms", INT)],
        unique: &[],
        lists: &[
            "updated_at_ms, id",
            "status, updated_at_ms, id",
            "destination_id, updated_at_ms, id",
            "draft_id, updated_at_ms, id",
        ],
    },
    Table {
        name: "deliveries",
        columns: &[
            ("draft_id", TEXT),
            ("destination_id", TEXT),
            ("state", TEXT),
            ("idempotency_key", TEXT),
            ("updated_at_ms", INT),
        ],
        unique: &[],
        lists: &[
            "draft_id, updated_at_ms, id",
            "state, updated_at_ms, id",
            "destination_id, updated_at_ms, id",
            "updated_at_ms, id",
        ],
    },
    Table { name: "configs", columns: &[], unique: &[], lists: &[] },
    Table {
        name: "triage_runs",
        columns: &[("draft_id", TEXT), ("status", TEXT), ("updated_at_ms", INT)],
        unique: &[],
        lists: &["updated_at_ms, id", "draft_id, updated_at_ms, id", "status, updated_at_ms, id"],
    },
    Table {
        name: "artifacts",
        columns: &[("run_id", TEXT), ("artifact_type", TEXT), ("created_at_ms", INT)],
        unique: &[],
        lists: &["run_id, created_at_ms, id"],
    },
    Table {
        name: "memory_entries",
        columns: &[("category", TEXT), ("repo", TEXT), ("fingerprint", TEXT), ("created_at_ms", INT)],
        unique: &[],
        lists: &["created_at_ms, id", "repo, created_at_ms, id", "fingerprint, created_at_ms, id"],
    },
    Table {
        name: "external_actions",
        columns: &[("idempotency_key", TEXT), ("updated_at_ms", INT)],
        unique: &[],
        lists: &["updated_at_ms, id", "idempotency_key, updated_at_ms, id"],
    },
    Table { name: "integrity_acks", columns: &[("at_ms", INT)], unique: &[], lists: &["at_ms, id"] },
    Table {
        name: "api_tokens",
        columns: &[("secret_hash", TEXT), ("created_at_ms", INT)],
        unique: &["secret_hash"],
        lists: &["created_at_ms, id"],
    },
    Table {
        name: "intake_keys",
        columns: &[("secret_hash", TEXT), ("project_id", TEXT), ("created_at_ms", INT)],
        unique: &["secret_hash"],
        lists: &["created_at_ms, id", "project_id, created_at_ms, id"],
    },
];

/// The servers whose tools are called, and those tools.
pub const MCP_TABLES: &[Table] = &[
    Table { name: "mcp_servers", columns: &[("updated_at_ms", INT)], unique: &[], lists: &["updated_at_ms, id"] },
    Table {
        name: "mcp_tools",
        columns: &[("server_name", TEXT), ("fetched_at_ms", INT)],
        unique: &[],
        lists: &["fetched_at_ms, id", "server_name, fetched_at_ms, id"],
    },
];

/// What trackers hold of ours.
pub const TRACKER_TABLES: &[Table] = &[
    Table {
        name: "tracked_issues",
        columns: &[("issue_key", TEXT), ("updated_at_ms", INT)],
        unique: &[],
        lists: &["issue_key, updated_at_ms, id"],
    },
    Table { name: "tracker_cursors", columns: &[], unique: &[], lists: &[] },
];

/// The audit rows that every signal writes. They are most of the log, so the index by type leaves them out: a page of
/// them is found by walking the log itself, and a page of any other type by the index.
pub const COMMON_EVENTS: [&str; 3] =
    ["incident_monitor.incident.detected", "incident_monitor.incident.recurred", "incident_monitor.incident.blocked"];

/// Said in the index and in the queries that use it; the planners match it by its words.
pub const IS_RARE: &str = "event_type NOT IN ('incident_monitor.incident.detected', \
    'incident_monitor.incident.recurred', 'incident_monitor.incident.blocked')";

/// Tables that are the store's own.
pub const SYSTEM: &[&str] = &[
    "CREATE TABLE schema_version (version {int} NOT NULL){strict}",
    "CREATE TABLE meta (key {text} NOT NULL PRIMARY KEY, value {text} NOT NULL){strict}",
    "CREATE TABLE audit_head (tenant {text} NOT NULL PRIMARY KEY, size {int} NOT NULL, \
     clock_ms {int} NOT NULL){strict}",
    // `clock_ms` is the latest time up to this row. Unlike the times themselves it never falls, so a lower bound on time
    // is a lower bound on the sequence; one row in 64 is enough to find it.
    "CREATE TABLE audit_events (tenant {text} NOT NULL, seq {int} NOT NULL, event_type {text} NOT NULL, \
     created_at_ms {int} NOT NULL, clock_ms {int} NOT NULL, leaf {bytes} NOT NULL, canonical {text} NOT NULL, \
     PRIMARY KEY (tenant, seq)){strict}",
    "CREATE INDEX audit_events_rare ON audit_events (tenant, event_type, seq) WHERE event_type NOT IN \
     ('incident_monitor.incident.detected', 'incident_monitor.incident.recurred', 'incident_monitor.incident.blocked')",
    "CREATE INDEX audit_events_clock ON audit_events (tenant, clock_ms, seq) WHERE seq % 64 = 0",
    "CREATE TABLE audit_nodes (tenant {text} NOT NULL, level {int} NOT NULL, idx {int} NOT NULL, \
     hash {bytes} NOT NULL, PRIMARY KEY (tenant, level, idx)){strict}",
    "CREATE TABLE checkpoints (tenant {text} NOT NULL PRIMARY KEY, size {int} NOT NULL, root {bytes} NOT NULL, \
     note {text} NOT NULL, frontier {text} NOT NULL, created_at_ms {int} NOT NULL){strict}",
    "CREATE TABLE last_used (collection {text} NOT NULL, tenant {text} NOT NULL, id {text} NOT NULL, \
     at_ms {int} NOT NULL, PRIMARY KEY (collection, tenant, id)){strict}",
    // `ready_at_ms` is when the job may be claimed: its due time, or the end of its lease.
    "CREATE TABLE jobs (job_id {text} NOT NULL PRIMARY KEY, tenant {text} NOT NULL, kind {text} NOT NULL, \
     lane {text} NOT NULL, subject {text} NOT NULL, due_at_ms {int} NOT NULL, ready_at_ms {int} NOT NULL, \
     lease {text}, attempts {int} NOT NULL){strict}",
    "CREATE INDEX jobs_ready ON jobs (kind, lane, ready_at_ms, job_id)",
    "CREATE INDEX jobs_subject ON jobs (kind, subject)",
];
