//! Deployment cards over HTTP: generated from what exists and what is said, kept in versions, signed by people.

use serde_json::{Value, json};
use tandem_testkit::{Client, Server, audit, bodies};

use crate::{
    automations::made,
    governance::human,
    support::{KEY_HEADER, configure, configured, reported, text},
};

const CARDS: &str = "/incident-monitor/security/deployment-cards";
const MONITOR: &str = "tandem:self_monitoring:incident_monitor";

fn shop() -> Value {
    let mut project = bodies::project("shop", "/srv/shop");
    project["log_sources"] = json!([{ "source_id": "web", "path": "web.log", "enabled": false }]);
    json!({ "monitored_projects": [project] })
}

fn generated(client: &Client, body: Value) -> Value {
    client.post(CARDS, body).ok()
}

fn card<'a>(answer: &'a Value, id: &str) -> &'a Value {
    let all = answer["cards"].as_array().unwrap();
    all.iter().find(|card| card["card_id"] == json!(id)).unwrap_or_else(|| panic!("no card {id}: {answer}"))
}

fn full() -> Value {
    json!({
        "purpose": "Tells us", "business_owner": "Ann", "accountable_team": "Platform", "autonomy_level": "supervised",
        "data_classification": "internal", "approval_protocol": "two eyes", "escalation_protocol": "call",
        "review_cadence_days": 30,
    })
}

fn put(client: &Client, id: &str, body: Value) -> tandem_testkit::Reply {
    client.must("PUT", &format!("{CARDS}/{id}"), &[], Some(body))
}

#[test]
fn every_thing_has_its_card_and_what_is_missing_is_a_finding() {
    let (server, client) = configured("cards", shop());
    let automation = made(&client, "Nightly");
    reported(&client, bodies::merged(bodies::report("seen"), json!({ "project_id": "shop" })));
    let answer = generated(&client, json!({}));
    let ids: Vec<&str> = answer["cards"].as_array().unwrap().iter().filter_map(|c| c["card_id"].as_str()).collect();
    let of_automation = format!("automation:{automation}");
    assert_eq!(ids, [MONITOR, &of_automation, "monitored_source:shop:project", "monitored_source:shop:web"]);
    assert_eq!(answer["schema_version"], json!(1));
    assert_eq!(answer["scope"]["source"], json!("incident_monitor_deployment_cards"));
    assert_eq!(answer["counts"]["by_card_kind"]["monitored_source"], json!(2));
    // The monitor and the sources have a purpose; nothing else is known of anything.
    assert_eq!(answer["counts"]["findings"], json!(4 * 7 + 1));
    assert_eq!(answer["counts"]["missing_required_fields"], json!(4 * 7 + 1));
    let finding = &answer["findings"][0];
    assert_eq!(finding["finding_id"], json!(format!("deployment_card_missing:{MONITOR}:business_owner")));
    assert_eq!(finding["severity"], json!("high"));
    assert_eq!(finding["affected_objects"][0]["field"], json!("business_owner"));
    assert_eq!(finding["evidence_refs"], json!([{ "kind": "deployment_card", "card_id": MONITOR }]));
    let document = text(&answer["markdown_export"]);
    assert!(
        document.starts_with("# Incident Monitor Deployment Cards\n") && document.contains("\n## shop\n"),
        "{document}"
    );
    assert!(document.contains("\n## Required Metadata Findings\n"), "{document}");
    let schedule = &answer["reassessment"]["schedule"][0];
    assert_eq!(schedule["scope_key"], json!("local/local/deployment"));
    assert_eq!(answer["card_policy"]["required_fields"].as_array().map(Vec::len), Some(8));
    assert_eq!(answer["card_policy"]["metadata_keys"].as_array().map(Vec::len), Some(14));

    let metadata =
        json!({ "shop": {}, automation.clone(): { "business_owner": "Own", "allowed_actions": ["z", "a"] } });
    let body =
        json!({ "defaults": full(), "metadata": metadata, "includeMarkdown": false, "include_raw_inventory": true });
    let answer = generated(&client, body);
    assert_eq!((&answer["findings"], &answer["markdown_export"]), (&json!([]), &Value::Null));
    assert_eq!(answer["scope"]["raw_inventory_request_ignored"], json!(true));
    assert_eq!(card(&answer, &of_automation)["business_owner"], json!("Own"));
    assert_eq!(card(&answer, &of_automation)["allowed_actions"], json!(["a", "z"]));
    assert_eq!(card(&answer, MONITOR)["intended_purpose"], json!("Tells us"));
    assert_eq!(answer["card_policy"]["metadata_card_ids"].as_array().map(Vec::len), Some(2));

    for wrong in [
        json!({ "defaults": null }),
        json!({ "metadata": null }),
        json!({ "metadata": { "x": null } }),
        json!({ "defaults": { "allowed_actions": null } }),
        json!({ "defaults": { "review_cadence_days": "soon" } }),
        json!({ "metadata": [] }),
    ] {
        client.post(CARDS, wrong).refused(422, "VALIDATION_FAILED");
    }
    generated(&client, json!({ "include_markdown": null, "defaults": { "business_owner": null }, "other": 1 }));
    assert_eq!(audit::rows(&client, "incident_monitor.deployment_cards.generated").len(), 3);
    let (_, raw) = crate::support::keyed(&client, json!({}));
    for method in ["GET", "POST"] {
        let reply = client.must(method, CARDS, &[(KEY_HEADER, &raw)], Some(json!({})));
        reply.refused(403, "INCIDENT_MONITOR_DEPLOYMENT_CARDS_ADMIN_REQUIRED");
    }
    drop(server);
}

