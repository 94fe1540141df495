use super::*;
use crate::triage::{duplicate::DuplicateMatch, gate};

#[test]
fn the_proposal_gate_misses_what_is_taken_away() {
    let rows: [(&str, fn(&mut SummaryInput), &[&str]); 9] = [
        ("complete", |_| {}, &[]),
        ("no sources but a cause", |s| s.research_sources.clear(), &[]),
        (
            "no research",
            |s| {
                s.research_sources.clear();
                s.why_it_likely_happened = None;
            },
            &["research_performed"],
        ),
        (
            "a pending cause",
            |s| {
                s.research_sources.clear();
                s.why_it_likely_happened = Some("Research is pending.".into());
            },
            &["research_performed"],
        ),
        ("logs are scope", |s| s.steps_to_reproduce.clear(), &[]),
        (
            "no scope",
            |s| {
                s.steps_to_reproduce.clear();
                s.logs.clear();
            },
            &["validation_scope"],
        ),
        ("no fix", |s| s.recommended_fix = None, &["bounded_action"]),
        ("no criteria", |s| s.acceptance_criteria.clear(), &["bounded_action"]),
        ("no verification", |s| s.verification_steps.clear(), &["verification_steps"]),
    ];
    for (name, change, missing) in rows {
        let mut input = complete();
        change(&mut input);
        let run = summarised(input);
        let gate = gate::proposal(Some(&run), run.summary.as_ref());
        assert_eq!(gate.missing, missing, "{name}");
        assert_eq!((gate.passed, gate.total_count), (missing.is_empty(), 7), "{name}");
        assert_eq!(issue_draft(&draft(), None, &run, None, 1).is_ok(), missing.is_empty(), "{name}");
    }
}

#[test]
fn the_proposal_gate_needs_a_summary_and_the_artifacts() {
    assert_eq!(gate::proposal(None, None).passed_count, 0);
    let mut run = summarised(complete());
    run.phases[3].artifact = None;
    assert_eq!(gate::proposal(Some(&run), run.summary.as_ref()).missing, ["durable_artifacts"]);
    run.phases[3].artifact = run.phases[0].artifact.clone();
    assert!(gate::proposal(Some(&run), None).missing.iter().any(|key| key == "triage_summary"));
}

#[test]
fn the_coder_ready_gate_row_by_row() {
    let rows: [(&str, fn(&mut SummaryInput), bool); 9] = [
        ("", |_| {}, true),
        ("", |s| s.root_cause_confidence = Some("medium".into()), true),
        ("confidence", |s| s.root_cause_confidence = None, false),
        (
            "scope_identified",
            |s| {
                s.affected_components.clear();
                s.likely_files_to_edit.clear();
            },
            false,
        ),
        ("acceptance_criteria", |s| s.acceptance_criteria.clear(), false),
        ("verification_steps", |s| s.verification_steps.clear(), false),
        ("risk_level", |s| s.risk_level = Some("high".into()), false),
        ("tool_scope_available", |s| s.missing_tool_scopes.push("edit".into()), false),
        ("tool_scope_available", |s| s.permissions_available = Some(false), false),
    ];
    for (missing, change, ready) in rows {
        let mut input = complete();
        change(&mut input);
        let summary = summarised(input).summary.unwrap();
        assert_eq!(summary.coder_ready, ready, "{missing}");
        assert_eq!(summary.coder_ready_gate.missing.join(","), missing);
        assert_eq!(summary.coder_ready_gate.requested_coder_ready, Some(ready));
    }
}

#[test]
fn asking_for_it_is_not_enough_and_declining_is() {
    let fields = complete().normalise(&draft());
    let duplicates = DuplicateSummary::of(vec![DuplicateMatch::default()]);
    let gate = gate::coder_ready(&fields, &duplicates, Some(true));
    assert_eq!((gate.passed, gate.missing.join(",")), (false, "duplicate_clear".to_owned()));
    assert_eq!(gate.requested_coder_ready, Some(true));
    let declined = SummaryInput { coder_ready: Some(false), ..complete() };
    let summary = summarised(declined).summary.unwrap();
    assert!(summary.coder_ready_gate.passed && !summary.coder_ready);
}
