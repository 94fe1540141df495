//! The report as one page that can be printed: no script, nothing loaded from anywhere, every text of others escaped.

use super::{
    Report,
    charts::{Bar, bars, shares},
    markdown::word,
    times::plain,
};
use crate::{finding::Severity, lifecycle::LifeStatus, probes::ProbeStatus, scenarios::ScenarioStatus};

/// Rows of one table. The JSON form has them all.
const ROWS: usize = 500;

const STYLE: &str = "\
:root{--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--critical:#7a1022;--high:#b3261e;--medium:#b26a00;--low:#2f6f4f;\
--good:#2f6f4f;--neutral:#4a6072}\
*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);max-width:60rem;margin:2rem auto;\
padding:0 1rem}h1{font-size:1.7rem;margin:0 0 .2rem}h2{font-size:1.2rem;margin:2rem 0 .6rem;border-bottom:1px solid \
var(--line);padding-bottom:.2rem}h3{font-size:1rem;margin:1.2rem 0 .4rem}p,ul{margin:.4rem 0}.soft{color:var(--soft)}\
table{border-collapse:collapse;width:100%;font-size:.85rem;margin:.5rem 0}th,td{text-align:left;vertical-align:top;\
padding:.35rem .5rem;border-bottom:1px solid var(--line);overflow-wrap:anywhere}thead{display:table-header-group}\
tr{break-inside:avoid}code,pre{font:.8rem/1.4 ui-monospace,monospace;overflow-wrap:anywhere;white-space:pre-wrap}\
pre{background:#f6f8fa;border:1px solid var(--line);padding:.6rem}.tiles{display:flex;flex-wrap:wrap;gap:.6rem;\
margin:.8rem 0}.tile{border:1px solid var(--line);padding:.5rem .8rem;min-width:7.5rem}.tile b{display:block;\
font-size:1.4rem}.badge{display:inline-block;color:#fff;padding:.05rem .45rem;font-size:.75rem;font-weight:600}\
.badge.critical{background:var(--critical)}.badge.high,.badge.fail{background:var(--high)}\
.badge.medium,.badge.blocked{background:var(--medium)}.badge.low,.badge.pass{background:var(--low)}\
.badge.not_applicable{background:var(--neutral)}.alarm{border:2px solid var(--critical);padding:.6rem .8rem}\
.chart{width:100%;height:auto;max-width:40rem}.chart text{font:13px system-ui,sans-serif;fill:var(--ink)}\
.chart .label{text-anchor:end}.chart .none{fill:var(--soft)}.chart .critical{fill:var(--critical)}\
.chart .high{fill:var(--high)}.chart .medium{fill:var(--medium)}.chart .low,.chart .good{fill:var(--good)}\
.chart .neutral{fill:var(--neutral)}.chart .before{fill:#a9b7c2}\
@media print{body{margin:0;max-width:none;font-size:11px}h2{break-after:avoid}.chart{max-width:15cm}@page{margin:18mm}}";

/// Text of others inside markup or an attribute.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

pub fn page(report: &Report) -> String {
    let tenant = &report.scope.tenant_context;
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>Security gap assessment, {}</title><style>{STYLE}</style></head><body>\
         <h1>Security gap assessment</h1><p class=\"soft\">{} / {} · generated {}{}</p>",
        plain(report.generated_at_ms),
        escape(&tenant.org_id),
        escape(&tenant.workspace_id),
        plain(report.generated_at_ms),
        window(report),
    );
    if report.integrity.first_bad_seq.is_some() {
        out.push_str(&format!(
            "<p class=\"alarm\"><b>The audit log is {}.</b> Its rows from there on prove nothing.</p>",
            escape(&word(&report.integrity))
        ));
    }
    overview(report, &mut out);
    charts(report, &mut out);
    mitigations(report, &mut out);
    findings(report, &mut out);
    probes(report, &mut out);
    scenarios(report, &mut out);
    metrics(report, &mut out);
    residual(report, &mut out);
    controls(report, &mut out);
    history(report, &mut out);
    boundary(report, &mut out);
    evidence(report, &mut out);
    out.push_str("</body></html>\n");
    out
}

fn window(report: &Report) -> String {
    match (report.scope.from_ms, report.scope.to_ms) {
        (None, None) => String::new(),
        (from, to) => {
            let side = |ms: Option<u64>| ms.map_or_else(|| "…".to_owned(), plain);
            format!(" · window {} to {}", side(from), side(to))
        }
    }
}

