//! What is known of a log source beside its configuration: how far its files are read, and how it fares. One row per
//! source, bounded, moved in the same commit as the incidents that it covers.
//!
//! Moving on through lines that are no failures changes nothing but a position, and is bookkeeping like a lease: it has
//! no audit row. Whatever an operator would want to know has one: being opened, lost bytes, falling ill and healing,
//! being reset, being forgotten.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    FileState, Gap, SourcePosition, WatcherFact,
    log::{Batch, LogError, LogErrorCode, SourceSpec},
};
use crate::{
    record::{Collection, Column, Record},
    text::truncate,
};

/// The latest gaps that are kept; all are counted.
pub const GAPS_KEPT: usize = 20;
/// The latest fingerprints that are kept.
pub const FINGERPRINTS_KEPT: usize = 50;

/// An error as status shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceError {
    pub code: LogErrorCode,
    pub message: String,
    /// First and latest time in a row.
    pub since_ms: u64,
    pub at_ms: u64,
}

/// The row of one source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceState {
    pub project_id: String,
    pub source_id: String,
    /// What was configured when the position was taken. Another root or path begins anew.
    pub root: String,
    pub position: SourcePosition,
    /// When the position was last set by somebody rather than reached: by the first look, or by a reset.
    pub positioned_at_ms: Option<u64>,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
    /// There is a job for it: some engine reads it or will.
    pub armed: bool,
    pub error: Option<SourceError>,
    pub consecutive_errors: u64,
    /// How often its reader ended abnormally.
    pub restarts: u64,
    pub last_poll_at_ms: Option<u64>,
    pub last_candidate_at_ms: Option<u64>,
    pub last_submitted_at_ms: Option<u64>,
    pub newest_data_ms: Option<u64>,
    pub lag_bytes: u64,
    pub oldest_unread_ms: Option<u64>,
    pub total_bytes_read: u64,
    pub total_candidates: u64,
    pub total_submitted: u64,
    pub total_truncated: u64,
    /// How often bytes are known to be lost, and how often some may be.
    pub gap_count: u64,
    pub possible_gap_count: u64,
    pub gaps: Vec<Gap>,
    /// When each of the latest fingerprints was last seen.
    pub recent_fingerprints: BTreeMap<String, u64>,
}

pub static LOG_SOURCES: Collection = Collection { name: "log_sources", columns: &["project_id", "updated_at_ms"] };

/// The row, with the id that it is stored under.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceRow {
    pub id: String,
    #[serde(flatten)]
    pub state: SourceState,
}

impl Record for SourceRow {
    const COLLECTION: &'static Collection = &LOG_SOURCES;
    fn id(&self) -> &str {
        &self.id
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::text(&self.state.project_id), Column::ms(self.state.updated_at_ms)]
    }
}

/// The id of a source's row. Both parts are slugs, so it is unambiguous.
pub fn row_id(project_id: &str, source_id: &str) -> String {
    format!("{project_id}/{source_id}")
}

/// What a committed step adds to the counters.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    pub candidates: u64,
    /// Candidates that were counted on incidents.
    pub submitted: u64,
    pub truncated: u64,
    pub fingerprints: Vec<String>,
}

impl SourceRow {
    /// `since_ms` is when the source was configured.
    pub fn new(project_id: &str, source_id: &str, spec: &SourceSpec, since_ms: u64, now_ms: u64) -> Self {
        Self {
            id: row_id(project_id, source_id),
            state: SourceState {
                project_id: project_id.to_owned(),
                source_id: source_id.to_owned(),
                root: spec.root.clone(),
                position: SourcePosition::since(&spec.path, since_ms),
                created_at_ms: now_ms,
                updated_at_ms: now_ms,
                ..SourceState::default()
            },
        }
    }
}

impl SourceState {
    /// Whether the positions are of what is configured now.
    pub fn is_of(&self, spec: &SourceSpec) -> bool {
        self.root == spec.root && self.position.path == spec.path
    }

    /// Another path is another source of lines: positions begin anew, as `start_position` says. Counters stay.
    pub fn repoint(&mut self, spec: &SourceSpec, since_ms: u64, now_ms: u64) {
        self.root.clone_from(&spec.root);
        self.position = SourcePosition::since(&spec.path, since_ms);
        self.positioned_at_ms = None;
        self.recover();
        self.lag_bytes = 0;
        self.oldest_unread_ms = None;
        self.newest_data_ms = None;
        self.updated_at_ms = now_ms;
    }

    /// Everything is read again from its beginning, also where `start_position` is the end. Lifetime totals stay.
    pub fn reset(&mut self, now_ms: u64) {
        self.position.reset();
        self.positioned_at_ms = Some(now_ms);
        self.recent_fingerprints.clear();
        self.recover();
        self.last_poll_at_ms = None;
        self.updated_at_ms = now_ms;
    }

