//! From words to an accepted signal: bounded, redacted, completed, fingerprinted and judged.
//!
//! Which fields an untrusted caller may set is decided here: a plain report cannot name a project, a source, tags,
//! destinations, a tenant or an approval policy; a scoped report gets all of them from its binding. Whether a publish
//! will need approval is not decided here but by the router, on the accepted signal.

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::{QualityGate, SourceRouting, Submission, context::LIST_CAP, from_log::FromLog, quality::intake_gate};
use crate::{
    config::Recurrence,
    fingerprint::{self, Grouping},
    redaction::{Counts, Redactor, redactor},
    risk,
    source::Binding,
    tenant::TenantKey,
    text::truncate,
};

/// The door that a signal came through.
#[derive(Clone, Copy, Debug)]
pub enum Door<'a> {
    /// A full token: its source fields are not believed.
    Report,
    /// A scoped key or a log tailer: everything about the source comes from the binding.
    Bound(&'a Binding),
}

/// What intake takes from the configuration.
#[derive(Clone, Debug, Default)]
pub struct Settings<'a> {
    pub repo: Option<&'a str>,
    pub workspace_root: Option<&'a str>,
    pub redact_secrets: bool,
    pub minimum_risk_level: Option<&'a str>,
}

/// Identifiers that a signal needs if it turns out to be a new incident.
#[derive(Clone, Debug)]
pub struct FreshIds {
    pub incident_id: String,
    pub draft_id: String,
    pub event_id: String,
}

/// A signal that will be counted.
#[derive(Clone, Debug)]
pub struct Accepted {
    pub ids: FreshIds,
    /// What signals are folded by: tenant, repository, project, source and fingerprint.
    pub identity: [u8; 16],
    pub submission: Submission,
    pub repo: String,
    pub workspace_root: String,
    pub title: String,
    /// The text of the draft: known fields, detail, excerpt, evidence.
    pub composed: String,
    pub grouping: Grouping,
    pub gate: QualityGate,
    pub redactions: Counts,
    /// Set by the caller from the router's decision on this signal.
    pub approval_required: bool,
    /// Set by the caller: an admin let this route or project publish by itself, and no approval is needed.
    pub auto_publish: bool,
    /// Set by the caller: what follows when the failure was published before.
    pub recurrence: Recurrence,
    /// How many equal failures this signal stands for. One read of a log may find many.
    pub occurrences: u64,
    /// For so long after a draft was opened no further one is, whatever became of it. Occurrences count all the same.
    pub cooldown_ms: u64,
    /// Triage begins by itself when this signal opens a draft.
    pub start_triage: bool,
    /// Where in a log it stands.
    pub log: Option<Box<FromLog>>,
    pub at_ms: u64,
    pub request_id: String,
}

/// Why a signal is refused outright. A signal that fails the quality gate is not refused but counted as blocked.
#[derive(Clone, Debug, PartialEq)]
pub enum Rejection {
    RepoMissing,
    RepoInvalid,
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::RepoMissing => f.write_str("no repository: neither the report nor the configuration names one"),
            // What was sent in its place may hold a secret, so it is not repeated.
            Self::RepoInvalid => f.write_str("the report's repository is not of the form owner/repo"),
        }
    }
}

/// `owner/repo`: exactly one slash, both sides non-blank, no white space or control characters.
pub fn valid_repo(repo: &str) -> bool {
    repo.len() <= 200
        && repo
            .split_once('/')
            .is_some_and(|(owner, name)| !owner.is_empty() && !name.is_empty() && !name.contains('/'))
        && !repo.chars().any(|c| c.is_whitespace() || c.is_control())
}

// Bounds in bytes. They keep one report from filling the store; the wire contract bounds only lists.
const SHORT: usize = 240;
const TITLE: usize = 500;
const LINE: usize = 2_000;
const DETAIL: usize = 16_000;

/// A submission that was bounded, redacted, grouped and judged: what tells which failure it is, before it is made into a
/// signal of its own.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub identity: [u8; 16],
    pub submission: Submission,
    pub gate: QualityGate,
    pub redactions: Counts,
    repo: String,
    workspace_root: String,
    grouping: Grouping,
}

/// Turns a submission into an accepted signal.
pub fn accept(
    s: Submission,
    door: Door<'_>,
    settings: &Settings<'_>,
    tenant: &TenantKey,
    ids: FreshIds,
    request_id: &str,
    now_ms: u64,
) -> Result<Accepted, Rejection> {
    let judged = judge(s, door, settings, tenant)?;
    let (title, composed) = (title(&judged.submission), compose(&judged.submission));
    Ok(Accepted { composed, ..judged.signal(title, ids, request_id, now_ms) })
}

