//! Every probe: when it passes, fails, cannot tell, and has nothing to probe.

use serde_json::{Value, json};
use tandem_core::{
    config,
    credential::IntakeKey,
    destination::{self, Facts, Server, Tool},
    tenant::TenantContext,
};

use super::*;
use crate::{
    estate::Estate,
    finding::{New, Severity},
    inventory::{Viewer, inventory},
};

/// An estate of a configuration, with the readiness that it has when every secret resolves.
pub(crate) fn estate(body: Value) -> Estate {
    let mut estate = Estate::empty(TenantContext::local(), 1_000_000);
    estate.config = config::read(body).unwrap_or_else(|error| panic!("{error:?}"));
    estate.sources = tandem_core::source::readiness(&estate.config, &[], estate.now_ms);
    let facts = Facts {
        server: &|_| Server::Connected,
        tool: &|_, _| Tool::Callable,
        capable: &|_, _| true,
        ..Facts::new(estate.now_ms, &|reference| reference.starts_with("env:"))
    };
    let all = destination::effective(&estate.config);
    estate.destinations = all.iter().map(|one| destination::readiness(&estate.config, one, &facts)).collect();
    estate
}

fn key(id: &str, scopes: &[&str]) -> IntakeKey {
    IntakeKey {
        key_id: id.into(),
        project_id: "shop".into(),
        name: id.into(),
        key_hash: String::new(),
        enabled: true,
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        created_at_ms: None,
        last_used_at_ms: None,
        expires_at_ms: None,
        rate_limit_per_min: None,
    }
}

fn only(probe: ProbeId) -> Options {
    Options { selected: vec![probe], ..Options::default() }
}

/// Target and status of every result of one probe.
fn said(
    estate: &Estate,
    probe: ProbeId,
    findings: &[Finding],
    doors: Option<&DoorReport>,
) -> Vec<(String, ProbeStatus)> {
    let inventory = inventory(estate, &Viewer::Reviewer);
    let run = run(estate, &inventory, findings, doors, &only(probe));
    for result in &run.results {
        let status = result.status;
        assert_eq!((result.passed, result.blocked), (status == ProbeStatus::Pass, status == ProbeStatus::Blocked));
        assert_eq!(result.finding_id.is_some(), status == ProbeStatus::Fail);
        assert_eq!(result.incident_draft_suggestion.is_some(), status == ProbeStatus::Fail);
        assert!(!result.evidence_refs.is_empty() && result.fingerprint.starts_with("sha256:"));
        assert_eq!(result.fingerprint.len(), 71);
    }
    run.results.into_iter().map(|result| (result.target.id, result.status)).collect()
}

fn of(list: &[(&str, ProbeStatus)]) -> Vec<(String, ProbeStatus)> {
    list.iter().map(|(id, status)| ((*id).to_owned(), *status)).collect()
}

fn finding(rule_id: &str) -> Finding {
    Finding::new(
        New {
            rule_id,
            category: "missing_approval",
            severity: Severity::High,
            title: "t".into(),
            detail: "the agent may run bash".into(),
            recommendation: "r".into(),
            affected: vec![AffectedObject::new("automation_agent", "coder").with("automation_id", "a1")],
            evidence: vec![EvidenceRef::inventory("inventory.automation_specs[a1]")],
            extra: None,
        },
        true,
    )
}

const GITHUB: &str = r#"{"destination_id": "gh", "name": "gh", "kind": "github_issue", "repo": "a/b",
    "config": {"token_ref": "env:T", "api_base": "https://api.github.com"}}"#;

