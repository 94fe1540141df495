//! Making an automation.
//!
//! An id that is taken is never written over. The same call under the same `Idempotency-Key` is answered with what the
//! first one made.

use std::sync::Arc;

use serde_json::Value;

use super::{super::admission, unreadable};
use crate::{
    automation::{
        admission::{Base, Claims},
        read::{self, Defect},
        spec::Automation,
    },
    decide::{Decided, Decision, Desk},
    error::{Code, Failure},
    text::sha256_hex,
};

#[derive(Debug)]
pub struct Create {
    pub body: Value,
    /// What the request says of its author's lineage.
    pub claims: Claims,
    /// The caller's `Idempotency-Key`.
    pub key: Option<String>,
    pub base: Arc<Base>,
}

impl Decision for Create {
    type Outcome = Automation;

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Automation> {
        let author = desk.ctx.actor.actor_id.clone();
        let digest = sha256_hex(&self.body.to_string());
        let key = self.key.as_ref().map(|key| {
            let who = author.as_deref().unwrap_or_default();
            (sha256_hex(&format!("{who}\n{key}")), digest.clone())
        });
        // A key decides the id, so that a second call finds what the first one made.
        let fresh_id = match &key {
            Some((key, _)) => uuid_of(key),
            None => format!("automation-v2-{}", desk.uuid()),
        };
        let made = read::create(self.body.clone(), fresh_id.clone(), author.as_deref(), desk.now_ms());
        let (mut automation, origin) = match made {
            Ok(made) => made,
            Err(defect) => {
                // Whoever may make none is told that first, and not how to make it.
                if !matches!(defect, Defect::Shape { .. }) {
                    admission::may_create(desk, &self.base, &fresh_id, &self.claims)?;
                }
                return Err(unreadable(defect, Code::AutomationCreateFailed).into());
            }
        };
        automation.upkeep.created_by_key = key;
        if let Some(there) = desk.get::<Automation>(&automation.automation_id)? {
            let same = automation.upkeep.created_by_key.is_some()
                && there.upkeep.created_by_key == automation.upkeep.created_by_key
                && there.is_live();
            if same {
                return Ok(there);
            }
            return Err(Failure::of(Code::AutomationAlreadyExists)
                .with("automationID", automation.automation_id.as_str())
                .into());
        }
        admission::create(desk, &self.base, &mut automation, &origin, &self.claims)?;
        desk.save(&automation);
        Ok(automation)
    }
}

fn uuid_of(hash: &str) -> String {
    let part = |from: usize, to: usize| hash.get(from..to).unwrap_or_default();
    format!("automation-v2-{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}
