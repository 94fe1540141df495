//! Comparison, scopes and what is due.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;
use tandem_core::{
    actor::{ActorRef, OpContext},
    config::{self, Config},
    decide::{self, Ask, Decision, Loaded, Step},
    error::{Code, Failure},
    ports::Row,
    record::Write,
    tenant::TenantContext,
};

use super::*;
use crate::finding::Severity;

fn seen(name: &str) -> Observed {
    Observed {
        fingerprint: format!("sha256:{name}"),
        rule_id: name.into(),
        scope: "deployment".into(),
        severity: Severity::High,
        category: "c".into(),
        evidence_refs: vec![format!("inventory.{name}")],
    }
}

#[test]
fn new_recurring_and_resolved() {
    let (first, told, known) = compare(&BTreeMap::new(), &[seen("a"), seen("b"), seen("a")], 10);
    assert_eq!(first.len(), 2);
    assert_eq!(told.new_fingerprints, ["sha256:a", "sha256:b"]);
    assert_eq!(first[0].summary, "a [c/high]");
    let (second, told, known) = compare(&known, &[seen("b"), seen("c")], 20);
    assert_eq!(told.recurring_fingerprints, ["sha256:b"]);
    assert_eq!(told.new_fingerprints, ["sha256:c"]);
    assert_eq!(told.resolved_fingerprints, ["sha256:a"]);
    let b = &second[0];
    assert_eq!(
        (b.first_seen_at_ms, b.last_seen_at_ms, b.occurrence_count, b.status),
        (10, 20, 2, FindingStatus::Recurring)
    );
    // What was gone comes back as new.
    let (third, _, _) = compare(&known, &[seen("a")], 30);
    assert_eq!((third[0].first_seen_at_ms, third[0].occurrence_count, third[0].status), (30, 1, FindingStatus::New));
}

proptest! {
    #[test]
    fn the_same_again_is_all_recurring_in_whatever_order(
        names in proptest::collection::vec("[a-f]{1,2}", 0..12), shift in 0_usize..12,
    ) {
        let observed: Vec<Observed> = names.iter().map(|name| seen(name)).collect();
        let mut turned = observed.clone();
        if !turned.is_empty() {
            let by = shift % turned.len();
            turned.rotate_left(by);
        }
        let (first, told, known) = compare(&BTreeMap::new(), &observed, 1);
        prop_assert!(told.recurring_fingerprints.is_empty() && told.resolved_fingerprints.is_empty());
        let (again, told, after) = compare(&known, &turned, 2);
        prop_assert!(told.new_fingerprints.is_empty() && told.resolved_fingerprints.is_empty());
        prop_assert_eq!(again.len(), first.len());
        prop_assert!(again.iter().all(|it| it.occurrence_count == 2 && it.first_seen_at_ms == 1));
        let set = |all: &[Reassessed]| all.iter().map(|it| it.fingerprint.clone()).collect::<BTreeSet<_>>();
        prop_assert_eq!(set(&again), set(&first));
        let (_, told, _) = compare(&after, &[], 3);
        prop_assert_eq!(told.resolved_fingerprints.len(), first.len());
    }
}

#[test]
fn made_fingerprints_tell_tenants_rules_and_subjects_apart() {
    let made = |tenant: &TenantContext, rule: &str, subject: &str| {
        let synthetic = Synthetic {
            rule_id: rule.into(),
            subject,
            severity: Severity::High,
            category: "governance_gap",
            evidence_refs: Vec::new(),
        };
        synthetic.observed(tenant).fingerprint
    };
    let local = TenantContext::local();
    let one = made(&local, "governance.metric_threshold_breach.x", "x");
    assert_eq!(one.len(), 32);
    assert_eq!(one, made(&local, " Governance.metric_threshold_breach.X", "X "));
    for other in [
        made(&TenantContext::explicit("acme", "main"), "governance.metric_threshold_breach.x", "x"),
        made(&local, "governance.behavioral_drift.x", "x"),
        made(&local, "governance.metric_threshold_breach.x", "y"),
    ] {
        assert_ne!(one, other);
    }
}

