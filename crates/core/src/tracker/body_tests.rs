use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::tracker::{IssueState, decide};

fn draft(title: &str, detail: &str) -> Draft {
    serde_json::from_value(json!({
        "draft_id": "failure-draft-1", "fingerprint": "v2:00112233445566778899aabbccddeeff", "repo": "acme/app",
        "status": "draft_ready", "created_at_ms": 1, "updated_at_ms": 1, "title": title, "detail": detail,
        "triage_run_id": "automation-v2-run-1", "incident_id": "failure-incident-1",
        "external_correlation_ids": [], "route_tags": [], "allowed_destination_ids": [], "default_destination_ids": [],
        "evidence_refs": [title, detail],
    }))
    .expect("a draft")
}

fn facts<'a>(kind: DestinationKind, draft: &'a Draft, issue_draft: Option<&'a Value>) -> Facts<'a> {
    Facts { kind, draft, incident: None, issue_draft, effect: "0123abcd", evidence_digest: "digest" }
}

/// The markers of ours in a text, in order.
fn markers(text: &str) -> Vec<&str> {
    text.match_indices("<!--").map(|(at, _)| text[at..].split("-->").next().unwrap_or_default()).collect()
}

const OURS: [&str; 4] = [
    "<!-- tandem:fingerprint:v1:v2:",
    "<!-- tandem:evidence:v1:",
    "<!-- tandem:effect:v1:",
    "<!-- tandem:triage_run_id:v1:",
];

fn only_ours(body: &str) {
    let found = markers(body);
    assert_eq!(found.len(), OURS.len(), "{body}");
    for (found, ours) in found.iter().zip(OURS) {
        assert!(found.starts_with(ours), "{found}");
    }
}

#[test]
fn an_issue_has_its_markers_whatever_the_report_says() {
    let forged = "<!-- tandem:effect:v1:0123abcd -->\n```\n@octocat #1 ![x](http://evil)\n~~~\n</details><!-- open";
    let draft = draft(forged, forged);
    let composed = issue(&facts(DestinationKind::GithubIssue, &draft, None), None);
    only_ours(&composed.body);
    assert!(!composed.title.contains("<!--") && !composed.title.contains("@o"), "{}", composed.title);
    let linear = issue(&facts(DestinationKind::LinearIssue, &draft, None), None);
    assert!(linear.body.ends_with("<!-- tandem:destination:v1:linear -->\n"));
}

#[test]
fn redaction_does_not_reach_over_a_fence() {
    let rendered = json!({
        "rendered_body": "## What happened?\n\n-----BEGIN RSA PRIVATE KEY----- in a title\n\n## Logs\n\n```text\n\
            -----END RSA PRIVATE KEY-----\n@team look\n```\n",
    });
    let draft = draft("t", "d");
    let body = issue(&facts(DestinationKind::GithubIssue, &draft, Some(&rendered)), None).body;
    let opened = body.find("```text").expect("the fence is still there");
    assert!(body.find("@team").is_some_and(|at| at > opened), "{body}");
    only_ours(&body);
}

#[test]
fn a_rendered_body_keeps_its_sections_and_gets_markers_of_its_own() {
    let rendered = json!({
        "suggested_title": "Gateway times out", "what_happened": "It timed out",
        "rendered_body": "---\nname: Bug\n---\n\n## What happened?\n\nIt timed out\n\n<!-- tandem:fingerprint:v1:other -->\n\
            <!-- tandem:triage_run_id:v1:x -->\n<!-- tandem:coder_handoff:v1\n{\"a\": 1}\n-->\n",
    });
    let draft = draft("t", "d");
    let github = issue(&facts(DestinationKind::GithubIssue, &draft, Some(&rendered)), None);
    assert_eq!(github.title, "Gateway times out");
    assert!(github.body.starts_with("---\nname: Bug\n---\n\n## What happened?"), "{}", github.body);
    assert!(!github.body.contains(":other"), "what a body is recognised by is written here");
    assert!(github.body.trim_end().ends_with("<!-- tandem:coder_handoff:v1\n{\"a\": 1}\n-->"), "{}", github.body);
    let linear = issue(&facts(DestinationKind::LinearIssue, &draft, Some(&rendered)), None);
    assert!(linear.body.starts_with("## What happened?"), "{}", linear.body);
}

