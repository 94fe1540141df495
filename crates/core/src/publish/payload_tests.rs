//! The payload against the contract's field list, and its limits against whatever a reporter may write.

use proptest::prelude::*;

use super::*;

const CANARY: &str = "canary-7d1f0c";

fn draft(detail: &str, refs: Vec<String>) -> Draft {
    serde_json::from_value(json!({
        "draft_id": "failure-draft-1",
        "fingerprint": "v2:abc",
        "repo": "acme/platform",
        "status": "draft_ready",
        "created_at_ms": 1,
        "updated_at_ms": 2,
        "incident_id": "failure-incident-1",
        "title": "Build failed",
        "detail": detail,
        "evidence_refs": refs,
        "operator_notes": [CANARY],
        "last_post_error": CANARY,
        "source_kind": "ci",
        "github_issue_url": "https://github.com/acme/platform/issues/1",
    }))
    .expect("a draft")
}

fn incident(detail: &str, excerpt: Vec<String>) -> Incident {
    serde_json::from_value(json!({
        "incident_id": "failure-incident-1",
        "fingerprint": "v2:abc",
        "event_type": "ci.failed",
        "status": "draft_created",
        "repo": "acme/platform",
        "workspace_root": format!("/srv/{CANARY}"),
        "title": "Build failed",
        "detail": detail,
        "excerpt": excerpt,
        "occurrence_count": 3,
        "created_at_ms": 1,
        "updated_at_ms": 2,
        "grouping": crate::fingerprint::caller("v2:abc"),
        "occurrences": [],
        "event_payload": {"secret": CANARY},
        "last_error": CANARY,
    }))
    .expect("an incident")
}

fn facts(profile: Profile, byte_limit: usize) -> Facts<'static> {
    Facts {
        event: Event::Incident,
        delivery_id: "bmwh_00112233445566778899aabbccddeeff",
        idempotency_key: "2688796e9043a2c220c3f1d1cb191a0147bbca46b64adfc3ddc0b906fe77849b",
        created_at_ms: 1_700_000_000_000,
        destination_id: "hook-1",
        route_id: None,
        route_match_reason: Some("default_destination"),
        target_ref: "https://hooks.example.com/in",
        redaction_profile: None,
        profile,
        base_url: Some("https://tandem.example.com/"),
        byte_limit,
    }
}

fn parsed(payload: &Payload) -> Value {
    serde_json::from_str(&payload.body).expect("the body is JSON")
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().map(|o| o.keys().map(String::as_str).collect()).unwrap_or_default()
}

#[test]
fn every_field_of_the_contract_is_there() {
    let built = build(&facts(Profile::Full, 65_536), &draft("d", vec![]), Some(&incident("d", vec!["l".into()])), None)
        .expect("small enough");
    let value = parsed(&built);
    assert_eq!(value["event"], "incident_monitor.incident");
    assert_eq!(value["schema_version"], "2026-06-29");
    let table = [
        ("", "event schema_version delivery_id idempotency_key created_at_ms destination draft incident issue_draft"),
        ("/destination", "destination_id kind route_id route_match_reason target_ref"),
        (
            "/draft",
            "draft_id fingerprint repo project_id log_source_id source_kind tenant_id workspace_id event_schema_version \
             status title detail risk_level risk_category actor model tool_name action policy approval_state \
             blast_radius external_correlation_ids confidence expected_destination route_tags evidence_digest \
             evidence_refs quality_gate triage_run_id",
        ),
        (
            "/incident",
            "incident_id fingerprint event_type status repo workspace_root title project_id log_source_id source_kind \
             detail excerpt source component level risk_level risk_category actor model tool_name action policy \
             approval_state blast_radius external_correlation_ids occurrence_count created_at_ms updated_at_ms \
             last_seen_at_ms",
        ),
    ];
    for (at, names) in table {
        let object = value.pointer(at).expect("an object");
        for name in names.split_whitespace() {
            assert!(object.get(name).is_some(), "{at}/{name} is missing from {:?}", keys(object));
        }
    }
    assert_eq!(value["destination"]["kind"], "webhook");
    assert_eq!(value["destination"]["route_id"], Value::Null);
    assert_eq!(value["incident"]["workspace_root"], Value::Null);
    assert_eq!(value["issue_draft"], Value::Null);
    assert_eq!(value["draft"]["evidence_digest"].as_str().map(str::len), Some(64));
    assert_eq!(value["links"]["draft"], "https://tandem.example.com/incident-monitor/drafts/failure-draft-1");
    assert_eq!(value["truncated_fields"], json!([]));
    // What is internal stays here.
    assert!(!built.body.contains(CANARY), "{}", built.body);
}

#[test]
fn without_an_incident_it_is_null_and_equal_input_gives_equal_bytes() {
    let once = build(&facts(Profile::Full, 65_536), &draft("d", vec![]), None, None).expect("small enough");
    let twice = build(&facts(Profile::Full, 65_536), &draft("d", vec![]), None, None).expect("small enough");
    assert_eq!(parsed(&once)["incident"], Value::Null);
    assert_eq!(once, twice);
}

#[test]
fn a_thin_payload_tells_no_text_but_the_title() {
    let issue = json!({"title": "t"});
    let built = build(
        &facts(Profile::Thin, 4_096),
        &draft("long-detail", vec!["ref".into()]),
        Some(&incident("long-detail", vec!["line".into()])),
        Some(issue),
    )
    .expect("small enough");
    let value = parsed(&built);
    assert_eq!(value["profile"], "thin");
    assert_eq!(value["issue_draft"], Value::Null);
    assert_eq!(value["draft"]["title"], "Build failed");
    assert_eq!(value["incident"]["incident_id"], "failure-incident-1");
    for absent in ["long-detail", "evidence_refs", "excerpt"] {
        assert!(!built.body.contains(absent), "{absent}");
    }
}

