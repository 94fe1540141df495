//! Log sources over a real store and files in memory: whatever is cut short, broken, reset or raced, every failure is
//! counted once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tandem_app::{
    App, Ports,
    reconcile::tail::{Next, Tail},
};
use tandem_core::{
    actor::{ActorRef, OpContext},
    config::Config,
    incident::{INCIDENTS, Incident},
    ports::{Clock, Query, Store, StoreError},
    source::{
        file::{Gap, GapReason},
        log::LogErrorCode,
        state::LogSourceRuntimeStatus,
    },
    tenant::{TenantContext, TenantKey},
};
use tandem_outbound::{secrets::EnvSecrets, workspace::LocalWorkspace};
use tandem_store::{SqliteStore, open_sqlite};
use tandem_testkit::{
    Scratch, Seed,
    logs::{FakeLogs, Mood},
};

use super::{
    gate::{Door, Gate},
    outbound::Drivers,
    system::SystemIds,
};

#[derive(Clone)]
struct Watch(Arc<AtomicU64>);

impl Clock for Watch {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A store, files, and any number of engines over them.
struct Lab {
    store: Arc<SqliteStore>,
    gate: Arc<Gate>,
    logs: FakeLogs,
    watch: Watch,
    _scratch: Scratch,
}

fn local() -> TenantKey {
    TenantContext::local().key()
}

impl Lab {
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let store = Arc::new(open_sqlite(&scratch.path().join("tandem.db")).expect("the store opens"));
        let gate = Arc::new(Gate::new(Arc::clone(&store) as _));
        let watch = Watch(Arc::new(AtomicU64::new(1_700_000_000_000)));
        Self { store, gate, logs: FakeLogs::default(), watch, _scratch: scratch }
    }

    fn engine(&self) -> Arc<App> {
        App::new(
            Ports {
                store: Arc::clone(&self.gate) as _,
                clock: Arc::new(self.watch.clone()),
                ids: Arc::new(SystemIds),
                secrets: Arc::new(EnvSecrets),
                outbound: Arc::new(Drivers::new(
                    crate::boot::outbound::egress(),
                    std::path::Path::new("unused"),
                    "unused".into(),
                    Arc::new(self.watch.clone()),
                )),
                mcp: Arc::new(crate::boot::outbound::mcp(
                    crate::boot::outbound::egress(),
                    "unused".into(),
                    "unused".into(),
                    Arc::new(self.watch.clone()),
                )),
                workspace: Arc::new(LocalWorkspace::default()),
                logs: Arc::new(self.logs.clone()),
                background: crate::boot::system::step_back,
                audit_seed: None,
            },
            Config::default(),
        )
    }

    fn pass(&self, ms: u64) {
        self.watch.0.fetch_add(ms, Ordering::Relaxed);
    }

    fn ctx(&self) -> OpContext {
        OpContext {
            tenant: TenantContext::local(),
            actor: ActorRef::worker("test"),
            request_id: "test".into(),
            now_ms: self.watch.now_ms(),
        }
    }

    async fn configure(&self, app: &App, sources: Value) {
        let config = json!({ "enabled": true, "repo": "acme/shop", "monitored_projects": [{
            "project_id": "shop", "name": "Shop", "repo": "acme/shop", "workspace_root": "/srv/shop",
            "auto_create_new_issues": false, "log_sources": sources,
        }] });
        app.config_replace(&self.ctx(), config, None).await.expect("the configuration is good");
    }

    /// How often each failure was counted, by title.
    async fn counts(&self) -> BTreeMap<String, u64> {
        let query = Query {
            collection: &INCIDENTS,
            tenant: local(),
            equals: Vec::new(),
            order: "updated_at_ms",
            since: None,
            after: None,
            limit: 1_000,
        };
        let rows = self.store.page(query).await.expect("the store answers");
        let incident = |body: &str| serde_json::from_str::<Incident>(body).expect("an incident");
        rows.iter()
            .map(|row| incident(&row.row.body))
            .map(|incident| (incident.title.replace("Shop reported ", ""), incident.occurrence_count))
            .collect()
    }

    async fn total(&self) -> u64 {
        self.counts().await.values().sum()
    }
}

