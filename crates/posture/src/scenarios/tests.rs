//! The built-in packs on configurations that are right, and each scenario on one that is wrong for it.

use serde_json::{Value, json};
use tandem_core::tenant::TenantContext;

use super::*;
use crate::probes::tests::estate;

fn github(id: &str) -> Value {
    json!({"destination_id": id, "name": id, "kind": "github_issue", "repo": "a/b", "require_approval": true,
        "config": {"token_ref": "env:T", "api_base": "https://api.github.com"}})
}

fn telemetry(id: &str) -> Value {
    json!({"destination_id": id, "name": id, "kind": "telemetry"})
}

/// Two destinations outside, a source for one of them, a route for its tenant, everything held.
fn good() -> Value {
    json!({
        "enabled": true, "repo": "a/b",
        "destinations": [github("gh"), github("other"), telemetry("local")],
        "default_destination_ids": ["gh"],
        "routes": [
            { "route_id": "acme", "name": "acme", "destination_ids": ["other"], "match_tenant_ids": ["acme"] },
            { "route_id": "tagged", "name": "tagged", "destination_ids": ["gh"], "match_route_tags": ["tagged"] },
        ],
        "monitored_projects": [{
            "project_id": "shop", "name": "shop", "repo": "a/b", "workspace_root": "/srv", "tenant_id": "acme",
            "workspace_id": "main", "allowed_destination_ids": ["other"], "default_destination_ids": ["other"],
            "log_sources": [{ "source_id": "web", "path": "web.log" }],
        }],
    })
}

fn pack(id: &str) -> Pack {
    built_in().into_iter().find(|pack| pack.pack_id == id).unwrap_or_default()
}

fn statuses(body: Value, id: &str) -> Vec<(String, ScenarioStatus)> {
    let result = evaluate(&estate(body), &pack(id), &[]);
    result.results.into_iter().map(|result| (result.scenario_id, result.status)).collect()
}

/// What fails.
fn failed(body: Value, id: &str) -> Vec<String> {
    let fails = |(id, status): (String, ScenarioStatus)| (status == ScenarioStatus::Fail).then_some(id);
    statuses(body, id).into_iter().filter_map(fails).collect()
}

fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut body = good();
    change(&mut body);
    body
}

/// A route that takes one event away from the rules.
fn loose_route(matcher: &str, word: &str) -> Value {
    changed(|body| {
        body["destinations"][0]["require_approval"] = false.into();
        let route = json!({ "route_id": "loose", "name": "loose", "priority": 9, "destination_ids": ["gh"],
            "approval_policy": "never", (matcher): [word] });
        body["routes"].as_array_mut().unwrap().push(route);
    })
}

#[test]
fn the_default_pack_has_its_ids_and_passes_where_all_is_right() {
    let packs = built_in();
    assert_eq!((packs[0].pack_id.as_str(), packs[0].version.as_str()), (DEFAULT_PACK, "1.0.0"));
    assert!(packs.iter().all(|pack| refuse(pack).is_none()));
    let ids: Vec<&str> = packs[0].scenarios.iter().map(|scenario| scenario.scenario_id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "regulatory_escalation_requires_approval",
            "cross_system_dispute_escalates",
            "prompt_injection_requires_approval",
            "excessive_agency_unknown_destination_blocked",
            "low_confidence_missing_evidence_requires_approval",
            "cross_tenant_forged_binding_blocked",
            "unsafe_unready_destination_blocked",
            "recurring_denied_action_requires_approval",
        ]
    );
    for scenario in &packs[0].scenarios {
        let input = &scenario.input;
        assert_eq!((input.source.as_deref(), input.risk_level.as_deref()), (Some("scenario"), Some("high")));
    }
    let result = evaluate(&estate(good()), &packs[0], &[]);
    assert_eq!((result.counts.total, result.counts.passed), (8, 8), "{:#?}", result.results);
    let injected = &result.results[2];
    assert!(injected.prompt_injection && injected.assertions.iter().any(|a| a.name == "prompt_injection" && a.ok));
}

#[test]
fn each_default_scenario_fails_where_the_configuration_is_wrong_for_it() {
    let alone = |id: &str, body: Value| assert_eq!(failed(body, DEFAULT_PACK), [id]);
    alone("regulatory_escalation_requires_approval", loose_route("match_risk_categories", "regulatory"));
    alone("cross_system_dispute_escalates", loose_route("match_route_tags", "cross_system"));
    alone("prompt_injection_requires_approval", loose_route("match_risk_categories", "prompt_injection"));
    alone("low_confidence_missing_evidence_requires_approval", loose_route("match_confidence", "low"));
    alone(
        "recurring_denied_action_requires_approval",
        loose_route("match_event_types", "authority.denied_action.recurring"),
    );
    let destination = |id: &str| changed(|body| body["destinations"].as_array_mut().unwrap().push(github(id)));
    alone("excessive_agency_unknown_destination_blocked", destination("scenario-privileged-destination"));
    alone("cross_tenant_forged_binding_blocked", destination("scenario-cross-tenant-destination"));
    alone("unsafe_unready_destination_blocked", destination("scenario-unready-destination"));
}

