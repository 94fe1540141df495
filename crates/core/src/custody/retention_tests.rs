use serde_json::Value;

use super::*;
use crate::{
    actor::{ActorKind, OpContext},
    audit::event::Draft,
    decide::{Loaded, Step, Verdict, step},
    ports::Row,
    record::Expect,
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
        self.run(&Configure { wish: RetentionWish { body_days, artifact_days: None } }).map(|_| ()).unwrap();
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
        let (_, audit, writes) = self.run(&step_over(old, Vec::new())).unwrap();
        let dropped = writes.iter().filter_map(|write| match write {
            Write::DropBodies { first_seq, last_seq } => Some((*first_seq, *last_seq)),
            _ => None,
        });
        assert!(writes.iter().any(|write| matches!(write, Write::JobRetry { .. })), "{writes:?}");
        (dropped.collect(), audit.into_iter().map(|row| row.payload).collect())
    }
}

fn step_over(old: Vec<Old>, artifacts: Vec<OldArtifact>) -> DropOld {
    let (job_id, lease) = ("j".into(), "l".into());
    DropOld { old, artifacts, job_id, lease, more_rows: false, more_artifacts: false }
}

/// When the job is due again.
fn due(writes: &[Write]) -> u64 {
    let due = writes.iter().find_map(|write| match write {
        Write::JobRetry { due_at_ms, .. } => Some(*due_at_ms),
        _ => None,
    });
    due.unwrap()
}

static ARTIFACTS: Collection = Collection { name: "artifacts_of_this_test", columns: &[] };

/// An artifact so many days old.
fn artifact(days: u64) -> OldArtifact {
    let artifact_id = format!("a-{days}");
    let emptied = Put {
        collection: &ARTIFACTS,
        id: artifact_id.clone(),
        expect: Expect::Version(1),
        columns: Vec::new(),
        body: "emptied".into(),
    };
    OldArtifact {
        place: ArtifactPlace { created_at_ms: NOW - days * DAY_MS, artifact_id },
        content_sha256: "d".repeat(64),
        content_bytes: days,
        emptied: Some(emptied),
    }
}

#[test]
fn artifacts_have_days_of_their_own() {
    let mut table = Table::default();
    table.keep_days(Some(1));
    let artifacts = || vec![artifact(90), artifact(60), artifact(30)];
    let (dropped, ..) = table.run(&step_over(Vec::new(), artifacts())).unwrap();
    assert_eq!((dropped, table.setting().artifacts_swept_to), (0, None), "nothing was said of artifacts");

    let wish = RetentionWish { body_days: None, artifact_days: Some(45) };
    table.run(&Configure { wish }).unwrap();
    let (dropped, told, _) = table.run(&step_over(rows(), artifacts())).unwrap();
    assert_eq!((dropped, told.len(), told[0].event_type.as_ref()), (2, 1, ARTIFACTS_DROPPED));
    let payload = &told[0].payload;
    assert_eq!((&payload["artifacts"][1]["artifact_id"], &payload["on_hold"]), (&json!("a-60"), &json!(0)));
    assert_eq!(payload["artifacts"][0]["content_sha256"], json!("d".repeat(64)));
    let setting = table.setting();
    assert_eq!(setting.artifacts_swept_to, Some(artifact(60).place));
    assert_eq!((setting.artifacts_dropped, setting.bodies_dropped), (2, 0));
    assert_eq!((setting.swept_to_seq, setting.last_dropped_at_ms), (0, Some(NOW)));
    let emptied = table.0.iter().filter(|(_, row)| row.body == "emptied").map(|(_, row)| row.id.clone());
    assert_eq!(emptied.collect::<Vec<_>>(), ["a-90", "a-60"]);
}

#[test]
fn an_artifact_on_hold_stays_until_it_is_released() {
    let mut table = Table::default();
    table.run(&Configure { wish: RetentionWish { body_days: None, artifact_days: Some(1) } }).unwrap();
    let id = table.hold(Some(NOW - 70 * DAY_MS), Some(NOW - 50 * DAY_MS));
    let artifacts = || vec![OldArtifact { emptied: None, ..artifact(90) }, artifact(60), artifact(30)];
    let (dropped, told, _) = table.run(&step_over(Vec::new(), artifacts())).unwrap();
    assert_eq!((dropped, &told[0].payload["on_hold"]), (1, &json!(1)));
    assert_eq!(table.setting().artifacts_swept_to, Some(artifact(30).place));
    table.run(&Release { hold_id: id }).unwrap();
    assert_eq!(table.setting().artifacts_swept_to, None, "it is looked at again");
    assert_eq!(table.run(&step_over(Vec::new(), artifacts())).unwrap().0, 2);
}

#[test]
fn either_kind_that_has_more_is_gone_on_with() {
    let mut table = Table::default();
    table.run(&Configure { wish: RetentionWish { body_days: Some(1), artifact_days: Some(45) } }).unwrap();
    // (more rows, more artifacts, the newest artifact's age) and whether the sweep goes on at once.
    for (more_rows, more_artifacts, days, on) in [
        (false, false, 60, false),
        (true, false, 30, true),
        (false, true, 60, true),
        (false, true, 30, false),
        (true, true, 30, true),
    ] {
        let sweep = DropOld { more_rows, more_artifacts, ..step_over(rows(), vec![artifact(90), artifact(days)]) };
        let (_, _, writes) = table.run(&sweep).unwrap();
        assert_eq!(due(&writes) == NOW, on, "{more_rows} {more_artifacts} {days}");
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
        for (body_days, artifact_days) in [(Some(days), None), (Some(1), Some(days))] {
            let wish = RetentionWish { body_days, artifact_days };
            assert_eq!(table.run(&Configure { wish }).map(|_| ()).unwrap_err().code, Code::ValidationFailed);
        }
    }
    for (reason, since_ms, until_ms) in [("  ", None, None), ("why", Some(2), Some(1))] {
        let wish = HoldWish { reason: reason.into(), since_ms, until_ms };
        assert_eq!(table.run(&Hold { wish }).map(|_| ()).unwrap_err().code, Code::ValidationFailed);
    }
    let said = HoldWish { reason: "see password=hunter2secret".into(), since_ms: None, until_ms: None };
    assert!(!table.run(&Hold { wish: said }).unwrap().0.reason.contains("hunter2secret"));
}
