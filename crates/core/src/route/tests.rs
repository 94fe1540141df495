//! Routing as a whole: context, decision and preview together.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    approval::Ground,
    config::{Config, read},
    destination::{self, DestinationReadiness, Facts},
    draft::Draft,
    incident::Incident,
    signal::Submission,
    source::{SourceReadiness, WatcherFact},
};

fn config(body: Value) -> Config {
    read(body).unwrap_or_default()
}

fn input(body: Value) -> PreviewInput {
    serde_json::from_value(body).unwrap_or_default()
}

fn draft(body: Value) -> Draft {
    let mut base = json!({
        "draft_id": "d1", "fingerprint": "f", "repo": "a/b", "status": "draft_ready", "created_at_ms": 1,
        "updated_at_ms": 1,
    });
    if let (Some(base), Value::Object(more)) = (base.as_object_mut(), body) {
        base.extend(more);
    }
    serde_json::from_value(base).unwrap_or_else(|error| panic!("{error}"))
}

fn ready_rows(config: &Config) -> Vec<DestinationReadiness> {
    let facts = Facts::new(0, &|_| true);
    destination::effective(config).iter().map(|d| destination::readiness(config, d, &facts)).collect()
}

/// The preview of explicit input and parts, with real readiness.
fn preview_of(config: &Config, body: Value, draft: Option<&Draft>, incident: Option<&Incident>) -> RoutePreview {
    let input = input(body);
    let context = Context::from_parts(&input, input.report.as_ref(), draft, incident);
    let sources = crate::source::readiness(config, &[], 0);
    preview(config, &context, &ReadinessRows { destinations: &ready_rows(config), sources: &sources })
}

/// Two telemetry destinations that are ready.
fn two() -> Value {
    json!([
        {"destination_id": "a", "name": "A", "kind": "telemetry"},
        {"destination_id": "b", "name": "B", "kind": "internal_memory"},
    ])
}

fn with_routes(routes: Value) -> Config {
    config(json!({"enabled": true, "destinations": two(), "default_destination_ids": ["b"], "routes": routes}))
}

#[test]
fn each_matcher_and_its_name_in_the_reason() {
    for (matcher, reason, hit, miss) in [
        ("match_event_types", "event_type", json!({"event_type": "X.Y"}), json!({"event_type": "x"})),
        ("match_sources", "source", json!({"source": " x.y "}), json!({})),
        ("match_components", "component", json!({"component": "x.y"}), json!({"component": " "})),
        ("match_risk_levels", "risk_level", json!({"risk_level": "x.y"}), json!({"risk_level": "low"})),
        ("match_risk_categories", "risk_category", json!({"riskCategory": "x.y"}), json!({})),
        ("match_confidence", "confidence", json!({"confidence": "x.y"}), json!({})),
        ("match_expected_destinations", "expected_destination", json!({"expected_destination": "x.y"}), json!({})),
        ("match_project_ids", "project_id", json!({"project_id": "x.y"}), json!({})),
        ("match_log_source_ids", "log_source_id", json!({"log_source_id": "x.y"}), json!({})),
        ("match_tenant_ids", "tenant_id", json!({"tenant_id": "x.y"}), json!({})),
        ("match_workspace_ids", "workspace_id", json!({"workspaceId": "x.y"}), json!({})),
        ("match_event_schema_versions", "event_schema_version", json!({"event_schema_version": "x.y"}), json!({})),
        ("match_route_tags", "route_tags", json!({"route_tags": ["q", "X.y"]}), json!({"route_tags": ["q"]})),
    ] {
        let config =
            with_routes(json!([{"route_id": "r", "name": "R", "destination_ids": ["a"], matcher: ["other", " X.Y "]}]));
        let found = preview_of(&config, hit, None, None);
        assert_eq!(found.matches[0].reason.as_deref(), Some(format!("matched_{reason}").as_str()));
        assert_eq!(
            (found.effective_destination_ids.as_slice(), found.winning_route_id.as_deref()),
            (&["a".to_owned()][..], Some("r"))
        );
        let missed = preview_of(&config, miss, None, None);
        assert_eq!(missed.matches[0].reason.as_deref(), Some("default_destination"), "{matcher}");
        assert_eq!(missed.effective_destination_ids, ["b"]);
    }
    let config = with_routes(
        json!([{"route_id": "r", "name": "R", "match_source_kinds": ["CI"], "match_route_tags": ["t"], "match_risk_levels": ["high"]}]),
    );
    let found =
        preview_of(&config, json!({"source_kind": "ci", "route_tags": ["t"], "risk_level": "HIGH"}), None, None);
    assert_eq!(found.matches[0].reason.as_deref(), Some("matched_risk_level_source_kind_route_tags"));
    // A route without destinations uses the defaults.
    assert_eq!(found.effective_destination_ids, ["b"]);
}

