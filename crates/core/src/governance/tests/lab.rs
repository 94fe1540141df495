//! Rows in a map, a clock that is set, and actors with names.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value, json};

use crate::{
    actor::{ActorKind, ActorRef, OpContext},
    audit::event::Draft,
    automation::{
        read,
        run::{self, Run},
        spec::Automation,
    },
    decide::{Ask, Decided, Decision, Desk, Loaded, ROUNDS, Step, step},
    error::{Code, Failure},
    governance::{
        agent::Agent,
        approval::{Approval, RequestType, Resource},
        approve,
        create::{self, Created, NewAutomation},
        limits::Base,
        limits_change::ChangeLimits,
        mutate::{self, Operation},
        patch::{self, PatchAutomation, Patched},
        record::{Capabilities, GovernanceRecord},
        request::{FileRequest, NewRequest},
    },
    ports::Row,
    record::{Column, Expect, Put, Record, Write},
    tenant::TenantContext,
};

type Stored = (Row, Vec<Column>, &'static [&'static str]);

pub struct Lab {
    pub now_ms: u64,
    pub base: Arc<Base>,
    pub audit: Vec<Draft>,
    pub tenant: TenantContext,
    rows: BTreeMap<(&'static str, String, String), Stored>,
    seed: u128,
}

pub const START: u64 = 20_000 * 86_400_000;

pub fn human(id: &str) -> ActorRef {
    ActorRef { kind: ActorKind::Human, actor_id: Some(id.into()), source: None }
}

pub fn agent(id: &str) -> ActorRef {
    ActorRef { kind: ActorKind::Agent, actor_id: Some(id.into()), source: None }
}

pub fn system() -> ActorRef {
    ActorRef { kind: ActorKind::System, actor_id: None, source: Some("api_token".into()) }
}

/// A creation as the automations' own decision makes it.
#[derive(Debug)]
pub struct Create(pub Arc<Base>, pub NewAutomation);

impl Decision for Create {
    type Outcome = Created;
    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Created> {
        create::admit(desk, &self.0, &self.1)
    }
}

/// A patch as the automations' own decision makes it.
pub fn patched(desk: &mut Desk<'_>, base: &Base, patch: &PatchAutomation) -> Decided<Patched> {
    let record = mutate::check(desk, &patch.automation_id, Operation::Patch)?;
    patch::admit(desk, base, record, patch)
}

/// Any of the functions that other decisions call.
pub struct Call<F>(pub F);

impl<F> std::fmt::Debug for Call<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Call")
    }
}

