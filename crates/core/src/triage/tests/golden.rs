use super::*;
use crate::triage::{
    issue_draft::TemplateSource,
    render,
    research::{CommitRef, FileHit, FoundBy},
};

const TRACE: &str = "Traceback (most recent call last):
  File \"/srv/ws/orders/pricing.py\", line 41, in price
    return rates[order[\"currency\"]]
KeyError: 'XAF'";

fn golden() -> issue_draft::IssueDraft {
    let findings = WorkspaceFindings {
        available: true,
        files_searched: 12,
        truncated: false,
        hits: vec![FileHit {
            path: "orders/pricing.py".into(),
            line: Some(41),
            snippet: "return rates[order[\"currency\"]]".into(),
            found_by: FoundBy::Frame,
            needle: "/srv/ws/orders/pricing.py".into(),
            exact: true,
        }],
        commits: vec![CommitRef { hash: "7f".repeat(20), at_ms: 1, subject: "Price @everyone in XAF (#12)".into() }],
    };
    let run = summarised(through(TRACE, findings).2);
    issue_draft(&draft(), Some(&incident(TRACE)), &run, Some("name: Bug\nlabels: bug"), 50).expect("the gate passes")
}

/// Zero-width spaces are written as `·` in the file, to be seen.
#[test]
fn the_rendered_body() {
    let shown = golden().rendered_body.replace('\u{200b}', "·");
    assert_eq!(shown, include_str!("golden_body.md"), "\n{shown}");
}

#[test]
fn a_synthesised_draft_with_an_exact_frame_is_ready_for_a_coder() {
    let draft = golden();
    assert!(draft.coder_ready && draft.coder_handoff.is_some());
    assert_eq!(draft.template_source, TemplateSource::Repository);
    assert_eq!(draft.fields.suggested_title.as_deref(), Some("Order pricing fails"));
    let wire = serde_json::to_value(&draft).unwrap();
    for key in ["template_source", "proposal_quality_gate", "coder_handoff", "triage_summary", "rendered_body"] {
        assert!(!wire[key].is_null(), "{key}");
    }
    assert_eq!(serde_json::from_value::<IssueDraft>(wire).unwrap(), draft);
}

#[test]
fn unusable_templates_are_replaced() {
    for template in [None, Some(" "), Some("a: b\n---\n# out"), Some("a: <!-- x -->"), Some(&*"x".repeat(5_000))] {
        let (front, source) = render::front_matter(template);
        assert_eq!(source, TemplateSource::BuiltIn);
        assert!(front.starts_with("name: "));
    }
}

#[test]
fn the_body_is_bounded_and_keeps_its_markers() {
    let long = "x ".repeat(4_000);
    let input = SummaryInput {
        what_happened: Some(long.clone()),
        notes: Some(long.clone()),
        acceptance_criteria: vec![long.clone(); 20],
        verification_steps: vec![long.clone(); 20],
        logs: vec![long.clone(); 20],
        environment: vec![long; 12],
        ..complete()
    };
    let body = issue_draft(&draft(), None, &summarised(input), None, 1).unwrap().rendered_body;
    assert!(body.len() < 65_536, "{}", body.len());
    assert!(body.contains("<!-- tandem:fingerprint:v1:v2:0011 -->") && body.contains("Left out for length: "));
}

#[test]
fn paths_of_the_server_are_made_relative() {
    let rows = [
        ("/srv/ws/a.py:3", "/srv/ws", "a.py:3"),
        ("open /srv/ws/a and /srv/ws/b", "/srv/ws/", "open a and b"),
        ("/data/srv/ws/a", "/srv/ws", "/data/srv/ws/a"),
        ("/srv/wsx/a", "/srv/ws", "/srv/wsx/a"),
        ("/a/b", "/", "/a/b"),
        ("/a/b", "", "/a/b"),
    ];
    for (text, root, expected) in rows {
        assert_eq!(render::without_root(text, root), expected);
    }
}