#[test]
fn catch_all_disabled_and_blank_matchers() {
    for (route, reason) in [
        (json!({"route_id": "r", "name": "R"}), "catch_all_route"),
        (json!({"route_id": "r", "name": "R", "enabled": false}), "default_destination"),
        (json!({"route_id": "r", "name": "R", "match_sources": [" "]}), "default_destination"),
        (json!({"route_id": "r", "name": "R", "match_route_tags": [""]}), "default_destination"),
    ] {
        let found = preview_of(&with_routes(json!([route])), json!({"source": "x"}), None, None);
        assert_eq!(found.matches[0].reason.as_deref(), Some(reason));
    }
}

#[test]
fn the_winner_is_the_highest_priority_then_name_then_id() {
    let config = with_routes(json!([
        {"route_id": "4", "name": "z", "priority": -1},
        {"route_id": "3", "name": "b"},
        {"route_id": "2", "name": "a"},
        {"route_id": "1", "name": "a", "destination_ids": ["a", " a", ""]},
        {"route_id": "0", "name": "zz", "priority": 5, "match_sources": ["nobody"]},
    ]));
    let found = preview_of(&config, json!({}), None, None);
    let order: Vec<_> = found.matches.iter().filter_map(|m| m.route_id.as_deref()).collect();
    assert_eq!(order, ["1", "2", "3", "4"]);
    assert_eq!(found.effective_destination_ids, ["a"]);
    assert!(!found.blocked);
}

#[test]
fn default_destinations() {
    for (body, expected) in [
        (json!({}), vec!["legacy-github"]),
        (json!({"default_destination_ids": [" x ", "x", ""]}), vec!["x"]),
        (json!({"destinations": two()}), vec![]),
        (json!({"destinations": two(), "default_destination_ids": ["a"]}), vec!["a"]),
    ] {
        assert_eq!(preview_of(&config(body), json!({}), None, None).default_destination_ids, expected);
    }
}