#[test]
fn without_a_destination_nothing_can_be_judged() {
    let none = json!({ "enabled": true, "destinations": [telemetry("t")], "default_destination_ids": [] });
    let result = evaluate(&estate(none), &pack(DEFAULT_PACK), &[]);
    assert_eq!((result.counts.passed, result.counts.failed, result.counts.blocked), (3, 0, 5));
    let first = &result.results[0];
    assert!(first.finding_id.is_none() && !first.passed, "{first:?}");
}

#[test]
fn the_discriminating_pack_passes_where_all_is_right() {
    let all = statuses(good(), DISCRIMINATING_PACK);
    // Everything is ready, so there is nothing unready to try.
    let (unready, rest): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(id, _)| id == "unready_destination_fails_closed");
    assert_eq!(unready[0].1, ScenarioStatus::Blocked);
    assert!(rest.iter().all(|(_, status)| *status == ScenarioStatus::Pass), "{rest:?}");
    let unready = changed(|body| body["destinations"][1]["config"] = json!({}));
    assert_eq!(failed(unready, DISCRIMINATING_PACK), Vec::<String>::new());
}

#[test]
fn each_discriminating_scenario_fails_where_the_configuration_is_wrong_for_it() {
    let finds = |id: &str, case: &str, body: Value| {
        let result = evaluate(&estate(body), &pack(DISCRIMINATING_PACK), &[id.to_owned()]);
        let found = &result.results[0];
        assert_eq!((found.status, found.case_id.as_deref()), (ScenarioStatus::Fail, Some(case)), "{id}: {found:#?}");
        assert!(found.finding_id.as_ref().is_some_and(|finding| finding.starts_with("asp_")));
        assert!(found.failed_cases >= 1 && found.failed_cases <= found.cases);
        assert!(found.observed_behavior.contains(case), "{}", found.observed_behavior);
    };
    let open = |n: usize| {
        changed(move |body| {
            body["destinations"][n]["require_approval"] = false.into();
            body["safety_defaults"] = json!({ "require_approval_for_high_risk": false });
        })
    };
    finds("high_risk_to_each_destination_requires_approval", "other", open(1));
    finds(
        "belittled_event_does_not_leave_unseen",
        "gh",
        changed(|body| body["destinations"][0]["require_approval"] = false.into()),
    );
    finds(
        "high_risk_of_each_source_requires_approval",
        "shop/web",
        changed(|body| {
            body["destinations"][1]["require_approval"] = false.into();
            body["monitored_projects"][0]["log_sources"][0]["approval_policy"] = "never".into();
        }),
    );
    finds(
        "high_risk_on_each_route_requires_approval",
        "tagged",
        changed(|body| {
            body["destinations"][0]["require_approval"] = false.into();
            body["routes"][1]["approval_policy"] = "never".into();
        }),
    );
    finds(
        "source_cannot_reach_foreign_destination",
        "shop:gh",
        changed(|body| body["monitored_projects"][0]["allowed_destination_ids"] = json!([])),
    );
    finds(
        "forged_tenant_does_not_reach_tenant_destination",
        "other",
        changed(|body| body["routes"][0]["match_tenant_ids"] = json!([])),
    );
    finds(
        "unready_destination_fails_closed",
        "other",
        changed(|body| {
            body["destinations"][1]["config"] = json!({});
            body["safety_defaults"] = json!({ "block_unready_destinations": false });
        }),
    );
}

#[test]
fn an_event_without_a_tenant_is_one_of_the_callers() {
    let scenario = json!({ "pack_id": "own", "version": "1", "scenarios": [{ "scenarioId": "mine", "category": "c",
        "input": { "eventType": "x" }, "expect": { "effectiveDestinationId": "other" } }] });
    let own: Pack = serde_json::from_value(scenario).unwrap();
    let mut scene = estate(good());
    assert_eq!(evaluate(&scene, &own, &[]).counts.failed, 1);
    scene.tenant = TenantContext::explicit("acme", "main");
    let theirs = evaluate(&scene, &own, &[]);
    assert_eq!(theirs.counts.passed, 1);
    scene.tenant = TenantContext::explicit("umbrella", "main");
    let others = evaluate(&scene, &own, &[]);
    assert_eq!(others.counts.failed, 1);
    assert_ne!(theirs.results[0].fingerprint, others.results[0].fingerprint);
}

#[test]
fn packs_that_say_nothing_are_refused() {
    let one = |expect: Value| json!({ "scenario_id": "s", "category": "c", "input": {}, "expect": expect });
    let refused = |scenarios: Vec<Value>| {
        let body = json!({ "pack_id": "p", "version": "1", "scenarios": scenarios });
        refuse(&serde_json::from_value::<Pack>(body).unwrap())
    };
    assert_eq!(refused(vec![one(json!({ "blocked": true }))]), None);
    assert_eq!(refused(vec![]), None);
    assert!(refused(vec![one(json!({}))]).is_some());
    assert!(refused(vec![one(json!({ "note": "words only" }))]).is_some());
    assert!(refused(vec![one(json!({ "blocked": true })), one(json!({ "blocked": true }))]).is_some());
    let result = evaluate(&estate(good()), &pack(DEFAULT_PACK), &["nope".into()]);
    assert_eq!((result.counts.total, result.ignored_scenario_ids), (0, vec!["nope".to_owned()]));
}