fn source(id: &str, more: Value) -> Value {
    let mut source = json!({ "source_id": id, "path": format!("{id}.log"), "start_position": "beginning" });
    if let (Some(source), Value::Object(more)) = (source.as_object_mut(), more) {
        source.extend(more);
    }
    source
}

async fn claimed(app: &App, id: &str) -> Tail {
    app.tail_arrange().await.expect("it is arranged");
    let lane = format!("tail/{}/shop/{id}", local().as_str());
    app.tail_claim(&lane).await.expect("it answers").unwrap_or_else(|| panic!("{id} is free"))
}

/// Steps until the source rests or fails.
async fn read_on(app: &App, tail: &mut Tail) -> Next {
    loop {
        match app.tail_step(tail).await {
            Next::Again => {}
            next => return next,
        }
    }
}

async fn row(app: &App, id: &str) -> LogSourceRuntimeStatus {
    let rows = app.log_source_rows(&local()).await.expect("it answers");
    rows.into_iter().find(|row| row.source_id == id).unwrap_or_else(|| panic!("no row of {id}"))
}

/// `n` lines, of which every third is a failure of one of four kinds.
fn lines(from: u64, n: u64) -> (String, BTreeMap<String, u64>) {
    let (mut text, mut expected) = (String::new(), BTreeMap::new());
    for i in from..from + n {
        if i % 3 == 0 {
            let kind = format!("ERROR {} broke", ["disk", "queue", "ledger", "mail"][(i % 4) as usize]);
            text.push_str(&format!("{kind}\n"));
            *expected.entry(kind).or_default() += 1;
        } else {
            text.push_str("INFO fine\n");
        }
    }
    (text, expected)
}

#[tokio::test]
async fn what_a_source_says_is_counted_and_shown() {
    let lab = Lab::new("tail-counts");
    let app = lab.engine();
    let (text, expected) = lines(0, 300);
    lab.logs.append("a.log", &text);
    lab.logs.append("late.log", &text);
    lab.configure(&app, json!([source("a", json!({})), source("late", json!({ "start_position": "end" }))])).await;
    let (mut a, mut late) = (claimed(&app, "a").await, claimed(&app, "late").await);
    assert!(matches!(read_on(&app, &mut a).await, Next::Rest(_)));
    assert_eq!(lab.counts().await, expected);
    let shown = row(&app, "a").await;
    assert_eq!((shown.total_candidates, shown.total_submitted), (100, 100));
    assert_eq!((shown.offset, shown.total_bytes_read, shown.lag_bytes), (text.len() as u64, text.len() as u64, 0));
    assert!(shown.healthy && shown.enabled && shown.last_submitted_at_ms.is_some());
    // One that begins at the end takes in only what comes later.
    assert!(matches!(read_on(&app, &mut late).await, Next::Rest(_)));
    assert_eq!(lab.counts().await, expected);
    lab.logs.append("late.log", "ERROR only in late\n");
    read_on(&app, &mut late).await;
    assert_eq!(lab.counts().await.get("ERROR only in late"), Some(&1));
    // A second read of the same files finds nothing.
    read_on(&app, &mut a).await;
    assert_eq!(lab.total().await, 101);
}

#[tokio::test]
async fn a_step_that_is_cut_short_anywhere_neither_loses_nor_doubles() {
    let lab = Lab::new("tail-cut");
    let mut seed = Seed::from_env("TAIL_CUT_SEED");
    let app = lab.engine();
    lab.configure(&app, json!([source("a", json!({ "max_candidates_per_poll": 3 }))])).await;
    let (mut written, mut expected) = (0, BTreeMap::<String, u64>::new());
    for _ in 0..150 {
        let (text, more) = lines(written, seed.between(1, 20));
        written += text.lines().count() as u64;
        for (kind, n) in more {
            *expected.entry(kind).or_default() += n;
        }
        lab.logs.append("a.log", &text);
        // An engine of its own for each life; the one before was killed and its lease has run out.
        lab.pass(70_000);
        let app = lab.engine();
        let mut tail = claimed(&app, "a").await;
        let cut = Duration::from_micros(seed.between(0, 6_000));
        let _ = tokio::time::timeout(cut, read_on(&app, &mut tail)).await;
    }
    lab.pass(70_000);
    let mut tail = claimed(&app, "a").await;
    read_on(&app, &mut tail).await;
    assert_eq!(lab.counts().await, expected);
}

