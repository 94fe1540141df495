//! An approval publishes to all three destinations: the signed webhook, its signatures, and the receipts.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    APPROVED, rows,
    setup::{MEMORY, TELEMETRY, TELEMETRY_FILE, WEBHOOK},
    text,
};
use crate::cli::{
    Fault,
    demo::{Demo, output::clip, samples::canaries},
};

pub async fn approve(demo: &mut Demo) -> Result<(), Fault> {
    demo.out.screen("Approval and a signed delivery", "A person approves; the webhook arrives with two signatures.");
    let base = format!("/incident-monitor/drafts/{}", demo.cases[APPROVED].draft_id);
    let approved = demo.client.post(&format!("{base}/approve"), &json!({ "reason": "Real, and ours to fix." })).await?;
    let results = rows(&approved, "/results");
    let mut table = vec![["destination", "action", "status"].map(str::to_owned).to_vec()];
    for result in results {
        table.push(["/destination_id", "/action", "/status"].map(|at| text(result, at).to_owned()).to_vec());
    }
    demo.out.table(&table);
    let posted = results.iter().filter(|result| result["status"] == "posted").count();
    demo.out.expect(posted == 3, "all three destinations took it");
    if let Some(error) = approved["publish_error"].as_str() {
        demo.out.fact("error", error);
    }

    let Some(delivery) = demo.receiver.first(Duration::from_secs(5)).await else {
        demo.out.expect(false, "the receiver got a delivery");
        return Ok(());
    };
    let body: Value = serde_json::from_slice(&delivery.body)?;
    let mut headers = vec![["header", "value"].map(str::to_owned).to_vec()];
    for name in ["x-tandem-event", "x-tandem-delivery-id", "x-tandem-signature", "webhook-id", "webhook-signature"] {
        headers.push(vec![name.to_owned(), clip(delivery.header(name), 90)]);
    }
    demo.out.table(&headers);
    demo.out.fact("body", &format!("{} bytes, {}", delivery.body.len(), text(&body, "/event")));
    let (now_ms, secret) = (demo.now_ms(), demo.secret.as_str());
    let tandem = delivery.verify_tandem(&delivery.body, secret, now_ms);
    demo.out.expect(tandem.is_ok(), "our signature fits the bytes that arrived");
    let standard = delivery.verify_standard(&delivery.body, secret, now_ms);
    demo.out.expect(standard.is_ok(), "so does the Standard Webhooks signature");
    let mut changed = delivery.body.to_vec();
    if let Some(last) = changed.last_mut() {
        *last ^= 1;
    }
    let fooled = delivery.verify_tandem(&changed, secret, now_ms).is_ok()
        || delivery.verify_standard(&changed, secret, now_ms).is_ok()
        || delivery.verify_tandem(&delivery.body, "another secret", now_ms).is_ok();
    demo.out.expect(!fooled, "neither fits one changed byte, nor another secret");
    let sent = String::from_utf8_lossy(&delivery.body).into_owned();
    demo.out.expect(!canaries().iter().any(|secret| sent.contains(secret)), "no secret of the log left the server");
    let draft_id = demo.cases[APPROVED].draft_id.as_str();
    demo.out.expect(body["draft"]["draft_id"] == draft_id, "it is about the approved draft");

    let again = demo.client.post(&format!("{base}/publish"), &json!({})).await?;
    demo.out.expect(
        again["action"] == "skip_duplicate" && demo.receiver.deliveries().len() == 1,
        &format!("published again: {}, and no second delivery", text(&again, "/action")),
    );
    Ok(())
}

pub async fn receipts(demo: &mut Demo) -> Result<(), Fault> {
    demo.out
        .screen("Receipts", "One for each destination: what was sent where, with which outcome, never with a secret.");
    let answer = demo.client.get("/incident-monitor/posts").await?;
    let draft_id = demo.cases[APPROVED].draft_id.as_str();
    let posts: Vec<&Value> = rows(&answer, "/posts").iter().filter(|post| post["draft_id"] == draft_id).collect();
    let mut table = vec![["destination", "operation", "status", "reference"].map(str::to_owned).to_vec()];
    for post in &posts {
        let at = ["/destination_id", "/operation", "/status", "/external_id"];
        table.push(at.map(|at| text(post, at).to_owned()).to_vec());
    }
    demo.out.table(&table);
    let posted = |id: &str| posts.iter().find(|post| post["destination_id"] == id && post["status"] == "posted");
    demo.out.expect(
        [WEBHOOK, TELEMETRY, MEMORY].iter().all(|id| posted(id).is_some()) && posts.len() == 3,
        "a receipt for the webhook, for telemetry and for memory",
    );
    let record = posted(TELEMETRY).map(|post| text(post, "/receipt/record_id").to_owned()).unwrap_or_default();
    let line = demo.home.written()?.into_iter().find_map(|(path, content)| {
        let telemetry = path.ends_with(TELEMETRY_FILE) && !record.is_empty();
        let line = content.lines().find(|line| telemetry && line.contains(&record))?.to_owned();
        Some((path, line))
    });
    if let Some((path, line)) = &line {
        demo.out.fact("telemetry", &path.strip_prefix(&demo.home.path).unwrap_or(path).display().to_string());
        demo.out.quote(line);
    }
    demo.out.expect(line.is_some(), "the telemetry file has the line that its receipt names");
    if let Some(post) = posted(MEMORY) {
        demo.out.fact("memory", &clip(&text(post, "/receipt/summary").replace('\n', " "), 120));
    }
    Ok(())
}