pub(super) fn judge(
    mut s: Submission,
    door: Door<'_>,
    settings: &Settings<'_>,
    tenant: &TenantKey,
) -> Result<Judged, Rejection> {
    bind(&mut s, door);
    bound(&mut s);
    let mut counts = Counts::new();
    redact(&mut s, settings.redact_secrets, &mut counts);
    default(&mut s, settings.minimum_risk_level);

    let repo = match s.repo.as_deref().or(settings.repo) {
        None => return Err(Rejection::RepoMissing),
        Some(repo) if valid_repo(repo) => repo.to_owned(),
        Some(_) => return Err(Rejection::RepoInvalid),
    };
    let workspace_root = s.workspace_root.as_deref().or(settings.workspace_root).unwrap_or_default().to_owned();
    let grouping = match s.fingerprint.as_deref() {
        Some(own) => fingerprint::caller(own),
        None => fingerprint::group(&fingerprint::Signal {
            repo: &repo,
            title: s.title.as_deref(),
            detail: s.detail.as_deref(),
            excerpt: &s.excerpt,
            event: s.event.as_deref(),
            component: s.component.as_deref(),
            source: s.source.as_deref(),
            file_name: s.file_name.as_deref(),
            process: s.process.as_deref(),
        }),
    };
    s.fingerprint = Some(grouping.fingerprint.clone());
    let identity = identity(tenant, &repo, &s, &grouping.fingerprint);
    let gate = intake_gate(&s);
    Ok(Judged { identity, submission: s, gate, redactions: counts, repo, workspace_root, grouping })
}

impl Judged {
    /// The signal, without its composed text.
    pub fn signal(self, title: String, ids: FreshIds, request_id: &str, now_ms: u64) -> Accepted {
        Accepted {
            identity: self.identity,
            ids,
            repo: self.repo,
            workspace_root: self.workspace_root,
            title,
            composed: String::new(),
            grouping: self.grouping,
            gate: self.gate,
            redactions: self.redactions,
            approval_required: false,
            auto_publish: false,
            recurrence: Recurrence::default(),
            occurrences: 1,
            cooldown_ms: 0,
            start_triage: false,
            log: None,
            at_ms: now_ms,
            request_id: request_id.to_owned(),
            submission: self.submission,
        }
    }
}

/// Signals with the same identity are the same failure.
fn identity(tenant: &TenantKey, repo: &str, s: &Submission, fingerprint: &str) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in [
        tenant.as_str(),
        repo,
        s.project_id.as_deref().unwrap_or_default(),
        s.log_source_id.as_deref().unwrap_or_default(),
        fingerprint,
    ] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hash.finalize()[..16]);
    short
}

/// What our own assessments say that a report is about. A suggestion of theirs that somebody posts as a report keeps its word
/// and what it is about, and no other, so that routes can be written for it; they open nothing that the report would not reach anyway.
const GOVERNANCE: [(&str, &str); 3] = [
    ("security_posture", "security_posture"),
    ("security_assessment_probe", "security_assessment"),
    ("governance_maturity_metric", "governance_maturity"),
];

/// What such a report may say beside the word, where that is not its own risk category: the probe that failed or the metric
/// that was missed.
pub const GOVERNANCE_SUBJECTS: [&str; 12] = [
    "approval_required_tool_policy",
    "destination_readiness_fail_closed",
    "mcp_tool_allowlist",
    "route_preview_high_risk_approval",
    "scoped_intake_restriction",
    "webhook_url_policy",
    "governance_confidence",
    "authority_boundary_compliance",
    "escalation_pathway_utilization",
    "route_readiness_compliance",
    "receipt_completeness",
    "recurring_incident_rate",
];

fn governance_tags(s: &Submission) -> Vec<String> {
    let source = s.source.as_deref().unwrap_or_default();
    let Some((_, own)) = GOVERNANCE.iter().find(|(named, _)| *named == source) else { return Vec::new() };
    let tags = &s.routing.route_tags;
    if !tags.iter().any(|tag| tag == own) {
        return Vec::new();
    }
    let category = s.safety.risk_category.as_deref().map(str::trim);
    let subject = |tag: &&String| category == Some(tag.as_str()) || GOVERNANCE_SUBJECTS.contains(&tag.as_str());
    std::iter::once((*own).to_owned()).chain(tags.iter().find(subject).cloned()).collect()
}