#[test]
fn the_exact_words_of_every_block() {
    let body = json!({
        "enabled": true, "safety_defaults": {"block_unready_sources": true},
        "destinations": [
            {"destination_id": "a", "name": "A", "kind": "telemetry"},
            {"destination_id": "t", "name": "T", "kind": "telemetry", "telemetry_path": "/abs", "enabled": false},
            {"destination_id": "m", "name": "M", "kind": "telemetry"},
        ],
        "monitored_projects": [{"project_id": "P", "name": "P", "repo": "a/b", "workspace_root": "/srv",
            "allowed_destination_ids": ["a", "t", "m", "gone"], "log_sources": [{"source_id": "s", "path": "x", "paused": true}]}],
    });
    let config = config(body);
    let mut rows = ready_rows(&config);
    rows.retain(|row| row.destination_id != "m");
    rows[0].publish_ready = false;
    let of = |body: Value, sources: &[SourceReadiness]| {
        let input = input(body);
        let context = Context::from_parts(&input, None, None, None);
        let found = preview(&config, &context, &ReadinessRows { destinations: &rows, sources });
        assert_eq!(found.blocked, !found.blocked_reasons.is_empty());
        let codes = found.blocked_codes.into_iter().map(BlockCode::word);
        codes.zip(found.blocked_reasons).collect::<Vec<_>>()
    };
    assert_eq!(of(json!({}), &[]), [("no_destination_matched", "No destination matched route preview".to_owned())]);
    let sources = crate::source::readiness(&config, &[], 0);
    let requested = json!({"project_id": "p", "log_source_id": "s", "destination_ids": ["x", "gone", "t", "a", "m"]});
    assert_eq!(
        of(requested.clone(), &sources),
        [
            ("destination_not_allowed", "Destination `x` is not allowed by source binding".to_owned()),
            ("destination_not_configured", "Destination `gone` is not configured".to_owned()),
            (
                "destination_not_ready",
                "Destination `t` is not ready: Destination is disabled, telemetry_path must be relative and stay inside \
                 the incident-monitor data directory"
                    .to_owned()
            ),
            ("destination_not_ready", "Destination `a` is not ready: readiness is false".to_owned()),
            ("destination_readiness_missing", "Destination `m` has no readiness result".to_owned()),
            ("source_not_ready", "Source `s` is not data-ready: source readiness is false".to_owned()),
        ]
    );
    let last =
        |found: Vec<(&'static str, String)>| found.into_iter().next_back().map(|(code, text)| format!("{code}|{text}"));
    assert_eq!(
        last(of(requested, &[])).as_deref(),
        Some("source_readiness_missing|Source `s` is not data-ready: no readiness evidence for the bound source")
    );
    let project = of(json!({"project_id": "p", "destination_ids": ["m"]}), &sources);
    assert!(last(project).is_some_and(|text| text.starts_with(
        "source_not_ready|Source `P` is not data-ready: source_governance_metadata_missing, source_boundary_context_missing"
    )));
}

#[test]
fn a_reporter_of_a_project_without_log_sources_is_judged_by_the_project() {
    let config = config(json!({
        "enabled": true, "destinations": two(), "default_destination_ids": ["a"],
        "safety_defaults": {"block_unready_sources": true},
        "monitored_projects": [{"project_id": "p", "name": "P", "repo": "a/b", "workspace_root": "/srv"}],
    }));
    let input = input(json!({"project_id": "p", "log_source_id": "external"}));
    let context = Context::from_parts(&input, None, None, None);
    let mut sources = crate::source::readiness(&config, &[], 0);
    for (ready, reasons) in [(false, 1), (true, 0)] {
        sources[0].ready = ready;
        let rows = ready_rows(&config);
        let found = preview(&config, &context, &ReadinessRows { destinations: &rows, sources: &sources });
        assert_eq!(found.blocked_reasons.len(), reasons);
        assert!(found.blocked_reasons.iter().all(|reason| reason.starts_with("Source `p` is not data-ready: source_")));
    }
}

#[test]
fn unready_sources_only_warn_by_default() {
    let config = config(json!({
        "enabled": true, "destinations": two(), "default_destination_ids": ["a"],
        "monitored_projects": [{"project_id": "p", "name": "P", "repo": "a/b", "workspace_root": "/srv"}],
    }));
    let found = preview_of(&config, json!({"project_id": "p"}), None, None);
    assert!(!found.blocked && found.source_readiness_warnings[0].starts_with("Source `p` is not data-ready: "));
    assert_eq!(found.source_readiness.len(), 1);
    let watcher = WatcherFact {
        project_id: "p".into(),
        source_id: "s".into(),
        healthy: true,
        consecutive_errors: 0,
        last_observed_ms: None,
    };
    assert_eq!(crate::source::readiness(&config, &[watcher], 0).len(), 1);
}

/// A project that says `never`, with a route by its tag.
fn lenient() -> Config {
    config(json!({
        "enabled": true, "destinations": two(), "default_destination_ids": ["b"], "require_approval_for_new_issues": true,
        "routes": [{"route_id": "tagged", "name": "T", "match_route_tags": ["p-tag"], "match_tenant_ids": ["acme"]}],
        "monitored_projects": [{"project_id": "Proj", "name": "P", "repo": "a/b", "workspace_root": "/srv",
            "approval_policy": "never", "default_destination_ids": ["a"], "default_route_tags": ["p-tag"],
            "tenant_id": "acme", "auto_publish": true}],
    }))
}

#[test]
fn a_lone_report_cannot_borrow_a_projects_leniency() {
    let config = lenient();
    let report = json!({"report": {"title": "t", "project_id": "proj", "tenant_id": "acme", "route_tags": ["p-tag"],
        "default_destination_ids": ["a"]}});
    let found = preview_of(&config, report, None, None);
    assert!(found.approval_required && !found.auto_publish);
    assert_eq!(
        (found.matches[0].reason.as_deref(), found.effective_destination_ids),
        (Some("default_destination"), vec!["b".to_owned()])
    );
    // Explicit input beside the report is the operator's own, but lends no leniency either.
    let mixed = json!({"project_id": "proj", "report": {"title": "t", "project_id": "proj"}});
    assert!(preview_of(&config, mixed, None, None).approval_required);
    // A claimed policy that is not the configured one is not believed.
    let claimed = json!({"report": {"project_id": "other", "source_approval_policy": "never"}});
    assert!(preview_of(&config, claimed, None, None).approval_required);
}

#[test]
fn a_bound_record_gets_its_projects_routing() {
    let config = lenient();
    let bound = draft(json!({"project_id": "proj", "source_approval_policy": "never"}));
    let found = preview_of(&config, json!({}), Some(&bound), None);
    assert!(!found.approval_required && found.auto_publish);
    assert_eq!(found.matches[0].reason.as_deref(), Some("matched_tenant_id_route_tags"));
    assert_eq!(found.effective_destination_ids, ["a"]);
    // The same as what intake decides on the signal itself, and what publishing decides on the draft.
    let mut signal = Submission { project_id: Some("Proj".into()), ..Submission::default() };
    signal.routing.source_approval_policy = Some(crate::approval::ApprovalPolicy::Never);
    for context in [Context::of_signal(&signal), Context::of_draft(&bound, None)] {
        let decision = decide(&config, &context);
        assert_eq!((decision.approval_required, decision.route_id()), (false, Some("tagged")));
        assert_eq!(decision.effective_destination_ids, ["a"]);
    }
    // Without the stored policy there is no proof.
    let unproven = draft(json!({"project_id": "proj"}));
    assert!(preview_of(&config, json!({}), Some(&unproven), None).approval_required);
    // A question about the project alone is answered as for a signal through its binding.
    assert!(!preview_of(&config, json!({"project_id": "proj"}), None, None).approval_required);
}

#[test]
fn strict_source_policies_need_no_proof() {
    let of = |policy: &str, switch: bool| {
        config(json!({
            "destinations": two(), "default_destination_ids": ["a"], "safety_defaults": {"require_approval_for_high_risk": false},
            "monitored_projects": [{"project_id": "p", "name": "P", "repo": "a/b", "workspace_root": "/srv",
                "approval_policy": policy, "require_approval_for_new_issues": switch}],
        }))
    };
    let risky = draft(json!({"project_id": "p", "risk_level": "high", "source_approval_policy": "never"}));
    for (config, ground) in [
        (of("always", false), Some(Ground::Source)),
        (of("high_risk", false), Some(Ground::SourceHighRisk)),
        (of("never", true), Some(Ground::Source)),
        (of("inherit", false), None),
    ] {
        let found = preview_of(&config, json!({}), Some(&risky), None);
        assert_eq!(found.approval_grounds, Vec::from_iter(ground));
    }
    // The project is gone from the configuration; what made its drafts strict still holds.
    let orphan = draft(json!({"project_id": "gone", "source_approval_policy": "always"}));
    assert!(preview_of(&of("inherit", false), json!({}), Some(&orphan), None).approval_required);
}

#[test]
fn an_override_replaces_destinations_and_never_a_policy() {
    let config = config(json!({
        "enabled": true, "default_destination_ids": ["a"],
        "destinations": [
            {"destination_id": "a", "name": "A", "kind": "telemetry"},
            {"destination_id": "flagged", "name": "F", "kind": "telemetry", "require_approval": true},
        ],
        "routes": [{"route_id": "strict", "name": "S", "match_components": ["db"], "approval_policy": "always", "destination_ids": ["flagged"]}],
    }));
    let of = |body: Value| preview_of(&config, body, None, None);
    let named = of(json!({"component": "db", "destination_ids": ["a", "a", " "]}));
    assert!(named.approval_required);
    assert_eq!(
        (named.effective_destination_ids.as_slice(), named.winning_route_id.as_deref()),
        (&["a".to_owned()][..], Some("strict"))
    );
    assert_eq!(named.matches.len(), 1);
    assert_eq!(
        (named.matches[0].route_id.as_deref(), named.matches[0].reason.as_deref()),
        (None, Some("requested_destination_override"))
    );
    assert!(!of(json!({"component": "ui", "destination_ids": ["a"]})).approval_required);
    assert_eq!(of(json!({"component": "ui", "destination_ids": ["flagged"]})).approval_grounds, [Ground::Destination]);
}

#[test]
fn allowlists_only_narrow() {
    let config = config(json!({
        "enabled": true, "destinations": two(),
        "monitored_projects": [
            {"project_id": "p", "name": "P", "repo": "a/b", "workspace_root": "/srv", "allowed_destination_ids": ["a"],
             "log_sources": [{"source_id": "none", "path": "x", "allowed_destination_ids": ["b"]}]},
        ],
    }));
    let blocked = |draft: &Draft, id: &str| {
        let ids = [id.to_owned()];
        let context = Context::of_draft(draft, None).requesting(&ids);
        let decision = decide(&config, &context);
        assert!(decision.source_allowlist_enforced || draft.project_id.is_none());
        decision.blocks(&config).into_iter().map(|block| block.code.word()).collect::<Vec<_>>()
    };
    let bound = draft(json!({"project_id": "p"}));
    assert_eq!(blocked(&bound, "a"), Vec::<&str>::new());
    assert_eq!(blocked(&bound, "b"), ["destination_not_allowed"]);
    assert_eq!(blocked(&bound, "A"), ["destination_not_allowed"]);
    // Recorded and configured lists intersect; an empty intersection admits nothing.
    let recorded = draft(json!({"project_id": "p", "allowed_destination_ids": ["b"]}));
    for id in ["a", "b"] {
        assert_eq!(blocked(&recorded, id), ["destination_not_allowed"]);
        assert_eq!(
            blocked(&draft(json!({"project_id": "p", "log_source_id": "none"})), id),
            ["destination_not_allowed"]
        );
        assert_eq!(blocked(&draft(json!({})), id), Vec::<&str>::new());
    }
}

#[test]
fn the_floor_raises_what_is_routed_and_judged() {
    let config = config(json!({
        "safety_defaults": {"minimum_risk_level": "High"},
        "routes": [{"route_id": "r", "name": "R", "match_risk_levels": ["high"]}],
    }));
    for level in [json!("low"), json!(null), json!("odd")] {
        let found = preview_of(&config, json!({ "report": {"risk_level": level} }), None, None);
        assert_eq!((found.winning_route_id.as_deref(), found.approval_required), (Some("r"), true));
    }
    let found = preview_of(&config, json!({"risk_level": "critical"}), None, None);
    assert_eq!((found.winning_route_id, found.approval_required), (None, true));
}

#[test]
fn the_implied_destination_is_governed_by_the_global_switch_alone() {
    for (switch, grounds) in [(true, vec![Ground::Global]), (false, vec![])] {
        let config = config(json!({"enabled": true, "repo": "a/b", "require_approval_for_new_issues": switch}));
        let found = preview_of(&config, json!({}), None, None);
        assert_eq!(found.approval_grounds, grounds);
        assert_eq!(found.destinations[0].route_tags, ["legacy_github"]);
        assert_eq!(found.destinations[0].require_approval, switch);
    }
    // A `never` route lifts the switch, although the implied destination copies it.
    let config = config(json!({"require_approval_for_new_issues": true,
        "routes": [{"route_id": "r", "name": "R", "approval_policy": "never"}]}));
    assert!(!preview_of(&config, json!({}), None, None).approval_required);
}

#[test]
fn the_input_is_read_in_both_casings_and_with_nulls() {
    let read = input(json!({"draftId": null, "eventType": "e", "sourceKind": null, "routeTags": null,
        "destinationIds": ["a"], "report": null, "unknown": 1}));
    assert_eq!((read.event_type.as_deref(), read.destination_ids.as_slice()), (Some("e"), &["a".to_owned()][..]));
    assert_eq!(input(json!({})), PreviewInput::default());
}

proptest! {
    /// Nothing that a lone report says can make a preview more lenient than the same report without source fields.
    #[test]
    fn no_lone_report_relaxes_approval(
        project in prop::option::of(prop::sample::select(vec!["proj", "Proj", "other"])),
        tags in prop::collection::vec(prop::sample::select(vec!["p-tag", "x"]), 0..3),
        tenant in prop::option::of(Just("acme")),
    ) {
        let mut config = lenient();
        config.routes.clear();
        let report = json!({"report": {"project_id": project, "route_tags": tags, "tenant_id": tenant}});
        prop_assert!(preview_of(&config, report, None, None).approval_required);
    }

    /// Preview and decision agree, whatever is asked.
    #[test]
    fn preview_and_decision_agree(
        component in prop::option::of(prop::sample::select(vec!["db", "ui"])),
        risk in prop::option::of(prop::sample::select(vec!["low", "high"])),
        requested in prop::collection::vec(prop::sample::select(vec!["a", "b", "zz"]), 0..3),
    ) {
        let config = with_routes(json!([
            {"route_id": "1", "name": "one", "match_components": ["db"], "approval_policy": "high_risk"},
            {"route_id": "2", "name": "two", "approval_policy": "never", "destination_ids": ["a"]},
        ]));
        let input = input(json!({"component": component, "risk_level": risk, "destination_ids": requested}));
        let context = Context::from_parts(&input, None, None, None);
        let decision = decide(&config, &context);
        let found = preview(&config, &context, &ReadinessRows { destinations: &ready_rows(&config), sources: &[] });
        prop_assert_eq!(&decision.effective_destination_ids, &found.effective_destination_ids);
        prop_assert_eq!(decision.approval_required, found.approval_required);
        prop_assert_eq!(found.matches[0].approval_required, found.approval_required);
        prop_assert_eq!(found.matches[0].reason.as_deref(), Some(decision.reason.as_str()));
    }
}
