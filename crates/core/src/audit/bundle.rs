//! The shape of an export: one wire record a line, ascending and without gaps in `seq`, then one trailer line.
//!
//! The trailer carries what a recipient needs to check the rows with a public key alone: the signed checkpoint, and
//! the proof that the rows stand in that tree where they claim to. Two more things say *which* row is wrong when they
//! do not: `range_proof.tiles`, the hashes of the aligned subtrees of at most 256 rows that the rows fill (they must
//! fold to the signed root by themselves), and `leaf_marks`, the first four bytes of every leaf hash. The marks are a
//! pointer, not a proof: forging them cannot make a bad row pass, only widen its name from a row to a tile.
//!
//! A row whose body retention has dropped is a line with `body_dropped`: its leaf hash stands for it in the tree, and a row
//! of type `audit.retention.dropped` accounts for it.
//!
//! An export with neither `since_ms` nor `until_ms` claims to be whole: rows 1 to `tree_size`.
//!
//! Deliberately absent: checking, which is `verify`'s and shares no code with this side.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::event;
use super::integrity::Integrity;
use super::merkle::Hash;
use super::proof::RangeProof;
use crate::{ports::AuditRow, tenant::TenantContext};

pub const TRAILER_TYPE: &str = "bundle_manifest";
pub const SCHEMA_VERSION: u32 = 4;

/// The last line of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Trailer {
    /// Always `bundle_manifest`.
    #[serde(rename = "type")]
    pub kind: String,
    pub schema_version: u32,
    pub record_count: u64,
    /// 0 when no row was exported.
    pub first_seq: u64,
    /// 0 when no row was exported.
    pub last_seq: u64,
    /// Rows of formats from before the signed tree, and rows under a shared key: none. Kept for readers of older bundles.
    pub legacy_record_count: u64,
    pub keyed_record_count: u64,
    /// The name of the key that signs the checkpoint.
    pub integrity_key_ids: Vec<String>,
    /// The signed root, lowercase hex; the checkpoint has it too. Null for an empty log.
    pub root_hash: Option<String>,
    pub tree_size: u64,
    pub tenant_org_id: String,
    pub tenant_workspace_id: String,
    pub since_ms: Option<u64>,
    pub until_ms: Option<u64>,
    pub exported_at_ms: u64,
    /// The C2SP signed note.
    pub checkpoint: String,
    /// The verifier key that opens the checkpoint. A recipient should have it from elsewhere.
    pub public_key: String,
    pub range_proof: RangeProof,
    /// Eight hex digits for each row: the start of its leaf hash.
    pub leaf_marks: String,
    /// What the server itself knew about its log.
    pub integrity: Integrity,
}

/// The id by which manifests and trailers name a verifier key: its name and hash, without the key itself.
pub fn key_id(public_key: &str) -> String {
    public_key.rsplit_once('+').map_or_else(String::new, |(id, _)| id.to_owned())
}

/// An empty tree has a root too, but no row that it would be the hash of.
pub fn shown_root(tree_size: u64, root: &Hash) -> Option<String> {
    (tree_size > 0).then(|| hex::encode(root))
}

/// What the writer of an export knows before its first row.
#[derive(Clone, Debug)]
pub struct About {
    pub org_id: String,
    pub workspace_id: String,
    pub since_ms: Option<u64>,
    pub until_ms: Option<u64>,
    pub exported_at_ms: u64,
    pub tree_size: u64,
    pub root: Hash,
    pub checkpoint: String,
    pub public_key: String,
    pub integrity: Integrity,
}

/// Writes the lines of an export, in memory that grows by eight bytes a row.
#[derive(Clone, Debug, Default)]
pub struct Export {
    first_seq: u64,
    last_seq: u64,
    count: u64,
    marks: String,
}

impl Export {
    /// The line for the next stored row, without its newline.
    pub fn row(&mut self, seq: u64, canonical: &str, leaf: &Hash) -> String {
        self.count(seq, leaf);
        event::wire(canonical, leaf)
    }

    /// The same for a row as the store hands it over, with or without its body.
    pub fn stored(&mut self, row: &AuditRow, tenant: &TenantContext) -> String {
        self.count(row.seq, &row.leaf);
        event::stored(row, tenant)
    }

    fn count(&mut self, seq: u64, leaf: &Hash) {
        if self.count == 0 {
            self.first_seq = seq;
        }
        self.last_seq = seq;
        self.count += 1;
        self.marks.push_str(&hex::encode(&leaf[..4]));
    }

    /// The trailer, given the proof for the rows `first_seq - 1 .. last_seq` (see `proof::range_plan`).
    pub fn trailer(self, about: About, range_proof: RangeProof) -> Trailer {
        Trailer {
            kind: TRAILER_TYPE.to_owned(),
            schema_version: SCHEMA_VERSION,
            record_count: self.count,
            first_seq: self.first_seq,
            last_seq: self.last_seq,
            legacy_record_count: 0,
            keyed_record_count: 0,
            integrity_key_ids: vec![key_id(&about.public_key)],
            root_hash: shown_root(about.tree_size, &about.root),
            tree_size: about.tree_size,
            tenant_org_id: about.org_id,
            tenant_workspace_id: about.workspace_id,
            since_ms: about.since_ms,
            until_ms: about.until_ms,
            exported_at_ms: about.exported_at_ms,
            checkpoint: about.checkpoint,
            public_key: about.public_key,
            range_proof,
            leaf_marks: self.marks,
            integrity: about.integrity,
        }
    }
}
