use serde_json::Value;

use super::*;
use crate::{
    actor::{ActorKind, OpContext},
    audit::event::Draft,
    decide::{Loaded, Step, Verdict, step},
    ports::Row,
    tenant::TenantContext,
};

const NOW: u64 = 1_000 * DAY_MS;

fn ctx() -> OpContext {
    OpContext {
        tenant: TenantContext::local(),
        actor: ActorRef { kind: ActorKind::Human, actor_id: Some("ada".into()), source: None },
        request_id: "r".into(),
        now_ms: NOW,
    }
}

/// What is stored, by collection and id.
#[derive(Default)]
struct Table(Vec<(&'static str, Row)>);

impl Table {
    fn run<D: Decision>(&mut self, decision: &D) -> Result<(D::Outcome, Vec<Draft>, Vec<Write>), Failure> {
        let mut loaded = Loaded::default();
        let mut asks = decision.asks();
        let settled = loop {
            for ask in asks {
                let (name, wanted) = match &ask {
                    Ask::Row { collection, id } => (collection.name, Some(id.clone())),
                    Ask::Page(page) => (page.collection.name, None),
                };
                let fits = |stored: &&(&'static str, Row)| {
                    stored.0 == name && wanted.as_ref().is_none_or(|id| stored.1.id == *id)
                };
                let found = self.0.iter().filter(fits).map(|(_, row)| row.clone()).collect();
                loaded.fill(ask, found);
            }
            // Ids come from the seed.
            match step(decision, &ctx(), &loaded, 7 + self.0.len() as u128) {
                Step::Ask(more) => asks = more,
                Step::Corrupt(why) => panic!("{why}"),
                Step::Settled(settled) => break settled,
            }
        };
        let mut others = Vec::new();
        for write in settled.writes {
            match write {
                Write::Put(put) => {
                    self.0.retain(|(name, row)| (*name, &row.id) != (put.collection.name, &put.id));
                    self.0.push((put.collection.name, Row { id: put.id, version: 1, body: put.body }));
                }
                Write::Delete { collection, id, .. } => {
                    self.0.retain(|(name, row)| (*name, &row.id) != (collection.name, &id));
                }
                other => others.push(other),
            }
        }
        match settled.verdict {
            Verdict::Refused(failure) => Err(*failure),
            done @ Verdict::Done(_) => done.of::<D>().map(|outcome| (outcome, settled.audit, others)),
        }
    }

    fn keep_days(&mut self, body_days: Option<u64>) {
        self.run(&Configure { wish: RetentionWish { body_days } }).map(|_| ()).unwrap();
    }

    fn hold(&mut self, since_ms: Option<u64>, until_ms: Option<u64>) -> String {
        let wish = HoldWish { reason: "case 7".into(), since_ms, until_ms };
        self.run(&Hold { wish }).unwrap().0.hold_id
    }

    fn setting(&self) -> AuditRetention {
        let row = self.0.iter().find(|(name, _)| *name == AUDIT_RETENTION.name).unwrap();
        serde_json::from_str(&row.1.body).unwrap()
    }

    /// The runs that a sweep over these rows drops, and what it tells.
    fn sweep(&mut self, old: Vec<Old>) -> (Vec<(u64, u64)>, Vec<Value>) {
        let sweep = DropOld { old, job_id: "j".into(), lease: "l".into(), more: false };
        let (_, audit, writes) = self.run(&sweep).unwrap();
        let dropped = writes.iter().filter_map(|write| match write {
            Write::DropBodies { first_seq, last_seq } => Some((*first_seq, *last_seq)),
            _ => None,
        });
        assert!(writes.iter().any(|write| matches!(write, Write::JobRetry { .. })), "{writes:?}");
        (dropped.collect(), audit.into_iter().map(|row| row.payload).collect())
    }
}

/// Row `seq`, so many days old.
fn old(seq: u64, days: u64) -> Old {
    let event_type = "incident_monitor.incident.detected".to_owned();
    Old { seq, event_type, created_at_ms: NOW - days * DAY_MS, dropped: false }
}

fn rows() -> Vec<Old> {
    (1..=6).map(|seq| old(seq, 100 - seq * 10)).collect()
}

#[test]
fn what_is_older_than_the_setting_says_is_dropped_and_told() {
    let mut table = Table::default();
    table.keep_days(Some(45));
    let (dropped, told) = table.sweep(rows());
    assert_eq!(dropped, [(1, 5)]);
    assert_eq!((&told[0]["ranges"], &told[0]["bodies"]), (&json!([[1, 5]]), &json!(5)));
    let setting = table.setting();
    assert_eq!((setting.swept_to_seq, setting.bodies_dropped, setting.last_dropped_at_ms), (5, 5, Some(NOW)));
    // Nothing more is old: nothing is told, and the mark stays.
    let (dropped, told) = table.sweep(vec![old(6, 40)]);
    assert_eq!((dropped, told.len(), table.setting().swept_to_seq), (Vec::new(), 0, 5));
    // What is gone already is not told again.
    let (dropped, told) = table.sweep(vec![Old { dropped: true, ..old(6, 90) }]);
    assert_eq!((dropped, told.len(), table.setting().swept_to_seq), (Vec::new(), 0, 6));
}

#[test]
fn a_setting_without_days_keeps_everything() {
    let mut table = Table::default();
    table.keep_days(Some(45));
    table.keep_days(None);
    assert_eq!(table.sweep(rows()).0, []);
}

#[test]
fn rows_that_account_for_others_keep_their_bodies() {
    let mut table = Table::default();
    table.keep_days(Some(1));
    let mut rows = rows();
    for (at, kind) in [(1, DROPPED), (3, "audit.integrity.acknowledged"), (4, "audit.hold.placed")] {
        rows[at].event_type = kind.into();
    }
    assert_eq!(table.sweep(rows).0, [(1, 1), (3, 3), (6, 6)]);
}

#[test]
fn what_is_on_hold_stays_until_it_is_released() {
    let mut table = Table::default();
    table.keep_days(Some(1));
    // Rows 2 to 4 by their times.
    let id = table.hold(Some(NOW - 80 * DAY_MS), Some(NOW - 60 * DAY_MS));
    let (dropped, told) = table.sweep(rows());
    assert_eq!(dropped, [(1, 1), (5, 6)]);
    assert_eq!(told[0]["on_hold"], json!(3));
    let other = table.hold(None, None);
    table.run(&Release { hold_id: id }).unwrap();
    assert_eq!(table.setting().swept_to_seq, 0, "it is looked at again");
    assert_eq!(table.sweep(rows()).0, [], "the other hold has no end");
    let (_, _, writes) = table.run(&Release { hold_id: other.clone() }).unwrap();
    assert!(matches!(writes[0], Write::JobsWake { .. }), "{writes:?}");
    assert_eq!(table.sweep(rows()).0, [(1, 6)]);
    assert_eq!(table.run(&Release { hold_id: other }).map(|_| ()).unwrap_err().code, Code::LegalHoldNotFound);
}

#[test]
fn nonsense_is_refused() {
    let mut table = Table::default();
    for days in [0, LONGEST_DAYS + 1] {
        let wish = RetentionWish { body_days: Some(days) };
        assert_eq!(table.run(&Configure { wish }).map(|_| ()).unwrap_err().code, Code::ValidationFailed);
    }
    for (reason, since_ms, until_ms) in [("  ", None, None), ("why", Some(2), Some(1))] {
        let wish = HoldWish { reason: reason.into(), since_ms, until_ms };
        assert_eq!(table.run(&Hold { wish }).map(|_| ()).unwrap_err().code, Code::ValidationFailed);
    }
    let said = HoldWish { reason: "see password=hunter2secret".into(), since_ms: None, until_ms: None };
    assert!(!table.run(&Hold { wish: said }).unwrap().0.reason.contains("hunter2secret"));
}