fn config(body: serde_json::Value) -> Config {
    config::read(body).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn scopes_are_the_owner_and_every_bound_tenant_once() {
    let project = |id: &str, tenant: Option<&str>, workspace: Option<&str>| {
        json!({"project_id": id, "name": id, "repo": "a/b", "workspace_root": "/", "tenant_id": tenant,
            "workspace_id": workspace})
    };
    let keys = |projects: serde_json::Value| {
        let config = config(json!({ "monitored_projects": projects }));
        scopes(&config, &TenantContext::local()).iter().map(ScopeId::key).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(keys(json!([])), "local/local/deployment");
    assert_eq!(keys(json!([project("a", None, None)])), "local/local/deployment");
    assert_eq!(
        keys(json!([
            project("a", Some("acme"), Some("main")),
            project("b", Some("acme"), Some("main")),
            project("c", Some("zoo"), Some("w")),
            project("d", Some("half"), None),
            project("e", Some("local"), Some("local")),
        ])),
        "local/local/deployment acme/main/deployment zoo/w/deployment"
    );
}

#[test]
fn a_scope_that_never_ran_becomes_overdue() {
    let settings = config::Reassessment { cadence_ms: 1_000, overdue_grace_ms: 50, change_triggers_enabled: true };
    let id = ScopeId::of(&TenantContext::local());
    let unknown = row(&id, None, &settings, 500);
    assert_eq!((unknown.next_due_at_ms, unknown.overdue, unknown.last_version), (500, false, None));
    let mut state = ScopeState::new(id.clone(), 100);
    assert!(!row(&id, Some(&state), &settings, 150).overdue);
    assert!(row(&id, Some(&state), &settings, 151).overdue);
    assert_eq!(state.cadence_due_at_ms(&settings), 1_100);
    assert_eq!(state.cadence_due_at_ms(&config::Reassessment::default()), 100 + FIRST_MS);
    state.last_completed_at_ms = Some(200);
    state.last_version = 1;
    let ran = row(&id, Some(&state), &settings, 1_250);
    assert_eq!((ran.next_due_at_ms, ran.overdue, ran.last_version), (1_200, false, Some(1)));
    assert!(row(&id, Some(&state), &settings, 1_251).overdue);
}

/// Rows of one tenant, and decisions made on them one after the other.
struct Lab {
    ctx: OpContext,
    rows: BTreeMap<(&'static str, String), (u64, String)>,
    audit: Vec<String>,
    jobs: Vec<Write>,
}

impl Lab {
    fn new() -> Self {
        let actor = ActorRef::worker("t");
        let ctx = OpContext { tenant: TenantContext::local(), actor, request_id: "r".into(), now_ms: 1_000 };
        Self { ctx, rows: BTreeMap::new(), audit: Vec::new(), jobs: Vec::new() }
    }

    fn decide<D: Decision>(&mut self, decision: &D) -> D::Outcome {
        self.verdict(decision).unwrap_or_else(|failure| panic!("{}", failure.message))
    }

    fn verdict<D: Decision>(&mut self, decision: &D) -> Result<D::Outcome, Failure> {
        let mut loaded = Loaded::default();
        loop {
            match decide::step(decision, &self.ctx, &loaded, 7) {
                Step::Settled(settled) => {
                    for write in settled.writes {
                        match write {
                            Write::Put(put) => {
                                self.rows.insert((put.collection.name, put.id), (1, put.body));
                            }
                            Write::Delete { collection, id, .. } => {
                                self.rows.remove(&(collection.name, id));
                            }
                            other => self.jobs.push(other),
                        }
                    }
                    self.audit.extend(settled.audit.iter().map(|row| {
                        format!("{} {}", row.event_type, row.payload["trigger"].as_str().unwrap_or_default())
                    }));
                    return settled.verdict.of::<D>();
                }
                Step::Ask(asks) => {
                    for ask in asks {
                        let of = |name: &'static str| {
                            let all = self.rows.iter().filter(move |((collection, _), _)| *collection == name);
                            all.map(|((_, id), (version, body))| Row {
                                id: id.clone(),
                                version: *version,
                                body: body.clone(),
                            })
                        };
                        let found = match &ask {
                            Ask::Row { collection, id } => of(collection.name).filter(|row| row.id == *id).collect(),
                            Ask::Page(page) => of(page.collection.name).collect(),
                        };
                        loaded.fill(ask, found);
                    }
                }
                Step::Corrupt(why) => panic!("{why}"),
            }
        }
    }

    fn state(&self) -> ScopeState {
        let (_, body) = &self.rows[&("reassessment_scopes", "local/local/deployment".to_owned())];
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}"))
    }
}

fn complete(after: u64, cause: Cause, names: &[&str]) -> Complete {
    Complete {
        id: ScopeId::of(&TenantContext::local()),
        cause,
        after,
        living: Vec::new(),
        observed: names.iter().map(|name| seen(name)).collect(),
        settings: config::Reassessment::default(),
        rules_digest: "d".into(),
        duration_ms: 3,
        held: None,
    }
}

#[test]
fn reasons_wait_once_each_and_a_run_ends_only_what_it_has_seen() {
    let mut lab = Lab::new();
    let mark =
        |trigger, detail: &str| Mark { changes: vec![Change::new(trigger, detail)], scopes: None, at_once: true };
    lab.decide(&mark(Trigger::ModelPolicyChange, "a"));
    lab.decide(&mark(Trigger::McpInventoryChange, "b"));
    lab.decide(&mark(Trigger::ModelPolicyChange, "c"));
    let state = lab.state();
    let waiting: Vec<(Trigger, u64)> = state.pending.iter().map(|one| (one.trigger, one.count)).collect();
    assert_eq!(waiting, [(Trigger::ModelPolicyChange, 2), (Trigger::McpInventoryChange, 1)]);
    assert_eq!(lab.jobs.iter().filter(|write| matches!(write, Write::Job(_))).count(), 1);
    // Something comes in while the run is under way.
    let mark_seen = state.marks;
    lab.decide(&mark(Trigger::McpInventoryChange, "later"));
    lab.decide(&mark(Trigger::ApprovalPolicyChange, "later"));
    let record = lab.decide(&complete(0, Cause::Due { mark: mark_seen }, &["x"]));
    assert_eq!(record.record_id, "reassess-1-local/local/deployment");
    assert_eq!((record.version, record.trigger, record.triggers.len()), (1, Trigger::ModelPolicyChange, 1));
    let left: Vec<Trigger> = lab.state().pending.iter().map(|one| one.trigger).collect();
    assert_eq!(left, [Trigger::McpInventoryChange, Trigger::ApprovalPolicyChange]);
    // A run that somebody asked for answers none of them.
    let manual = lab.decide(&complete(1, Cause::Asked, &["x"]));
    assert_eq!((manual.version, manual.trigger, manual.counts.recurring), (2, Trigger::Manual, 1));
    assert_eq!(lab.state().pending.len(), 2);
    let rest = lab.decide(&complete(2, Cause::Due { mark: u64::MAX }, &[]));
    assert_eq!((rest.triggers.len(), rest.counts.resolved), (2, 1));
    assert_eq!(rest.comparison.previous_version, Some(2));
    let cadence = lab.decide(&complete(3, Cause::Due { mark: u64::MAX }, &[]));
    assert_eq!((cadence.trigger, cadence.tenant_id), (Trigger::Scheduled, None));
    let triggered: Vec<&String> = lab.audit.iter().filter(|row| row.contains(".triggered")).collect();
    assert_eq!(triggered.len(), 5, "{triggered:?}");
    assert_eq!(lab.audit.iter().filter(|row| row.contains(".completed")).count(), 4);
}

#[test]
fn a_run_that_looked_before_another_one_ended_records_nothing() {
    let mut lab = Lab::new();
    lab.decide(&Mark { changes: vec![Change::new(Trigger::ModelPolicyChange, "a")], scopes: None, at_once: true });
    // Both began to look when there was no record; the one that was asked for ends first, having seen more.
    let asked = lab.decide(&complete(0, Cause::Asked, &["x", "y"]));
    let before = (lab.rows.clone(), lab.audit.len());
    let late = lab.verdict(&complete(0, Cause::Due { mark: u64::MAX }, &["x"]));
    assert_eq!(late.map(|record| record.version).map_err(|failure| failure.code), Err(Code::Conflict));
    assert_eq!((&lab.rows, lab.audit.len()), (&before.0, before.1), "not a row, and not a word");
    let again = lab.decide(&complete(asked.version, Cause::Due { mark: u64::MAX }, &["x", "y"]));
    assert_eq!((again.version, again.counts.resolved, again.trigger), (2, 0, Trigger::ModelPolicyChange));
}

#[test]
fn the_newest_records_are_kept() {
    let mut lab = Lab::new();
    for run in 0..KEPT + 3 {
        lab.decide(&complete(run, Cause::Asked, &["x"]));
    }
    let kept = lab.rows.keys().filter(|(name, _)| *name == "reassessments").count();
    assert_eq!(kept as u64, KEPT);
    assert!(lab.rows.contains_key(&("reassessments", Reassessment::id_of("local/local/deployment", 4))));
}

#[test]
fn a_scope_that_nothing_names_ends_and_comes_back() {
    let mut lab = Lab::new();
    let bound = ScopeId { org_id: "acme".into(), workspace_id: "main".into(), implicit: false };
    let own = ScopeId::of(&TenantContext::local());
    let saved = |scopes: Vec<ScopeId>| Mark {
        changes: vec![Change::new(Trigger::TenantBoundaryChange, "d")],
        scopes: Some(scopes),
        at_once: true,
    };
    let state = |lab: &Lab| -> ScopeState {
        let (_, body) = &lab.rows[&("reassessment_scopes", "acme/main/deployment".to_owned())];
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}"))
    };
    lab.decide(&saved(vec![own.clone(), bound.clone()]));
    assert_eq!(state(&lab).pending.len(), 1);
    lab.decide(&saved(vec![own.clone()]));
    assert!(state(&lab).retired && state(&lab).pending.is_empty() && state(&lab).job);
    // Back before its job has ended: there is still only that one.
    lab.decide(&saved(vec![own.clone(), bound.clone()]));
    let jobs = |lab: &Lab| lab.jobs.iter().filter(|write| matches!(write, Write::Job(_))).count();
    assert_eq!((jobs(&lab), state(&lab).retired), (2, false));
    lab.decide(&saved(vec![own.clone()]));
    let held = Held { job_id: "j".into(), lease: "l".into() };
    let settings = config::Reassessment::default();
    lab.decide(&GiveBack { id: bound.clone(), settings, held, recurring: Vec::new(), not_before_ms: 0 });
    assert!(matches!(lab.jobs.last(), Some(Write::JobDone { .. })));
    lab.decide(&saved(vec![own, bound]));
    assert_eq!(jobs(&lab), 3);
}
