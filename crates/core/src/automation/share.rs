//! Who may see an automation: `metadata.resource_access`.
//!
//! Deliberately absent: enforcement against people of the same tenant. A local install has one tenant and one token;
//! what is stored here is what a directory of people would need.

use serde_json::{Map, Value, json};

use super::spec::Automation;
use crate::{actor::ActorRef, wire::wire_enum};

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

fn owner(creator_id: &str) -> Value {
    let mut owner = Map::new();
    owner.insert("kind".into(), "principal".into());
    owner.insert("id".into(), creator_id.into());
    Value::Object(owner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{actor::ActorKind, automation::read::tests::automation};

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