#[tokio::test]
async fn a_reset_during_a_step_reads_everything_exactly_once_more() {
    let lab = Lab::new("tail-reset");
    let mut seed = Seed::from_env("TAIL_RESET_SEED");
    let app = lab.engine();
    let (text, expected) = lines(0, 60);
    let errors: u64 = expected.values().sum();
    lab.logs.append("a.log", &text);
    lab.configure(&app, json!([source("a", json!({ "start_position": "end", "max_candidates_per_poll": 4 }))])).await;
    let mut tail = claimed(&app, "a").await;
    read_on(&app, &mut tail).await;
    assert_eq!(lab.total().await, 0);
    for _ in 0..25 {
        let reading = async {
            read_on(&app, &mut tail).await;
        };
        let resetting = async {
            tokio::time::sleep(Duration::from_micros(seed.between(0, 4_000))).await;
            let state = app.log_source_reset(&lab.ctx(), "shop", "a").await.expect("it is reset");
            assert_eq!(state.offset, 0);
            lab.total().await
        };
        // What was counted when the reset was answered, at least; the rest follows from the beginning.
        let ((), _) = tokio::join!(reading, resetting);
        read_on(&app, &mut tail).await;
        let total = lab.total().await;
        assert!(total > 0);
        // Whole rounds only, once nothing is under way.
        app.log_source_reset(&lab.ctx(), "shop", "a").await.expect("it is reset");
        read_on(&app, &mut tail).await;
        assert_eq!(lab.total().await, total + errors);
    }
    app.log_source_reset(&lab.ctx(), "shop", "nobody").await.expect_err("there is no such source");
}

#[tokio::test]
async fn a_broken_source_harms_nobody_else_and_heals() {
    let lab = Lab::new("tail-broken");
    let app = lab.engine();
    lab.logs.append("good.log", "ERROR good source\n");
    lab.logs.append("bad.log", "ERROR bad source\n");
    lab.configure(&app, json!([source("good", json!({})), source("bad", json!({})), source("gone", json!({}))])).await;
    let (mut good, mut bad) = (claimed(&app, "good").await, claimed(&app, "bad").await);
    let mut gone = claimed(&app, "gone").await;
    for (mood, code) in [
        (Mood::Panics, LogErrorCode::Panicked),
        (Mood::Fails(LogErrorCode::PermissionDenied), LogErrorCode::PermissionDenied),
    ] {
        lab.logs.mood("bad.log", mood);
        for _ in 0..3 {
            assert!(matches!(read_on(&app, &mut bad).await, Next::BackOff(_) | Next::Rest(_)));
        }
        let shown = row(&app, "bad").await;
        assert_eq!((shown.healthy, shown.last_error_code), (false, Some(code)));
    }
    let shown = row(&app, "bad").await;
    assert_eq!((shown.consecutive_errors, shown.restarts), (6, 3));
    // One bad file of several: the others are read, and the source is ill until all are.
    lab.logs.append("good.log", "ERROR good beside bad\n");
    lab.logs.mood("good.log", Mood::Complains(LogErrorCode::NotAFile));
    read_on(&app, &mut good).await;
    read_on(&app, &mut good).await;
    let shown = row(&app, "good").await;
    // The first look, which reads nothing, meets the bad file as well.
    assert_eq!((shown.healthy, shown.consecutive_errors, shown.total_submitted), (false, 3, 2));
    lab.logs.mood("good.log", Mood::Reads);
    read_on(&app, &mut gone).await;
    assert_eq!(row(&app, "gone").await.last_error_code, Some(LogErrorCode::NotFound));
    read_on(&app, &mut good).await;
    assert_eq!(lab.total().await, 2);
    assert!(row(&app, "good").await.healthy);
    // What was fixed is healed by the next look, and nothing was lost meanwhile.
    lab.logs.mood("bad.log", Mood::Reads);
    lab.logs.append("gone.log", "ERROR late source\n");
    read_on(&app, &mut bad).await;
    read_on(&app, &mut gone).await;
    assert_eq!(lab.total().await, 4);
    for id in ["bad", "gone"] {
        let shown = row(&app, id).await;
        assert!(shown.healthy && shown.consecutive_errors == 0, "{shown:?}");
    }
    let gap = Gap { path: "a".into(), generation: 1, reason: GapReason::Truncated, from: 3, to: Some(9), at_ms: 1 };
    lab.logs.lose(gap.clone());
    read_on(&app, &mut good).await;
    let shown = row(&app, "good").await;
    assert_eq!((shown.gap_count, shown.gaps), (1, vec![gap]));
}