    fn recover(&mut self) {
        self.error = None;
        self.consecutive_errors = 0;
    }

    /// A step that was read and taken in; what was wrong before is over. Returns whether the source was ill.
    pub fn advance(&mut self, position: SourcePosition, batch: &Batch, taken: &Taken, now_ms: u64) -> bool {
        self.position = position;
        self.positioned_at_ms = self.positioned_at_ms.or(Some(self.position.started_at_ms).filter(|at| *at > 0));
        self.last_poll_at_ms = Some(now_ms);
        self.total_bytes_read += batch.bytes_read;
        self.lag_bytes = batch.lag_bytes;
        self.oldest_unread_ms = batch.oldest_unread_ms;
        // A file from the future is as fresh as can be, and no fresher.
        self.newest_data_ms = self.newest_data_ms.max(batch.newest_data_ms.map(|at| at.min(now_ms)));
        self.total_candidates += taken.candidates;
        self.total_submitted += taken.submitted;
        self.total_truncated += taken.truncated;
        if taken.candidates > 0 {
            self.last_candidate_at_ms = Some(now_ms);
        }
        if taken.submitted > 0 {
            self.last_submitted_at_ms = Some(now_ms);
        }
        for fingerprint in &taken.fingerprints {
            self.recent_fingerprints.insert(fingerprint.clone(), now_ms);
        }
        while self.recent_fingerprints.len() > FINGERPRINTS_KEPT {
            let oldest = self.recent_fingerprints.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone());
            oldest.map(|key| self.recent_fingerprints.remove(&key));
        }
        let certain = batch.gaps.iter().filter(|gap| gap.to.is_some()).count() as u64;
        self.gap_count += certain;
        self.possible_gap_count += batch.gaps.len() as u64 - certain;
        self.gaps.extend(batch.gaps.iter().cloned());
        let surplus = self.gaps.len().saturating_sub(GAPS_KEPT);
        self.gaps.drain(..surplus);
        self.updated_at_ms = now_ms;
        let ill = self.error.is_some();
        self.recover();
        ill
    }

    /// What a step found to be there, before it is known to be stored.
    pub fn left(&mut self, lag_bytes: u64, oldest_unread_ms: Option<u64>) {
        self.lag_bytes = lag_bytes;
        self.oldest_unread_ms = oldest_unread_ms.or(self.oldest_unread_ms);
    }

    /// A step that failed. Returns whether this is news: the source was well, or ill in another way.
    pub fn fail(&mut self, error: &LogError, now_ms: u64) -> bool {
        let since_ms = match &self.error {
            Some(known) if known.code == error.code => known.since_ms,
            Some(_) | None => now_ms,
        };
        let news = self.error.as_ref().is_none_or(|known| known.code != error.code);
        self.error =
            Some(SourceError { code: error.code, message: truncate(&error.message, 500), since_ms, at_ms: now_ms });
        self.consecutive_errors += 1;
        if error.code == LogErrorCode::Panicked {
            self.restarts += 1;
        }
        self.last_poll_at_ms = Some(now_ms);
        self.updated_at_ms = now_ms;
        news
    }

    /// The file that is being written to: the newest that is not done with.
    fn current(&self) -> Option<&FileState> {
        let open = self.position.files.iter().filter(|file| !file.finished);
        open.max_by_key(|file| file.mtime_ms).or_else(|| self.position.files.last())
    }

    /// What the source's readiness looks at.
    pub fn fact(&self, shown: &LogSourceRuntimeStatus) -> WatcherFact {
        WatcherFact {
            project_id: self.project_id.clone(),
            source_id: self.source_id.clone(),
            healthy: shown.healthy,
            consecutive_errors: self.consecutive_errors,
            last_observed_ms: self.newest_data_ms,
        }
    }
}

/// A source's row as the reset route answers with it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct LogSourceState {
    pub project_id: String,
    pub source_id: String,
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inode: Option<String>,
    /// Of the file that is being written to.
    pub offset: u64,
    pub recent_fingerprints: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positioned_at_ms: Option<u64>,
    pub updated_at_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    pub consecutive_errors: u64,
    pub total_bytes_read: u64,
    pub total_candidates: u64,
    pub total_submitted: u64,
    /// Every file with its position.
    pub files: Vec<FileState>,
    pub gap_count: u64,
    pub gaps: Vec<Gap>,
}

