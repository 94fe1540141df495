//! Questions that are decided inside the write transaction: asked, and rehearsed.

use tandem_core::{
    actor::OpContext,
    decide::{self, Ask, Decision, Loaded, ROUNDS, Settled, Step},
    error::{Code, Failure},
    ports::{Query, StoreError},
    record::Commit,
};

use crate::{App, store_failure};

impl App {
    /// A seed for the ids of what one decision creates.
    pub(crate) fn seed(&self) -> u128 {
        let secret = self.ports.ids.secret();
        u128::from_le_bytes(secret.first_chunk().copied().unwrap_or_default())
    }

    /// Decides and writes in one transaction. A refusal is written, too, and then given back.
    pub async fn decide<D: Decision>(&self, ctx: &OpContext, decision: D) -> Result<D::Outcome, Failure> {
        let commit: Commit = decide::commit(ctx, self.seed(), decision);
        let mut committed = self.store().commit(commit).await.map_err(store_failure)?;
        match committed.verdicts.pop() {
            Some(verdict) => verdict.of::<D>(),
            None => Err(Failure::of(Code::Internal)),
        }
    }

    /// Decides on the rows as they are now, and writes nothing.
    pub async fn rehearse<D: Decision>(&self, ctx: &OpContext, decision: &D) -> Result<Settled, Failure> {
        let mut loaded = Loaded::default();
        let mut asks = decision.asks();
        let seed = self.seed();
        for _ in 0..ROUNDS {
            for ask in asks {
                let found = match &ask {
                    Ask::Row { collection, id } => self
                        .store()
                        .get(collection, &ctx.tenant.key(), id)
                        .await
                        .map_err(store_failure)?
                        .into_iter()
                        .collect(),
                    Ask::Page(page) => {
                        let query = Query {
                            collection: page.collection,
                            tenant: ctx.tenant.key(),
                            equals: page.equals.clone(),
                            order: page.order,
                            since: page.since,
                            after: page.before.map(|before| (before, String::new())),
                            limit: page.limit,
                        };
                        let rows = self.store().page(query).await.map_err(store_failure)?;
                        rows.into_iter().map(|found| found.row).collect()
                    }
                };
                loaded.fill(ask, found);
            }
            match decide::step(decision, ctx, &loaded, seed) {
                Step::Settled(settled) => return Ok(settled),
                Step::Ask(more) => asks = more,
                Step::Corrupt(why) => return Err(store_failure(StoreError::Corrupt(why))),
            }
        }
        Err(Failure::of(Code::Internal))
    }
}