#[tokio::test]
async fn a_read_that_hangs_is_shown_and_waited_for() {
    let lab = Lab::new("tail-hangs");
    let app = lab.engine();
    lab.logs.append("a.log", "ERROR x\n");
    lab.configure(&app, json!([source("a", json!({}))])).await;
    let mut tail = claimed(&app, "a").await;
    tail.stall = Duration::from_millis(5);
    lab.logs.mood("a.log", Mood::Hangs);
    assert_eq!(app.tail_step(&mut tail).await, Next::Again);
    assert_eq!(app.tail_step(&mut tail).await, Next::Again);
    assert_eq!(lab.logs.reads(), 1, "no second read beside the first");
    assert_eq!(row(&app, "a").await.last_error_code, Some(LogErrorCode::Stalled));
}

#[tokio::test]
async fn a_stop_while_a_commit_waits_leaves_the_position_where_it_was() {
    let lab = Lab::new("tail-stop");
    let app = lab.engine();
    lab.configure(&app, json!([source("a", json!({}))])).await;
    lab.logs.append("a.log", "INFO fine\n");
    let mut tail = claimed(&app, "a").await;
    read_on(&app, &mut tail).await;
    // Read and not stored yet, because there was nothing in it.
    lab.logs.append("a.log", "INFO fine\n");
    read_on(&app, &mut tail).await;
    lab.logs.append("a.log", "ERROR boom\n");
    lab.gate.set(Door::Shut);
    tokio::select! {
        next = app.tail_step(&mut tail) => panic!("nothing can be stored: {next:?}"),
        () = lab.gate.knocked() => {}
    }
    lab.gate.set(Door::Open);
    app.tail_leave(tail).await;
    assert_eq!(lab.total().await, 0);
    let mut next = claimed(&app, "a").await;
    read_on(&app, &mut next).await;
    assert_eq!(lab.total().await, 1);
}

#[tokio::test]
async fn a_step_that_cannot_be_stored_is_made_again_by_the_same_reader() {
    let lab = Lab::new("tail-store");
    let app = lab.engine();
    lab.configure(&app, json!([source("a", json!({}))])).await;
    let mut tail = claimed(&app, "a").await;
    lab.logs.append("a.log", "INFO fine\n");
    read_on(&app, &mut tail).await;
    lab.logs.append("a.log", "ERROR boom\n");
    lab.gate.set(Door::Refuses(StoreError::Unavailable("the disk is full".into())));
    // What cannot be stored is still to be read; after a step that was lost also what was found to be nothing before it,
    // because nothing was stored since the first look.
    for lag_bytes in [11, 31] {
        assert!(matches!(app.tail_step(&mut tail).await, Next::BackOff(_)));
        let shown = row(&app, "a").await;
        assert_eq!((shown.last_error_code, shown.lag_bytes), (Some(LogErrorCode::StoreUnavailable), lag_bytes));
        lab.logs.append("a.log", "INFO fine\n");
    }
    lab.gate.set(Door::Open);
    read_on(&app, &mut tail).await;
    assert_eq!((lab.total().await, lab.logs.readers(), lab.logs.anew()), (1, 1, 2));
    assert!(row(&app, "a").await.healthy);
}

