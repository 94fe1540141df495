//! People of one tenant among each other: whose an automation is, and from whom it is kept.

use serde_json::{Value, json};
use tandem_testkit::{Client, Server};

use crate::{
    governance::{decide, filed},
    support::{launch, text},
};

/// Somebody of the tenant `acme`, with a token of their own.
fn of_acme(server: &Server, who: Value) -> Client {
    let mut body = json!({ "name": who.to_string(), "tenant": { "org_id": "acme", "workspace_id": "main" } });
    body.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
    server.stranger().bearer(&text(&server.client().post("/auth/tokens", body).ok()["raw_token"]))
}

fn listed(client: &Client, path: &str, key: &str, id: &str) -> Vec<String> {
    let answer = client.get(path).ok();
    answer[key].as_array().unwrap().iter().map(|row| text(&row[id])).collect()
}

#[test]
fn a_person_changes_their_own_and_sees_what_is_shared() {
    let server = launch("ownership").start();
    let ann = of_acme(&server, json!({ "actor_id": "ann" }));
    let ben = of_acme(&server, json!({ "actor_id": "ben" }));
    let bot = of_acme(&server, json!({ "agent_id": "bot" }));
    let bare = of_acme(&server, json!({}));
    let make = |client: &Client, id: &str| {
        client.post("/automations/v2", json!({ "automation_id": id, "name": id })).ok();
    };
    make(&ann, "hers");
    make(&bot, "made");
    make(&bare, "common");
    let mine =
        |client: &Client, id: &str| client.patch(&format!("/automations/v2/{id}"), json!({ "description": "x" }));
    // Whoever made it, the tenant's own token, and no other person; what no person made is everybody's.
    mine(&ann, "hers").ok();
    mine(&bare, "hers").ok();
    for id in ["made", "common"] {
        mine(&ben, id).ok();
    }
    let owner = "AUTOMATION_V2_NOT_OWNER";
    mine(&ben, "hers").refused(403, owner);
    ben.delete("/automations/v2/hers").refused(403, owner);
    for verb in ["pause", "resume", "run_now", "share"] {
        ben.post(&format!("/automations/v2/hers/{verb}"), json!({})).refused(403, owner);
    }
    let run = text(&ann.post("/automations/v2/hers/run_now", json!({})).ok()["run"]["run_id"]);
    ben.post(&format!("/automations/v2/runs/{run}/cancel"), json!({})).refused(403, owner);
    ben.get("/automations/v2/hers").ok();

    // Kept for herself, it is nobody else's to see; what governs it is.
    ann.post("/automations/v2/hers/share", json!({ "visibility": "private", "audience_principals": ["ben"] })).ok();
    let denied = "AUTOMATION_V2_ACCESS_DENIED";
    let paths = ["/automations/v2/hers", "/automations/v2/hers/runs", &format!("/automations/v2/runs/{run}")];
    for path in paths {
        for other in [&ben, &bot] {
            other.get(path).refused(403, denied);
        }
        for may in [&ann, &bare] {
            may.get(path).ok();
        }
    }
    mine(&ben, "hers").refused(403, denied);
    mine(&bot, "hers").refused(403, denied);
    let claim = json!({ "claimant_id": "x" });
    ben.post(&format!("/automations/v2/runs/{run}/claim"), claim.clone()).refused(403, denied);
    assert_eq!(ben.post("/automations/v2/runs/claim", claim).ok()["count"], json!(0));
    ben.post(&format!("/automations/v2/runs/{run}/report"), json!({ "report_id": "1", "status": "completed" }))
        .refused(403, denied);
    let automations = |client: &Client, path: &str| listed(client, path, "automations", "automation_id");
    assert_eq!(automations(&ben, "/automations/v2?limit=2").len(), 2, "the page is full");
    assert!(!automations(&ben, "/automations/v2").contains(&"hers".to_owned()));
    assert!(automations(&ann, "/automations/v2").contains(&"hers".to_owned()));
    assert!(listed(&ben, "/automations/v2/runs", "runs", "run_id").is_empty());
    assert_eq!(listed(&ann, "/automations/v2/runs", "runs", "run_id"), std::slice::from_ref(&run));
    ben.get("/automations/v2/hers/governance").ok();
    // A grant lets an agent see what it may change.
    let parameters = json!({ "grantedToAgentID": "bot", "reason": null });
    let context = json!({ "action": "grant_modify_access", "parameters": parameters });
    let approval = filed(&ann, "elevated_capability", ("automation", "hers"), context);
    decide(&ben, &approval, "approve").ok();
    ann.post("/automations/v2/hers/grants", json!({ "granted_to_agent_id": "bot", "approval_id": approval })).ok();
    bot.get("/automations/v2/hers").ok();
    mine(&bot, "hers").ok();
    // Shared with a group, its audience sees it and changes nothing.
    ann.post("/automations/v2/hers/share", json!({ "visibility": "group" })).ok();
    ben.get("/automations/v2/hers").ok();
    mine(&ben, "hers").refused(403, owner);
    of_acme(&server, json!({ "actor_id": "eve" })).get("/automations/v2/hers").refused(403, denied);
    // The runs of one that is gone are kept as it was.
    ann.post("/automations/v2/hers/share", json!({ "visibility": "private" })).ok();
    ann.delete("/automations/v2/hers").ok();
    ben.get(&format!("/automations/v2/runs/{run}")).refused(403, denied);
    ann.get(&format!("/automations/v2/runs/{run}")).ok();
}

#[test]
fn a_follower_hears_nothing_of_what_is_kept() {
    let server = launch("ownership-events").start();
    let ann = of_acme(&server, json!({ "actor_id": "ann" }));
    let ben = of_acme(&server, json!({ "actor_id": "ben" }));
    for id in ["kept", "open"] {
        ann.post("/automations/v2", json!({ "automation_id": id, "name": id })).ok();
    }
    ann.post("/automations/v2/kept/share", json!({ "visibility": "private" })).ok();
    let heard = |client: &Client| {
        let mut lines = client.stream("/automations/v2/events?cursor=0").unwrap();
        let mut of = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            let Some(data) = line.strip_prefix("data: ") else { continue };
            let frame: Value = serde_json::from_str(data).unwrap();
            if let Some(id) = frame["automationID"].as_str() {
                of.push(id.to_owned());
            }
            if frame["type"] == json!("automation.v2.created") && frame["automationID"] == json!("open") {
                return of;
            }
        }
        panic!("the stream ended")
    };
    assert!(heard(&ann).contains(&"kept".to_owned()));
    assert!(!heard(&ben).contains(&"kept".to_owned()));
}
