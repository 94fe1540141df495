//! Where a draft would go and what stands in its way: the preview, the refusal, and a denial that holds.

use http::Method;
use serde_json::json;

use super::{APPROVED, DENIED, intake, rows, text, words};
use crate::cli::{
    Fault,
    demo::{Demo, client::As},
};

pub async fn preview(demo: &mut Demo) -> Result<(), Fault> {
    demo.out.screen("Route preview", "The same function that decides when publishing; nothing is changed by asking.");
    let draft_id = &demo.cases[APPROVED].draft_id;
    let preview = demo.client.post("/incident-monitor/route-preview", &json!({ "draft_id": draft_id })).await?;
    let winner = rows(&preview, "/matches").first().cloned().unwrap_or_default();
    demo.out.fact("route", &format!("{} ({})", text(&winner, "/route_id"), text(&winner, "/reason")));
    demo.out.fact("goes to", &words(&preview, "/effective_destination_ids").join(", "));
    let grounds = words(&preview, "/approval_grounds").join(", ");
    demo.out.fact("approval", &format!("required: {}, because of {grounds}", preview["approval_required"]));
    demo.out.expect(words(&preview, "/effective_destination_ids").len() == 3, "the route's three destinations");
    demo.out.expect(preview["approval_required"] == true, "a person must approve");
    demo.out.expect(preview["blocked"] == false, "nothing else stands in the way");
    Ok(())
}

pub async fn refusal(demo: &mut Demo) -> Result<(), Fault> {
    demo.out.screen("Publishing without approval", "Asking is allowed. Nothing leaves.");
    let path = format!("/incident-monitor/drafts/{}/publish", demo.cases[APPROVED].draft_id);
    let answer = demo.client.post(&path, &json!({})).await?;
    demo.out.fact("action", text(&answer, "/action"));
    demo.out.expect(answer["action"] == "approval_required", "the publish was refused: approval comes first");
    demo.out.expect(rows(&answer, "/results").is_empty(), "no delivery was started");
    demo.out.expect(demo.receiver.deliveries().is_empty(), "the receiver got nothing");
    Ok(())
}

pub async fn denial(demo: &mut Demo) -> Result<(), Fault> {
    demo.out.screen("A denial holds", "Denied is final for a draft: on every path, and when the failure comes again.");
    let (draft_id, sample) = (demo.cases[DENIED].draft_id.clone(), demo.cases[DENIED].sample);
    let base = format!("/incident-monitor/drafts/{draft_id}");
    let reason = json!({ "reason": "The version was published by hand; nothing to fix." });
    let denied = demo.client.post(&format!("{base}/deny"), &reason).await?;
    demo.out.fact("draft", &format!("{draft_id} is {}", text(&denied, "/draft/status")));
    demo.out.expect(denied["draft"]["status"] == "denied", "the draft was denied");

    let refused = demo.client.send(Method::POST, &format!("{base}/publish"), As::Operator, Some(&json!({}))).await?;
    demo.out.expect(refused.status == 400, &format!("publish: {} {}", refused.status, refused.code()));
    let refused = demo.client.send(Method::POST, &format!("{base}/approve"), As::Operator, Some(&json!({}))).await?;
    demo.out.expect(refused.status == 409, &format!("approve: {} {}", refused.status, refused.code()));

    let again = intake::send(demo, sample, sample.times).await?;
    demo.cases[DENIED].reports += 1;
    let (count, wanted) = (again["incident"]["occurrence_count"].as_u64(), u64::from(demo.cases[DENIED].reports));
    demo.out.expect(
        again["draft"]["draft_id"] == draft_id.as_str() && again["draft"]["status"] == "denied",
        "the failure came again: the same draft, still denied",
    );
    demo.out.expect(count == Some(wanted), &format!("and it was counted: {wanted} occurrences"));
    demo.out.expect(demo.receiver.deliveries().is_empty(), "the receiver still got nothing");
    Ok(())
}