#[tokio::test]
async fn a_source_that_is_far_behind_is_taken_in_with_few_commits_and_exactly_once() {
    let lab = Lab::new("tail-behind");
    let app = lab.engine();
    let (text, expected) = lines(0, 12_000);
    lab.logs.append("a.log", &text);
    lab.configure(&app, json!([source("a", json!({}))])).await;
    let mut tail = claimed(&app, "a").await;
    // What is there is stored before any of it is read.
    assert_eq!(app.tail_step(&mut tail).await, Next::Again);
    assert_eq!((row(&app, "a").await.total_bytes_read, lab.logs.reads()), (0, 1));
    // All that several reads have found is lost together, and read again.
    lab.gate.set(Door::Refuses(StoreError::Unavailable("the disk is full".into())));
    assert!(matches!(app.tail_step(&mut tail).await, Next::BackOff(_)));
    let (reads, commits) = (lab.logs.reads(), lab.gate.passed());
    assert!(reads > 4, "{reads} reads");
    assert_eq!((lab.total().await, row(&app, "a").await.lag_bytes), (0, text.len() as u64));
    lab.gate.set(Door::Open);
    assert!(matches!(read_on(&app, &mut tail).await, Next::Rest(_)));
    assert_eq!(lab.counts().await, expected);
    let shown = row(&app, "a").await;
    assert_eq!((shown.total_candidates, shown.total_submitted), (4_000, 4_000));
    assert_eq!((shown.offset, shown.total_bytes_read), (text.len() as u64, text.len() as u64));
    let commits = lab.gate.passed() - commits;
    assert!(commits < 4, "{commits} commits for {} reads", lab.logs.reads() - reads);
    assert_eq!(lab.logs.anew(), 1);
}

#[tokio::test]
async fn a_step_that_nobody_ended_is_read_again() {
    let lab = Lab::new("tail-dropped");
    let app = lab.engine();
    let (text, expected) = lines(0, 12_000);
    lab.logs.append("a.log", &text);
    lab.configure(&app, json!([source("a", json!({}))])).await;
    let mut tail = claimed(&app, "a").await;
    assert_eq!(app.tail_step(&mut tail).await, Next::Again);
    lab.gate.set(Door::Shut);
    tokio::select! {
        next = app.tail_step(&mut tail) => panic!("nothing can be stored: {next:?}"),
        () = lab.gate.knocked() => {}
    }
    lab.gate.set(Door::Open);
    read_on(&app, &mut tail).await;
    assert_eq!(lab.counts().await, expected);
}