#[test]
fn what_is_stored_counts_until_the_request_says_otherwise() {
    let (server, client) = configured("cards-stored", shop());
    let of_project = "monitored_source:shop:project";
    let stored = put(&client, of_project, json!({ "metadata": full() })).ok()["card"].clone();
    assert_eq!((&stored["version"], &stored["status"]), (&json!(1), &json!("unsigned")));
    // The same again is no new version.
    assert_eq!(put(&client, of_project, json!({ "metadata": full() })).ok()["card"]["version"], json!(1));
    let changed = bodies::merged(full(), json!({ "business_owner": "Ben" }));
    put(&client, of_project, json!({ "metadata": changed, "base_version": 0 }))
        .refused(409, "INCIDENT_MONITOR_DEPLOYMENT_CARD_CHANGED");
    put(&client, of_project, json!({ "metadata": changed, "base_version": 1 })).ok();
    for (id, status) in [("automation:none", 404), ("monitored_source:shop:none", 404), ("nonsense", 404)] {
        let reply = put(&client, id, json!({ "metadata": {} }));
        assert_eq!(reply.status, status, "{id}");
        reply.refused(404, "INCIDENT_MONITOR_DEPLOYMENT_CARD_NOT_FOUND");
        client.get(&format!("{CARDS}/{id}")).refused(404, "INCIDENT_MONITOR_DEPLOYMENT_CARD_NOT_FOUND");
    }
    put(&client, of_project, json!({ "metadata": { "allowed_actions": null } })).refused(422, "VALIDATION_FAILED");

    let answer = generated(&client, json!({ "metadata": { of_project: { "accountable_team": "Own" } } }));
    let project = card(&answer, of_project);
    assert_eq!((&project["business_owner"], &project["accountable_team"]), (&json!("Ben"), &json!("Own")));
    assert_eq!(project["stored"]["version"], json!(2));
    assert_eq!(card(&answer, MONITOR)["stored"], Value::Null);
    let detail = client.get(&format!("{CARDS}/{of_project}")).ok();
    let owners: Vec<&Value> =
        detail["versions"].as_array().unwrap().iter().map(|v| &v["metadata"]["business_owner"]).collect();
    assert_eq!(owners, [&json!("Ben"), &json!("Ann")]);
    assert_eq!(detail["card"]["business_owner"], json!("Ben"));
    assert_eq!(detail["findings"], json!([]));
    assert!(text(&detail["markdown_export"]).contains("- Owner: Ben"));
    // Its project goes; what was said of it stays to be read.
    configure(&client, json!({}));
    let detail = client.get(&format!("{CARDS}/{of_project}")).ok();
    assert_eq!((&detail["card"], &detail["stored"]["version"]), (&Value::Null, &json!(2)));
    assert_eq!(audit::rows(&client, "incident_monitor.deployment_card.updated").len(), 2);
    audit::assert_verified(&client);
    drop(server);
}

fn ids(client: &Client, query: &str) -> Vec<String> {
    let answer = client.get(&format!("{CARDS}{query}")).ok();
    assert_eq!(answer["count"].as_u64(), answer["cards"].as_array().map(|all| all.len() as u64));
    answer["cards"].as_array().unwrap().iter().map(|card| text(&card["card_id"])).collect()
}

