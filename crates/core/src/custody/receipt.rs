//! The receipt of an export: planned, then exported or failed. A plan that failed is tried again as it stands.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::setting::{ExportKind, ExportTarget, LockMode};
use crate::{
    audit::integrity::Integrity,
    record::{Collection, Column, Record},
    wire::wire_enum,
};

wire_enum! {
    pub enum ExportStatus {
        /// Decided on, and perhaps already sent.
        Planned = "planned",
        Exported = "exported",
        /// The last attempt failed; there will be another.
        Failed = "failed",
    }
}

/// How a store was asked to lock an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Locked {
    pub mode: LockMode,
    pub retain_until_ms: u64,
    pub legal_hold: bool,
}

impl Locked {
    /// What the setting asks for of an object that is stored at this time.
    pub fn of(target: &ExportTarget, at_ms: u64) -> Option<Self> {
        let lock = target.object_lock?;
        let retain_until_ms = at_ms.saturating_add(lock.retention_days.saturating_mul(86_400_000));
        Some(Self { mode: lock.mode, retain_until_ms, legal_hold: lock.legal_hold })
    }
}

/// One object. Everything that its content follows from is in here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExportReceipt {
    pub export_id: String,
    pub status: ExportStatus,
    pub kind: ExportKind,
    /// Of the place that the setting named.
    pub destination_key: String,
    pub first_seq: u64,
    pub last_seq: u64,
    /// Set where rows stand before or behind these.
    pub since_ms: Option<u64>,
    pub until_ms: Option<u64>,
    pub tree_size: u64,
    /// Hex.
    pub root_hash: String,
    /// The signed note over that tree.
    pub checkpoint: String,
    pub public_key: String,
    /// What the server knew about its log.
    pub integrity: Integrity,
    /// SHA-256 of the object, hex; once it was made.
    pub digest: Option<String>,
    pub bytes: Option<u64>,
    /// Where it lies: beneath the directory for exports, or `s3://<bucket>/<name>`.
    pub location: Option<String>,
    /// What the store was asked for with it.
    #[serde(default)]
    pub object_lock: Option<Locked>,
    pub attempts: u32,
    pub error_code: Option<String>,
    pub error: Option<String>,
    /// Also the time that the object says of itself.
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
}

impl ExportReceipt {
    pub fn is_open(&self) -> bool {
        match self.status {
            ExportStatus::Planned | ExportStatus::Failed => true,
            ExportStatus::Exported => false,
        }
    }

    /// How long to wait after the attempts so far: longer each time, never longer than the interval or an hour.
    pub fn pause_ms(&self, interval_ms: u64) -> u64 {
        let grown = 2_000_u64.saturating_mul(1 << self.attempts.min(12));
        grown.min(interval_ms.max(1_000)).min(3_600_000)
    }

    /// Whether exports work, by the latest receipts of a place, newest first: the last attempt did not fail, and there is
    /// an object. One that is being made says nothing against those before it.
    pub fn works(latest: &[Self]) -> bool {
        let failed = latest.first().is_some_and(|newest| newest.status == ExportStatus::Failed);
        !failed && latest.iter().any(|receipt| receipt.status == ExportStatus::Exported)
    }

    /// What the log says of it.
    pub fn told(&self) -> Value {
        json!({
            "export_id": self.export_id,
            "kind": self.kind,
            "first_seq": self.first_seq,
            "last_seq": self.last_seq,
            "tree_size": self.tree_size,
            "digest": self.digest,
            "bytes": self.bytes,
            "location": self.location,
            "object_lock": self.object_lock,
            "attempts": self.attempts,
            "error_code": self.error_code,
        })
    }
}

pub static AUDIT_EXPORTS: Collection =
    Collection { name: "audit_exports", columns: &["destination_key", "last_seq", "created_at_ms"] };

impl Record for ExportReceipt {
    const COLLECTION: &'static Collection = &AUDIT_EXPORTS;
    fn id(&self) -> &str {
        &self.export_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::text(&self.destination_key), Column::ms(self.last_seq), Column::ms(self.created_at_ms)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_work_while_the_last_attempt_did_not_fail() {
        use ExportStatus::{Exported, Failed, Planned};
        let receipt = |status: ExportStatus| -> ExportReceipt {
            let body = json!({
                "export_id": "e", "status": status, "kind": "directory", "destination_key": "k", "first_seq": 1,
                "last_seq": 1, "since_ms": null, "until_ms": null, "tree_size": 1, "root_hash": "", "checkpoint": "",
                "public_key": "", "integrity": { "status": "empty", "checked_to_seq": 0 }, "digest": null,
                "bytes": null, "location": null, "attempts": 0, "error_code": null, "error": null,
                "created_at_ms": 1, "updated_at_ms": 1,
            });
            serde_json::from_value(body).unwrap()
        };
        let cases: [(&[ExportStatus], bool); 6] = [
            (&[], false),
            (&[Planned], false),
            (&[Failed], false),
            (&[Exported], true),
            (&[Planned, Exported], true),
            (&[Failed, Exported], false),
        ];
        for (latest, expected) in cases {
            let latest: Vec<_> = latest.iter().copied().map(receipt).collect();
            assert_eq!(ExportReceipt::works(&latest), expected, "{latest:?}");
        }
    }
}
