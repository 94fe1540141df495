use serde_json::json;
use tandem_core::{
    actor::OpContext,
    audit::event::Draft,
    decide::{Loaded, Step, Verdict, step},
    ports::Row,
    record::{Record, Write},
    tenant::TenantContext,
};

use super::*;
use crate::declared::read::read;

fn ctx(kind: ActorKind, id: Option<&str>, now_ms: u64) -> OpContext {
    OpContext {
        tenant: TenantContext::local(),
        actor: ActorRef { kind, actor_id: id.map(str::to_owned), source: None },
        request_id: "r".into(),
        now_ms,
    }
}

/// Rows and how often each was written.
#[derive(Default)]
struct Table(Vec<Row>);

impl Table {
    fn run<D: Decision>(&mut self, ctx: &OpContext, decision: &D) -> Result<(D::Outcome, Vec<Draft>), Failure> {
        let mut loaded = Loaded::default();
        let mut asks = decision.asks();
        loop {
            for ask in asks {
                let found = match &ask {
                    Ask::Row { id, .. } => self.0.iter().filter(|row| row.id == *id).cloned().collect(),
                    Ask::Page(_) => Vec::new(),
                };
                loaded.fill(ask, found);
            }
            match step(decision, ctx, &loaded, 7) {
                Step::Ask(more) => asks = more,
                Step::Corrupt(why) => panic!("{why}"),
                Step::Settled(settled) => {
                    for write in &settled.writes {
                        match write {
                            Write::Put(put) => {
                                self.0.retain(|row| row.id != put.id);
                                self.0.push(Row { id: put.id.clone(), version: 1, body: put.body.clone() });
                            }
                            Write::Delete { id, .. } => self.0.retain(|row| row.id != *id),
                            _ => panic!("{write:?}"),
                        }
                    }
                    return match settled.verdict {
                        Verdict::Refused(failure) => Err(*failure),
                        verdict => verdict.of::<D>().map(|outcome| (outcome, settled.audit)),
                    };
                }
            }
        }
    }
}

fn declare(kind: DeclaredKind, id: &str, body: serde_json::Value) -> Declare {
    Declare { said: read(kind, id, serde_json::from_value(body).unwrap()).unwrap() }
}

#[test]
fn only_a_change_leaves_a_row() {
    let mut table = Table::default();
    let person = |now| ctx(ActorKind::Human, Some("ada"), now);
    let flow = |tool: &str| declare(DeclaredKind::Workflow, "w", json!({ "tool_allowlist": [tool] }));
    let (first, rows) = table.run(&person(10), &flow("a")).unwrap();
    assert!(first.created && first.changed);
    assert_eq!(rows[0].event_type, "authority.declared.created");
    let (again, rows) = table.run(&ctx(ActorKind::System, None, 20), &flow("a")).unwrap();
    assert!(!again.created && !again.changed && rows.is_empty());
    assert_eq!((again.declared.first_seen_at_ms, again.declared.last_seen_at_ms), (10, 20));
    assert_eq!(again.declared.declared_by.actor_id.as_deref(), Some("ada"));
    // A clock that went back takes nothing back.
    assert_eq!(table.run(&person(5), &flow("a")).unwrap().0.declared.last_seen_at_ms, 20);
    let (changed, rows) = table.run(&ctx(ActorKind::System, None, 30), &flow("b")).unwrap();
    assert!(changed.changed && !changed.created && changed.declared.declared_by.kind == ActorKind::System);
    assert_eq!(rows[0].event_type, "authority.declared.updated");
    assert_eq!(rows[0].payload["changed"], json!(["tool_allowlist"]));
    assert_eq!(rows[0].payload["previous_digest"], json!(again.declared.digest));
    let seen = Seen { kind: DeclaredKind::Workflow, object_id: "w".into() };
    let (seen, rows) = table.run(&person(40), &seen).unwrap();
    assert!(rows.is_empty() && seen.last_seen_at_ms == 40);
    let gone = Withdraw { kind: DeclaredKind::Workflow, object_id: "w".into() };
    let (_, rows) = table.run(&person(50), &gone).unwrap();
    assert_eq!(rows[0].event_type, "authority.declared.removed");
    assert_eq!(table.run(&person(50), &gone).unwrap_err().code, Code::DeclarationNotFound);
    assert_eq!(table.0.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), [DeclaredCount::ID]);
}

#[test]
fn agents_speak_for_themselves() {
    let agent = |id: &str| ctx(ActorKind::Agent, Some(id), 10);
    let person = ctx(ActorKind::Human, Some("ada"), 10);
    let limited = |kind, id: &str, tool: &str| declare(kind, id, json!({ "tool_allowlist": [tool] }));
    let code = |done: Result<_, Failure>| done.map(|_: (Declaration, _)| ()).map_err(|failure| failure.code);
    let mut table = Table::default();
    use DeclaredKind::{Agent, Workflow};
    let forbidden = Err(Code::DeclarationForbidden);
    // Itself and what is new, but no other agent.
    assert_eq!(code(table.run(&agent("bot"), &limited(Agent, "bot", "a"))), Ok(()));
    assert_eq!(code(table.run(&agent("bot"), &limited(Workflow, "w", "a"))), Ok(()));
    assert_eq!(code(table.run(&agent("bot"), &limited(Agent, "other", "a"))), forbidden);
    // Its own words it may change; nobody else's, and it does not keep them alive either.
    assert_eq!(code(table.run(&agent("bot"), &limited(Workflow, "w", "b"))), Ok(()));
    assert_eq!(code(table.run(&agent("other"), &limited(Workflow, "w", "b"))), forbidden);
    let seen = Seen { kind: Workflow, object_id: "w".into() };
    assert_eq!(table.run(&agent("other"), &seen).map(|_| ()).unwrap_err().code, Code::DeclarationForbidden);
    // What a person said of it stands; it may say that it is still so.
    assert_eq!(code(table.run(&person, &limited(Agent, "bot", "z"))), Ok(()));
    assert_eq!(code(table.run(&agent("bot"), &limited(Agent, "bot", "a"))), forbidden);
    assert_eq!(code(table.run(&agent("bot"), &limited(Agent, "bot", "z"))), Ok(()));
    let nameless = ctx(ActorKind::Agent, None, 10);
    assert_eq!(code(table.run(&nameless, &limited(Agent, "bot", "z"))), forbidden);
}

#[test]
fn there_is_a_limit() {
    let mut table = Table::default();
    let full = DeclaredCount { live: MOST };
    table.0.push(Row { id: full.id().into(), version: 1, body: json!(full).to_string() });
    let one_more = declare(DeclaredKind::Hook, "h", json!({}));
    let person = ctx(ActorKind::Human, Some("ada"), 10);
    assert_eq!(table.run(&person, &one_more).unwrap_err().code, Code::DeclarationLimit);
}