fn overview(report: &Report, out: &mut String) {
    let risk = &report.sections.residual_risk_and_follow_up;
    let probes = &report.sections.controlled_probe_results.counts;
    let tiles = [
        ("Residual risk", risk.risk.clone()),
        ("Findings", report.count("findings").to_string()),
        ("Critical or high", risk.critical_or_high_findings.to_string()),
        ("Probes failed", format!("{} of {}", probes.fail, probes.results)),
        ("Scenarios failed", report.count("failed_adversarial_scenarios").to_string()),
        ("Metric breaches", report.count("governance_metric_breaches").to_string()),
        ("Not assessed", report.count("not_assessed").to_string()),
        ("Open questions", report.count("open_questions").to_string()),
    ];
    out.push_str("<div class=\"tiles\">");
    for (name, value) in tiles {
        out.push_str(&format!("<div class=\"tile\"><b>{}</b>{name}</div>", escape(&value)));
    }
    out.push_str("</div>");
}

fn severity_class(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::High => "high",
        Severity::Medium => "medium",
        Severity::Low => "low",
    }
}

fn bar(label: &str, value: u64, class: &'static str) -> Bar {
    Bar { label: label.to_owned(), value: value as f64, shown: value.to_string(), class }
}

fn share(label: &str, part: u64, whole: u64) -> Bar {
    let value = if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let shown = if whole == 0 { "none there".to_owned() } else { format!("{part} of {whole}") };
    Bar { label: label.to_owned(), value, shown, class: "good" }
}

fn charts(report: &Report, out: &mut String) {
    let sections = &report.sections;
    let by = &sections.detected_findings.counts.by_severity;
    let severity: Vec<Bar> = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low]
        .map(|severity| {
            let count = by.get(severity.word()).copied().unwrap_or_default();
            bar(severity.word(), count, severity_class(severity))
        })
        .into();
    out.push_str(&format!("<h2>Findings by severity</h2>{}", bars("Findings by severity", &severity)));
    let mut categories: Vec<(&String, &u64)> = sections.detected_findings.counts.by_category.iter().collect();
    categories.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    let categories: Vec<Bar> =
        categories.into_iter().take(12).map(|(name, count)| bar(name, *count, "neutral")).collect();
    out.push_str(&format!("<h3>By category</h3>{}", bars("Findings by category", &categories)));
    let context = &sections.tenant_workspace_context_coverage;
    let readiness = &sections.monitored_systems_and_sources.source_readiness;
    let probes = &sections.controlled_probe_results.counts;
    let scenarios = &sections.adversarial_scenario_packs.counts;
    let judged = probes.results - probes.not_applicable;
    let coverage = [
        share("Sources ready", readiness.ready_sources, readiness.enabled_sources),
        share("Sources with a tenant", context.monitored_sources_with_tenant_workspace, context.monitored_sources),
        share("Automations with a tenant", context.automation_specs_with_explicit_context, context.automation_specs),
        share(
            "Destinations with approval",
            sections.approval_coverage.destinations_requiring_approval,
            report.count("destinations"),
        ),
        share("Probes passed", probes.pass, judged),
        share("Scenarios passed", scenarios.passed, scenarios.total),
    ];
    out.push_str(&format!("<h2>Coverage</h2>{}", shares("Coverage", &coverage)));
    let drift = &sections.governance_maturity_metrics.behavioral_drift;
    let trend: Vec<Bar> = drift
        .iter()
        .filter(|row| row.evaluable)
        .take(12)
        .flat_map(|row| {
            let rate = |label: String, rate: Option<f64>, class| {
                let value = rate.unwrap_or_default();
                Bar { label, value, shown: format!("{:.0} %", value * 100.0), class }
            };
            [
                rate(format!("{}, before", row.signal), row.baseline_rate, "before"),
                rate(row.signal.clone(), row.current_rate, if row.drift_flagged { "high" } else { "neutral" }),
            ]
        })
        .collect();
    if !trend.is_empty() {
        out.push_str(&format!("<h2>Trend</h2>{}", shares("Rates of the window, and of the one before it", &trend)));
    }
}

fn badge(class: &str) -> String {
    format!("<span class=\"badge {0}\">{0}</span>", escape(class))
}

