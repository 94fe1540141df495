//! The trailer by itself: does its checkpoint open, and does it describe that checkpoint and these rows.
//!
//! Deliberately absent: the rows' own faults and the root, which are the parent's.

use super::Fault;
use crate::audit::bundle::{SCHEMA_VERSION, Trailer};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::integrity::Reason;
use crate::audit::note::VerifierKey;

pub(super) fn open_checkpoint(trailer: &Trailer, trusted_key: Option<&str>) -> Result<Checkpoint, Fault> {
    let fault = |why: &dyn std::fmt::Display| Fault::whole(Reason::CheckpointInvalid, why.to_string());
    let key = VerifierKey::parse(trusted_key.unwrap_or(&trailer.public_key).trim()).map_err(|why| fault(&why))?;
    Checkpoint::open(&trailer.checkpoint, &[key]).map_err(|why| fault(&why))
}

/// Whether the trailer describes this checkpoint and these rows; gives the rows' zero-based span.
pub(super) fn judge_trailer(
    trailer: &Trailer,
    signed: &Checkpoint,
    tenant: Option<&(String, String)>,
) -> Result<(u64, u64), Fault> {
    let mismatch = |detail: &str| Fault::whole(Reason::TrailerMismatch, detail);
    let (org, workspace) = (&trailer.tenant_org_id, &trailer.tenant_workspace_id);
    if tenant.is_some_and(|tenant| (&tenant.0, &tenant.1) != (org, workspace)) {
        return Err(Fault::whole(Reason::ForeignTenant, "the rows are not of the tenant that the trailer names"));
    }
    if !signed.is_of_tenant(org, workspace) {
        return Err(Fault::whole(Reason::ForeignTenant, "the checkpoint is of another tenant's log"));
    }
    if trailer.schema_version != SCHEMA_VERSION {
        return Err(mismatch("the schema version is unknown"));
    }
    let root = (signed.size > 0).then(|| hex::encode(signed.root));
    if trailer.tree_size != signed.size || trailer.root_hash != root {
        return Err(mismatch("size or root are not those of the checkpoint"));
    }
    if (trailer.legacy_record_count, trailer.keyed_record_count) != (0, 0) {
        return Err(mismatch("this format has neither legacy nor keyed rows"));
    }
    let named = trailer.public_key.trim().rsplit_once('+').map(|(id, _)| id);
    if trailer.integrity_key_ids.iter().map(String::as_str).ne(named) {
        return Err(mismatch("the key ids are not those of the public key"));
    }
    let (first, last) = (trailer.first_seq, trailer.last_seq);
    if trailer.record_count == 0 && (first, last) == (0, 0) {
        return Ok((0, 0));
    }
    if first == 0 || last < first || last - first + 1 != trailer.record_count {
        return Err(mismatch("record_count, first_seq and last_seq contradict each other"));
    }
    Ok((first - 1, last))
}