/// Believes the binding and nobody else about the source.
fn bind(s: &mut Submission, door: Door<'_>) {
    match door {
        Door::Report => {
            s.project_id = None;
            s.log_source_id = None;
            s.source_kind = None;
            let route_tags = governance_tags(s);
            s.routing = SourceRouting { route_tags, ..SourceRouting::default() };
        }
        Door::Bound(binding) => {
            s.project_id = Some(binding.project_id.clone());
            s.log_source_id = binding.source_id.clone();
            s.source_kind = Some(binding.source_kind);
            s.repo = Some(binding.repo.clone());
            s.workspace_root = Some(binding.workspace_root.clone());
            s.routing = binding.routing.clone();
            if s.source.as_deref().is_none_or(|source| source.trim().is_empty()) {
                let source_id = binding.source_id.as_deref().unwrap_or("external");
                s.source = Some(format!("incident_monitor.intake.{source_id}"));
            }
        }
    }
}

fn tidy(field: &mut Option<String>, limit: usize) {
    let tidied = match field.as_deref().map(str::trim) {
        None => return,
        Some("") => None,
        Some(text) if text.len() <= limit && field.as_ref().is_some_and(|f| f.len() == text.len()) => return,
        Some(text) => Some(truncate(text, limit)),
    };
    *field = tidied;
}

fn tidy_list(list: &mut Vec<String>, unique: bool, limit: usize, keep_indent: bool) {
    let mut kept: Vec<String> = Vec::with_capacity(list.len().min(LIST_CAP));
    for item in list.drain(..) {
        let text = if keep_indent { item.trim_end() } else { item.trim() };
        if text.trim().is_empty() || (unique && kept.iter().any(|k| k == text)) {
            continue;
        }
        kept.push(truncate(text, limit));
        if kept.len() == LIST_CAP {
            break;
        }
    }
    *list = kept;
}

/// Trims and bounds everything.
fn bound(s: &mut Submission) {
    tidy(&mut s.title, TITLE);
    tidy(&mut s.detail, DETAIL);
    tidy(&mut s.workspace_root, 1_024);
    for field in [
        &mut s.repo,
        &mut s.source,
        &mut s.run_id,
        &mut s.session_id,
        &mut s.correlation_id,
        &mut s.process,
        &mut s.component,
        &mut s.event,
        &mut s.level,
        &mut s.classification.confidence,
        &mut s.classification.risk_level,
        &mut s.classification.expected_destination,
    ] {
        tidy(field, SHORT);
    }
    tidy(&mut s.file_name, 1_024);
    // A fingerprint keeps its full length: the grouping rule decides whether it is kept or hashed.
    tidy(&mut s.fingerprint, DETAIL);
    for field in s.safety.scalars_mut() {
        tidy(field, SHORT);
    }
    tidy_list(&mut s.safety.external_correlation_ids, true, SHORT, false);
    tidy_list(&mut s.excerpt, false, LINE, true);
    tidy_list(&mut s.context, false, LINE, true);
    tidy_list(&mut s.classification.evidence_refs, false, LINE, false);
    tidy_list(&mut s.routing.route_tags, true, SHORT, false);
    tidy_list(&mut s.routing.allowed_destination_ids, true, SHORT, false);
    tidy_list(&mut s.routing.default_destination_ids, true, SHORT, false);
}

fn scrub(text: &mut String, engine: &Redactor, counts: &mut Counts) {
    if let Cow::Owned(clean) = engine.text(text, counts) {
        *text = clean;
    }
}

/// Safety fields and names are always scrubbed; free text when the configuration says so (which is the default).
fn redact(s: &mut Submission, free_text: bool, counts: &mut Counts) {
    let engine = redactor(s.routing.redaction_profile.as_deref());
    let mut clean = |field: &mut Option<String>| {
        if let Some(text) = field {
            scrub(text, engine, counts);
        }
    };
    for field in s.safety.scalars_mut() {
        clean(field);
    }
    for field in [
        &mut s.workspace_root,
        &mut s.source,
        &mut s.process,
        &mut s.component,
        &mut s.event,
        &mut s.file_name,
        &mut s.run_id,
        &mut s.session_id,
        &mut s.correlation_id,
        &mut s.fingerprint,
        &mut s.level,
        &mut s.classification.confidence,
        &mut s.classification.risk_level,
        &mut s.classification.expected_destination,
    ] {
        clean(field);
    }
    if free_text {
        clean(&mut s.title);
        clean(&mut s.detail);
        // A key block or a folded header may span lines, so a list of lines is judged as one text.
        for lines in [&mut s.excerpt, &mut s.context] {
            if lines.is_empty() {
                continue;
            }
            let joined = lines.join("\n");
            if let Cow::Owned(clean) = engine.text(&joined, counts) {
                *lines = clean.lines().map(str::to_owned).collect();
            }
        }
        for reference in &mut s.classification.evidence_refs {
            scrub(reference, engine, counts);
        }
    }
    for id in &mut s.safety.external_correlation_ids {
        scrub(id, engine, counts);
    }
}

