//! What a draft says and what it no longer says, and what triage finds in the workspace.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{APPROVED, rows, text, words};
use crate::cli::{
    Fault,
    demo::{Demo, output::clip, samples::canaries},
};

pub async fn draft(demo: &mut Demo) -> Result<(), Fault> {
    demo.out.screen("A draft without secrets", "What would be published. Secrets went before anything was stored.");
    let case = &demo.cases[APPROVED];
    let draft = demo.client.get(&format!("/incident-monitor/drafts/{}", case.draft_id)).await?;
    let detail = text(&draft, "/draft/detail");
    demo.out.fact("draft", text(&draft, "/draft/draft_id"));
    demo.out.fact("title", text(&draft, "/draft/title"));
    let telling = |line: &&str| line.contains("[redacted]") || line.contains("Error:") || line.contains("rates.py");
    detail.lines().filter(telling).take(8).for_each(|line| demo.out.quote(line.trim()));

    let mut everything = String::new();
    let mut counts = Vec::new();
    for case in &demo.cases {
        let incident = demo.client.get(&format!("/incident-monitor/incidents/{}", case.incident_id)).await?;
        let draft = demo.client.get(&format!("/incident-monitor/drafts/{}", case.draft_id)).await?;
        let rules: Vec<String> = incident["incident"]["redactions"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(rule, count)| format!("{rule} {count}"))
            .collect();
        counts.push(vec![case.sample.name.to_owned(), rules.join(", ")]);
        everything.push_str(&incident.to_string());
        everything.push_str(&draft.to_string());
    }
    counts.insert(0, vec!["sample".into(), "redactions by rule".into()]);
    demo.out.table(&counts);
    demo.out.expect(
        counts.iter().all(|row| !row[1].is_empty()),
        "every sample held secrets, and every incident counts them",
    );
    let canaries = canaries();
    let told = canaries.iter().filter(|secret| everything.contains(*secret)).count();
    demo.out.expect(told == 0, &format!("none of the {} secrets is in any incident or draft", canaries.len()));
    let written = demo.home.written()?;
    let bytes: usize = written.iter().map(|(_, text)| text.len()).sum();
    let kept = canaries.iter().filter(|secret| written.iter().any(|(_, text)| text.contains(*secret))).count();
    let files = written.len();
    demo.out.expect(kept == 0, &format!("nor in the {files} files that the server wrote ({} KiB)", bytes / 1024));
    Ok(())
}

pub async fn triage(demo: &mut Demo) -> Result<(), Fault> {
    demo.out.screen(
        "Triage",
        "Inspect, research, validate, propose: in the background, offline, from this failure's evidence.",
    );
    for case in &demo.cases {
        demo.client.post(&format!("/incident-monitor/drafts/{}/triage-run", case.draft_id), &json!({})).await?;
    }
    let mut table = vec![["sample", "confidence", "likely file", "kind"].map(str::to_owned).to_vec()];
    let mut found = 0;
    for case in &demo.cases {
        let evidence = settled(demo, &case.draft_id).await?;
        let summary = &evidence["triage_summary"];
        let files = words(summary, "/likely_files_to_edit");
        let right = case.sample.sources.first().is_none_or(|(path, _)| files.first().is_some_and(|file| file == path));
        found += usize::from(right);
        let place = files.first().cloned().unwrap_or_else(|| "none: no evidence points at a file".into());
        let confidence = text(summary, "/root_cause_confidence").to_owned();
        table.push(vec![case.sample.name.to_owned(), confidence, place, text(summary, "/failure_type").to_owned()]);
    }
    demo.out.table(&table);
    demo.out
        .expect(found == demo.cases.len(), "each trace led to the file at fault, and nothing was made up without one");
    let mut graded = demo.cases.iter().zip(table.iter().skip(1));
    let honest = graded.all(|(case, row)| case.sample.language.is_some() || row[1] != "high");
    demo.out.expect(honest, "the failure without a trace is not graded `high`");
    proposal(demo, &settled(demo, &demo.cases[APPROVED].draft_id).await?);
    Ok(())
}

/// What triage proposes for one of them.
fn proposal(demo: &Demo, evidence: &Value) {
    let summary = &evidence["triage_summary"];
    demo.out.fact("for instance", text(summary, "/suggested_title"));
    demo.out.fact("cause", &clip(&text(summary, "/why_it_likely_happened").replace('\n', " "), 160));
    demo.out.fact("fix", &clip(&text(summary, "/recommended_fix").replace('\n', " "), 160));
    for step in words(summary, "/verification_steps").iter().take(2) {
        demo.out.fact("verify", &clip(step, 120));
    }
    if let Some(commit) = rows(summary, "/research_sources").iter().find(|source| source["hash"].is_string()) {
        let hash: String = text(commit, "/hash").chars().take(8).collect();
        demo.out.fact("last commit", &format!("{hash} {}", text(commit, "/subject")));
    }
    if let Some(place) = rows(summary, "/file_references").first() {
        let line = place["line"].as_u64().unwrap_or_default();
        demo.out.fact("at", &format!("{}:{line}  {}", text(place, "/path"), text(place, "/snippet")));
    }
}

/// The evidence of a draft whose triage has ended.
async fn settled(demo: &Demo, draft_id: &str) -> Result<Value, Fault> {
    let began = Instant::now();
    loop {
        let draft = demo.client.get(&format!("/incident-monitor/drafts/{draft_id}")).await?;
        match text(&draft, "/draft/github_status") {
            "issue_draft_ready" | "triage_summary_ready" => break,
            "proposal_blocked" => return Err(Fault(format!("the proposal of {draft_id} was blocked"))),
            _ if began.elapsed() > Duration::from_secs(8) => {
                return Err(Fault(format!("triage of {draft_id} did not end: {}", draft["draft"])));
            }
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    demo.client.post(&format!("/incident-monitor/drafts/{draft_id}/issue-draft"), &json!({})).await
}
