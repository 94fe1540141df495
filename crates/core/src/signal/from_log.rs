//! A failure from a log becomes an accepted signal: through the same rules as a report with a scoped key, and then with
//! what only a log knows.
//!
//! Grouping sees what the log says and nothing of where it stands: path, offsets and context are added afterwards, so
//! rotation and the lines around a failure never split a group. Equal failures of one read are merged into one signal
//! that counts for all of them.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::{
    Accepted, Door, Rejection, Submission, accept,
    accept::{FreshIds, Settings, compose},
    context::merge_bounded,
};
use crate::{
    config::Config,
    risk,
    source::{
        Binding, Scope,
        evidence::{LogEvidence, evidence_id, evidence_ref, lines_ref},
        log::Candidate,
    },
    tenant::TenantKey,
    text::floor_char_boundary,
};

/// Lines of a failure that an incident shows; evidence keeps more.
const EXCERPT_LINES: usize = 50;
const RAW_LINES: usize = 200;
/// Bytes of the log's words in a title.
const TITLE_BYTES: usize = 100;

/// What a signal from a log brings beside its words.
#[derive(Clone, Debug)]
pub struct FromLog {
    pub lines_ref: String,
    pub evidence: LogEvidence,
    /// Facts about the place, the source and its binding, for whoever replays or reads it.
    facts: Value,
}

impl FromLog {
    /// The incident's `event_payload`: the latest place, and the kept evidence of the latest draft.
    pub fn payload(&self, before: Option<&Value>, evidence_kept: bool) -> Value {
        let mut payload = self.facts.clone();
        let kept = if evidence_kept {
            let LogEvidence { project_id, source_id, evidence_id, .. } = &self.evidence;
            Some(Value::from(evidence_ref(project_id, source_id, evidence_id)))
        } else {
            before.and_then(|before| before.get("evidence_artifact")).cloned()
        };
        if let Some(kept) = kept {
            payload["evidence_artifact"] = kept;
        }
        payload
    }
}

/// What accepting needs beside the candidate.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    pub config: &'a Config,
    /// The project and the log source, and what they stamp on a report.
    pub scope: Scope<'a>,
    pub binding: &'a Binding,
    pub settings: &'a Settings<'a>,
    pub tenant: &'a TenantKey,
    pub request_id: &'a str,
    pub now_ms: u64,
}

