//! Reports that are counted once however often they are sent: an idempotency key of the caller, kept with what it was
//! used for. The receipt is written in the commit that counts the report, so there is no moment between the two.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Submission;
use crate::{
    record::{Collection, Column, Record},
    text::hex,
};

/// How long a key is remembered: longer than any sender keeps trying.
pub const REMEMBERED_MS: u64 = 7 * 86_400_000;
/// The longest key that is looked at.
pub const KEY_BYTES: usize = 255;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntakeReceipt {
    pub receipt_id: String,
    /// What was reported, as a digest: the same key for something else is a mistake of the caller.
    pub digest: String,
    /// Hex of the identity that the report was counted on.
    pub identity: String,
    /// Set when the quality gate blocked it.
    #[serde(default)]
    pub blocked: bool,
    pub created_at_ms: u64,
}

pub static INTAKE_RECEIPTS: Collection = Collection { name: "intake_receipts", columns: &["updated_at_ms"] };

impl Record for IntakeReceipt {
    const COLLECTION: &'static Collection = &INTAKE_RECEIPTS;
    fn id(&self) -> &str {
        &self.receipt_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::ms(self.created_at_ms)]
    }
}

/// Where the receipt of a key is kept. Keys of different credentials are different keys.
pub fn receipt_id(credential_id: &str, key: &str) -> String {
    let mut hash = Sha256::new();
    for part in [credential_id, key] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    format!("once-{}", hex(&hash.finalize()[..16]))
}

/// What is compared when a key comes again.
pub fn digest(project_id: &str, source_id: &str, report: &Submission) -> String {
    let mut hash = Sha256::new();
    let report = serde_json::to_string(report).unwrap_or_default();
    for part in [project_id, source_id, &report] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hex(&hash.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_apart_by_credential_and_reports_by_what_they_say() {
        assert_ne!(receipt_id("a", "bc"), receipt_id("ab", "c"));
        let report = |title: &str| Submission { title: Some(title.into()), ..Submission::default() };
        assert_eq!(digest("p", "s", &report("x")), digest("p", "s", &report("x")));
        assert_ne!(digest("p", "s", &report("x")), digest("p", "s", &report("y")));
        assert_ne!(digest("p", "s", &report("x")), digest("p", "t", &report("x")));
    }
}
