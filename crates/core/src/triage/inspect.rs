//! Phase one: what the report itself says. Language, chain of exceptions, frames, error line, kind of failure and the
//! words to search for. Every search term is made of words of this report.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{failure_type, report::Report, terms, trace};
use crate::{draft::Draft, incident::Incident, text::truncate};

pub use super::{failure_type::FailureType, terms::TERM_CAP};

/// A frame of a stack trace, as the trace names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FrameFact {
    pub function: Option<String>,
    pub module: Option<String>,
    pub file: Option<String>,
    pub line: Option<u64>,
    pub in_app: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExceptionFact {
    pub kind: String,
    pub message: String,
}

impl ExceptionFact {
    /// `kind: message`, as far as known, on one line.
    pub fn label(&self) -> String {
        let both = [self.kind.as_str(), self.message.as_str()];
        let known: Vec<&str> = both.into_iter().filter(|part| !part.is_empty()).collect();
        truncate(&known.join(": "), LINE)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Inspection {
    pub language: Option<String>,
    /// Outermost first; the last one is the root cause.
    pub exceptions: Vec<ExceptionFact>,
    /// The innermost frames of our own code, innermost first; when there are none, of libraries.
    pub top_frames: Vec<FrameFact>,
    pub error_line: Option<String>,
    pub failure_type: FailureType,
    /// The words that decided the failure type.
    pub failure_type_evidence: Option<String>,
    /// Lines of the report, for the logs of an issue.
    pub log_lines: Vec<String>,
    /// At most [`TERM_CAP`], each of them words of this report.
    pub terms: Vec<String>,
    /// By which similar failures are recognised.
    pub exception_key: Option<String>,
    pub top_frame_key: Option<String>,
}

const EXCEPTIONS: usize = 8;
const FRAMES: usize = 8;
const LOG_LINES: usize = 20;
const LINE: usize = 500;

impl Inspection {
    pub fn root_cause(&self) -> Option<&ExceptionFact> {
        self.exceptions.last()
    }

    /// The one line that says what went wrong.
    pub fn headline(&self) -> Option<String> {
        self.root_cause().map(ExceptionFact::label).filter(|l| !l.is_empty()).or_else(|| self.error_line.clone())
    }
}

pub fn inspect(draft: &Draft, incident: Option<&Incident>) -> Inspection {
    let report = Report::of(draft, incident);
    let traced = traced(&report);
    let frames = traced.as_ref().map(top_frames).unwrap_or_default();
    let exceptions: Vec<ExceptionFact> = traced.as_ref().map(chain).unwrap_or_default();
    let error_line = error_line(&report);
    let (failure_type, failure_type_evidence) =
        failure_type::decide(&exceptions, error_line.as_deref(), report.title, frames.iter().any(|f| f.in_app));
    let (exception_key, top_frame_key) = keys(&exceptions, &frames);
    Inspection {
        terms: terms::of(&report, &exceptions, &frames, error_line.as_deref()),
        log_lines: log_lines(&report, error_line.as_deref()),
        language: traced.map(|t| t.language),
        exceptions,
        top_frames: frames,
        error_line,
        failure_type,
        failure_type_evidence,
        exception_key,
        top_frame_key,
    }
}

/// The exception and the frame by which a failure is recognised as similar.
pub fn signature(detail: Option<&str>, excerpt: &[String]) -> (Option<String>, Option<String>) {
    let report = Report {
        detail: detail.unwrap_or_default(),
        excerpt: excerpt.iter().map(String::as_str).collect(),
        ..Report::default()
    };
    match traced(&report) {
        Some(trace) => keys(&chain(&trace), &top_frames(&trace)),
        None => (None, None),
    }
}

fn traced(report: &Report<'_>) -> Option<trace::Traced> {
    // An excerpt stands alone when the detail before it hides the trace's beginning.
    trace::read(&report.text()).or_else(|| trace::read(&report.excerpt.join("\n")))
}

fn chain(trace: &trace::Traced) -> Vec<ExceptionFact> {
    // The root cause must survive the cut.
    let skip = trace.exceptions.len().saturating_sub(EXCEPTIONS);
    trace.exceptions[skip..]
        .iter()
        .map(|(e, _)| ExceptionFact { kind: truncate(&e.kind, LINE), message: truncate(&e.message, LINE) })
        .collect()
}

/// From the root cause outwards: the frames of the first exception that has frames of our own, else any frames.
fn top_frames(trace: &trace::Traced) -> Vec<FrameFact> {
    let own = trace.exceptions.iter().rev().map(|(_, frames)| frames.iter().filter(|f| f.in_app).collect::<Vec<_>>());
    let any = trace.exceptions.iter().rev().map(|(_, frames)| frames.iter().collect::<Vec<_>>());
    own.chain(any)
        .find(|frames| !frames.is_empty())
        .unwrap_or_default()
        .into_iter()
        .take(FRAMES)
        .map(|frame| FrameFact {
            function: frame.function.as_deref().map(|f| truncate(f, LINE)),
            module: frame.module.as_deref().map(|m| truncate(m, LINE)),
            file: frame.file.as_deref().map(|f| truncate(f, LINE)),
            ..frame.clone()
        })
        .collect()
}

/// Only our own code makes two failures similar: libraries throw the same from everywhere.
fn keys(exceptions: &[ExceptionFact], frames: &[FrameFact]) -> (Option<String>, Option<String>) {
    let kind = exceptions.last().map(|e| e.kind.clone()).filter(|kind| !kind.is_empty());
    let frame = frames.first().filter(|frame| frame.in_app).and_then(|frame| {
        let file = frame.file.as_deref().and_then(|file| file.rsplit(['/', '\\']).next()).unwrap_or_default();
        let function = frame.function.as_deref().unwrap_or_default();
        (!file.is_empty() || !function.is_empty()).then(|| format!("{function}@{file}"))
    });
    (kind, frame)
}

const ERROR_WORDS: [&str; 15] = [
    "error",
    "exception",
    "panic",
    "fatal",
    "failed",
    "failure",
    "cannot",
    "could not",
    "timed out",
    "timeout",
    "refused",
    "denied",
    "unable to",
    "not found",
    "invalid",
];

/// The first line that reads like an error, as written.
fn error_line(report: &Report<'_>) -> Option<String> {
    report
        .excerpt
        .iter()
        .copied()
        .chain(report.detail.lines().take(400))
        .map(str::trim)
        .find(|line| {
            let lower = line.to_ascii_lowercase();
            line.len() > 3 && ERROR_WORDS.iter().any(|word| lower.contains(word))
        })
        .map(|line| truncate(line, LINE))
}

/// The excerpt, else the detail from just before its error line on.
fn log_lines(report: &Report<'_>, error_line: Option<&str>) -> Vec<String> {
    let lines: Vec<&str> = if report.excerpt.is_empty() {
        let all: Vec<&str> = report.detail.lines().take(400).collect();
        let at = error_line.and_then(|error| all.iter().position(|line| line.trim() == error)).unwrap_or(0);
        all[at.saturating_sub(3)..].to_vec()
    } else {
        report.excerpt.clone()
    };
    lines
        .into_iter()
        .map(str::trim_end)
        .filter(|line| !line.trim().is_empty())
        .take(LOG_LINES)
        .map(|line| truncate(line, LINE))
        .collect()
}