/// Accepts one candidate. Redaction is always on: nobody looked at a log's lines before they were written.
pub fn accept_candidate(candidate: Candidate, around: &Around<'_>, ids: FreshIds) -> Result<Accepted, Rejection> {
    let Candidate { place, submission, timestamp_ms, format, truncated } = candidate;
    let mut s: Submission = submission;
    let source_id = around.binding.source_id.clone().unwrap_or_default();
    let project_id = around.binding.project_id.clone();
    s.source = Some(format!("incident_monitor.log.{source_id}"));
    s.event.get_or_insert_with(|| "log.error".into());
    s.classification.confidence.get_or_insert_with(|| "high".into());
    s.classification.risk_level = Some(risk::raise("medium", s.classification.risk_level.as_deref()).to_owned());
    let place_ref = lines_ref(&project_id, &source_id, &place);
    s.classification.evidence_refs.insert(0, place_ref.clone());
    let settings = Settings { redact_secrets: true, ..around.settings.clone() };
    let door = Door::Bound(around.binding);
    let mut accepted = accept(s, door, &settings, around.tenant, ids, around.request_id, around.now_ms)?;

    let s = &mut accepted.submission;
    let words: Vec<String> =
        s.detail.as_deref().unwrap_or_default().lines().map(str::to_owned).chain(s.excerpt.drain(..)).collect();
    s.excerpt = words.iter().filter(|line| !line.trim().is_empty()).take(EXCERPT_LINES).cloned().collect();
    if s.excerpt.is_empty() {
        s.excerpt.push(accepted.title.clone());
    }
    let range = format!("bytes {} to {} of {}", place.offset_start, place.offset_end, place.path);
    s.detail = Some(match s.level.as_deref() {
        Some(level) => format!("level {level}, {range}"),
        None => range,
    });
    let said = s.excerpt[0].trim();
    let shown = s.title.as_deref().filter(|title| !title.is_empty()).unwrap_or(said);
    accepted.title = format!("{} reported {}", around.binding.project_name, short(shown));
    s.title = Some(accepted.title.clone());
    s.file_name = Some(place.path.clone());
    accepted.composed = compose(s);

    let source = around.scope.source;
    let root = around.binding.workspace_root.trim_end_matches('/');
    let log_path = if place.path.starts_with('/') { place.path.clone() } else { format!("{root}/{}", place.path) };
    let fingerprint = accepted.grouping.fingerprint.clone();
    let evidence = LogEvidence {
        evidence_id: evidence_id(&project_id, &source_id, &fingerprint, &place),
        schema_version: 1,
        project_id: project_id.clone(),
        source_id: source_id.clone(),
        repo: accepted.repo.clone(),
        workspace_root: around.binding.workspace_root.clone(),
        log_path: log_path.clone(),
        offset_start: place.offset_start,
        offset_end: place.offset_end,
        inode: place.inode,
        generation: place.generation,
        detected_at_ms: around.now_ms,
        event_at_ms: timestamp_ms,
        parser_format: format.to_owned(),
        level: s.level.clone(),
        event: s.event.clone().unwrap_or_default(),
        fingerprint,
        title: accepted.title.clone(),
        excerpt: s.excerpt.clone(),
        raw_excerpt_redacted: words.into_iter().take(RAW_LINES).collect(),
        context: s.context.clone(),
        redactions: accepted.redactions.iter().map(|(rule, n)| ((*rule).to_owned(), *n)).collect(),
        truncated,
    };
    let facts = json!({
        "project_id": project_id,
        "source_id": source_id,
        "source_kind": around.binding.source_kind,
        "log_path": log_path,
        "path": place.path,
        "offset_start": place.offset_start,
        "offset_end": place.offset_end,
        "inode": place.inode,
        "generation": place.generation,
        "detected_at_ms": around.now_ms,
        "event_at_ms": timestamp_ms,
        "parser_format": format,
        "truncated": truncated,
        "mcp_server": around.scope.project.mcp_server.as_ref().or(around.config.mcp_server.as_ref()),
        "model_policy": around.scope.project.model_policy.as_ref().or(around.config.model_policy.as_ref()),
        "binding": around.binding.routing,
    });
    accepted.log = Some(Box::new(FromLog { lines_ref: place_ref, evidence, facts }));
    accepted.cooldown_ms = source.map_or(0, |source| source.fingerprint_cooldown_ms);
    accepted.start_triage = around.scope.project.auto_create_new_issues;
    Ok(accepted)
}

fn short(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    line[..floor_char_boundary(line, TITLE_BYTES)].trim_end()
}

/// Merges signals of one identity: one signal that counts for all, with the first one's words and the latest place.
pub fn merge(signals: Vec<Accepted>) -> Vec<Accepted> {
    let mut merged: Vec<Accepted> = Vec::with_capacity(signals.len());
    let mut known: HashMap<([u8; 16], bool), usize> = HashMap::new();
    for signal in signals {
        // What the quality gate blocks is counted apart: it opens no draft.
        match known.get(&(signal.identity, signal.gate.passed)) {
            None => {
                known.insert((signal.identity, signal.gate.passed), merged.len());
                merged.push(signal);
            }
            Some(at) => {
                let first = &mut merged[*at];
                first.occurrences += signal.occurrences;
                merge_bounded(
                    &mut first.submission.classification.evidence_refs,
                    signal.submission.classification.evidence_refs,
                );
                first.submission.safety.fill_from(&signal.submission.safety);
                for (rule, n) in signal.redactions {
                    *first.redactions.entry(rule).or_default() += n;
                }
                if let (Some(mine), Some(theirs)) = (&mut first.log, signal.log) {
                    mine.facts = theirs.facts;
                    mine.lines_ref = theirs.lines_ref;
                }
            }
        }
    }
    merged
}

/// How many values each rule replaced, over all signals.
pub fn redactions(signals: &[Accepted]) -> BTreeMap<&str, u64> {
    let mut all = BTreeMap::new();
    for (rule, n) in signals.iter().flat_map(|signal| &signal.redactions) {
        *all.entry(*rule).or_default() += u64::from(*n);
    }
    all
}

#[cfg(test)]
#[path = "from_log_tests.rs"]
mod tests;
