//! Decisions that are made inside the write transaction.
//!
//! A quota, a cap or a single-use approval must be judged on rows that nobody else can change before the outcome is
//! written. A commit therefore carries the question itself, as a [`Decision`]: a pure function that works at a [`Desk`].
//! Rows that it needs and that are not there yet are asked for; the store reads them under the tenant's lock and runs the
//! function again. What the function leaves on the desk is the rest of the commit. It is run from the start each time, so
//! it must not keep anything between runs.
//!
//! A refusal throws away every change on the desk, and keeps only what was left there [for that case](Desk::if_refused):
//! the record of the refusal. The same function runs without a transaction for a rehearsal, and nothing is written.
//!
//! Deliberately absent: versions to compare and try again. Under the lock nothing can change in between.

use std::{any::Any, collections::HashMap, fmt::Debug, sync::Arc};

use serde_json::Value;

use crate::{
    actor::OpContext,
    audit::event::Draft as AuditDraft,
    error::{Code, Failure},
    ports::Row,
    record::{Collection, Column, Commit, Expect, Job, Put, Record, Write},
    signal,
};

/// Rows of one collection, newest first by `order` and then by id, as they were before the decision.
#[derive(Clone, Debug, PartialEq)]
pub struct PageAsk {
    pub collection: &'static Collection,
    pub equals: Vec<(&'static str, Column)>,
    /// An integer column.
    pub order: &'static str,
    /// Rows whose order column is at least this …
    pub since: Option<i64>,
    /// … and below this.
    pub before: Option<i64>,
    pub limit: usize,
}

impl PageAsk {
    pub fn of<R: Record>(order: &'static str, limit: usize) -> Self {
        Self { collection: R::COLLECTION, equals: Vec::new(), order, since: None, before: None, limit }
    }

    pub fn equal(mut self, column: &'static str, value: Column) -> Self {
        self.equals.push((column, value));
        self
    }

    pub fn since(mut self, ms: u64) -> Self {
        self.since = Some(i64::try_from(ms).unwrap_or(i64::MAX));
        self
    }

    pub fn before(mut self, ms: u64) -> Self {
        self.before = Some(i64::try_from(ms).unwrap_or(i64::MAX));
        self
    }
}

/// Something that a decision needs to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    Row { collection: &'static Collection, id: String },
    Page(PageAsk),
}

impl Ask {
    pub fn row<R: Record>(id: &str) -> Self {
        Self::Row { collection: R::COLLECTION, id: id.to_owned() }
    }
}

/// What has been read for a decision.
#[derive(Debug, Default)]
pub struct Loaded {
    rows: HashMap<&'static str, HashMap<String, Option<Row>>>,
    pages: Vec<(PageAsk, Vec<Row>)>,
}

impl Loaded {
    /// Answers an [`Ask::Row`] with one row or none, an [`Ask::Page`] with its rows.
    pub fn fill(&mut self, ask: Ask, mut found: Vec<Row>) {
        match ask {
            Ask::Row { collection, id } => {
                self.rows.entry(collection.name).or_default().insert(id, found.pop());
            }
            Ask::Page(page) => self.pages.push((page, found)),
        }
    }
}

/// Why a decision did not come to its end.
#[derive(Clone, Debug)]
pub enum Halt {
    /// Rows are missing; they are on the list of the desk.
    Asked,
    /// A stored row cannot be understood. Never treated as absent.
    Corrupt(String),
    Refused(Box<Failure>),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Refused(Box::new(failure))
    }
}

pub type Decided<T> = Result<T, Halt>;

struct Change {
    collection: &'static Collection,
    id: String,
    expect: Expect,
    /// `None` deletes.
    put: Option<Put>,
}

/// Where one decision works: what it may know, and what it leaves to be written.
pub struct Desk<'a> {
    pub ctx: &'a OpContext,
    loaded: &'a Loaded,
    seed: u128,
    used: u128,
    asked: Vec<Ask>,
    changes: Vec<Change>,
    jobs: Vec<Write>,
    audit: Vec<AuditDraft>,
    kept: Vec<Put>,
    kept_audit: Vec<AuditDraft>,
}

impl<'a> Desk<'a> {
    /// `seed` is fresh and random; the ids of everything that the decision creates are made from it, the same ones in
    /// each run.
    pub fn new(ctx: &'a OpContext, loaded: &'a Loaded, seed: u128) -> Self {
        Self {
            ctx,
            loaded,
            seed,
            used: 0,
            asked: Vec::new(),
            changes: Vec::new(),
            jobs: Vec::new(),
            audit: Vec::new(),
            kept: Vec::new(),
            kept_audit: Vec::new(),
        }
    }