impl From<&SourceState> for LogSourceState {
    fn from(state: &SourceState) -> Self {
        let current = state.current();
        Self {
            project_id: state.project_id.clone(),
            source_id: state.source_id.clone(),
            path: state.position.path.clone(),
            inode: current.map(|file| file.id.inode.to_string()),
            offset: current.map_or(0, |file| file.offset),
            recent_fingerprints: state.recent_fingerprints.clone(),
            positioned_at_ms: state.positioned_at_ms,
            updated_at_ms: state.updated_at_ms,
            last_error: state.error.as_ref().map(|error| error.message.clone()),
            consecutive_errors: state.consecutive_errors,
            total_bytes_read: state.total_bytes_read,
            total_candidates: state.total_candidates,
            total_submitted: state.total_submitted,
            files: state.position.files.clone(),
            gap_count: state.gap_count,
            gaps: state.gaps.clone(),
        }
    }
}

/// A source's row of `status.log_watcher.sources`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct LogSourceRuntimeStatus {
    pub project_id: String,
    pub source_id: String,
    pub path: String,
    /// Monitor, project and source are enabled and not paused, so that the source is to be read.
    pub enabled: bool,
    pub healthy: bool,
    /// Of the file that is being written to.
    pub offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_poll_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_candidate_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_submitted_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error_code: Option<LogErrorCode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error_at_ms: Option<u64>,
    pub consecutive_errors: u64,
    /// How often the source's reader ended abnormally and was started anew.
    pub restarts: u64,
    /// Bytes that are in the files and not read yet.
    pub lag_bytes: u64,
    /// Since when the oldest of them has been waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_unread_ms: Option<u64>,
    /// When the files' newest data was written; freshness is judged by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest_data_ms: Option<u64>,
    /// How often bytes were lost for good; `gaps` has the latest.
    pub gap_count: u64,
    /// How often a file was truncated or went, not open, when everything known of it had been read: what was written just
    /// before may be lost.
    pub possible_gap_count: u64,
    pub gaps: Vec<Gap>,
    pub files: Vec<FileState>,
    pub total_bytes_read: u64,
    pub total_candidates: u64,
    pub total_submitted: u64,
    /// Failures with a line that was longer than a reader keeps.
    pub total_truncated: u64,
}

/// How long after its net should have caught a source is unattended.
const UNATTENDED_MS: u64 = 120_000;

