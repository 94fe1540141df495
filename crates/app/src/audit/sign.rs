//! Checkpoints: the tree is extended over the rows that were appended since, and its head is signed.

use tandem_core::{
    audit::{
        checkpoint::{self, Checkpoint as Head},
        merkle::{Frontier, Hash},
        note::NoteSigner,
        plan::Range,
        proof::{self, ConsistencyProof, InclusionProof},
    },
    error::{Code, Failure},
    ports::{Checkpoint, StoreError},
    tenant::TenantKey,
    text::hex,
};

use crate::{App, store_failure, tenant_of};

/// Rows integrated in one go.
const CHUNK: u64 = 50_000;

/// The newest signed head of a log.
#[derive(Clone, Debug)]
pub struct Signed {
    pub size: u64,
    pub root: Hash,
    pub note: String,
    pub public_key: String,
    pub origin: String,
}

impl App {
    /// The key that signs checkpoints. One per installation, made at the first use and kept in the store, so that any
    /// number of engines sign as one log.
    pub(crate) async fn signer(&self) -> Result<&NoteSigner, Failure> {
        self.signer
            .get_or_try_init(async || {
                let fresh = hex(&self.ports.ids.secret());
                let seed = match self.ports.audit_seed {
                    Some(seed) => hex(&seed),
                    None => self.store().meta_init("audit_signing_seed", &fresh).await.map_err(store_failure)?,
                };
                let name = format!("tandem-{}", &self.ports.ids.fresh()[20..]);
                let name = self.store().meta_init("audit_log_name", &name).await.map_err(store_failure)?;
                let seed =
                    tandem_core::audit::merkle::parse_hex(&seed).ok_or_else(|| Failure::of(Code::StoreCorrupt))?;
                NoteSigner::new(&name, &seed).map_err(|_| Failure::of(Code::StoreCorrupt))
            })
            .await
    }

    /// Signs everything that is in the log now. Does nothing when nothing was appended.
    pub async fn checkpoint(&self, tenant: &TenantKey) -> Result<Signed, Failure> {
        let signer = self.signer().await?;
        let context = tenant_of(tenant);
        let workspace = match &context.deployment_id {
            Some(deployment) => format!("{}/{deployment}", context.workspace_id),
            None => context.workspace_id.clone(),
        };
        let origin = checkpoint::origin(signer.verifier_key().name(), &context.org_id, &workspace);
        let held = self.store().checkpoint(tenant).await.map_err(store_failure)?;
        let size = self.store().audit_size(tenant).await.map_err(store_failure)?;
        let public_key = signer.verifier_key().to_string();
        if let Some(held) = held.as_ref().filter(|held| held.size >= size) {
            let (size, root, note) = (held.size, held.root, held.note.clone());
            return Ok(Signed { size, root, note, public_key, origin });
        }
        let mut frontier = match &held {
            Some(held) => tandem_core::text::unhex(&held.frontier)
                .and_then(|bytes| Frontier::from_bytes(&bytes))
                .ok_or_else(|| Failure::of(Code::StoreCorrupt))?,
            None => Frontier::default(),
        };
        let mut nodes = Vec::new();
        let mut step = CHUNK;
        while frontier.size() < size && step > 0 {
            let (start, count) = (frontier.size(), step.min(size - frontier.size()));
            let leaves = match self.store().audit_hashes(tenant, 0, start, count).await {
                Ok(leaves) if leaves.len() as u64 == count => leaves,
                // A gap in the log: the tree reaches up to it and no further. The check names the gap.
                Ok(_) | Err(StoreError::Corrupt(_)) => {
                    step = count / 2;
                    continue;
                }
                Err(error) => return Err(store_failure(error)),
            };
            nodes.extend(frontier.integrate(&leaves).into_iter().map(|node| (node.level, node.index, node.hash)));
        }
        let (size, root) = (frontier.size(), frontier.root());
        let note = Head::new(origin.clone(), size, root)
            .sign(signer)
            .map_err(|error| Failure::new(Code::Internal, format!("the checkpoint cannot be signed: {error:?}")))?;
        let checkpoint = Checkpoint {
            size,
            root,
            note: note.clone(),
            frontier: hex(&frontier.to_bytes()),
            created_at_ms: self.now_ms(),
        };
        if held.is_none_or(|held| size > held.size) {
            // Another engine may have signed as much meanwhile; both heads are true.
            self.store().checkpoint_put(tenant, checkpoint, nodes).await.map_err(store_failure)?;
        }
        Ok(Signed { size, root, note, public_key, origin })
    }

    /// Signs every tenant's log. A worker calls it every second.
    pub async fn checkpoint_all(&self) -> Result<(), Failure> {
        for tenant in self.store().audit_tenants().await.map_err(store_failure)? {
            self.checkpoint(&tenant).await?;
        }
        Ok(())
    }

    pub(crate) async fn fetch(&self, tenant: &TenantKey, ranges: &[Range]) -> Result<Vec<Vec<Hash>>, Failure> {
        let mut fetched = Vec::with_capacity(ranges.len());
        for range in ranges {
            let hashes = self.store().audit_hashes(tenant, range.level, range.start, range.count).await;
            fetched.push(hashes.map_err(store_failure)?);
        }
        Ok(fetched)
    }

    /// Proves that row `seq` is in the tree of `tree_size` rows (the newest signed one by default).
    pub async fn inclusion(
        &self,
        tenant: &TenantKey,
        seq: u64,
        tree_size: Option<u64>,
    ) -> Result<(InclusionProof, Signed), Failure> {
        let signed = self.checkpoint(tenant).await?;
        let size = tree_size.unwrap_or(signed.size);
        if seq == 0 || seq > size || size > signed.size {
            return Err(out_of_range(&signed));
        }
        let index = seq - 1;
        let plan = proof::inclusion_plan(size, index).map_err(|_| out_of_range(&signed))?;
        let fetched = self.fetch(tenant, plan.ranges()).await?;
        let hashes = plan.resolve(&fetched).map_err(|_| Failure::of(Code::StoreCorrupt))?;
        let leaf = self.store().audit_hashes(tenant, 0, index, 1).await.map_err(store_failure)?;
        let leaf = leaf.first().ok_or_else(|| Failure::of(Code::StoreCorrupt))?;
        Ok((InclusionProof::new(size, index, leaf, &hashes), signed))
    }

    /// Proves that the tree of `to` rows only appended to the tree of `from` rows.
    pub async fn consistency(
        &self,
        tenant: &TenantKey,
        from: u64,
        to: Option<u64>,
    ) -> Result<(ConsistencyProof, Signed), Failure> {
        let signed = self.checkpoint(tenant).await?;
        let to = to.unwrap_or(signed.size);
        if from > to || to > signed.size {
            return Err(out_of_range(&signed));
        }
        let plan = proof::consistency_plan(from, to).map_err(|_| out_of_range(&signed))?;
        let fetched = self.fetch(tenant, plan.ranges()).await?;
        let hashes = plan.resolve(&fetched).map_err(|_| Failure::of(Code::StoreCorrupt))?;
        Ok((ConsistencyProof::new(from, to, &hashes), signed))
    }
}

fn out_of_range(signed: &Signed) -> Failure {
    Failure::new(Code::ValidationFailed, "the log has no such row or size").status(400).with("tree_size", signed.size)
}