    pub fn now_ms(&self) -> u64 {
        self.ctx.now_ms
    }

    fn next(&mut self) -> u128 {
        self.used += 1;
        self.seed.wrapping_add(self.used)
    }

    /// A fresh id: the prefix and 32 hex characters.
    pub fn id(&mut self, prefix: &str) -> String {
        format!("{prefix}{:032x}", self.next())
    }

    /// A fresh id in the form of a random UUID (version 4).
    pub fn uuid(&mut self) -> String {
        let marked = (self.next() & !(0xf << 76) & !(0b11 << 62)) | (0x4 << 76) | (0b10 << 62);
        let hex = format!("{marked:032x}");
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    fn ask(&mut self, ask: Ask) -> Halt {
        if !self.asked.contains(&ask) {
            self.asked.push(ask);
        }
        Halt::Asked
    }

    /// Says that rows will be needed, so that they are read together. Asks for those that are not there.
    pub fn want(&mut self, asks: impl IntoIterator<Item = Ask>) -> Decided<()> {
        for ask in asks {
            let there = match &ask {
                Ask::Row { collection, id } => {
                    self.loaded.rows.get(collection.name).is_some_and(|rows| rows.contains_key(id))
                }
                Ask::Page(page) => self.loaded.pages.iter().any(|(known, _)| known == page),
            };
            if !there {
                self.ask(ask);
            }
        }
        if self.asked.is_empty() { Ok(()) } else { Err(Halt::Asked) }
    }

    fn change(&self, collection: &'static Collection, id: &str) -> Option<usize> {
        self.changes.iter().position(|change| change.collection.name == collection.name && change.id == id)
    }

    /// The row as this decision has left it, or as it is stored.
    pub fn get<R: Record>(&mut self, id: &str) -> Decided<Option<R>> {
        let body = match self.change(R::COLLECTION, id) {
            Some(at) => self.changes[at].put.as_ref().map(|put| put.body.as_str()),
            None => match self.loaded.rows.get(R::COLLECTION.name).and_then(|rows| rows.get(id)) {
                Some(row) => row.as_ref().map(|row| row.body.as_str()),
                None => return Err(self.ask(Ask::row::<R>(id))),
            },
        };
        body.map(|body| parse::<R>(id, body)).transpose()
    }

    /// Rows as they were before this decision. Rows that it has changed are given as it left them.
    pub fn page<R: Record>(&mut self, page: PageAsk) -> Decided<Vec<R>> {
        let Some((_, rows)) = self.loaded.pages.iter().find(|(known, _)| *known == page) else {
            return Err(self.ask(Ask::Page(page)));
        };
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            match self.change(R::COLLECTION, &row.id) {
                Some(at) => {
                    if let Some(put) = &self.changes[at].put {
                        found.push(parse::<R>(&row.id, &put.body)?);
                    }
                }
                None => found.push(parse::<R>(&row.id, &row.body)?),
            }
        }
        Ok(found)
    }

    /// How many rows a page has, without reading what is in them.
    pub fn count(&mut self, page: PageAsk) -> Decided<usize> {
        match self.loaded.pages.iter().find(|(known, _)| *known == page) {
            Some((_, rows)) => Ok(rows.len()),
            None => Err(self.ask(Ask::Page(page))),
        }
    }

    /// The version that is stored, also where it came with a page.
    fn expected(&self, collection: &'static Collection, id: &str) -> Expect {
        let known = self.loaded.rows.get(collection.name).and_then(|rows| rows.get(id));
        if let Some(row) = known {
            return row.as_ref().map_or(Expect::Absent, |row| Expect::Version(row.version));
        }
        let pages = self.loaded.pages.iter().filter(|(page, _)| page.collection.name == collection.name);
        let found = pages.flat_map(|(_, rows)| rows).find(|row| row.id == id);
        found.map_or(Expect::Absent, |row| Expect::Version(row.version))
    }

    fn set(&mut self, collection: &'static Collection, id: &str, put: Option<Put>) {
        match self.change(collection, id) {
            Some(at) => self.changes[at].put = put,
            None => {
                let expect = self.expected(collection, id);
                self.changes.push(Change { collection, id: id.to_owned(), expect, put });
            }
        }
    }

    /// Writes the row: over the one that was read, or as a new one.
    pub fn save<R: Record>(&mut self, record: &R) {
        let put = Put::insert(record);
        self.set(R::COLLECTION, record.id(), Some(put));
    }

    /// Removes a row that was read.
    pub fn remove<R: Record>(&mut self, id: &str) {
        self.set(R::COLLECTION, id, None);
    }

    /// Writes a row that was made before the decision, over the version that was read then.
    pub fn put(&mut self, put: Put) {
        self.jobs.push(Write::Put(put));
    }