/// The start of a table, its rows, and a line about those that are left out.
fn table(out: &mut String, heads: &[&str], rows: &[Vec<String>], all: u64) {
    if rows.is_empty() {
        out.push_str("<p class=\"soft\">None.</p>");
        return;
    }
    out.push_str("<table><thead><tr>");
    heads.iter().for_each(|head| out.push_str(&format!("<th>{head}</th>")));
    out.push_str("</tr></thead><tbody>");
    for row in rows.iter().take(ROWS) {
        out.push_str("<tr>");
        row.iter().for_each(|cell| out.push_str(&format!("<td>{cell}</td>")));
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table>");
    let shown = rows.len().min(ROWS) as u64;
    if all > shown {
        out.push_str(&format!("<p class=\"soft\">{} more are in the JSON form.</p>", all - shown));
    }
}

fn mitigations(report: &Report, out: &mut String) {
    out.push_str("<h2>Recommended mitigations</h2>");
    let list = &report.sections.recommended_mitigations;
    if list.is_empty() {
        out.push_str("<p class=\"soft\">None.</p>");
        return;
    }
    out.push_str("<ul>");
    for mitigation in list.iter().take(50) {
        out.push_str(&format!("<li>{}</li>", escape(&mitigation.recommendation)));
    }
    out.push_str("</ul>");
}

fn findings(report: &Report, out: &mut String) {
    out.push_str("<h2>Detected findings</h2>");
    let section = &report.sections.detected_findings;
    let rows: Vec<Vec<String>> = section
        .findings
        .iter()
        .take(ROWS)
        .map(|found| {
            let finding = &found.finding;
            let affected: Vec<String> = finding
                .affected_objects
                .iter()
                .take(5)
                .map(|object| format!("{} <code>{}</code>", escape(&object.kind), escape(&object.id)))
                .collect();
            let life = finding.lifecycle.as_ref().map_or(String::new(), |life| match (&life.status, &life.accepted) {
                (LifeStatus::Accepted, Some(taken)) => {
                    format!("<br><span class=\"soft\">accepted until {}</span>", plain(taken.expires_at_ms))
                }
                (status, _) => format!(
                    "<br><span class=\"soft\">{status}, first seen {}, owner {}</span>",
                    plain(life.first_seen_at_ms),
                    escape(life.owner.as_deref().unwrap_or("nobody"))
                ),
            });
            let controls: Vec<String> =
                found.controls.iter().map(|control| format!("{} {}", control.framework, control.control)).collect();
            vec![
                badge(finding.severity.word()),
                format!(
                    "<b>{}</b><br>{}<br><code>{}</code>{life}",
                    escape(&finding.title),
                    escape(&finding.detail),
                    escape(&finding.rule_id)
                ),
                affected.join("<br>"),
                escape(&finding.recommendation),
                escape(&controls.join(", ")),
            ]
        })
        .collect();
    table(out, &["Severity", "Finding", "Affected", "Mitigation", "Evidence for"], &rows, section.counts.findings);
}

fn probes(report: &Report, out: &mut String) {
    out.push_str("<h2>Controlled probes</h2>");
    let section = &report.sections.controlled_probe_results;
    let word = |status: ProbeStatus| badge(status.word());
    let row = |result: &crate::probes::ProbeResult| {
        vec![
            word(result.status),
            format!("<code>{}</code>", result.probe_id),
            format!("{} <code>{}</code>", escape(&result.target.kind), escape(&result.target.id)),
            escape(&result.expected_behavior),
            escape(&result.observed_behavior),
        ]
    };
    let rows: Vec<Vec<String>> = section.results.iter().take(ROWS).map(row).collect();
    table(out, &["Status", "Probe", "Target", "Expected", "Observed"], &rows, section.counts.results);
}

fn scenarios(report: &Report, out: &mut String) {
    out.push_str("<h2>Adversarial scenarios</h2>");
    let section = &report.sections.adversarial_scenario_packs;
    let word = |status: ScenarioStatus| badge(status.word());
    let row = |result: &crate::scenarios::ScenarioResult| {
        vec![
            word(result.status),
            format!("<code>{}</code>", escape(&result.scenario_id)),
            escape(&result.expected_behavior),
            escape(&result.observed_behavior),
        ]
    };
    let rows: Vec<Vec<String>> = section.results.iter().take(ROWS).map(row).collect();
    table(out, &["Status", "Scenario", "Expected", "Observed"], &rows, section.counts.total);
}

fn metrics(report: &Report, out: &mut String) {
    out.push_str("<h2>Governance metrics</h2>");
    let metrics = &report.sections.governance_maturity_metrics.metrics;
    let rows: Vec<Vec<String>> = metrics
        .iter()
        .map(|metric| {
            let rate = metric.rate.map_or_else(|| "not measurable".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
            let least = metric.threshold.map_or_else(String::new, |least| format!("{:.1} %", least * 100.0));
            let state = match (metric.breached, metric.evaluable) {
                (true, _) => badge("fail"),
                (false, true) => badge("pass"),
                (false, false) => badge("not_applicable"),
            };
            vec![state, escape(&metric.name), rate, least, format!("{} of {}", metric.numerator, metric.denominator)]
        })
        .collect();
    table(out, &["State", "Metric", "Rate", "At least", "Counted"], &rows, metrics.len() as u64);
}

fn residual(report: &Report, out: &mut String) {
    let risk = &report.sections.residual_risk_and_follow_up;
    out.push_str(&format!("<h2>Residual risk: {}</h2><ul>", escape(&risk.risk)));
    risk.follow_up_actions.iter().for_each(|action| out.push_str(&format!("<li>{}</li>", escape(action))));
    out.push_str("</ul><h3>Not assessed</h3>");
    let rows: Vec<Vec<String>> =
        risk.not_assessed.iter().map(|row| vec![escape(&row.what), escape(&row.why)]).collect();
    table(out, &["What", "Why"], &rows, rows.len() as u64);
    out.push_str("<h3>Open questions</h3>");
    let rows: Vec<Vec<String>> = risk
        .open_questions
        .iter()
        .map(|row| vec![escape(&row.topic), escape(&row.question), escape(&row.why), row.object_count.to_string()])
        .collect();
    table(out, &["Topic", "Question", "Why it is open", "Objects"], &rows, rows.len() as u64);
}

fn controls(report: &Report, out: &mut String) {
    out.push_str(&format!("<h2>Control mapping</h2><p>{}</p>", escape(&report.control_mapping.note)));
    let rows: Vec<Vec<String>> = report
        .control_mapping
        .rows
        .iter()
        .map(|row| {
            vec![
                row.framework.to_string(),
                escape(&row.control),
                escape(&row.evidence_for.join("; ")),
                row.rules_run.to_string(),
                row.findings.to_string(),
            ]
        })
        .collect();
    table(out, &["Framework", "Control", "Evidence for", "Rules run", "Findings"], &rows, rows.len() as u64);
}

fn history(report: &Report, out: &mut String) {
    let section = &report.sections.incidents_and_evidence_refs;
    out.push_str("<h2>Recent incidents</h2>");
    let rows: Vec<Vec<String>> = section
        .incidents
        .iter()
        .take(50)
        .map(|row| {
            vec![
                plain(row.updated_at_ms),
                escape(&row.title),
                escape(&row.source_kind),
                escape(row.risk_level.as_deref().unwrap_or("")),
                escape(&row.status),
            ]
        })
        .collect();
    table(out, &["Updated", "Title", "Source", "Risk", "Status"], &rows, section.counts.incidents);
    let section = &report.sections.destination_receipts;
    out.push_str("<h2>Receipts of destinations</h2>");
    let rows: Vec<Vec<String>> = section
        .receipts
        .iter()
        .take(50)
        .map(|row| {
            vec![
                plain(row.updated_at_ms),
                escape(&row.operation),
                escape(row.destination_id.as_deref().unwrap_or("")),
                escape(&row.status),
                escape(row.external_id.as_deref().unwrap_or("")),
            ]
        })
        .collect();
    table(out, &["Updated", "Operation", "Destination", "Status", "Id there"], &rows, section.counts.receipts);
}

fn boundary(report: &Report, out: &mut String) {
    let own = &report.sections.self_monitoring_boundary;
    out.push_str(&format!(
        "<h2>Self-monitoring boundary</h2><p>{} {}</p><p>{} incidents that Tandem observed of itself, {} of other systems.</p>",
        escape(&own.evidence_claim),
        escape(&own.non_claim),
        own.self_observed_incidents,
        own.external_system_incidents
    ));
}

fn evidence(report: &Report, out: &mut String) {
    let pack = &report.pack();
    out.push_str(&format!(
        "<h2>Evidence</h2><p>Audit log: {}, {} rows under the signed checkpoint. Rule set <code>{}</code>.</p>",
        escape(&word(&report.integrity)),
        report.audit_ledger.tree_size,
        escape(&report.rule_set_digest)
    ));
    if let (Some(id), Some(digest)) = (&pack.artifact_id, &pack.content_sha256) {
        out.push_str(&format!("<p>Kept as <code>{}</code>; SHA-256 <code>{}</code>.</p>", escape(id), escape(digest)));
    }
    out.push_str(&format!(
        "<pre>{}</pre><p class=\"soft\">Verifier key <code>{}</code></p>",
        escape(&report.audit_ledger.checkpoint),
        escape(&report.audit_ledger.public_key)
    ));
}
