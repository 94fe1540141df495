//! Changing what an automation is, and who may see it.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Map, Value, json};

use super::{super::admission, automation, unreadable};
use crate::{
    actor::ActorRef,
    automation::{
        admission::{Base, Operation},
        read,
        share::{self, Visibility},
        spec::{Automation, AutomationStatus},
    },
    config::if_match,
    decide::{Decided, Decision, Desk},
    error::{Code, Failure},
    text::sha256_hex,
};

/// The entity tag of an automation. Its time of change only ever grows.
pub fn etag(automation: &Automation) -> String {
    format!("\"{}\"", automation.updated_at_ms)
}

/// Refuses when the caller edited another version.
fn fresh(automation: &Automation, wanted: Option<&str>) -> Decided<()> {
    match wanted {
        Some(wanted)
            if !if_match(wanted, &etag(automation)) && wanted.trim() != automation.updated_at_ms.to_string() =>
        {
            Err(Failure::of(Code::PreconditionFailed)
                .with("automationID", automation.automation_id.as_str())
                .with("etag", etag(automation))
                .into())
        }
        Some(_) | None => Ok(()),
    }
}

#[derive(Debug)]
pub struct Patch {
    pub automation_id: String,
    pub body: Value,
    pub if_match: Option<String>,
    pub base: Arc<Base>,
}

impl Decision for Patch {
    type Outcome = Automation;

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Automation> {
        let before = automation(desk, &self.automation_id)?;
        let record = admission::may_patch(desk, &self.automation_id)?;
        fresh(&before, self.if_match.as_deref())?;
        let patched = read::patch(&before, self.body.clone(), desk.now_ms())
            .map_err(|defect| unreadable(defect, Code::AutomationUpdateFailed))?;
        let change = difference(&before, &patched.automation, &patched.changed);
        let pause = admission::patch(desk, &self.base, record, &before, &patched, change)?;
        let mut after = patched.automation;
        if pause && after.status != AutomationStatus::Paused {
            after.upkeep.status_before = Some(after.status);
            after.status = AutomationStatus::Paused;
        }
        desk.save(&after);
        Ok(after)
    }
}

/// What changed: each key with the digests of what it held. Prompts and policies themselves stay out of the log.
fn difference(before: &Automation, after: &Automation, changed: &BTreeSet<String>) -> Value {
    let (old, new) = (json!(before.spec), json!(after.spec));
    let digest = |value: Option<&Value>| value.map(|value| sha256_hex(&value.to_string()));
    let fields: Map<String, Value> = changed
        .iter()
        .map(|key| {
            let digests = if key == "status" {
                json!({ "before": before.status, "after": after.status })
            } else {
                json!({ "before_sha256": digest(old.get(key)), "after_sha256": digest(new.get(key)) })
            };
            (key.clone(), digests)
        })
        .collect();
    json!({
        "automationID": after.automation_id,
        "changed": changed,
        "fields": fields,
        "before_sha256": before.definition_hash(),
        "after_sha256": after.definition_hash(),
    })
}

#[derive(Debug)]
pub struct Share {
    pub automation_id: String,
    pub visibility: Option<Visibility>,
    pub audience: Option<Vec<String>>,
}

impl Decision for Share {
    type Outcome = Automation;

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Automation> {
        let mut found = automation(desk, &self.automation_id)?;
        admission::mutate(desk, &self.automation_id, Operation::Share)?;
        let by: ActorRef = desk.ctx.actor.clone();
        share::share(&mut found, self.visibility, self.audience.clone(), &by);
        found.updated_at_ms = desk.now_ms().max(found.updated_at_ms + 1);
        desk.audit(
            "automation.governance.shared",
            json!({
                "automationID": found.automation_id,
                "visibility": found.spec.metadata.get("resource_access").and_then(|access| access.get("visibility")),
            }),
        );
        desk.save(&found);
        Ok(found)
    }
}
