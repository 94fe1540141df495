//! Adversarial scenario packs: those that there are, and one of them run. Nothing is kept.

use tandem_core::{
    actor::OpContext,
    error::{Code, Failure},
    text::non_blank,
};
use tandem_posture::scenarios::{DEFAULT_PACK, Pack, PackList, PackRun, Request, Scope, built_in, evaluate, refuse};

use super::Turn;
use crate::App;

const NOTE: &str = "Packs as they are, not run. POST runs one: by `pack_id`, or your own as `pack`.";

impl App {
    /// The operator's own packs, read when the server started.
    pub fn load_packs(&self, packs: Vec<Pack>) {
        let _ = self.packs.set(packs);
    }

    /// The built-in packs, then the operator's.
    pub fn packs(&self) -> Vec<Pack> {
        let own = self.packs.get().into_iter().flatten().cloned();
        built_in().into_iter().chain(own).collect()
    }

    pub fn scenario_packs(&self) -> PackList {
        PackList { schema_version: 1, scope: Scope::of(None), packs: self.packs(), note: NOTE.into() }
    }

    pub async fn run_scenarios(&self, turn: &Turn, ctx: &OpContext, request: Request) -> Result<PackRun, Failure> {
        let pack = match request.pack {
            Some(pack) => match refuse(&pack) {
                Some(why) => {
                    return Err(Failure::new(Code::ValidationFailed, why).status(400).with("field", "pack"));
                }
                None => pack,
            },
            None => self.pack(non_blank(request.pack_id.as_deref()).unwrap_or(DEFAULT_PACK))?,
        };
        let estate = self.estate(turn, ctx).await?;
        let pack = evaluate(&estate, &pack, &request.scenario_ids);
        Ok(PackRun { schema_version: 1, scope: Scope::of(Some(&ctx.tenant)), pack })
    }

    fn pack(&self, pack_id: &str) -> Result<Pack, Failure> {
        let found = self.packs().into_iter().find(|pack| pack.pack_id == pack_id);
        found.ok_or_else(|| Failure::new(Code::NotFound, "No scenario pack has this id.").with("pack_id", pack_id))
    }
}