#[test]
fn a_person_signs_one_version_and_a_change_needs_another_signature() {
    let (server, client) = configured("cards-signed", shop());
    let ann = human(&server, "ann");
    let of_source = "monitored_source:shop:web";
    let sign = |client: &Client, id: &str, body: Value| client.post(&format!("{CARDS}/{id}/sign-off"), body);
    sign(&ann, MONITOR, json!({})).refused(404, "INCIDENT_MONITOR_DEPLOYMENT_CARD_NOT_FOUND");
    let stored = put(&client, MONITOR, json!({ "metadata": full() })).ok()["card"].clone();
    put(&client, of_source, json!({ "metadata": { "business_owner": "B" } })).ok();
    sign(&client, MONITOR, json!({})).refused(403, "HUMAN_ACTOR_REQUIRED");
    sign(&server.client().with("x-tandem-agent-id", "bot"), MONITOR, json!({})).refused(403, "HUMAN_ACTOR_REQUIRED");
    sign(&ann, MONITOR, json!({ "digest": "sha256:other" })).refused(409, "INCIDENT_MONITOR_DEPLOYMENT_CARD_CHANGED");
    sign(&ann, MONITOR, json!({ "version": 7 })).refused(409, "INCIDENT_MONITOR_DEPLOYMENT_CARD_CHANGED");
    let body =
        json!({ "digest": stored["digest"], "version": 1, "outcome": "approved_with_conditions", "note": "so far" });
    let signed = sign(&ann, MONITOR, body).ok()["card"].clone();
    assert_eq!(signed["status"], json!("current"), "{signed}");
    assert_eq!(signed["sign_off"]["signed_by"]["actor_id"], json!("ann"));
    let due = signed["sign_off"]["next_review_due_at_ms"].as_u64().unwrap();
    assert_eq!(due - signed["sign_off"]["signed_at_ms"].as_u64().unwrap(), 30 * 86_400_000);
    assert_eq!(signed["review_due_at_ms"], json!(due));
    // No time to look at it at all: due at once.
    sign(&ann, of_source, json!({ "review_cadence_days": 0 })).ok();
    assert_eq!(ids(&client, "?status=current"), [MONITOR]);
    assert_eq!(ids(&client, "?status=stale"), [of_source]);
    assert_eq!(ids(&client, "?status=unsigned"), Vec::<String>::new());
    assert_eq!(ids(&client, "?kind=monitored_source"), [of_source]);
    assert_eq!(ids(&client, "?kind=automation"), Vec::<String>::new());
    client.get(&format!("{CARDS}?status=odd")).refused(400, "VALIDATION_FAILED");
    sign(&ann, of_source, json!({ "outcome": "rejected" })).ok();
    assert_eq!(ids(&client, "?status=rejected"), [of_source]);

    // The monitor reaches one more destination than what was signed.
    assert_eq!(client.get(&format!("{CARDS}/{MONITOR}")).ok()["card"]["stored"]["status"], json!("current"));
    let more = json!({ "destinations": [bodies::telemetry("local"), bodies::memory("more")] });
    configure(&client, bodies::merged(shop(), more));
    let view = client.get(&format!("{CARDS}/{MONITOR}")).ok()["card"]["stored"].clone();
    assert_eq!((&view["status"], &view["authority_changed"]), (&json!("stale"), &json!(true)));
    // Another version is another question.
    put(&client, MONITOR, json!({ "metadata": { "business_owner": "Other" } })).ok();
    assert_eq!(ids(&client, "?status=unsigned"), [MONITOR]);
    let detail = client.get(&format!("{CARDS}/{MONITOR}")).ok();
    assert_eq!(detail["sign_offs"].as_array().map(Vec::len), Some(1));
    assert_eq!(detail["card"]["stored"]["sign_off"], Value::Null);
    let rows = audit::rows(&client, "incident_monitor.deployment_card.signed_off");
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row["actor"]["actor_id"] == json!("ann")), "{rows:?}");
    audit::assert_verified(&client);
}

#[test]
fn stored_cards_are_paged_and_belong_to_their_tenant() {
    let (server, client) = configured("cards-pages", json!({}));
    let mut made_ids: Vec<String> = (0..5)
        .map(|n| {
            let id = format!("automation:{}", made(&client, &format!("a{n}")));
            put(&client, &id, json!({ "metadata": { "business_owner": "B" } })).ok();
            id
        })
        .collect();
    let mut walked = crate::support::all(&client, CARDS, "cards");
    assert_eq!(walked.len(), 5);
    let first = client.get(&format!("{CARDS}?limit=2")).ok();
    let next = client.get(&format!("{CARDS}?limit=2&cursor={}", text(&first["next_cursor"]))).ok();
    assert_eq!((&first["count"], &next["count"]), (&json!(2), &json!(2)));
    assert_ne!(first["cards"][1]["card_id"], next["cards"][0]["card_id"]);
    let mut seen: Vec<String> = walked.drain(..).map(|card| text(&card["card_id"])).collect();
    seen.sort();
    made_ids.sort();
    assert_eq!(seen, made_ids);
    let eve = other(&server);
    assert_eq!(ids(&eve, ""), Vec::<String>::new());
    eve.get(&format!("{CARDS}/{}", seen[0])).refused(404, "INCIDENT_MONITOR_DEPLOYMENT_CARD_NOT_FOUND");
    put(&eve, &seen[0], json!({ "metadata": {} })).refused(404, "INCIDENT_MONITOR_DEPLOYMENT_CARD_NOT_FOUND");
}

/// Somebody with the full token of another tenant.
pub fn other(server: &Server) -> Client {
    let body = json!({ "name": "acme", "tenant": { "org_id": "acme", "workspace_id": "main" }, "actor_id": "eve" });
    let made = server.client().post("/auth/tokens", body).ok();
    server.stranger().bearer(&text(&made["raw_token"]))
}