    pub fn job(&mut self, job: Job) {
        self.jobs.push(Write::Job(job));
    }

    /// Jobs, wakes and signals. Rows go through [`Desk::save`].
    pub fn write(&mut self, write: Write) {
        self.jobs.push(write);
    }

    /// Hands a report into the pipeline with the same commit.
    pub fn signal(&mut self, signal: signal::Accepted) {
        self.jobs.push(Write::Signal(Box::new(signal)));
    }

    /// The audit row of a change on this desk.
    pub fn audit(&mut self, event_type: &'static str, payload: Value) {
        let event_id = self.uuid();
        self.audit.push(AuditDraft::new(self.ctx, event_id, event_type, payload));
    }

    /// What is written instead of everything else if the decision ends in a refusal.
    pub fn if_refused<R: Record>(&mut self, record: &R) {
        self.kept.push(Put::insert(record));
    }

    /// The audit row of the refusal.
    pub fn audit_if_refused(&mut self, event_type: &'static str, payload: Value) {
        let event_id = self.uuid();
        self.kept_audit.push(AuditDraft::new(self.ctx, event_id, event_type, payload));
    }

    fn close(self, refused: bool) -> (Vec<Write>, Vec<AuditDraft>) {
        if refused {
            return (self.kept.into_iter().map(Write::Put).collect(), self.kept_audit);
        }
        let mut writes = Vec::with_capacity(self.changes.len() + self.jobs.len());
        for Change { collection, id, expect, put } in self.changes {
            match (put, expect) {
                (Some(put), _) => writes.push(Write::Put(Put { expect, ..put })),
                // Made and removed again on this desk.
                (None, Expect::Absent) => {}
                (None, _) => writes.push(Write::Delete { collection, id, expect }),
            }
        }
        writes.extend(self.jobs);
        (writes, self.audit)
    }
}

fn parse<R: Record>(id: &str, body: &str) -> Decided<R> {
    serde_json::from_str(body).map_err(|error| Halt::Corrupt(format!("{}/{id}: {error}", R::COLLECTION.name)))
}

/// A question that is decided inside the write transaction.
pub trait Decision: Debug + Send + Sync + 'static {
    type Outcome: Clone + Send + Sync + 'static;

    /// Rows that are certainly needed, so that the first run finds them.
    fn asks(&self) -> Vec<Ask> {
        Vec::new()
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Self::Outcome>;
}

type Boxed = Arc<dyn Any + Send + Sync>;

/// A [`Decision`] of any kind, as a commit carries it.
pub trait Decide: Debug + Send + Sync {
    fn first_asks(&self) -> Vec<Ask>;
    fn run(&self, desk: &mut Desk<'_>) -> Decided<Boxed>;
}

impl<D: Decision> Decide for D {
    fn first_asks(&self) -> Vec<Ask> {
        self.asks()
    }

