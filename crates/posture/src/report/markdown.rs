//! The report as Markdown: the summary of every report, and the longer text for people.

use super::{Report, times};

/// Ends a line where a name or text of others might begin another, or a markup.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '!' | '&' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Mitigations in the summary.
const FIRST: usize = 10;
/// Rows of a table in the longer text.
const ROWS: usize = 200;

/// The four headings that every report has.
pub fn summary(report: &Report) -> String {
    let sections = &report.sections;
    let tenant = &report.scope.tenant_context;
    let probes = &sections.controlled_probe_results.counts;
    let own = &sections.self_monitoring_boundary;
    let mut text = format!(
        "# Incident Monitor Security Gap Assessment\n\nGenerated {} for tenant {} / {}.\n\n\
         ## Summary\n\n- Findings: {}\n- Probes: {} passed, {} failed, {} blocked, {} not applicable\n\
         - Incidents that Tandem observed of itself: {}\n- Incidents of other systems: {}\n\n\
         ## Self-Monitoring Boundary\n\n{} {}\n\n## Recommended Mitigations\n\n",
        times::plain(report.generated_at_ms),
        escape(&tenant.org_id),
        escape(&tenant.workspace_id),
        report.count("findings"),
        probes.pass,
        probes.fail,
        probes.blocked,
        probes.not_applicable,
        own.self_observed_incidents,
        own.external_system_incidents,
        own.evidence_claim,
        own.non_claim,
    );
    if sections.recommended_mitigations.is_empty() {
        text.push_str("- None\n");
    }
    for mitigation in sections.recommended_mitigations.iter().take(FIRST) {
        text.push_str(&format!("- {}\n", escape(&mitigation.recommendation)));
    }
    text
}

/// The summary, and everything that a reader looks for after it.
pub fn full(report: &Report) -> String {
    let sections = &report.sections;
    let mut text = report.markdown_summary.clone();
    let risk = &sections.residual_risk_and_follow_up;
    text.push_str(&format!("\n## Residual Risk\n\nRisk: **{}**\n\n", escape(&risk.risk)));
    for action in &risk.follow_up_actions {
        text.push_str(&format!("- {}\n", escape(action)));
    }
    text.push_str("\n## Findings\n\n| Severity | Rule | What | Affected |\n|---|---|---|---|\n");
    for found in sections.detected_findings.findings.iter().take(ROWS) {
        let finding = &found.finding;
        let affected = finding.affected_objects.first().map(|object| format!("{} {}", object.kind, object.id));
        text.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            finding.severity,
            escape(&finding.rule_id),
            escape(&finding.title),
            escape(&affected.unwrap_or_default())
        ));
    }
    let shown = sections.detected_findings.findings.len().min(ROWS) as u64;
    if sections.detected_findings.counts.findings > shown {
        text.push_str(&format!(
            "\n{} more are in the JSON form.\n",
            sections.detected_findings.counts.findings - shown
        ));
    }
    text.push_str("\n## Not Assessed\n\n");
    if risk.not_assessed.is_empty() {
        text.push_str("- Nothing was left out.\n");
    }
    for row in risk.not_assessed.iter().take(ROWS) {
        text.push_str(&format!("- {}: {}\n", escape(&row.what), escape(&row.why)));
    }
    text.push_str("\n## Open Questions\n\n");
    if risk.open_questions.is_empty() {
        text.push_str("- None\n");
    }
    for question in risk.open_questions.iter().take(ROWS) {
        text.push_str(&format!("- {} ({})\n", escape(&question.question), escape(&question.why)));
    }
    text.push_str(&format!(
        "\n## Control Mapping\n\n{}\n\n| Framework | Control | Evidence for | Findings |\n|---|---|---|---|\n",
        escape(&report.control_mapping.note)
    ));
    for row in &report.control_mapping.rows {
        text.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            row.framework,
            escape(&row.control),
            escape(&row.evidence_for.join("; ")),
            row.findings
        ));
    }
    text.push_str(&format!("\n## Evidence\n\n{}", evidence(report)));
    text
}

fn evidence(report: &Report) -> String {
    let pack = &report.pack();
    let mut text = format!(
        "- Audit log: {}, {} rows under the signed checkpoint\n",
        word(&report.integrity),
        report.audit_ledger.tree_size
    );
    if let Some(id) = &pack.artifact_id {
        text.push_str(&format!("- Artifact: `{}`\n", id.replace('`', "")));
    }
    if let Some(digest) = &pack.content_sha256 {
        text.push_str(&format!("- SHA-256 of the artifact: `{digest}`\n"));
    }
    text.push_str(&format!("- Rule set: `{}`\n\n```\n{}```\n", report.rule_set_digest, report.audit_ledger.checkpoint));
    text
}

/// The state of the log in a word, and where it is broken.
pub(super) fn word(integrity: &tandem_core::audit::integrity::Integrity) -> String {
    use tandem_core::audit::integrity::Status;
    match integrity.status {
        Status::Verified => "verified".into(),
        Status::Empty => "empty".into(),
        Status::Tampered => format!("TAMPERED from row {} on", integrity.first_bad_seq.unwrap_or_default()),
    }
}
