use serde_json::json;

use super::*;
use crate::{config::read, source::binding, source::log::Place, tenant::TenantContext};

fn config() -> Config {
    read(json!({"monitored_projects": [
        {"project_id": "shop", "name": "Shop", "repo": "acme/shop", "workspace_root": "/srv/shop/",
         "log_sources": [{"source_id": "app", "path": "app.log", "fingerprint_cooldown_ms": 5_000}]},
    ]}))
    .expect("a configuration")
}

fn candidate(title: &str, start: u64) -> Candidate {
    Candidate {
        place: Place {
            path: "app.log".into(),
            offset_start: start,
            offset_end: start + 10,
            generation: 2,
            inode: Some(7),
        },
        submission: Submission {
            title: Some(title.into()),
            detail: Some(title.into()),
            level: Some("error".into()),
            ..Submission::default()
        },
        timestamp_ms: Some(5),
        format: "plaintext",
        truncated: false,
    }
}

fn around<T>(act: impl FnOnce(&Around<'_>) -> T) -> T {
    let config = config();
    let scope = Scope::find(&config, "shop", Some("app")).expect("the source");
    let binding = binding(&config, "shop", Some("app")).expect("its binding");
    let tenant = TenantContext::local().key();
    act(&Around {
        config: &config,
        scope,
        binding: &binding,
        settings: &Settings::default(),
        tenant: &tenant,
        request_id: "r",
        now_ms: 1_000,
    })
}

fn ids() -> FreshIds {
    FreshIds { incident_id: "i".into(), draft_id: "d".into(), event_id: "e".into() }
}

fn taken(candidate: Candidate) -> Accepted {
    around(|around| accept_candidate(candidate, around, ids()).expect("it is taken in"))
}

#[test]
fn a_candidate_carries_its_source_and_its_place() {
    let signal = taken(candidate("upload failed for user 42", 100));
    let s = &signal.submission;
    assert_eq!(signal.title, "Shop reported upload failed for user 42");
    assert_eq!(s.source.as_deref(), Some("incident_monitor.log.app"));
    assert_eq!((s.project_id.as_deref(), s.log_source_id.as_deref()), (Some("shop"), Some("app")));
    assert_eq!(s.event.as_deref(), Some("log.error"));
    assert_eq!(s.classification.confidence.as_deref(), Some("high"));
    assert_eq!(s.classification.risk_level.as_deref(), Some("medium"));
    assert_eq!(s.classification.evidence_refs, ["tandem://incident-monitor/shop/logs/app#offset=100-110"]);
    assert_eq!(s.excerpt, ["upload failed for user 42"]);
    assert_eq!(s.detail.as_deref(), Some("level error, bytes 100 to 110 of app.log"));
    assert!((signal.cooldown_ms, signal.start_triage, signal.occurrences) == (5_000, true, 1));
    let log = signal.log.expect("it is from a log");
    assert_eq!(log.evidence.log_path, "/srv/shop/app.log");
    let payload = log.payload(None, true);
    assert_eq!(
        (&payload["offset_start"], &payload["offset_end"], &payload["inode"]),
        (&json!(100), &json!(110), &json!(7))
    );
    let kept = payload["evidence_artifact"].clone();
    assert!(kept.as_str().is_some_and(|kept| kept.starts_with("tandem://incident-monitor/shop/evidence/app/")));
    assert_eq!(log.payload(Some(&json!({"evidence_artifact": "earlier"})), false)["evidence_artifact"], "earlier");
}

#[test]
fn neither_place_nor_context_nor_a_cut_title_takes_part_in_grouping() {
    let first = taken(candidate("upload failed for user 42", 100));
    let mut other = candidate("upload failed for user 7", 99_999);
    other.place.path = "app.log.1".into();
    other.submission.context = vec!["ERROR something else entirely".into()];
    assert_eq!(taken(other).identity, first.identity);
    assert_ne!(taken(candidate("download failed for user 7", 1)).identity, first.identity);
    // Long enough to be cut in the title, and different in width before the cut.
    let long = |n: &str| format!("request {n} to the ledger failed while {} were waiting for a lock", "é".repeat(60));
    let (short_number, long_number) = (taken(candidate(&long("1"), 0)), taken(candidate(&long("123456789"), 0)));
    assert_eq!(short_number.identity, long_number.identity);
    assert!(short_number.title.len() < 130, "{}", short_number.title);
}

#[test]
fn secrets_never_pass_whatever_the_configuration_says() {
    let mut leaky = candidate("login failed, password=hunter2secret", 0);
    leaky.submission.context = vec!["Authorization: Bearer abcdefghijklmnop123456".into()];
    let signal = taken(leaky);
    let all = format!("{signal:?}");
    assert!(!all.contains("hunter2secret") && !all.contains("abcdefghijklmnop123456"), "{all}");
    assert!(redactions(&[signal]).values().sum::<u64>() >= 2);
}

#[test]
fn a_record_can_raise_its_risk_and_not_lower_it() {
    for (said, kept) in [("high", "high"), ("low", "medium"), ("odd", "medium")] {
        let mut one = candidate("x failed", 0);
        one.submission.classification.risk_level = Some(said.into());
        assert_eq!(taken(one).submission.classification.risk_level.as_deref(), Some(kept));
    }
}

#[test]
fn equal_failures_that_are_taken_in_together_count_together() {
    let mut gathered = Gathered::default();
    let mut completed = Vec::new();
    for (title, n) in ["a failed for 1", "b failed", "a failed for 2", "a failed for 3"].into_iter().zip(0..) {
        let mut one = candidate(title, n * 10);
        one.submission.safety.actor = (n == 2).then(|| "ada".into());
        one.submission.context = vec!["password=hunter2secret".into()];
        let complete = |signal: Accepted| {
            completed.push(signal.title.clone());
            signal
        };
        around(|around| gathered.take(one, around, ids, complete)).expect("it is taken in");
    }
    assert_eq!(completed, ["Shop reported a failed for 1", "Shop reported b failed"]);
    assert!(gathered.bytes() > 0);
    let merged = gathered.into_signals();
    let counts: Vec<_> = merged.iter().map(|signal| signal.occurrences).collect();
    assert_eq!(counts, [3, 1]);
    assert_eq!(merged[0].submission.classification.evidence_refs.len(), 3);
    assert_eq!(merged[0].submission.safety.actor.as_deref(), Some("ada"), "what the first one lacks");
    assert_eq!(redactions(&merged).values().sum::<u64>(), 4);
    let log = merged[0].log.as_ref().expect("from a log");
    assert_eq!(log.payload(None, false)["offset_start"], 30, "the latest place");
    assert_eq!(log.lines_ref(), "tandem://incident-monitor/shop/logs/app#offset=30-40");
    assert_eq!(log.evidence.offset_start, 0, "and the first words");
}
