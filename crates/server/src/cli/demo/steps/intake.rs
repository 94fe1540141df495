//! Failures come in through the scoped key, several of them more than once, and fall into incidents.

use std::time::Instant;

use http::Method;
use serde_json::{Value, json};

use super::{Case, rows, setup::PROJECT, text, word};
use crate::cli::{
    Fault,
    demo::{
        Demo,
        client::As,
        samples::{SAMPLES, Sample},
    },
};

pub async fn report(demo: &mut Demo) -> Result<(), Fault> {
    demo.out.screen("Failures come in", "Logs of seven systems, reported with the intake key; no two of them equal.");
    let mut table = vec![["sample", "language", "reported", "draft"].map(str::to_owned).to_vec()];
    let began = Instant::now();
    let mut sent = 0;
    for sample in &SAMPLES {
        let mut answer = Value::Null;
        for occurrence in 0..sample.times {
            answer = send(demo, sample, occurrence).await?;
            sent += 1;
        }
        let case = Case {
            sample,
            incident_id: text(&answer, "/incident/incident_id").to_owned(),
            draft_id: text(&answer, "/draft/draft_id").to_owned(),
            reports: sample.times,
        };
        let language = sample.language.map_or_else(|| "no stack trace".to_owned(), |language| word(&language));
        let times = format!("{} times", sample.times);
        table.push(vec![sample.name.to_owned(), language, times, text(&answer, "/draft/status").to_owned()]);
        demo.cases.push(case);
    }
    let took = began.elapsed();
    demo.out.table(&table);
    demo.out.fact("took", &format!("{} ms for {sent} reports, each durable when answered", took.as_millis()));
    let waiting = table.iter().skip(1).all(|row| row[3] == "approval_required");
    demo.out.expect(waiting, "every draft waits for approval from the start");
    Ok(())
}

/// Reports one run of a sample, as a CI job or an agent would.
pub async fn send(demo: &Demo, sample: &Sample, occurrence: u32) -> Result<Value, Fault> {
    let log = sample.log(occurrence);
    let body = json!({
        "project_id": PROJECT,
        "report": {
            "title": sample.title,
            "component": sample.component,
            "event": sample.event,
            "process": sample.process,
            "level": "error",
            "run_id": format!("{}-run-{}", sample.name, occurrence + 1),
            "excerpt": log.lines().collect::<Vec<_>>(),
            "evidence_refs": [format!("https://ci.acme.example/runs/{}", 4_711 + occurrence)],
        },
    });
    let who = As::Reporter(&demo.intake_key);
    demo.client.send(Method::POST, "/incident-monitor/intake/report", who, Some(&body)).await?.ok("reporting")
}

pub async fn incidents(demo: &mut Demo) -> Result<(), Fault> {
    demo.out
        .screen("Incidents", "The same failure is one incident, whatever its run ids, times, addresses and numbers.");
    let answer = demo.client.get(&format!("/incident-monitor/incidents?project_id={PROJECT}")).await?;
    let incidents = rows(&answer, "/incidents");
    let mut table = vec![["count", "title", "why grouped"].map(str::to_owned).to_vec()];
    let mut exact = true;
    for case in &demo.cases {
        let Some(incident) = incidents.iter().find(|one| one["incident_id"] == case.incident_id.as_str()) else {
            exact = false;
            continue;
        };
        let count = incident["occurrence_count"].as_u64().unwrap_or_default();
        exact &= count == u64::from(case.reports);
        table.push(vec![count.to_string(), text(incident, "/title").to_owned(), why(&incident["grouping"])]);
    }
    demo.out.table(&table);
    demo.out.expect(
        incidents.len() == demo.cases.len(),
        &format!("{} kinds of failure, {} incidents", demo.cases.len(), incidents.len()),
    );
    demo.out.expect(exact, "every count is the number of reports");
    Ok(())
}

/// What decided the group, in a few words.
fn why(grouping: &Value) -> String {
    let part = |name: &str| {
        let found = rows(grouping, "/parts").iter().find(|part| part["name"] == name);
        found.map(|part| super::super::output::clip(text(part, "/value"), 100))
    };
    let told: Vec<String> =
        ["exception_type", "frame", "error_line", "title"].iter().filter_map(|name| part(name)).take(2).collect();
    format!("{}: {}", text(grouping, "/basis"), told.join(" in "))
}
