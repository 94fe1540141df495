//! Who may declare what, and what a repetition changes.
//!
//! Saying the same again moves the time at which it was last seen, and leaves no audit row: a heartbeat is bookkeeping.
//! Anything else is a change, and its row is written with it. A declaration is kept with whoever said what it says now.
//!
//! People and bare tokens declare anything. An agent declares itself, and what it declared before; what others said of
//! something it may neither change nor keep alive, but its own entry it may repeat. Removing is for people and bare
//! tokens, which the door sees to.

use serde_json::{Value, json};
use tandem_core::{
    actor::{ActorKind, ActorRef},
    decide::{Ask, Decided, Decision, Desk},
    error::{Code, Failure},
};

use super::{Declared, DeclaredCount, DeclaredKind, read::Said};

/// Declarations of one tenant.
pub const MOST: u64 = 20_000;

/// PUT: says it, for the first time or again.
#[derive(Clone, Debug)]
pub struct Declare {
    pub said: Said,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    pub created: bool,
    /// Something else was said than before.
    pub changed: bool,
    pub declared: Declared,
}

impl Decision for Declare {
    type Outcome = Declaration;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<Declared>(&Declared::key(self.said.kind, &self.said.object_id))]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Declaration> {
        let Said { kind, object_id, .. } = &self.said;
        let now = desk.now_ms();
        let known = desk.get::<Declared>(&Declared::key(*kind, object_id))?;
        let same = known.as_ref().is_some_and(|known| known.digest == self.said.digest);
        allowed(&desk.ctx.actor, *kind, object_id, known.as_ref(), same)?;
        if let Some(mut known) = known {
            let before = std::mem::replace(&mut known.digest, self.said.digest.clone());
            known.last_seen_at_ms = known.last_seen_at_ms.max(now);
            if !same {
                let parts = changed_parts(&known, &self.said);
                known.origin = self.said.origin;
                known.spec = self.said.spec.clone();
                known.stale_after_ms = self.said.stale_after_ms;
                known.declared_by = desk.ctx.actor.clone();
                let mut payload = told(&known);
                payload["previous_digest"] = before.into();
                payload["changed"] = parts;
                desk.audit("authority.declared.updated", payload);
            }
            desk.save(&known);
            return Ok(Declaration { created: false, changed: !same, declared: known });
        }
        let mut count = desk.get::<DeclaredCount>(DeclaredCount::ID)?.unwrap_or_default();
        if count.live >= MOST {
            return Err(Failure::of(Code::DeclarationLimit).with("limit", MOST).into());
        }
        count.live += 1;
        desk.save(&count);
        let declared = Declared {
            declared_id: Declared::key(*kind, object_id),
            kind: *kind,
            object_id: object_id.clone(),
            origin: self.said.origin,
            spec: self.said.spec.clone(),
            digest: self.said.digest.clone(),
            stale_after_ms: self.said.stale_after_ms,
            first_seen_at_ms: now,
            last_seen_at_ms: now,
            declared_by: desk.ctx.actor.clone(),
        };
        desk.audit("authority.declared.created", told(&declared));
        desk.save(&declared);
        Ok(Declaration { created: true, changed: true, declared })
    }
}

/// A heartbeat: it is still there, and still as it was said.
#[derive(Clone, Debug)]
pub struct Seen {
    pub kind: DeclaredKind,
    pub object_id: String,
}

impl Decision for Seen {
    type Outcome = Declared;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<Declared>(&Declared::key(self.kind, &self.object_id))]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Declared> {
        let mut known = existing(desk, self.kind, &self.object_id)?;
        allowed(&desk.ctx.actor, self.kind, &self.object_id, Some(&known), true)?;
        known.last_seen_at_ms = known.last_seen_at_ms.max(desk.now_ms());
        desk.save(&known);
        Ok(known)
    }
}

/// DELETE: it does not exist any more, or never did.
#[derive(Clone, Debug)]
pub struct Withdraw {
    pub kind: DeclaredKind,
    pub object_id: String,
}

impl Decision for Withdraw {
    type Outcome = Declared;

    fn asks(&self) -> Vec<Ask> {
        vec![
            Ask::row::<Declared>(&Declared::key(self.kind, &self.object_id)),
            Ask::row::<DeclaredCount>(DeclaredCount::ID),
        ]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Declared> {
        let known = existing(desk, self.kind, &self.object_id)?;
        let mut count = desk.get::<DeclaredCount>(DeclaredCount::ID)?.unwrap_or_default();
        count.live = count.live.saturating_sub(1);
        desk.save(&count);
        desk.remove::<Declared>(&known.declared_id);
        desk.audit("authority.declared.removed", told(&known));
        Ok(known)
    }
}

fn existing(desk: &mut Desk<'_>, kind: DeclaredKind, id: &str) -> Decided<Declared> {
    match desk.get::<Declared>(&Declared::key(kind, id))? {
        Some(known) => Ok(known),
        None => Err(Failure::of(Code::DeclarationNotFound).with("id", id).into()),
    }
}

/// `same`: nothing else is said than what is known.
fn allowed(
    actor: &ActorRef,
    kind: DeclaredKind,
    id: &str,
    known: Option<&Declared>,
    same: bool,
) -> Result<(), Failure> {
    match actor.kind {
        ActorKind::Human | ActorKind::System => return Ok(()),
        ActorKind::Agent => {}
    }
    let itself = kind == DeclaredKind::Agent && actor.actor_id.as_deref() == Some(id);
    let own =
        |known: &Declared| known.declared_by.kind == ActorKind::Agent && known.declared_by.actor_id == actor.actor_id;
    let may = match known {
        None => itself || kind != DeclaredKind::Agent,
        Some(known) => own(known) || (itself && same),
    };
    if may { Ok(()) } else { Err(Failure::of(Code::DeclarationForbidden)) }
}

/// What the log says of a declaration: what it is, how much it says, and the digest of all that it says.
fn told(declared: &Declared) -> Value {
    let Declared { spec, .. } = declared;
    json!({
        "declared_id": declared.declared_id,
        "kind": declared.kind,
        "id": declared.object_id,
        "origin": declared.origin,
        "name": spec.name,
        "enabled": spec.enabled,
        "owner": spec.owner,
        "framework": spec.framework,
        "step_count": spec.steps.len(),
        "hook_count": spec.hooks.len(),
        "server_count": spec.servers.len(),
        "tools_limited": spec.tool_allowlist.is_some(),
        "digest": declared.digest,
    })
}

/// The names of the fields that say something else than before.
fn changed_parts(known: &Declared, said: &Said) -> Value {
    let (before, after) = (json!(known.spec), json!(said.spec));
    let mut parts: Vec<String> = match (&before, &after) {
        (Value::Object(before), Value::Object(after)) => {
            after.keys().filter(|key| before.get(*key) != after.get(*key)).cloned().collect()
        }
        _ => Vec::new(),
    };
    if known.origin != said.origin {
        parts.push("origin".into());
    }
    if known.stale_after_ms != said.stale_after_ms {
        parts.push("stale_after_ms".into());
    }
    json!(parts)
}

#[cfg(test)]
#[path = "declare_tests.rs"]
mod tests;