impl<T, F> Decision for Call<F>
where
    T: Clone + Send + Sync + 'static,
    F: Fn(&mut Desk<'_>) -> Decided<T> + Send + Sync + 'static,
{
    type Outcome = T;
    fn decide(&self, desk: &mut Desk<'_>) -> Decided<T> {
        (self.0)(desk)
    }
}

impl Lab {
    pub fn new() -> Self {
        Self::with(|_| None)
    }

    pub fn with(env: impl Fn(&str) -> Option<String>) -> Self {
        let (base, ignored) = Base::from_env(env);
        assert!(ignored.is_empty(), "{ignored:?}");
        Self {
            now_ms: START,
            base: Arc::new(base),
            audit: Vec::new(),
            tenant: TenantContext::local(),
            rows: BTreeMap::new(),
            seed: 1,
        }
    }

    /// Limits as a person sets them.
    pub fn limit(&mut self, changes: Value) {
        let Value::Object(changes) = changes else { panic!("limits are an object") };
        self.act(&human("admin"), ChangeLimits { base: self.base.clone(), changes, approval_id: None })
            .expect("good limits");
    }

    pub fn act<D: Decision>(&mut self, actor: &ActorRef, decision: D) -> Result<D::Outcome, Failure> {
        self.seed += 1 << 32;
        let ctx = OpContext {
            tenant: self.tenant.clone(),
            actor: actor.clone(),
            request_id: "r".into(),
            now_ms: self.now_ms,
        };
        let mut loaded = Loaded::default();
        let mut asks = decision.asks();
        for _ in 0..ROUNDS {
            for ask in asks {
                let found = self.find(&ask);
                loaded.fill(ask, found);
            }
            match step(&decision, &ctx, &loaded, self.seed) {
                Step::Ask(more) => asks = more,
                Step::Corrupt(why) => panic!("{why}"),
                Step::Settled(settled) => {
                    for write in settled.writes {
                        self.write(write);
                    }
                    for row in &settled.audit {
                        assert!(!row.payload.to_string().contains("sk_live_"), "a secret in the log: {row:?}");
                    }
                    self.audit.extend(settled.audit);
                    return settled.verdict.of::<D>();
                }
            }
        }
        panic!("the decision asks for more without coming to an end: {decision:?}")
    }

    fn find(&self, ask: &Ask) -> Vec<Row> {
        let tenant = self.tenant.key().0;
        match ask {
            Ask::Row { collection, id } => {
                self.rows.get(&(collection.name, tenant, id.clone())).map(|(row, ..)| row.clone()).into_iter().collect()
            }
            Ask::Page(page) => {
                let at = |columns: &[&str], name: &str| columns.iter().position(|column| *column == name).unwrap();
                let mut found: Vec<(i64, Row)> = self
                    .rows
                    .iter()
                    .filter(|((name, owner, _), _)| *name == page.collection.name && *owner == tenant)
                    .filter(|(_, (_, values, columns))| {
                        page.equals.iter().all(|(column, value)| values[at(columns, column)] == *value)
                    })
                    .filter_map(|(_, (row, values, columns))| match values[at(columns, page.order)] {
                        Column::Int(order) => Some((order, row.clone())),
                        Column::Null | Column::Text(_) | Column::Bytes(_) => None,
                    })
                    .filter(|(order, _)| page.since.is_none_or(|since| *order >= since))
                    .filter(|(order, _)| page.before.is_none_or(|before| *order < before))
                    .collect();
                found.sort_by(|a, b| (b.0, &b.1.id).cmp(&(a.0, &a.1.id)));
                found.truncate(page.limit);
                found.into_iter().map(|(_, row)| row).collect()
            }
        }
    }

    fn write(&mut self, write: Write) {
        let tenant = self.tenant.key().0;
        match write {
            Write::Put(put) => {
                let key = (put.collection.name, tenant, put.id.clone());
                let version = self.rows.get(&key).map(|(row, ..)| row.version);
                let expected = match put.expect {
                    Expect::Absent => version.is_none(),
                    Expect::Version(wanted) => version == Some(wanted),
                    Expect::Any => true,
                };
                assert!(expected, "{key:?} is {version:?}, expected {:?}", put.expect);
                let row = Row { id: put.id, version: version.unwrap_or(0) + 1, body: put.body };
                self.rows.insert(key, (row, put.columns, put.collection.columns));
            }
            Write::Delete { collection, id, .. } => {
                self.rows.remove(&(collection.name, tenant, id)).expect("a row to delete");
            }
            // Sweeps are called by the tests themselves.
            Write::Job(_) | Write::JobsWake { .. } => {}
            other => panic!("governance does not write {other:?}"),
        }
    }

    pub fn put<R: Record>(&mut self, record: &R) {
        self.write(Write::Put(Put::insert(record)));
    }

    /// The row of a run that nobody works on yet, as the automations keep it.
    pub fn queued(&mut self, run_id: &str, automation_id: &str) {
        let run = run::transition::tests::queued();
        self.put(&Run { run_id: run_id.into(), automation_id: automation_id.into(), ..run });
    }

    pub fn get<R: Record>(&self, id: &str) -> Option<R> {
        let key = (R::COLLECTION.name, self.tenant.key().0, id.to_owned());
        self.rows.get(&key).map(|(row, ..)| serde_json::from_str(&row.body).unwrap())
    }

    pub fn all<R: Record>(&self) -> Vec<R> {
        let tenant = self.tenant.key().0;
        let mine = self.rows.iter().filter(|((name, owner, _), _)| *name == R::COLLECTION.name && *owner == tenant);
        mine.map(|(_, (row, ..))| serde_json::from_str(&row.body).unwrap()).collect()
    }

    pub fn record(&self, id: &str) -> GovernanceRecord {
        self.get(id).expect("a record")
    }

    pub fn agent_row(&self, id: &str) -> Agent {
        self.get(id).expect("an agent")
    }

    pub fn create(&mut self, actor: &ActorRef, id: &str) -> Result<Created, Code> {
        self.create_as(actor, NewAutomation { automation_id: id.into(), ..NewAutomation::default() })
    }

    pub fn create_as(&mut self, actor: &ActorRef, new: NewAutomation) -> Result<Created, Code> {
        let base = self.base.clone();
        self.act(actor, Create(base, new)).map_err(|failure| failure.code)
    }

    pub fn create_with(&mut self, actor: &ActorRef, id: &str, declared: Capabilities) -> Result<Created, Code> {
        self.create_as(actor, NewAutomation { automation_id: id.into(), declared, ..NewAutomation::default() })
    }

    pub fn file(
        &mut self,
        by: &ActorRef,
        request_type: RequestType,
        target: Resource,
        context: Value,
    ) -> Result<Approval, Code> {
        self.file_with(by, request_type, target, NewRequest { context, ..NewRequest::default() })
    }

    pub fn file_with(
        &mut self,
        by: &ActorRef,
        request_type: RequestType,
        target: Resource,
        new: NewRequest,
    ) -> Result<Approval, Code> {
        let new = NewRequest { rationale: "because".into(), ..new };
        let new = new.tidy(&target, self.now_ms).map_err(|failure| failure.code)?;
        let base = self.base.clone();
        self.act(by, FileRequest { base, request_type, target, new }).map_err(|failure| failure.code)
    }

    pub fn decide(&mut self, by: &ActorRef, approval_id: &str, approve: bool) -> Result<Approval, Code> {
        let base = self.base.clone();
        let decision =
            approve::Decide { base, approval_id: approval_id.into(), approve, notes: None, pause_agent: false };
        match self.act(by, decision) {
            Ok(Ok(approval)) => Ok(approval),
            Ok(Err(failure)) => Err(failure.code),
            Err(failure) => Err(failure.code),
        }
    }

    pub fn events(&self) -> Vec<&str> {
        self.audit.iter().map(|row| row.event_type.as_ref()).collect()
    }

    pub fn has_event(&self, name: &str) -> bool {
        let name = format!("automation.governance.{name}");
        self.events().contains(&name.as_str())
    }
}

pub fn capability(name: &str) -> Value {
    json!({ "capability_key": name })
}

pub fn no_context() -> Value {
    Value::Object(Map::new())
}

/// An automation as it is set aside when it is deleted.
pub fn snapshot(id: &str) -> Value {
    let automation = Automation { automation_id: id.into(), ..read::tests::automation() };
    serde_json::to_value(automation).expect("an automation is an object")
}
