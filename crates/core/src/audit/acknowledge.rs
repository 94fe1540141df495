//! An operator's note of a break in the log, kept so that the state of the log can clear.

use serde::{Deserialize, Serialize};

use super::integrity::{Acknowledged, Reason};
use crate::record::{Collection, Column, Record};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Acknowledgement {
    pub ack_id: String,
    pub range: Acknowledged,
    pub reason: Option<Reason>,
    pub note: String,
    pub at_ms: u64,
}

pub static INTEGRITY_ACKS: Collection = Collection { name: "integrity_acks", columns: &["at_ms"] };

impl Record for Acknowledgement {
    const COLLECTION: &'static Collection = &INTEGRITY_ACKS;
    fn id(&self) -> &str {
        &self.ack_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::ms(self.at_ms)]
    }
}
