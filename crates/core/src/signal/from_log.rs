//! A failure from a log becomes an accepted signal: through the same rules as a report with a scoped key, and then with
//! what only a log knows.
//!
//! Grouping sees what the log says and nothing of where it stands: path, offsets and context are added afterwards, so
//! rotation and the lines around a failure never split a group. Equal failures that are taken in together become one
//! signal that counts for all of them, and only the first of them is made into more than a count.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::{
    Accepted, Door, Rejection, Submission,
    accept::{FreshIds, Judged, Settings, compose, judge, title},
    context::merge_bounded,
};
use crate::{
    config::Config,
    risk,
    source::{
        Binding, Scope,
        evidence::{LogEvidence, evidence_id, evidence_ref, lines_ref},
        log::{Candidate, Place},
    },
    tenant::TenantKey,
    text::floor_char_boundary,
};

/// Lines of a failure that an incident shows; evidence keeps more.
const EXCERPT_LINES: usize = 50;
const RAW_LINES: usize = 200;
/// Bytes of the log's words in a title.
const TITLE_BYTES: usize = 100;
/// What a signal has beside its words: its lists, its binding, its evidence.
const KIND_BYTES: usize = 8 * 1024;

/// Where a failure stands, and how it was read.
#[derive(Clone, Debug)]
struct Reading {
    place: Place,
    event_at_ms: Option<u64>,
    format: &'static str,
    truncated: bool,
}

/// What a signal from a log brings beside its words.
#[derive(Clone, Debug)]
pub struct FromLog {
    pub evidence: LogEvidence,
    /// Of the latest of the failures that it stands for.
    latest: Reading,
    /// Facts about the source and its binding, for whoever replays or reads it.
    facts: Value,
}

impl FromLog {
    /// Where the latest of its failures stands.
    pub fn lines_ref(&self) -> String {
        lines_ref(&self.evidence.project_id, &self.evidence.source_id, &self.latest.place)
    }