fn default(s: &mut Submission, floor: Option<&str>) {
    let set = |field: &mut Option<String>, value: &str| {
        field.get_or_insert_with(|| value.to_owned());
    };
    set(&mut s.source, "manual");
    set(&mut s.event, "manual.report");
    set(&mut s.classification.confidence, "medium");
    set(&mut s.classification.risk_level, "medium");
    set(&mut s.classification.expected_destination, "incident_monitor_issue_draft");
    if let Some(level) = &s.classification.risk_level {
        s.classification.risk_level = Some(risk::raise(level, floor).to_owned());
    }
}

pub(super) fn title(s: &Submission) -> String {
    s.title.clone().unwrap_or_else(|| {
        // `manual.report` is our own default and says nothing.
        let event = s.event.as_deref().filter(|event| *event != "manual.report");
        match event.or(s.component.as_deref()).or(s.process.as_deref()) {
            Some(what) => format!("Failure reported by {what}"),
            None => format!("Failure reported by {}", s.source.as_deref().unwrap_or("manual")),
        }
    })
}

/// The draft's text: one `key: value` line for each known field, then detail, excerpt, evidence and context.
pub(super) fn compose(s: &Submission) -> String {
    let mut out = String::with_capacity(512 + s.detail.as_ref().map_or(0, String::len));
    let joined = |list: &[String]| (!list.is_empty()).then(|| list.join(", "));
    let source_kind = s.source_kind.and_then(|kind| serde_json::to_value(kind).ok());
    let tags = joined(&s.routing.route_tags);
    let correlation = joined(&s.safety.external_correlation_ids);
    let fields: [(&str, Option<&str>); 24] = [
        ("source", s.source.as_deref()),
        ("file", s.file_name.as_deref()),
        ("level", s.level.as_deref()),
        ("process", s.process.as_deref()),
        ("component", s.component.as_deref()),
        ("event", s.event.as_deref()),
        ("confidence", s.classification.confidence.as_deref()),
        ("risk_level", s.classification.risk_level.as_deref()),
        ("risk_category", s.safety.risk_category.as_deref()),
        ("actor", s.safety.actor.as_deref()),
        ("model", s.safety.model.as_deref()),
        ("tool_name", s.safety.tool_name.as_deref()),
        ("action", s.safety.action.as_deref()),
        ("policy", s.safety.policy.as_deref()),
        ("approval_state", s.safety.approval_state.as_deref()),
        ("blast_radius", s.safety.blast_radius.as_deref()),
        ("expected_destination", s.classification.expected_destination.as_deref()),
        ("source_kind", source_kind.as_ref().and_then(|kind| kind.as_str())),
        ("tenant_id", s.routing.tenant_id.as_deref()),
        ("workspace_id", s.routing.workspace_id.as_deref()),
        ("route_tags", tags.as_deref()),
        ("run_id", s.run_id.as_deref()),
        ("session_id", s.session_id.as_deref()),
        ("correlation_id", s.correlation_id.as_deref()),
    ];
    for (key, value) in fields.into_iter().chain([("external_correlation_ids", correlation.as_deref())]) {
        if let Some(value) = value {
            let _ = writeln!(out, "{key}: {value}");
        }
    }
    if let Some(detail) = &s.detail {
        let _ = write!(out, "\n{detail}\n");
    }
    let lists = [("excerpt", &s.excerpt), ("evidence_refs", &s.classification.evidence_refs), ("context", &s.context)];
    for (heading, lines) in lists {
        if !lines.is_empty() {
            let _ = write!(out, "\n{heading}:\n");
            for line in lines {
                let _ = writeln!(out, "  {line}");
            }
        }
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_keeps_the_word_of_the_assessment_that_it_came_from_and_no_other() {
        for (source, tags, kept) in [
            (
                "security_posture",
                vec!["security_posture", "missing_approval", "prod"],
                vec!["security_posture", "missing_approval"],
            ),
            ("security_posture", vec!["security_posture", "unsafe_destination"], vec!["security_posture"]),
            (
                "security_assessment_probe",
                vec!["security_assessment", "webhook_url_policy", "mcp_tool_allowlist"],
                vec!["security_assessment", "webhook_url_policy"],
            ),
            ("security_assessment_probe", vec!["x", "security_assessment"], vec!["security_assessment"]),
            ("governance_maturity_metric", vec!["security_posture", "receipt_completeness"], vec![]),
            ("ci", vec!["security_posture", "missing_approval"], vec![]),
        ] {
            let mut s = Submission { source: Some(source.into()), ..Submission::default() };
            s.safety.risk_category = Some("missing_approval".into());
            s.routing.route_tags = tags.into_iter().map(str::to_owned).collect();
            bind(&mut s, Door::Report);
            assert_eq!(s.routing.route_tags, kept, "{source}");
        }
    }
}
