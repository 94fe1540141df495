//! What a witness has last signed of a tenant's log, kept beside the log's own checkpoint.
//!
//! Written without an audit row, as checkpoints are: a row about each would make the tree grow, and want the next.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::record::{Collection, Column, Record};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Cosigned {
    /// The witness's key, by which anyone can check.
    pub witness: String,
    /// Rows of the tree that it signed; 0 until it has.
    pub tree_size: u64,
    /// The checkpoint with the log's line and the witness's.
    pub checkpoint: Option<String>,
    /// The time that it signed, in milliseconds.
    pub signed_at_ms: Option<u64>,
    /// Why the last attempt came to nothing.
    pub error: Option<String>,
    pub attempted_at_ms: u64,
}

pub static COSIGNED: Collection = Collection { name: "checkpoint_cosignatures", columns: &["attempted_at_ms"] };

impl Record for Cosigned {
    const COLLECTION: &'static Collection = &COSIGNED;
    fn id(&self) -> &str {
        &self.witness
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::ms(self.attempted_at_ms)]
    }
}