    fn run(&self, desk: &mut Desk<'_>) -> Decided<Boxed> {
        self.decide(desk).map(|outcome| Arc::new(outcome) as Boxed)
    }
}

/// How a decision ended.
#[derive(Clone, Debug)]
pub enum Verdict {
    Done(Boxed),
    Refused(Box<Failure>),
}

impl Verdict {
    /// The outcome of a decision of type `D`.
    pub fn of<D: Decision>(self) -> Result<D::Outcome, Failure> {
        match self {
            Self::Done(outcome) => {
                outcome.downcast_ref::<D::Outcome>().cloned().ok_or_else(|| Failure::of(Code::Internal))
            }
            Self::Refused(failure) => Err(*failure),
        }
    }
}

/// A decision that has come to its end: what to write, and how it ended.
#[derive(Debug)]
pub struct Settled {
    pub writes: Vec<Write>,
    pub audit: Vec<AuditDraft>,
    pub verdict: Verdict,
}

impl Settled {
    /// What was decided by which rules, as it would be recorded.
    pub fn decisions(&self) -> Vec<Value> {
        let recorded = |write: &Write| match write {
            Write::Put(put) if put.collection.name == crate::governance::policy::POLICY_DECISIONS.name => {
                serde_json::from_str(&put.body).ok()
            }
            _ => None,
        };
        self.writes.iter().filter_map(recorded).collect()
    }
}

#[derive(Debug)]
pub enum Step {
    /// Read these and run again.
    Ask(Vec<Ask>),
    Settled(Settled),
    Corrupt(String),
}

/// A decision that asks this often without coming to an end never will.
pub const ROUNDS: usize = 24;

/// Runs a decision once on what is loaded.
pub fn step(decide: &dyn Decide, ctx: &OpContext, loaded: &Loaded, seed: u128) -> Step {
    let mut desk = Desk::new(ctx, loaded, seed);
    match decide.run(&mut desk) {
        Ok(outcome) => {
            let (writes, audit) = desk.close(false);
            Step::Settled(Settled { writes, audit, verdict: Verdict::Done(outcome) })
        }
        Err(Halt::Refused(failure)) => {
            let (writes, audit) = desk.close(true);
            Step::Settled(Settled { writes, audit, verdict: Verdict::Refused(failure) })
        }
        Err(Halt::Asked) => Step::Ask(desk.asked),
        Err(Halt::Corrupt(why)) => Step::Corrupt(why),
    }
}

/// A commit of one decision. `seed` is fresh and random.
pub fn commit(ctx: &OpContext, seed: u128, decision: impl Decision) -> Commit {
    Commit::new(ctx).write(Write::Decide { decide: Arc::new(decision), seed })
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::{actor::ActorRef, tenant::TenantContext};

    static COUNTERS: Collection = Collection { name: "counters", columns: &[] };

    #[derive(Clone, Serialize, Deserialize)]
    struct Counter {
        id: String,
        n: u64,
    }

    impl Record for Counter {
        const COLLECTION: &'static Collection = &COUNTERS;
        fn id(&self) -> &str {
            &self.id
        }
        fn columns(&self) -> Vec<Column> {
            Vec::new()
        }
    }

    #[derive(Debug)]
    struct AddUpTo(u64);

    impl Decision for AddUpTo {
        type Outcome = u64;
        fn decide(&self, desk: &mut Desk<'_>) -> Decided<u64> {
            let mut counter = desk.get::<Counter>("c")?.unwrap_or(Counter { id: "c".into(), n: 0 });
            counter.n += 1;
            desk.save(&counter);
            desk.audit("counted", counter.n.into());
            desk.audit_if_refused("refused", counter.n.into());
            // Read back what is on the desk.
            let n = desk.get::<Counter>("c")?.map_or(0, |counter| counter.n);
            if n > self.0 {
                return Err(Failure::of(Code::Conflict).into());
            }
            Ok(n)
        }
    }

    fn ctx() -> OpContext {
        OpContext { tenant: TenantContext::local(), actor: ActorRef::worker("t"), request_id: "r".into(), now_ms: 1 }
    }

    fn stored(n: u64) -> Loaded {
        let mut loaded = Loaded::default();
        let row = Row { id: "c".into(), version: 7, body: format!("{{\"id\":\"c\",\"n\":{n}}}") };
        loaded.fill(Ask::row::<Counter>("c"), vec![row]);
        loaded
    }

    #[test]
    fn a_decision_asks_then_writes_what_it_left() {
        let Step::Ask(asks) = step(&AddUpTo(3), &ctx(), &Loaded::default(), 9) else { panic!("nothing is loaded") };
        assert_eq!(asks, [Ask::row::<Counter>("c")]);
        let Step::Settled(settled) = step(&AddUpTo(3), &ctx(), &stored(2), 9) else { panic!("all is there") };
        let [Write::Put(put)] = &settled.writes[..] else { panic!("{:?}", settled.writes) };
        assert_eq!((put.expect, put.body.as_str()), (Expect::Version(7), "{\"id\":\"c\",\"n\":3}"));
        assert_eq!(settled.audit[0].event_type, "counted");
        assert_eq!(settled.verdict.of::<AddUpTo>().map_err(|f| f.code), Ok(3));
    }

    #[test]
    fn a_refusal_keeps_only_its_own_record() {
        let Step::Settled(settled) = step(&AddUpTo(3), &ctx(), &stored(3), 9) else { panic!("all is there") };
        assert!(settled.writes.is_empty(), "{:?}", settled.writes);
        assert_eq!(settled.audit.len(), 1);
        assert_eq!(settled.audit[0].event_type, "refused");
        assert_eq!(settled.verdict.of::<AddUpTo>().map_err(|f| f.code), Err(Code::Conflict));
    }

    #[test]
    fn an_unreadable_row_is_never_absent() {
        let mut loaded = Loaded::default();
        loaded.fill(Ask::row::<Counter>("c"), vec![Row { id: "c".into(), version: 1, body: "{".into() }]);
        assert!(matches!(step(&AddUpTo(3), &ctx(), &loaded, 9), Step::Corrupt(_)));
    }

    #[test]
    fn ids_are_the_same_in_each_run() {
        let (ctx, loaded) = (ctx(), Loaded::default());
        let make = || {
            let mut desk = Desk::new(&ctx, &loaded, 41);
            (desk.id("apr_"), desk.uuid())
        };
        assert_eq!(make(), make());
        assert_eq!(make().0, format!("apr_{:032x}", 42));
    }
}
