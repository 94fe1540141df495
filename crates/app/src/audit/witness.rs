//! Witnesses: now and then each is led from the tree that it signed last to the newest one, and its signature is kept.
//!
//! Which witnesses there are is the operator's word at the start, not a setting of tenants. Any number of servers may ask
//! the same witness; whoever comes second learns how far it is.

use serde::Serialize;
use tandem_core::{
    audit::{
        cosigned::Cosigned,
        proof,
        witness::{Told, WitnessKey, judge, request},
    },
    error::{Code, Failure},
    record::{Commit, Expect, Put},
    tenant::TenantKey,
};
use utoipa::ToSchema;

use super::Signed;
use crate::{App, store_failure};

/// A witness that the operator names: its key, and where `add-checkpoint` is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    pub key: WitnessKey,
    /// Without `/add-checkpoint`.
    pub url: String,
}

/// What a witness says of a log.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Witnessed {
    pub name: String,
    #[serde(flatten)]
    pub cosigned: Cosigned,
    /// Whether it has signed the newest checkpoint.
    pub current: bool,
}

impl App {
    /// Sets whom to ask. Once, before the first request.
    pub fn witness_with(&self, witnesses: Vec<Witness>) {
        let _ = self.witnesses.set(witnesses);
    }

    fn witnesses(&self) -> &[Witness] {
        self.witnesses.get().map_or(&[], Vec::as_slice)
    }

    /// What each witness has signed of a log. Those that were never reached stand there, too.
    pub async fn witnessed(&self, tenant: &TenantKey, tree_size: u64) -> Result<Vec<Witnessed>, Failure> {
        let mut found = Vec::new();
        for witness in self.witnesses() {
            let cosigned = self.cosigned(tenant, &witness.key).await?;
            let current = cosigned.checkpoint.is_some() && cosigned.tree_size == tree_size;
            found.push(Witnessed { name: witness.key.name().to_owned(), cosigned, current });
        }
        Ok(found)
    }

    async fn cosigned(&self, tenant: &TenantKey, key: &WitnessKey) -> Result<Cosigned, Failure> {
        let id = key.to_string();
        let known = self.load::<Cosigned>(tenant, &id).await?.map(|row| row.value);
        Ok(known.unwrap_or_else(|| Cosigned { witness: id, ..Cosigned::default() }))
    }

    /// Asks every witness about every log that has grown. A witness that does not answer keeps nothing from the others.
    pub async fn cosign_all(&self) -> Result<(), Failure> {
        if self.witnesses().is_empty() {
            return Ok(());
        }
        for tenant in self.store().audit_tenants().await.map_err(store_failure)? {
            let signed = self.checkpoint(&tenant).await?;
            for witness in self.witnesses() {
                self.cosign(&tenant, &signed, witness).await?;
            }
        }
        Ok(())
    }

    async fn cosign(&self, tenant: &TenantKey, signed: &Signed, witness: &Witness) -> Result<(), Failure> {
        let mut cosigned = self.cosigned(tenant, &witness.key).await?;
        if cosigned.checkpoint.is_some() && cosigned.tree_size >= signed.size {
            return Ok(());
        }
        let mut told = self.lead(tenant, signed, witness, cosigned.tree_size).await?;
        if let Ok(Told::Seen(size)) = told {
            told = match size <= signed.size {
                true => self.lead(tenant, signed, witness, size).await?,
                // Its tree is larger than ours: this log was set back, or is not the one that it knows.
                false => Err(format!("ahead_at_{size}")),
            };
        }
        let ctx = self.worker_ctx("witness", tenant);
        cosigned.attempted_at_ms = ctx.now_ms;
        match told {
            Ok(Told::Signed { note, time_s }) => {
                cosigned.tree_size = signed.size;
                cosigned.checkpoint = Some(note);
                cosigned.signed_at_ms = Some(time_s.saturating_mul(1_000));
                cosigned.error = None;
            }
            Ok(Told::Seen(size)) => cosigned.error = Some(format!("seen_{size}")),
            Ok(Told::Refused(why)) | Err(why) => cosigned.error = Some(why),
        }
        if let Some(error) = &cosigned.error {
            let name = witness.key.name();
            tracing::warn!(witness = name, tenant = tenant.as_str(), error, "a witness did not sign the checkpoint");
        }
        let commit = Commit::new(&ctx).put(Put::of(&cosigned, Expect::Any));
        self.store().commit(commit).await.map(|_| ()).map_err(store_failure)
    }

    /// One question to a witness that has seen `old_size` rows; the error is a machine word.
    async fn lead(
        &self,
        tenant: &TenantKey,
        signed: &Signed,
        witness: &Witness,
        old_size: u64,
    ) -> Result<Result<Told, String>, Failure> {
        let plan = proof::consistency_plan(old_size, signed.size).map_err(|_| Failure::of(Code::Internal))?;
        let fetched = self.fetch(tenant, plan.ranges()).await?;
        let hashes = plan.resolve(&fetched).map_err(|_| Failure::of(Code::StoreCorrupt))?;
        let body = request(old_size, &hashes, &signed.note);
        let url = format!("{}/add-checkpoint", witness.url.trim_end_matches('/'));
        let answer = self.ports.outbound.witness(url, body).await;
        Ok(answer.map(|(status, text)| judge(status, &text, &signed.note, &witness.key)))
    }
}