    /// The incident's `event_payload`: the latest place, and the kept evidence of the latest draft.
    pub fn payload(&self, before: Option<&Value>, evidence_kept: bool) -> Value {
        let LogEvidence { project_id, source_id, evidence_id, workspace_root, detected_at_ms, .. } = &self.evidence;
        let Reading { place, event_at_ms, format, truncated } = &self.latest;
        let mut payload = self.facts.clone();
        payload["log_path"] = Value::from(log_path(workspace_root, place));
        payload["path"] = Value::from(place.path.as_str());
        payload["offset_start"] = Value::from(place.offset_start);
        payload["offset_end"] = Value::from(place.offset_end);
        payload["inode"] = Value::from(place.inode);
        payload["generation"] = Value::from(place.generation);
        payload["detected_at_ms"] = Value::from(*detected_at_ms);
        payload["event_at_ms"] = Value::from(*event_at_ms);
        payload["parser_format"] = Value::from(*format);
        payload["truncated"] = Value::from(*truncated);
        let kept = if evidence_kept {
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

fn log_path(root: &str, place: &Place) -> String {
    match place.path.starts_with('/') {
        true => place.path.clone(),
        false => format!("{}/{}", root.trim_end_matches('/'), place.path),
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

/// Accepts one candidate.
pub fn accept_candidate(candidate: Candidate, around: &Around<'_>, ids: FreshIds) -> Result<Accepted, Rejection> {
    let (judged, reading) = judge_candidate(candidate, around)?;
    Ok(signal(judged, reading, around, ids))
}

/// Which failure it is. Redaction is always on: nobody looked at a log's lines before they were written.
fn judge_candidate(candidate: Candidate, around: &Around<'_>) -> Result<(Judged, Reading), Rejection> {
    let Candidate { place, submission, timestamp_ms, format, truncated } = candidate;
    let mut s: Submission = submission;
    let source_id = around.binding.source_id.as_deref().unwrap_or_default();
    s.source = Some(format!("incident_monitor.log.{source_id}"));
    s.event.get_or_insert_with(|| "log.error".into());
    s.classification.confidence.get_or_insert_with(|| "high".into());
    s.classification.risk_level = Some(risk::raise("medium", s.classification.risk_level.as_deref()).to_owned());
    s.classification.evidence_refs.insert(0, lines_ref(&around.binding.project_id, source_id, &place));
    let settings = Settings { redact_secrets: true, ..around.settings.clone() };
    let judged = judge(s, Door::Bound(around.binding), &settings, around.tenant)?;
    Ok((judged, Reading { place, event_at_ms: timestamp_ms, format, truncated }))
}

/// The signal of a failure that is the first of its kind here.
fn signal(judged: Judged, reading: Reading, around: &Around<'_>, ids: FreshIds) -> Accepted {
    let source_id = around.binding.source_id.clone().unwrap_or_default();
    let project_id = around.binding.project_id.clone();
    let mut accepted = judged.signal(String::new(), ids, around.request_id, around.now_ms);
    let Reading { place, event_at_ms, format, truncated } = &reading;
    let s = &mut accepted.submission;
    let words: Vec<String> =
        s.detail.as_deref().unwrap_or_default().lines().map(str::to_owned).chain(s.excerpt.drain(..)).collect();
    s.excerpt = words.iter().filter(|line| !line.trim().is_empty()).take(EXCERPT_LINES).cloned().collect();
    if s.excerpt.is_empty() {
        s.excerpt.push(title(s));
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
    let workspace_root = around.binding.workspace_root.clone();
    let fingerprint = accepted.grouping.fingerprint.clone();
    let evidence = LogEvidence {
        evidence_id: evidence_id(&project_id, &source_id, &fingerprint, place),
        schema_version: 1,
        project_id: project_id.clone(),
        source_id: source_id.clone(),
        repo: accepted.repo.clone(),
        log_path: log_path(&workspace_root, place),
        workspace_root,
        offset_start: place.offset_start,
        offset_end: place.offset_end,
        inode: place.inode,
        generation: place.generation,
        detected_at_ms: around.now_ms,
        event_at_ms: *event_at_ms,
        parser_format: (*format).to_owned(),
        level: s.level.clone(),
        event: s.event.clone().unwrap_or_default(),
        fingerprint,
        title: accepted.title.clone(),
        excerpt: s.excerpt.clone(),
        raw_excerpt_redacted: words.into_iter().take(RAW_LINES).collect(),
        context: s.context.clone(),
        redactions: accepted.redactions.iter().map(|(rule, n)| ((*rule).to_owned(), *n)).collect(),
        truncated: *truncated,
    };
    let facts = json!({
        "project_id": project_id,
        "source_id": source_id,
        "source_kind": around.binding.source_kind,
        "mcp_server": around.scope.project.mcp_server.as_ref().or(around.config.mcp_server.as_ref()),
        "model_policy": around.scope.project.model_policy.as_ref().or(around.config.model_policy.as_ref()),
        "binding": around.binding.routing,
    });
    accepted.log = Some(Box::new(FromLog { evidence, latest: reading, facts }));
    accepted.cooldown_ms = source.map_or(0, |source| source.fingerprint_cooldown_ms);
    accepted.start_triage = around.scope.project.auto_create_new_issues;
    accepted
}

fn short(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    line[..floor_char_boundary(line, TITLE_BYTES)].trim_end()
}

/// Failures of one source that are taken in together: one signal for each kind, which counts for all of that kind, with
/// the first one's words and the latest place.
#[derive(Debug, Default)]
pub struct Gathered {
    signals: Vec<Accepted>,
    known: HashMap<([u8; 16], bool), usize>,
    bytes: usize,
}

impl Gathered {
    /// Takes one in. The first of its kind gets `ids`, and is completed by the caller.
    ///
    /// # Errors
    /// The candidate is refused outright.
    pub fn take(
        &mut self,
        candidate: Candidate,
        around: &Around<'_>,
        ids: impl FnOnce() -> FreshIds,
        complete: impl FnOnce(Accepted) -> Accepted,
    ) -> Result<(), Rejection> {
        let (judged, reading) = judge_candidate(candidate, around)?;
        // What the quality gate blocks is counted apart: it opens no draft.
        let kind = (judged.identity, judged.gate.passed);
        let Some(at) = self.known.get(&kind) else {
            let signal = complete(signal(judged, reading, around, ids()));
            self.bytes += 4 * signal.composed.len() + KIND_BYTES;
            self.known.insert(kind, self.signals.len());
            self.signals.push(signal);
            return Ok(());
        };
        let first = &mut self.signals[*at];
        first.occurrences += 1;
        let s = &mut first.submission;
        merge_bounded(&mut s.classification.evidence_refs, judged.submission.classification.evidence_refs);
        s.safety.fill_from(&judged.submission.safety);
        for (rule, n) in judged.redactions {
            *first.redactions.entry(rule).or_default() += n;
        }
        if let Some(log) = &mut first.log {
            log.latest = reading;
        }
        Ok(())
    }

    /// What is held in memory and will be written, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn into_signals(self) -> Vec<Accepted> {
        self.signals
    }
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
