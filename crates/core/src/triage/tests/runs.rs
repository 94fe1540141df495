use super::*;
use crate::{
    record::Record,
    triage::run::{PhaseStatus, Refusal, RunBrief},
};

/// As publishing reads it: from the stored row.
fn brief(run: &TriageRun) -> RunBrief {
    serde_json::from_str(&serde_json::to_string(run).expect("it is written")).expect("a part of it is read")
}

#[test]
fn ids_have_their_form() {
    let run = TriageRun::new("u1", "draft-1", None, "acme/orders", None, 10);
    assert_eq!(run.run_id, "automation-v2-automation-v2-run-u1");
    assert_eq!(run.automation_run_id, "automation-v2-run-u1");
    assert!(run.automation_id.starts_with("automation-v2-incident-monitor-triage-"));
    assert_eq!(run.columns().len(), TriageRun::COLLECTION.columns.len());
}

#[test]
fn phases_complete_in_order_and_only_then_the_run() {
    let mut run = TriageRun::new("u1", "draft-1", None, "acme/orders", None, 10);
    let artifact = |run: &TriageRun, node: Node| {
        ArtifactRecord::new(run, node.artifact_type(), "a".into(), json!({}), 11).artifact
    };
    let late = artifact(&run, Node::Research);
    let early = Event::PhaseCompleted { node: Node::Research, artifact: late };
    assert_eq!(transition(&mut run, early, 11), Err(Refusal::OutOfOrder));
    assert_eq!(run.revision, 0);
    transition(&mut run, Event::Started, 12).unwrap();
    for node in Node::ALL {
        assert_eq!(transition(&mut run, Event::Completed, 12), Err(Refusal::OutOfOrder));
        let running: Vec<_> = run.phases.iter().filter(|p| p.status == PhaseStatus::Running).collect();
        assert_eq!(running.len(), 1);
        assert_eq!(running[0].node_id, *node);
        let artifact = artifact(&run, *node);
        transition(&mut run, Event::PhaseCompleted { node: *node, artifact }, 13).unwrap();
    }
    transition(&mut run, Event::Completed, 14).unwrap();
    assert_eq!((run.status, run.started_at_ms, run.finished_at_ms), (RunStatus::Completed, Some(12), Some(14)));
    for event in [Event::Started, Event::Completed, Event::Cancelled, Event::Failed { error: "x".into() }] {
        assert_eq!(transition(&mut run, event, 15), Err(Refusal::Ended));
    }
}

#[test]
fn a_failed_run_takes_the_artifacts_of_a_posted_summary() {
    let mut run = TriageRun::new("u1", "draft-1", None, "acme/orders", None, 10);
    transition(&mut run, Event::Started, 11).unwrap();
    transition(&mut run, Event::Failed { error: "deadline".into() }, 12).unwrap();
    assert_eq!(run.phases[0].status, PhaseStatus::Failed);
    let artifact = ArtifactRecord::new(&run, ArtifactType::Inspection, "a".into(), json!({}), 13).artifact;
    transition(&mut run, Event::PhaseCompleted { node: Node::Inspect, artifact }, 13).unwrap();
    assert_eq!((run.status, run.phases[0].status), (RunStatus::Failed, PhaseStatus::Completed));
}

#[test]
fn publishing_waits_until_the_end_or_the_deadline() {
    let mut run = TriageRun::new("u1", "draft-1", None, "acme/orders", Some(100), 10);
    assert!(brief(&run).holds_publishing(99) && run.is_reusable(99));
    assert!(!brief(&run).holds_publishing(100) && !run.is_reusable(100));
    transition(&mut run, Event::Cancelled, 20).unwrap();
    assert!(!brief(&run).holds_publishing(20));
}

#[test]
fn the_view_shows_no_path_of_the_server() {
    let view = serde_json::to_value(run().view()).unwrap();
    assert_eq!(view["trigger_type"], "incident_monitor_triage");
    assert_eq!(view["tasks"][1]["payload"]["task_kind"], "research");
    assert_eq!(view["tasks"][1]["depends_on_task_ids"][0], "inspect_failure_report");
    assert_eq!(view["checkpoint"]["completed_nodes"].as_array().unwrap().len(), 4);
    assert!(view["phases"][0]["artifact"]["path"].as_str().unwrap().starts_with("tandem://triage/"));
    assert!(!view.to_string().contains("\"/"));
}
