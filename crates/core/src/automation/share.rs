//! Who may see an automation: `metadata.resource_access`.
//!
//! It holds in tenants that a credential names, where a person cannot choose who they are. A tenant's bare token is its
//! administrator and sees everything. Deliberately absent: enforcement in the implicit tenant, which has one token for
//! all; and hiding what governs an automation, because whoever reviews it must know of it.

use serde_json::{Map, Value, json};

use super::spec::Automation;
use crate::{
    actor::{ActorKind, ActorRef, OpContext},
    governance::approval::fold_id,
    tenant::TenantSource,
    wire::wire_enum,
};

wire_enum! {
    pub enum Visibility {
        Private = "private",
        Group = "group",
        Org = "org",
    }
}

/// Principals in one audience, at most.
const MOST_PRINCIPALS: usize = 500;

/// Sets who may see it. An absent visibility stays what it was (private when never set); so does an absent audience.
pub fn share(
    automation: &mut Automation,
    visibility: Option<Visibility>,
    audience: Option<Vec<String>>,
    by: &ActorRef,
) {
    let held = automation.spec.metadata.get("resource_access").and_then(Value::as_object).cloned();
    let mut access = held.unwrap_or_default();
    let current = access.get("visibility").and_then(Value::as_str).and_then(Visibility::from_word);
    let visibility = visibility.or(current).unwrap_or(Visibility::Private);
    access.insert("visibility".into(), visibility.word().into());
    if let Some(audience) = audience {
        let mut kept: Vec<String> = Vec::new();
        for principal in audience.iter().map(|p| p.trim()).filter(|p| !p.is_empty()) {
            if kept.len() < MOST_PRINCIPALS && !kept.iter().any(|held| held == principal) {
                kept.push(principal.to_owned());
            }
        }
        access.insert("audience_principals".into(), json!(kept));
    }
    access.entry("audience_principals").or_insert_with(|| json!([]));
    access.entry("owner_principal").or_insert_with(|| owner(&automation.creator_id));
    access.insert("updated_by".into(), json!(by));
    automation.spec.metadata.insert("resource_access".into(), Value::Object(access));
}

/// Whether the automation is kept from this author. An agent that `works` on it (it holds a grant, or takes part in a run)
/// sees it; otherwise it is for the owner and, where it is shared with a group, for the audience.
pub fn is_hidden(automation: &Automation, by: &OpContext, works: bool) -> bool {
    match by.tenant.source {
        TenantSource::LocalImplicit => return false,
        TenantSource::Explicit => {}
    }
    let id = match by.actor.kind {
        ActorKind::System => return false,
        ActorKind::Human | ActorKind::Agent => by.actor.actor_id.as_deref().map(fold_id),
    };
    // Nobody is named: that is the bare token, too.
    let Some(id) = id else { return false };
    let same = |other: &str| fold_id(other) == id;
    let access = automation.spec.metadata.get("resource_access");
    let visibility = access.and_then(|access| access.get("visibility")).and_then(Value::as_str);
    let audience = || {
        let listed = access.and_then(|access| access.get("audience_principals")).and_then(Value::as_array);
        listed.is_some_and(|listed| listed.iter().filter_map(Value::as_str).any(same))
    };
    let own = || works || same(&automation.creator_id) || automation.spec.agents.iter().any(|one| same(&one.agent_id));
    match visibility.and_then(Visibility::from_word) {
        None | Some(Visibility::Org) => false,
        Some(Visibility::Group) => !own() && !audience(),
        Some(Visibility::Private) => !own(),
    }
}

fn owner(creator_id: &str) -> Value {
    let mut owner = Map::new();
    owner.insert("kind".into(), "principal".into());
    owner.insert("id".into(), creator_id.into());
    Value::Object(owner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{automation::read::tests::automation, tenant::TenantContext};

    #[test]
    fn private_is_for_the_owner_and_a_group_for_its_audience() {
        let (local, acme) = (TenantContext::local(), TenantContext::explicit("acme", "main"));
        let (human, agent, system) = (ActorKind::Human, ActorKind::Agent, ActorKind::System);
        // Who looks, whether it holds a grant, and from whom a private, a shared and an open one are hidden.
        let cases = [
            (&acme, human, Some("ann"), false, [false, false, false]),
            (&acme, human, Some(" ANN "), false, [false, false, false]),
            (&acme, human, Some("ben"), false, [true, false, false]),
            (&acme, human, Some("eve"), false, [true, true, false]),
            (&acme, agent, Some("worker"), false, [false, false, false]),
            (&acme, agent, Some("bot"), false, [true, true, false]),
            (&acme, agent, Some("bot"), true, [false, false, false]),
            (&acme, system, None, false, [false, false, false]),
            (&acme, human, None, false, [false, false, false]),
            (&local, human, Some("eve"), false, [false, false, false]),
        ];
        for (tenant, kind, id, works, expected) in cases {
            let actor = ActorRef { kind, actor_id: id.map(str::to_owned), source: None };
            let by = OpContext { tenant: tenant.clone(), actor, request_id: "r".into(), now_ms: 1 };
            let hidden = [Visibility::Private, Visibility::Group, Visibility::Org].map(|visibility| {
                let mut a = automation();
                a.creator_id = "ann".into();
                a.spec.agents[0].agent_id = "worker".into();
                share(&mut a, Some(visibility), Some(vec!["Ben".into()]), &by.actor);
                is_hidden(&a, &by, works)
            });
            assert_eq!(hidden, expected, "{tenant:?} {kind:?} {id:?} {works}");
            assert!(!is_hidden(&automation(), &by, works), "what was never shared is the tenant's");
        }
    }

    #[test]
    fn an_absent_field_stays_what_it_was() {
        let mut a = automation();
        let by = ActorRef { kind: ActorKind::Human, actor_id: Some("ann".into()), source: None };
        share(&mut a, None, None, &by);
        assert_eq!(a.spec.metadata["resource_access"]["visibility"], "private");
        share(&mut a, Some(Visibility::Group), Some(vec![" ops ".into(), "ops".into(), String::new()]), &by);
        share(&mut a, None, None, &by);
        let access = &a.spec.metadata["resource_access"];
        assert_eq!((&access["visibility"], &access["audience_principals"]), (&json!("group"), &json!(["ops"])));
        assert_eq!(access["owner_principal"]["id"], json!(a.creator_id));
        assert_eq!(access["updated_by"]["actor_id"], "ann");
    }
}
