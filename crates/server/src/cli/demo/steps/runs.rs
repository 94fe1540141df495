//! An agent's work, with the demo in the part of the executor: an automation and a run of it, a claim, what was spent, a
//! stop from a person that reaches the executor, and a bad end that becomes an incident by itself.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use super::{rows, text};
use crate::cli::{
    Fault,
    demo::{Demo, client::As},
};

const AGENT: &str = "demo-agent";
const SOON: Duration = Duration::from_secs(10);

/// What the executor holds.
struct Held {
    run: String,
    claim: String,
}

pub async fn work(demo: &mut Demo) -> Result<(), Fault> {
    demo.out.screen(
        "An agent's work",
        "An agent sets up an automation; an executor claims the run under a lease and reports what it spends.",
    );
    let spec = json!({
        "name": "Nightly totals",
        "agents": [{ "agentId": AGENT, "displayName": "Demo agent" }],
        "flow": { "nodes": [{ "nodeId": "sum", "agentId": AGENT, "objective": "add up the day" }] },
        "workspaceRoot": "/srv/shop",
    });
    let made = ask(demo, As::Agent(AGENT), "/automations/v2", &spec).await?;
    let automation = text(&made, "/automation/automation_id").to_owned();
    let asked = ask(demo, As::Agent(AGENT), &format!("/automations/v2/{automation}/run_now"), &json!({})).await?;
    let held = claim(demo).await?;
    demo.out.fact("run", &held.run);
    demo.out.expect(text(&asked, "/run/run_id") == held.run, "the executor was lent the run that the agent asked for");
    let usage = json!({ "prompt_tokens": 900, "completion_tokens": 120, "cost_usd": 0.004, "model": "demo-model" });
    let spent = report(demo, &held, "spent", json!({ "usage": usage })).await?;
    let again = report(demo, &held, "spent", json!({ "usage": usage })).await?;
    demo.out
        .fact("spent", &format!("{} tokens, {} USD", spent["run"]["total_tokens"], spent["run"]["estimated_cost_usd"]));
    demo.out.expect(again["duplicate"] == true && again["run"]["total_tokens"] == 1020, "a report counts once");
    stop(demo, &held).await?;
    fail(demo).await
}

/// A person pauses the run; the executor reads it in its next answer.
async fn stop(demo: &mut Demo, held: &Held) -> Result<(), Fault> {
    let path = |verb: &str| format!("/automations/v2/runs/{}/{verb}", held.run);
    ask(demo, As::Operator, &path("pause"), &json!({ "reason": "a look first" })).await?;
    let beat = json!({ "claim_id": held.claim });
    let told = ask(demo, As::Executor, &path("heartbeat"), &beat).await?;
    let heard = json!({ "claim_id": held.claim, "stop_acknowledged": true });
    ask(demo, As::Executor, &path("heartbeat"), &heard).await?;
    let run = demo.client.get(&format!("/automations/v2/runs/{}", held.run)).await?["run"].clone();
    demo.out.fact("stopped", &format!("{} ms after it was asked for", run["stop_order"]["acknowledged_after_ms"]));
    demo.out.expect(told["directives"]["stop"] == true, "the executor was told to stop");
    demo.out.expect(run["status"] == "paused", "and the run is paused since it said that it has");
    ask(demo, As::Operator, &path("resume"), &json!({})).await?;
    Ok(())
}

/// The work goes wrong, and nobody has to report that a second time.
async fn fail(demo: &mut Demo) -> Result<(), Fault> {
    let held = claim(demo).await?;
    let failure = json!({ "node_id": "sum", "reason": "ValueError: the totals differ by 0.36" });
    report(demo, &held, "failed", json!({ "status": "failed", "last_failure": failure })).await?;
    let began = Instant::now();
    let found = loop {
        let list = demo.client.get("/incident-monitor/incidents?limit=200").await?;
        let found = rows(&list, "/incidents").iter().find(|row| row["run_id"] == held.run.as_str()).cloned();
        match found {
            Some(found) => break found,
            None if began.elapsed() > SOON => break Value::Null,
            None => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    demo.out.fact("incident", text(&found, "/title"));
    demo.out.expect(found["occurrence_count"] == 1, "the failed run became one incident by itself");
    Ok(())
}

async fn claim(demo: &Demo) -> Result<Held, Fault> {
    let wish = json!({ "claimant_id": "demo-executor", "lease_ms": 30_000 });
    let answer = ask(demo, As::Executor, "/automations/v2/runs/claim", &wish).await?;
    let (run, claim) = (text(&answer, "/claims/0/run/run_id"), text(&answer, "/claims/0/claim_id"));
    Ok(Held { run: run.to_owned(), claim: claim.to_owned() })
}

async fn report(demo: &Demo, held: &Held, name: &str, said: Value) -> Result<Value, Fault> {
    let mut body = said;
    body["report_id"] = name.into();
    body["claim_id"] = held.claim.as_str().into();
    ask(demo, As::Executor, &format!("/automations/v2/runs/{}/report", held.run), &body).await
}

async fn ask(demo: &Demo, who: As<'_>, path: &str, body: &Value) -> Result<Value, Fault> {
    demo.client.send(Method::POST, path, who, Some(body)).await?.ok(path)
}