fn monitor(destinations: &[Value], more: Value) -> Value {
    let mut body = json!({ "enabled": true, "repo": "a/b", "destinations": destinations });
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

fn github() -> Value {
    serde_json::from_str(GITHUB).unwrap_or_default()
}

fn hook(url: &str) -> Value {
    json!({"destination_id": "hook", "name": "hook", "kind": "webhook", "webhook_url": url,
        "webhook_secret_ref": "env:S"})
}

#[test]
fn posture_rules_are_repeated() {
    let empty = estate(json!({}));
    let probe = ProbeId::ApprovalRequiredToolPolicy;
    let rule = "high_risk_tool_without_approval";
    assert_eq!(said(&empty, probe, &[], None), of(&[(rule, ProbeStatus::Pass)]));
    let found = [finding(rule), finding("mcp_server_without_tool_allowlist")];
    assert_eq!(said(&empty, probe, &found, None), of(&[("coder", ProbeStatus::Fail)]));
    let mcp = said(&empty, ProbeId::McpToolAllowlist, &found, None);
    assert_eq!(mcp, of(&[("coder", ProbeStatus::Fail), ("no_mcp_destinations", ProbeStatus::NotApplicable)]));
}

#[test]
fn mcp_destinations_are_ready_or_not() {
    let tool = json!({"destination_id": "m", "name": "m", "kind": "mcp_tool", "mcp_server": "s", "mcp_tool": "t",
        "config": {"allow_publish": true, "payload": {"title": "$draft.title", "key": "$idempotency_key"}}});
    let mut refused = tool.clone();
    refused["config"]["allow_publish"] = false.into();
    refused["destination_id"] = "n".into();
    let scene = estate(monitor(&[tool, refused], json!({})));
    let rule = "mcp_server_without_tool_allowlist";
    assert_eq!(
        said(&scene, ProbeId::McpToolAllowlist, &[], None),
        of(&[(rule, ProbeStatus::Pass), ("m", ProbeStatus::Pass), ("n", ProbeStatus::Fail)])
    );
}

#[test]
fn a_high_risk_event_is_held() {
    let probe = ProbeId::RoutePreviewHighRiskApproval;
    let off =
        json!({ "safety_defaults": { "require_approval_for_high_risk": false }, "default_destination_ids": ["gh"] });
    let on = json!({ "default_destination_ids": ["gh"] });
    let inside = json!({"destination_id": "t", "name": "t", "kind": "telemetry"});
    let cases = [
        (monitor(&[github()], on), ProbeStatus::Pass),
        (monitor(&[github()], off.clone()), ProbeStatus::Fail),
        (
            monitor(
                &[inside],
                json!({ "safety_defaults": { "require_approval_for_high_risk": false },
                "default_destination_ids": ["t"] }),
            ),
            ProbeStatus::Pass,
        ),
        (monitor(&[github()], json!({})), ProbeStatus::Blocked),
        (
            // A route of its own lifts what the default demands.
            monitor(
                &[github()],
                json!({ "routes": [{ "route_id": "r", "name": "r", "destination_ids": ["gh"],
                "approval_policy": "never", "match_route_tags": ["security_assessment"] }] }),
            ),
            ProbeStatus::Fail,
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(
            said(&estate(body.clone()), probe, &[], None),
            of(&[("high_risk_synthetic_event", expected)]),
            "{body}"
        );
    }
    // Routes of another tenant do not take a caller's event.
    let mut other = estate(monitor(
        &[github()],
        json!({ "routes": [{ "route_id": "r", "name": "r",
        "destination_ids": ["gh"], "approval_policy": "never", "match_tenant_ids": ["umbrella"] }] }),
    ));
    other.tenant = TenantContext::explicit("acme", "main");
    assert_eq!(said(&other, probe, &[], None), of(&[("high_risk_synthetic_event", ProbeStatus::Blocked)]));
    other.tenant = TenantContext::explicit("umbrella", "main");
    assert_eq!(said(&other, probe, &[], None), of(&[("high_risk_synthetic_event", ProbeStatus::Fail)]));
}

#[test]
fn what_is_not_ready_is_blocked() {
    let probe = ProbeId::DestinationReadinessFailClosed;
    let unready = json!({"destination_id": "gh", "name": "gh", "kind": "github_issue"});
    let open = json!({ "safety_defaults": { "block_unready_destinations": false }, "repo": null });
    assert_eq!(said(&estate(monitor(&[github()], open.clone())), probe, &[], None), of(&[("gh", ProbeStatus::Pass)]));
    let closed = monitor(std::slice::from_ref(&unready), json!({ "repo": null }));
    assert_eq!(said(&estate(closed), probe, &[], None), of(&[("gh", ProbeStatus::Pass)]));
    assert_eq!(said(&estate(monitor(&[unready], open)), probe, &[], None), of(&[("gh", ProbeStatus::Fail)]));
    let inside = json!({"destination_id": "t", "name": "t", "kind": "telemetry"});
    let none = said(&estate(monitor(&[inside], json!({}))), probe, &[], None);
    assert_eq!(none, of(&[("none", ProbeStatus::NotApplicable)]));
}

#[test]
fn webhooks_keep_to_the_rules_of_the_way_out() {
    let probe = ProbeId::WebhookUrlPolicy;
    for (url, expected) in [
        ("https://hooks.example.com/in", ProbeStatus::Pass),
        ("http://hooks.example.com/in", ProbeStatus::Fail),
        ("https://127.0.0.1/in", ProbeStatus::Fail),
        ("https://user:pw@hooks.example.com/in", ProbeStatus::Fail),
    ] {
        assert_eq!(
            said(&estate(monitor(&[hook(url)], json!({}))), probe, &[], None),
            of(&[("hook", expected)]),
            "{url}"
        );
    }
    let none = said(&estate(monitor(&[github()], json!({}))), probe, &[], None);
    assert_eq!(none, of(&[("no_webhook_destinations", ProbeStatus::NotApplicable)]));
}

#[test]
fn intake_keys_report_and_open_nothing() {
    let probe = ProbeId::ScopedIntakeRestriction;
    let mut scene = estate(monitor(&[], json!({})));
    let shut = DoorReport { tried: 300, open: Vec::new() };
    assert_eq!(said(&scene, probe, &[], Some(&shut)), of(&[("none", ProbeStatus::NotApplicable)]));
    scene.keys = vec![
        key("good", &["incident_monitor:report"]),
        key("wide", &["incident_monitor:report", "admin"]),
        key("bare", &[]),
        key("blank", &["incident_monitor:report", " "]),
    ];
    scene.keys.push(IntakeKey { enabled: false, ..key("off", &["admin"]) });
    let expected = |good| {
        of(&[("good", good), ("wide", ProbeStatus::Fail), ("bare", ProbeStatus::Fail), ("blank", ProbeStatus::Fail)])
    };
    assert_eq!(said(&scene, probe, &[], Some(&shut)), expected(ProbeStatus::Pass));
    // Nobody asked the doors: that is no pass.
    assert_eq!(said(&scene, probe, &[], None), expected(ProbeStatus::Blocked));
    let open = OpenDoor { method: "POST".into(), path: "/incident-monitor/pause".into(), carrier: "header".into() };
    let ajar = DoorReport { tried: 300, open: vec![open] };
    assert_eq!(said(&scene, probe, &[], Some(&ajar)), expected(ProbeStatus::Fail));
}

#[test]
fn a_run_counts_and_stays_the_same() {
    let scene = estate(monitor(&[github(), hook("http://hooks.example.com/")], json!({})));
    let inventory = inventory(&scene, &Viewer::Reviewer);
    let whole = run(&scene, &inventory, &[], None, &Options::default());
    assert_eq!(whole, run(&scene, &inventory, &[], None, &Options::default()));
    let counts = &whole.counts;
    assert_eq!(counts.results, counts.pass + counts.fail + counts.blocked + counts.not_applicable);
    assert_eq!(counts.by_status["not_applicable"], counts.not_applicable);
    assert!(counts.fail == 1 && counts.not_applicable == 2 && counts.blocked == 1, "{counts:?}");
    assert_eq!(counts.draft_suggestions, counts.fail);
    let order: Vec<&str> = whole.results.iter().map(|result| result.probe_id.word()).collect();
    assert!(order.is_sorted(), "{order:?}");
    let quiet = Options { include_draft_suggestions: false, ..Options::default() };
    assert_eq!(run(&scene, &inventory, &[], None, &quiet).counts.draft_suggestions, 0);
    let off = Options { mode: ProbeMode::Disabled, ..Options::default() };
    assert!(run(&scene, &inventory, &[], None, &off).results.is_empty());
}

#[test]
fn words_that_name_no_probe_select_nothing_in_silence() {
    let ask = |mode: Option<&str>, probes: &[&str]| {
        let probes = probes.iter().map(|id| (*id).to_owned()).collect();
        options(&Request { mode: mode.map(str::to_owned), probes, include_draft_suggestions: None })
    };
    assert_eq!(ask(None, &[]).unwrap(), Options::default());
    assert_eq!(ask(Some("enabled"), &[" "]).unwrap().mode, ProbeMode::DryRun);
    assert_eq!(ask(Some(" OFF "), &[]).unwrap().mode, ProbeMode::Disabled);
    let mixed = ask(None, &["webhook_url_policy", " mcp_tool_allowlist ", "nope", "webhook_url_policy"]).unwrap();
    assert_eq!(mixed.selected, [ProbeId::McpToolAllowlist, ProbeId::WebhookUrlPolicy]);
    assert_eq!(mixed.ignored, ["nope"]);
    assert_eq!(ask(None, &["nope"]).unwrap_err(), Unknown(vec!["nope".into()]));
}

#[test]
fn reports_keep_what_our_suggestions_are_about() {
    let probes = ProbeId::ALL.iter().map(|id| id.word());
    let mut ours: Vec<&str> = probes.chain(crate::metrics::MetricId::ALL.iter().map(|id| id.word())).collect();
    let mut kept = tandem_core::signal::accept::GOVERNANCE_SUBJECTS.to_vec();
    ours.sort_unstable();
    kept.sort_unstable();
    assert_eq!(ours, kept);
}