#[test]
fn a_closed_predecessor_is_named() {
    let previous = Issue {
        reference: IssueRef { id: "7".into(), number: Some(7), ..IssueRef::default() },
        state: IssueState::Closed,
        title: String::new(),
        body: String::new(),
        created_at_ms: None,
        updated_at_ms: None,
        closed_at_ms: None,
    };
    let draft = draft("t", "d");
    let composed = issue(&facts(DestinationKind::GithubIssue, &draft, None), Some(&previous));
    assert!(composed.body.contains("previous\\_closed\\_issue: #7"), "{}", composed.body);
}

#[test]
fn an_issue_of_ours_is_found_by_what_was_sent() {
    let draft = draft("t", "d");
    let composed = issue(&facts(DestinationKind::GithubIssue, &draft, None), None);
    let found = Issue {
        reference: IssueRef::default(),
        state: IssueState::Open,
        title: "edited by somebody".into(),
        body: composed.body,
        created_at_ms: None,
        updated_at_ms: None,
        closed_at_ms: None,
    };
    assert!(decide::pick(vec![found.clone()], &marker::effect("0123abcd")).is_some());
    assert!(decide::pick(vec![found], &marker::effect("0123abc")).is_none());
}

#[test]
fn secrets_do_not_leave() {
    let detail = "Authorization: Bearer abcdefghijklmnopqrstuvwxyz0123456789\npassword=hunter2hunter2";
    let draft = draft("token=abcdefghijklmnop1234567890", detail);
    for kind in [DestinationKind::GithubIssue, DestinationKind::LinearIssue] {
        let composed = issue(&facts(kind, &draft, None), None);
        for secret in ["abcdefghijklmnop", "hunter2"] {
            assert!(!composed.body.contains(secret) && !composed.title.contains(secret), "{}", composed.body);
        }
        assert!(!composed.redactions.is_empty());
        let said = comment(&facts(kind, &draft, None), Some(2), false);
        assert!(!said.body.contains("abcdefghijklmnop"), "{}", said.body);
    }
}

/// Lines that begin or end a fence alternate, and the last fence is closed.
fn fences_are_closed(body: &str) -> bool {
    let mut open: Option<String> = None;
    for line in body.lines() {
        open = fence_after(open.as_deref(), line);
    }
    open.is_none()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    /// No text of a report ends a fence, forges a marker, mentions anybody or pushes a marker out.
    #[test]
    fn nothing_breaks_out(
        title in "(\\PC|[`<!>@#\\-\n]){0,80}",
        detail in "(\\PC|`{1,6}|\n|<!-- tandem:effect:v1:0123abcd -->|@octocat|~~~|-->){0,200}",
        lines in prop::collection::vec("(\\PC|`{1,5}|@a|<!--|-->){0,60}", 0..8),
    ) {
        let draft = draft(&title, &detail);
        let incident: Incident = serde_json::from_value(json!({
            "incident_id": "i", "fingerprint": "f", "event_type": title, "status": "queued", "repo": "acme/app",
            "workspace_root": "", "title": title, "excerpt": lines, "occurrence_count": 3, "created_at_ms": 1,
            "updated_at_ms": 1, "grouping": {"fingerprint": "f", "basis": "title", "parts": [], "algorithm": "v2"}, "component": detail,
            "external_correlation_ids": [], "route_tags": [], "allowed_destination_ids": [],
            "default_destination_ids": [], "evidence_refs": [],
        })).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let facts = Facts { incident: Some(&incident), ..facts(DestinationKind::GithubIssue, &draft, None) };
        let composed = issue(&facts, None);
        only_ours(&composed.body);
        prop_assert!(fences_are_closed(&composed.body), "{}", composed.body);
        prop_assert!(composed.body.len() <= GITHUB_BODY);
        prop_assert!(!composed.title.contains('\n') && composed.title.len() <= TITLE + 3);
        let mention = composed.title.match_indices('@').any(|(at, _)| !composed.title[at..].starts_with("@\u{200b}"));
        prop_assert!(!mention, "{}", composed.title);
        let said = comment(&facts, None, true).body;
        prop_assert_eq!(markers(&said).len(), 2, "{}", said);
        prop_assert!(fences_are_closed(&said), "{}", said);
    }

    #[test]
    fn a_cut_is_bounded_and_closes_what_is_open(text in "(\\PC{0,20}|`{3,6}|\n){0,300}", limit in 60usize..2_000) {
        let (short, cut) = cut(&text, limit);
        prop_assert!(short.len() <= limit.max(text.len().min(limit)), "{} of {limit}", short.len());
        prop_assert_eq!(cut, text.len() > limit);
        prop_assert!(!cut || fences_are_closed(&short), "{}", short);
    }
}
