use super::*;
use crate::triage::{research::Confidence, summary::EXPECTED};

fn input(value: serde_json::Value) -> SummaryInput {
    serde_json::from_value(value).unwrap()
}

#[test]
fn null_both_casings_and_unknown_fields_are_read() {
    let snake =
        input(json!({"what_happened": "x", "fix_points": [1], "coder_ready": true, "logs": ["a", null], "odd": 1}));
    let camel = input(json!({"whatHappened": "x", "fixPoints": [1], "coderReady": true, "logs": ["a"], "notes": null}));
    assert_eq!(snake, camel);
    let nulls = input(json!({"logs": null, "fix_points": null, "coder_ready": null, "environment": null}));
    assert_eq!(nulls, SummaryInput::default());
    assert!(serde_json::from_value::<SummaryInput>(json!({"logs": "text"})).is_err());
}

#[test]
fn substance_is_about_the_failure() {
    let rows = [
        (json!({}), false),
        (json!({"what_happened": "  ", "logs": [" "], "fix_points": [null, {}, ""]}), false),
        (json!({"notes": "n", "risk_level": "low", "coder_ready": true, "failure_type": "timeout"}), false),
        (json!({"required_tool_scopes": ["read"], "root_cause_confidence": "high"}), false),
        (json!({"suggested_title": "t"}), true),
        (json!({"recommended_fix": "f"}), true),
        (json!({"logs": ["l"]}), true),
        (json!({"related_existing_issues": [12]}), true),
    ];
    for (value, expected) in rows {
        assert_eq!(input(value.clone()).has_substance(), expected, "{value}");
    }
}

#[test]
fn grades_texts_and_lists_are_normalised() {
    let long: Vec<String> = (0..50).map(|n| format!(" line {n} ")).collect();
    let fields = input(json!({
        "root_cause_confidence": "Certain", "failure_type": "TIMEOUT", "risk_level": "critical", "what_happened": " ",
        "suggested_title": "two\nlines", "logs": long, "steps_to_reproduce": long, "environment": long,
        "likely_files_to_edit": long, "affected_components": long, "notes": "n".repeat(20_000),
        "fix_points": [{"path": "a"}, null, "", "x".repeat(10_000)],
    }))
    .normalise(&draft());
    assert_eq!(fields.root_cause_confidence, "low");
    assert_eq!(fields.failure_type, FailureType::Timeout);
    assert_eq!(fields.risk_level, "medium");
    assert_eq!(fields.what_happened, "Order pricing fails");
    assert_eq!(fields.expected_behavior, EXPECTED);
    assert_eq!(fields.suggested_title.as_deref(), Some("two lines"));
    let lengths = [&fields.logs, &fields.steps_to_reproduce, &fields.environment, &fields.likely_files_to_edit];
    assert_eq!(lengths.map(Vec::len), [20, 8, 12, 30]);
    assert_eq!((fields.affected_components.len(), fields.environment[0].as_str()), (20, "line 0"));
    assert_eq!(fields.logs[0], " line 0");
    assert!(fields.notes.unwrap().len() < 9_000);
    assert_eq!(fields.fix_points, [json!({"path": "a"})]);
}

#[test]
fn the_word_of_an_author_is_not_mixed_and_silence_is_filled() {
    let (_, research, synthesised) = through("job failed", WorkspaceFindings::default());
    assert_eq!(research.confidence, Confidence::Low);
    let settled = |posted: serde_json::Value| {
        let synthesised = synthesised.clone();
        summary::settle(input(posted), || synthesised, &draft(), &run(), &DuplicateSummary::default(), 5)
    };
    let own = settled(json!({"what_happened": "mine"}));
    assert!(!own.synthesised && own.fields.recommended_fix.is_none() && own.fields.verification_steps.is_empty());
    let filled = settled(json!({"notes": "look twice", "coder_ready": true, "root_cause_confidence": "high"}));
    assert!(filled.synthesised && filled.fields.recommended_fix.is_some());
    assert_eq!(filled.fields.notes.as_deref(), Some("look twice"));
    assert_eq!(filled.fields.root_cause_confidence, "low");
    assert!(!filled.coder_ready);
    let wire = serde_json::to_value(&filled).unwrap();
    for key in
        ["draft_id", "repo", "triage_run_id", "coder_ready", "coder_ready_gate", "created_at_ms", "what_happened"]
    {
        assert!(!wire[key].is_null(), "{key}");
    }
    assert_eq!(serde_json::from_value::<TriageSummary>(wire).unwrap(), filled);
}

#[test]
fn a_posted_summary_fills_in_for_every_phase() {
    let run = summarised(complete());
    for node in Node::ALL {
        let body = backfill(*node, run.summary.as_ref().unwrap());
        assert_eq!(body["origin"], "triage_summary");
        assert!(body.as_object().unwrap().len() > 2, "{node}");
    }
}
