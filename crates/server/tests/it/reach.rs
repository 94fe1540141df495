//! Who can make what reach where, asked of a running server.

use serde_json::{Value, json};
use tandem_testkit::{audit, bodies};

use crate::support::{configured, keyed, text};

const REACH: &str = "/incident-monitor/security/reach";

fn way(path: &Value) -> String {
    let hops = path["hops"].as_array().expect("a path has hops");
    hops.iter().map(|hop| format!("{}:{}", text(&hop["kind"]), text(&hop["id"]))).collect::<Vec<_>>().join(" > ")
}

#[test]
fn a_key_its_route_and_what_lies_behind() {
    let over = json!({
        "destinations": [
            bodies::telemetry("local"),
            { "destination_id": "gh", "name": "GH", "kind": "github_issue", "repo": "acme/shop", "require_approval": true },
        ],
        "routes": [{ "route_id": "errors", "name": "errors", "match_event_types": ["job.failed"], "destination_ids": ["gh"] }],
        "monitored_projects": [bodies::project("shop", "/srv/shop"), bodies::project("shut", "/srv/shut")],
    });
    let mut over = over;
    over["monitored_projects"][1]["allowed_destination_ids"] = json!(["local"]);
    let (_server, admin) = configured("reach", over);
    let (key, _) = keyed(&admin, json!({}));
    let (other, _) = keyed(&admin, json!({ "project_id": "shut" }));
    let before = audit::last_seq(&admin);
    let ask = |query: &str| admin.get(&format!("{REACH}?{query}"));

    let found = ask(&format!("from=intake_key:{key}&to=outside:github:acme/shop")).ok();
    let expected = format!("intake_key:{key} > source:shop > route:errors > destination:gh > outside:github:acme/shop");
    assert_eq!(way(&found["paths"][0]), expected);
    assert_eq!((&found["reachable"], &found["gated"]), (&json!(true), &json!(true)));
    assert_eq!(found["paths"][0]["hops"][3]["approval"], "required");
    assert_eq!(found["paths"][0]["hops"][1]["why"], format!("inventory.scoped_intake_keys[{key}].project_id"));
    // What the preview says of such a signal is what the path says.
    let preview = json!({ "project_id": "shop", "event_type": "job.failed" });
    let preview = admin.post("/incident-monitor/route-preview", preview).ok();
    assert_eq!((&preview["winning_route_id"], &preview["approval_required"]), (&json!("errors"), &json!(true)));

    let closed = ask(&format!("from=intake_key:{other}&to=destination:gh")).ok();
    assert_eq!(
        (&closed["reachable"], &closed["gated"], &closed["approval"]),
        (&json!(false), &json!(false), &Value::Null)
    );

    let who = ask("to=outside:github:acme/shop").ok();
    let ends: Vec<String> = who["ends"].as_array().unwrap().iter().map(|end| text(&end["id"])).collect();
    assert!(ends.contains(&key) && ends.contains(&"boot".to_owned()) && !ends.contains(&other), "{ends:?}");
    assert_eq!(who["end_count"], ends.len());
    let what = ask("from=source:shop").ok();
    let ends: Vec<String> = what["ends"].as_array().unwrap().iter().map(|end| text(&end["id"])).collect();
    for id in ["github:acme/shop", "gh", "local", "errors", "default_destinations"] {
        assert!(ends.contains(&id.to_owned()), "{id}: {ends:?}");
    }

    ask("").refused(400, "VALIDATION_FAILED");
    ask("from=shop").refused(400, "VALIDATION_FAILED");
    ask("from=moon:shop").refused(400, "VALIDATION_FAILED");
    ask("from=source:nobody").refused(404, "INCIDENT_MONITOR_REACH_OBJECT_NOT_FOUND");
    assert_eq!(audit::last_seq(&admin), before, "asking leaves no row");
}