#[test]
fn the_bounds_of_the_contract() {
    let lines: Vec<String> = (0..30).map(|n| format!("{n} {}", "x".repeat(600))).collect();
    let built = build(
        &facts(Profile::Full, 262_144),
        &draft(&"d".repeat(4_001), (0..21).map(|n| format!("ref-{n}")).collect()),
        Some(&incident(&"i".repeat(4_000), lines)),
        Some(json!({"body": "b".repeat(2_001)})),
    )
    .expect("small enough");
    let value = parsed(&built);
    let len = |at: &str| value.pointer(at).and_then(Value::as_str).map(str::len);
    assert_eq!(len("/draft/detail"), Some(4_014));
    assert_eq!(len("/incident/detail"), Some(4_000));
    assert_eq!(len("/issue_draft/body"), Some(2_014));
    assert_eq!(value["incident"]["excerpt"].as_array().map(Vec::len), Some(20));
    assert_eq!(len("/incident/excerpt/0"), Some(514));
    assert_eq!(value["draft"]["evidence_refs"].as_array().map(Vec::len), Some(20));
    let cut = json!(["issue_draft", "incident.excerpt", "draft.detail", "draft.evidence_refs"]);
    assert_eq!(value["truncated_fields"], cut);
}

#[test]
fn too_much_goes_in_order() {
    let issue = json!({"body": ["b".repeat(1_900), "b".repeat(1_900)]});
    let lines: Vec<String> = (0..20).map(|n| format!("{n} {}", "x".repeat(490))).collect();
    let draft = draft(&"d".repeat(3_900), vec![]);
    let incident = incident(&"i".repeat(3_900), lines);
    let all = |limit| build(&facts(Profile::Full, limit), &draft, Some(&incident), Some(issue.clone()));
    let whole = all(262_144).expect("small enough").body.len();
    let table: [(usize, &[&str]); 5] = [
        (whole, &[]),
        (whole - 1, &["issue_draft"]),
        (whole - 4_000, &["issue_draft", "incident.excerpt"]),
        (whole - 14_000, &["issue_draft", "incident.excerpt", "incident.detail"]),
        (whole - 18_000, &["issue_draft", "incident.excerpt", "incident.detail", "draft.detail"]),
    ];
    for (limit, fields) in table {
        let built = all(limit).unwrap_or_else(|e| panic!("{limit} of {whole}: {e:?}"));
        assert!(built.body.len() <= limit);
        assert_eq!(built.truncated_fields, fields, "limit {limit} of {whole}");
        assert_eq!(parsed(&built)["truncated_fields"], json!(fields));
    }
    assert!(matches!(all(1_024), Err(TooLarge { bytes, limit: 1_024 }) if bytes > 1_024));
}

#[test]
fn keys_that_name_a_secret_lose_their_value() {
    let issue = json!({"title": "t", "env": [{"DB_PASSWORD": CANARY, "x-api-key": {"v": CANARY}}]});
    let built =
        build(&facts(Profile::Full, 65_536), &draft("d", vec![]), None, Some(issue.clone())).expect("small enough");
    assert_eq!(parsed(&built)["issue_draft"]["env"][0]["DB_PASSWORD"], sanitize::REDACTED);
    assert!(!built.body.contains(CANARY));
}

/// A secret across the cut is found before the cut is made.
#[test]
fn secrets_in_text_do_not_leave() {
    let secret = format!("Authorization: Bearer {CANARY}{CANARY}");
    let line = format!("{}{secret}", "x ".repeat(240));
    let detail = format!("{} {secret}", "y ".repeat(1_985));
    let built = build(
        &facts(Profile::Full, 65_536),
        &draft(&detail, vec![format!("https://u:{CANARY}@h/")]),
        Some(&incident(&detail, vec![line])),
        Some(json!({"body": secret})),
    )
    .expect("small enough");
    assert!(!built.body.contains("canary"), "{}", built.body);
    assert!(built.redactions.values().sum::<u32>() >= 4, "{:?}", built.redactions);
    // Our own identifiers are not taken for secrets.
    assert_eq!(parsed(&built)["idempotency_key"], facts(Profile::Full, 0).idempotency_key);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Never over the limit, always JSON, and always explicit about what is missing.
    #[test]
    fn within_the_limit_or_an_error(
        detail in "(\\PC|\\x00|\"){0,3000}",
        lines in prop::collection::vec("(\\PC|\\x01){0,900}", 0..40),
        refs in prop::collection::vec("\\PC{0,600}", 0..30),
        limit in 1_024usize..40_000,
    ) {
        let issue = json!({"body": detail, "more": lines});
        let result = build(
            &facts(Profile::Full, limit), &draft(&detail, refs.clone()), Some(&incident(&detail, lines.clone())), Some(issue.clone()),
        );
        match result {
            Ok(built) => {
                prop_assert!(built.body.len() <= limit);
                let value = parsed(&built);
                prop_assert_eq!(&value["truncated_fields"], &json!(built.truncated_fields));
                if !built.truncated_fields.iter().any(|f| f == "draft.detail") && built.redactions.is_empty() {
                    prop_assert_eq!(&value["draft"]["detail"], &json!(detail));
                }
            }
            // The skeleton alone has a size, so only small limits can fail.
            Err(TooLarge { bytes, .. }) => prop_assert!(bytes > limit && limit < 4_096, "{bytes} of {limit}"),
        }
    }
}