impl LogSourceRuntimeStatus {
    /// `interval_ms` is the longest sleep of the source's reader.
    pub fn of(state: &SourceState, enabled: bool, interval_ms: u64, now_ms: u64) -> Self {
        let current = state.current();
        let heard = state.last_poll_at_ms.unwrap_or(state.updated_at_ms);
        let late = now_ms.saturating_sub(heard) > interval_ms.saturating_mul(2) + UNATTENDED_MS;
        let error = match &state.error {
            Some(error) => Some(error.clone()),
            None if enabled && late => Some(SourceError {
                code: LogErrorCode::Unattended,
                message: "no engine has read the source for a long time".into(),
                since_ms: heard,
                at_ms: now_ms,
            }),
            None => None,
        };
        Self {
            project_id: state.project_id.clone(),
            source_id: state.source_id.clone(),
            path: state.position.path.clone(),
            enabled,
            healthy: error.is_none(),
            offset: current.map_or(0, |file| file.offset),
            inode: current.map(|file| file.id.inode.to_string()),
            file_size: current.map(|file| file.size),
            last_poll_at_ms: state.last_poll_at_ms,
            last_candidate_at_ms: state.last_candidate_at_ms,
            last_submitted_at_ms: state.last_submitted_at_ms,
            last_error: error.as_ref().map(|error| error.message.clone()),
            last_error_code: error.as_ref().map(|error| error.code),
            last_error_at_ms: error.as_ref().map(|error| error.at_ms),
            consecutive_errors: state.consecutive_errors,
            restarts: state.restarts,
            lag_bytes: state.lag_bytes,
            oldest_unread_ms: state.oldest_unread_ms,
            newest_data_ms: state.newest_data_ms,
            gap_count: state.gap_count,
            possible_gap_count: state.possible_gap_count,
            gaps: state.gaps.clone(),
            files: state.position.files.clone(),
            total_bytes_read: state.total_bytes_read,
            total_candidates: state.total_candidates,
            total_submitted: state.total_submitted,
            total_truncated: state.total_truncated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::file::GapReason;

    fn spec(path: &str) -> SourceSpec {
        SourceSpec {
            root: "/srv".into(),
            path: path.into(),
            format: crate::config::LogFormat::Auto,
            minimum_level: crate::config::LogLevel::Error,
        }
    }

    fn file(offset: u64, mtime_ms: u64, finished: bool) -> FileState {
        FileState { path: "a.log".into(), offset, mtime_ms, finished, ..FileState::default() }
    }

    fn position(files: Vec<FileState>) -> SourcePosition {
        SourcePosition { files, ..SourcePosition::new("a.log") }
    }

    fn state() -> SourceState {
        SourceRow::new("p", "s", &spec("a.log"), 900, 1_000).state
    }

    #[test]
    fn the_row_survives_its_store_and_knows_its_id() {
        let mut row = SourceRow::new("p", "s", &spec("a.log"), 900, 1_000);
        row.state.position = position(vec![file(7, 1, false)]);
        let text = serde_json::to_string(&row).expect("it is written");
        assert_eq!(serde_json::from_str::<SourceRow>(&text).expect("it is read"), row);
        assert_eq!(row.id, "p/s");
    }

    #[test]
    fn illness_is_news_once_and_is_over_with_the_first_good_step() {
        let mut state = state();
        let gone = LogError::new(LogErrorCode::NotFound, "x".repeat(2_000));
        assert!(state.fail(&gone, 2_000));
        assert!(!state.fail(&gone, 3_000));
        let error = state.error.clone().expect("it is ill");
        assert_eq!((error.since_ms, error.at_ms, state.consecutive_errors), (2_000, 3_000, 2));
        assert!(error.message.len() < 600);
        assert!(state.fail(&LogError::new(LogErrorCode::Panicked, ""), 4_000));
        assert_eq!((state.restarts, state.error.as_ref().map(|error| error.since_ms)), (1, Some(4_000)));
        assert!(state.advance(position(vec![]), &Batch::default(), &Taken::default(), 5_000));
        assert!(!state.advance(position(vec![]), &Batch::default(), &Taken::default(), 6_000));
        assert_eq!((state.consecutive_errors, state.restarts), (0, 1));
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_counted_is_not() {
        let mut state = state();
        for n in 0..100_u64 {
            let gap =
                Gap { path: "a".into(), generation: 1, reason: GapReason::Gone, from: n, to: Some(n + 1), at_ms: n };
            let batch = Batch { gaps: vec![gap], bytes_read: 10, ..Batch::default() };
            let taken = Taken { candidates: 2, submitted: 1, truncated: 1, fingerprints: vec![format!("f{n}")] };
            state.advance(position(vec![]), &batch, &taken, 1_000 + n);
        }
        assert_eq!((state.gaps.len(), state.gap_count, state.gaps[0].from), (GAPS_KEPT, 100, 80));
        assert_eq!(state.recent_fingerprints.len(), FINGERPRINTS_KEPT);
        assert!(state.recent_fingerprints.contains_key("f99") && !state.recent_fingerprints.contains_key("f49"));
        assert_eq!((state.total_bytes_read, state.total_candidates, state.total_submitted), (1_000, 200, 100));
    }

    #[test]
    fn another_path_begins_anew_and_a_reset_begins_at_the_beginning() {
        let mut moved = state();
        moved.position = position(vec![file(9, 1, false)]);
        assert!(moved.is_of(&spec("a.log")) && !moved.is_of(&spec("b.log")));
        let mut reset = moved.clone();
        moved.repoint(&spec("b.log"), 8_000, 9_000);
        assert_eq!(moved.position.since_ms, 8_000);
        assert!(moved.position.files.is_empty() && !moved.position.from_beginning && moved.is_of(&spec("b.log")));
        reset.reset(9_000);
        assert!(reset.position.from_beginning && reset.is_of(&spec("a.log")));
        let shown = LogSourceState::from(&reset);
        assert_eq!((shown.offset, shown.positioned_at_ms), (0, Some(9_000)));
    }

    #[test]
    fn the_file_that_is_written_to_is_the_one_that_is_shown() {
        let files = vec![file(9, 5, true), file(3, 2, false), file(4, 4, false)];
        let state = SourceState { position: position(files), ..state() };
        assert_eq!(LogSourceState::from(&state).offset, 4);
        assert_eq!(LogSourceRuntimeStatus::of(&state, true, 1_000, 1_000).offset, 4);
    }

    #[test]
    fn freshness_is_that_of_the_data_and_silence_of_engines_is_an_error() {
        let mut state = state();
        let batch = |at| Batch { newest_data_ms: Some(at), ..Batch::default() };
        state.advance(position(vec![]), &batch(2_000), &Taken::default(), 9_000);
        assert_eq!(state.newest_data_ms, Some(2_000), "polling is no data");
        state.advance(position(vec![]), &batch(99_000), &Taken::default(), 10_000);
        assert_eq!(state.newest_data_ms, Some(10_000), "nothing is newer than now");
        let shown = |enabled, now| LogSourceRuntimeStatus::of(&state, enabled, 1_000, now);
        assert!(shown(true, 132_000).healthy);
        assert_eq!(shown(true, 132_001).last_error_code, Some(LogErrorCode::Unattended));
        assert!(shown(false, 999_000).healthy);
    }
}
