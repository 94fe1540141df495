//! Posture checks and findings that live: what is found, what a person may say of it, and that looking changes nothing.

use serde_json::{Value, json};
use tandem_testkit::{Client, audit, bodies, wait::now_ms};

use crate::support::{KEY_HEADER, configured, keyed, text};

const CHECKS: &str = "/incident-monitor/security/posture-checks";
const FINDINGS: &str = "/incident-monitor/security/findings";
const BASELINE: [&str; 9] = [
    "high_risk_tool_without_approval",
    "mcp_server_without_tool_allowlist",
    "broad_source_destination_scope",
    "missing_tenant_context",
    "external_destination_without_approval",
    "unready_destination_fail_open",
    "external_action_missing_receipt",
    "recurring_denied_action",
    "source_readiness_failed",
];

fn shop() -> Value {
    json!({
        "destinations": [
            { "destination_id": "hook", "name": "Hook", "kind": "webhook" },
            { "destination_id": "gh", "name": "GH", "kind": "github_issue" },
        ],
        "default_destination_ids": ["hook"],
        "monitored_projects": [bodies::project("shop", "/srv/shop")],
    })
}

fn rows<'a>(answer: &'a Value, key: &str) -> &'a [Value] {
    answer[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn one(client: &Client, rule: &str) -> Value {
    let answer = client.get(&format!("{CHECKS}?rules={rule}")).ok();
    assert_eq!(answer["counts"]["findings"], 1, "{answer}");
    answer["findings"][0].clone()
}

#[test]
fn what_the_rules_find() {
    let (_server, admin) = configured("posture", shop());
    let automation = json!({
        "name": "nightly",
        "agents": [{ "agent_id": "worker", "display_name": "W", "tool_policy": { "allowlist": ["read", "bash"] },
                     "mcp_policy": { "allowed_servers": ["gh"] } }],
        "flow": { "nodes": [{ "node_id": "step", "agent_id": "worker", "objective": "do it" }] },
    });
    let made = admin.post("/automations/v2", automation).ok();
    let id = text(&made["automation"]["automation_id"]);
    let before = audit::last_seq(&admin);
    let answer = admin.get(CHECKS).ok();
    assert_eq!(answer["schema_version"], 1);
    assert_eq!(answer["scope"]["source"], "incident_monitor_security_posture_checks");
    assert_eq!(answer["baseline_policy"]["supported_modes"], json!(["dry_run", "enabled", "disabled"]));
    assert_eq!(answer["baseline_policy"]["min_severity"], "low");
    let ids: Vec<String> = rows(&answer, "rules").iter().map(|rule| text(&rule["rule_id"])).collect();
    assert_eq!(ids[..9], BASELINE);
    assert_eq!(answer["counts"]["active_rules"], ids.len());
    let findings = rows(&answer, "findings");
    assert_eq!(answer["counts"]["findings"], findings.len());
    let found = |rule: &str, kind: &str, id: &str| {
        findings.iter().any(|finding| {
            let first = &finding["affected_objects"][0];
            finding["rule_id"] == rule && first["kind"] == kind && first["id"] == id
        })
    };
    assert!(found(BASELINE[0], "automation_node", "step"), "{answer}");
    assert!(found(BASELINE[1], "automation_agent", "worker"));
    assert!(found(BASELINE[2], "monitored_source", "shop"));
    assert!(found(BASELINE[3], "automation", &id) && found(BASELINE[3], "monitored_source", "shop"));
    assert!(found(BASELINE[4], "incident_monitor_destination", "hook"));
    assert!(!found(BASELINE[5], "incident_monitor_destination", "hook"), "unready destinations are blocked");
    assert!(found(BASELINE[8], "monitored_source", "shop"));
    assert!(found("retention_unset", "incident_monitor", "incident_monitor"));
    assert!(findings.iter().all(|finding| finding["lifecycle"].is_null() && finding["dry_run"] == json!(true)));
    assert!(!rows(&answer, "open_questions").is_empty());
    assert_eq!(answer["rule_set_digest"].as_str().map(str::len), Some(64));
    assert_eq!(audit::last_seq(&admin), before, "looking leaves no row");

    // The suggestion is a report that works.
    let draft = &findings[0]["incident_draft_suggestion"];
    admin.post("/incident-monitor/report", json!({ "report": draft })).ok();
}

#[test]
fn queries_select_rules() {
    let (_server, admin) = configured("posture-query", shop());
    let ask = |query: &str| admin.get(&format!("{CHECKS}?{query}"));
    let off = ask("mode=off").ok();
    assert_eq!((&off["baseline_policy"]["mode"], &off["counts"]["findings"]), (&json!("disabled"), &json!(0)));
    assert_eq!(off["counts"]["active_rules"], 0);
    let on = ask("mode=enforced&rules=retention_unset,bogus").ok();
    assert_eq!(on["baseline_policy"]["enabled_rule_ids"], json!(["retention_unset"]));
    assert_eq!(on["baseline_policy"]["ignored_rule_ids"], json!(["bogus"]));
    assert_eq!(on["findings"][0]["dry_run"], json!(false));
    let high = ask("min_severity=HIGH").ok();
    assert!(
        rows(&high, "findings")
            .iter()
            .all(|finding| ["high", "critical"].contains(&text(&finding["severity"]).as_str()))
    );
    ask("min_severity=severe").refused(400, "VALIDATION_FAILED");
    let without = ask("disabled_rules=source_readiness_failed,missing_tenant_context").ok();
    assert_eq!(without["counts"]["by_rule"]["source_readiness_failed"], Value::Null);
}

#[test]
fn a_finding_is_owned_accepted_and_reopened() {
    let (server, admin) = configured("posture-life", shop());
    let ada = server.client().with("x-tandem-actor-id", "ada").with("x-tandem-request-source", "control_panel");
    let finding = one(&admin, "retention_unset");
    let path = format!("{FINDINGS}/{}", text(&finding["fingerprint"]));
    assert_eq!(admin.get(FINDINGS).ok()["count"], 0, "nobody has recorded anything");
    let unsaid = admin.get(&path).ok()["finding"].clone();
    assert_eq!((&unsaid["status"], &unsaid["rule_id"]), (&json!("open"), &json!("retention_unset")));

    let owned = ada.patch(&path, json!({ "owner": "team-a", "dueAtMs": 5, "accept": null })).ok()["finding"].clone();
    assert_eq!((&owned["owner"], &owned["due_at_ms"], &owned["status"]), (&json!("team-a"), &json!(5), &json!("open")));
    let until = now_ms() + 86_400_000;
    let taken =
        ada.patch(&path, json!({ "accept": { "reason": "until the policy is signed", "expires_at_ms": until } }));
    let taken = taken.ok()["finding"].clone();
    assert_eq!((&taken["status"], &taken["accepted"]["by"]["actor_id"]), (&json!("accepted"), &json!("ada")));
    assert_eq!(taken["owner"], "team-a");
    let shown = one(&admin, "retention_unset");
    assert_eq!((&shown["lifecycle"]["status"], &shown["lifecycle"]["owner"]), (&json!("accepted"), &json!("team-a")));

    let listed = |query: &str| admin.get(&format!("{FINDINGS}?{query}")).ok()["count"].clone();
    for (query, count) in [
        ("status=accepted", 1),
        ("status=open", 0),
        ("severity=medium&rule_id=retention_unset", 1),
        ("severity=low", 0),
        ("rule_id=other", 0),
    ] {
        assert_eq!(listed(query), count, "{query}");
    }
    admin.get(&format!("{FINDINGS}?status=gone")).refused(400, "VALIDATION_FAILED");
    admin.get(&format!("{FINDINGS}?severity=9")).refused(400, "VALIDATION_FAILED");

    let back = ada.patch(&path, json!({ "reopen": true, "owner": "" })).ok()["finding"].clone();
    assert_eq!((&back["status"], &back["accepted"], &back["owner"]), (&json!("open"), &Value::Null, &Value::Null));
    let events = admin.get("/audit/protected?event_type=incident_monitor.finding.updated").ok();
    assert_eq!(events["count"], 3, "{events}");
    let said = rows(&events, "events").iter().find(|row| row["payload"]["status"] == "accepted").cloned();
    let said = said.expect("the acceptance left a row");
    assert!(!said.to_string().contains("until the policy is signed"), "the reason stays out: {said}");
    assert_eq!(said["payload"]["accepted_until_ms"], until);
    audit::assert_verified(&admin);
}

#[test]
fn an_acceptance_ends_by_itself() {
    let (_server, admin) = configured("posture-expiry", shop());
    let path = format!("{FINDINGS}/{}", text(&one(&admin, "retention_unset")["fingerprint"]));
    admin.patch(&path, json!({ "accept": { "reason": "brief", "expires_at_ms": now_ms() + 700 } })).ok();
    assert_eq!(one(&admin, "retention_unset")["lifecycle"]["status"], "accepted");
    tandem_testkit::until("the acceptance has run out", crate::support::SOON, || {
        (one(&admin, "retention_unset")["lifecycle"]["status"] == "open").then_some(())
    });
    assert_eq!(admin.get(&format!("{FINDINGS}?status=open")).ok()["count"], 1);
    assert_eq!(admin.get(&format!("{FINDINGS}?status=accepted")).ok()["count"], 0);
}

#[test]
fn what_may_not_be_said() {
    let (server, admin) = configured("posture-refusals", shop());
    let path = format!("{FINDINGS}/{}", text(&one(&admin, "retention_unset")["fingerprint"]));
    let accept =
        |reason: &str, expires_at_ms: u64| json!({ "accept": { "reason": reason, "expires_at_ms": expires_at_ms } });
    let year = now_ms() + 366 * 86_400_000;
    for body in
        [json!({}), accept("", now_ms() + 1_000_000), accept("x", 5), accept("x", year), json!({ "accept": {} })]
    {
        admin.patch(&path, body).refused(422, "VALIDATION_FAILED");
    }
    let unknown = format!("{FINDINGS}/sha256:{}", "0".repeat(64));
    admin.get(&unknown).refused(404, "INCIDENT_MONITOR_FINDING_NOT_FOUND");
    admin.patch(&unknown, json!({ "owner": "x" })).refused(404, "INCIDENT_MONITOR_FINDING_NOT_FOUND");
    let agent = server.client().with("x-tandem-agent-id", "bot");
    agent.patch(&path, json!({ "owner": "bot" })).refused(403, "HUMAN_ACTOR_REQUIRED");
    assert_eq!(admin.get(FINDINGS).ok()["count"], 0);
}

#[test]
fn no_intake_key_comes_along() {
    let (server, admin) = configured("posture-key", shop());
    let (_, raw) = keyed(&admin, json!({}));
    let path = format!("{FINDINGS}/{}", text(&one(&admin, "retention_unset")["fingerprint"]));
    let both = server.client().with(KEY_HEADER, &raw);
    for path in [CHECKS, FINDINGS, path.as_str(), "/incident-monitor/security/reach?from=source:shop"] {
        both.get(path).refused(403, "INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED");
    }
    both.patch(&path, json!({ "owner": "x" })).refused(403, "INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED");
}

#[test]
fn findings_come_in_pages() {
    let (_server, admin) = configured("posture-pages", shop());
    let answer = admin.get(&format!("{CHECKS}?rules=source_readiness_failed")).ok();
    let prints: Vec<String> = rows(&answer, "findings").iter().map(|finding| text(&finding["fingerprint"])).collect();
    assert!(prints.len() > 7);
    for print in &prints[..7] {
        admin.patch(&format!("{FINDINGS}/{print}"), json!({ "owner": "team" })).ok();
    }
    for filter in ["", "&status=open", "&rule_id=source_readiness_failed"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = admin.get(&format!("{FINDINGS}?limit=3{filter}{cursor}")).ok();
            assert!(rows(&page, "findings").len() <= 3);
            seen.extend(rows(&page, "findings").iter().map(|finding| text(&finding["fingerprint"])));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        seen.sort_unstable();
        let mut wanted = prints[..7].to_vec();
        wanted.sort_unstable();
        assert_eq!(seen, wanted, "{filter}");
    }
}

#[test]
fn nothing_secret_is_in_an_answer() {
    let mut body = shop();
    body["destinations"][0]["webhook_url"] = json!("https://canary-host.example/canary-path");
    body["destinations"][0]["webhook_secret_ref"] = json!("env:CANARY_SECRET_REF");
    body["destinations"][0]["config"] = json!({ "note": "canary-config" });
    body["monitored_projects"][0]["data_readiness"] = json!({
        "allowed_use": "canary-use", "quality_notes": "canary-notes", "legal_basis": "canary-basis",
        "authorization_marker": "canary-marker",
    });
    let (_server, admin) = configured("posture-canary", body);
    let (_, raw) = keyed(&admin, json!({}));
    for path in [CHECKS, FINDINGS, "/incident-monitor/security/reach?to=outside:webhook:hook"] {
        let text = admin.get(path).ok().to_string();
        assert!(!text.to_lowercase().contains("canary") && !text.contains(&raw), "{path}: {text}");
    }
}