#[tokio::test]
async fn a_read_that_takes_long_keeps_its_lease() {
    let lab = Lab::new("tail-slow");
    let (one, two) = (lab.engine(), lab.engine());
    lab.configure(&one, json!([source("a", json!({}))])).await;
    let mut tail = claimed(&one, "a").await;
    (tail.beat, tail.stall) = (Duration::from_millis(1), Duration::from_secs(60));
    lab.logs.mood("a.log", Mood::Hangs);
    let lane = format!("tail/{}/shop/a", local().as_str());
    let watching = async {
        for _ in 0..5 {
            lab.pass(50_000);
            // Two commits later one was made after the time had passed.
            let wanted = lab.gate.passed() + 2;
            while lab.gate.passed() < wanted {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        two.tail_claim(&lane).await.expect("it answers").is_none()
    };
    tokio::select! {
        next = one.tail_step(&mut tail) => panic!("the read hangs: {next:?}"),
        kept = watching => assert!(kept, "it was taken away"),
    }
}

#[tokio::test]
async fn the_configuration_is_obeyed_at_the_next_step() {
    let lab = Lab::new("tail-config");
    let app = lab.engine();
    lab.logs.append("a.log", "ERROR a\n");
    lab.logs.append("b.log", "ERROR b before\n");
    lab.configure(&app, json!([source("a", json!({}))])).await;
    let mut tail = claimed(&app, "a").await;
    read_on(&app, &mut tail).await;
    // Another path is another source: it begins where it is told to, and at byte 0 of nothing.
    lab.configure(&app, json!([source("a", json!({ "path": "b.log", "start_position": "end" }))])).await;
    read_on(&app, &mut tail).await;
    assert_eq!(lab.counts().await.keys().collect::<Vec<_>>(), ["ERROR a"]);
    lab.logs.append("b.log", "ERROR b after\n");
    read_on(&app, &mut tail).await;
    assert_eq!(lab.total().await, 2);
    // Off: let go at once. On again: from where it was.
    lab.configure(&app, json!([source("a", json!({ "path": "b.log", "enabled": false }))])).await;
    assert_eq!(read_on(&app, &mut tail).await, Next::Gone);
    lab.logs.append("b.log", "ERROR b while off\n");
    app.tail_arrange().await.expect("it is arranged");
    assert_eq!(app.tail_due().await.map(|due| due.len()).unwrap_or_default(), 0);
    lab.configure(&app, json!([source("a", json!({ "path": "b.log" }))])).await;
    let mut tail = claimed(&app, "a").await;
    read_on(&app, &mut tail).await;
    assert_eq!(lab.counts().await.get("ERROR b while off"), Some(&1));
    // Removed: let go, then forgotten.
    lab.configure(&app, json!([])).await;
    assert_eq!(read_on(&app, &mut tail).await, Next::Gone);
    app.tail_arrange().await.expect("it is arranged");
    let rows = lab.store.count(&tandem_core::source::state::LOG_SOURCES, &local(), Vec::new()).await;
    assert_eq!(rows, Ok(0));
    assert_eq!(lab.total().await, 3);
}

#[tokio::test]
async fn a_link_that_leads_out_is_refused_when_it_is_configured_and_blocks_nothing_else() {
    let lab = Lab::new("tail-links");
    let app = lab.engine();
    let configured = async |path: &str, name: &str| {
        let config = json!({ "enabled": true, "monitored_projects": [{
            "project_id": "shop", "name": name, "repo": "acme/shop", "workspace_root": "/srv/shop",
            "log_sources": [{ "source_id": "a", "path": path }],
        }] });
        app.config_replace(&lab.ctx(), config, None).await.map(|_| ())
    };
    let refused = configured("outside.log", "Shop").await.expect_err("it leads out");
    assert_eq!(refused.code.word(), "INCIDENT_MONITOR_CONFIG_INVALID");
    configured("a.log", "Shop").await.expect("it does not");
    assert!(app.log_source_reset(&lab.ctx(), "shop", "a").await.is_ok());
}

#[tokio::test]
async fn of_two_engines_one_reads_and_the_other_takes_over() {
    let lab = Lab::new("tail-two");
    let (one, two) = (lab.engine(), lab.engine());
    lab.configure(&one, json!([source("a", json!({}))])).await;
    lab.logs.append("a.log", "ERROR first\n");
    let mut first = claimed(&one, "a").await;
    let lane = format!("tail/{}/shop/a", local().as_str());
    assert!(two.tail_claim(&lane).await.expect("it answers").is_none(), "it is taken");
    read_on(&one, &mut first).await;
    // The first one is thought dead, and is not.
    lab.pass(70_000);
    let mut second = two.tail_claim(&lane).await.expect("it answers").expect("the lease has run out");
    lab.logs.append("a.log", "ERROR second\n");
    let (a, b) = tokio::join!(read_on(&one, &mut first), read_on(&two, &mut second));
    assert_eq!(a, Next::Gone);
    assert!(matches!(b, Next::Rest(_)), "{b:?}");
    assert_eq!(lab.total().await, 2);
    // One that ends in order gives the source back at once.
    two.tail_leave(second).await;
    lab.logs.append("a.log", "ERROR third\n");
    let mut third = one.tail_claim(&lane).await.expect("it answers").expect("it is free");
    read_on(&one, &mut third).await;
    assert_eq!(lab.total().await, 3);
}

#[tokio::test]
async fn a_replay_counts_once_more_from_the_lines_themselves() {
    let lab = Lab::new("tail-replay");
    let app = lab.engine();
    lab.configure(&app, json!([source("a", json!({}))])).await;
    let replay = || async { app.log_source_replay(&lab.ctx(), "shop", "a").await };
    let code = |error: tandem_core::error::Failure| error.code.word();
    assert_eq!(replay().await.err().map(code), Some("INCIDENT_MONITOR_LOG_SOURCE_REPLAY_NOT_FOUND"));
    lab.logs.append("a.log", "INFO fine\nERROR boom\n");
    let mut tail = claimed(&app, "a").await;
    read_on(&app, &mut tail).await;
    let replayed = replay().await.expect("the lines are there");
    assert_eq!(replayed.incident.occurrence_count, 1, "as it was before");
    assert!(replayed.draft.is_some());
    assert_eq!(lab.total().await, 2);
    read_on(&app, &mut tail).await;
    assert_eq!(lab.total().await, 2, "the position has not moved");
    lab.logs.remove("a.log");
    lab.logs.append("a.log", "INFO quite another text\n");
    assert_eq!(replay().await.err().map(code), Some("INCIDENT_MONITOR_LOG_SOURCE_REPLAY_FAILED"));
    lab.logs.remove("a.log");
    assert_eq!(replay().await.err().map(code), Some("INCIDENT_MONITOR_LOG_SOURCE_REPLAY_FAILED"));
}
