//! A failure as it was read from a log, and the report that it becomes.
//!
//! What tells failures apart (title, text, event, component) is kept apart from what helps a reader (context, other
//! fields), because only the first may reach the fingerprint.

use tandem_core::{
    fingerprint::parse_trace,
    risk,
    signal::{Classification, SafetyContext, Submission},
    text::floor_char_boundary,
};

use super::{aliases::Slot, head, level::Level, record::Record};

/// The longest title.
const TITLE: usize = 480;
/// The event of a failure that names none.
const EVENT: &str = "log.error";

/// The notation that a failure was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    Json,
    Plaintext,
}

/// One failure.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Where its first line begins in the file.
    pub start: u64,
    /// Behind its last line.
    pub end: u64,
    pub notation: Notation,
    pub level: Level,
    /// One line: what failed.
    pub message: String,
    /// The type of the exception that reached the top.
    pub error_type: Option<String>,
    /// The failure's own lines, or the message, error and stack of its record.
    pub text: String,
    /// The part of the text that is a stack.
    pub stack: Option<String>,
    pub event: Option<String>,
    pub component: Option<String>,
    pub process: Option<String>,
    pub run_id: Option<String>,
    pub session_id: Option<String>,
    pub correlation_id: Option<String>,
    /// When the line says that it happened, in milliseconds since 1970.
    pub timestamp_ms: Option<u64>,
    /// The writer's own grouping key.
    pub fingerprint: Option<String>,
    /// More than medium, as the log says.
    pub risk_level: Option<String>,
    pub safety: SafetyContext,
    /// What else a record says, by name.
    pub fields: Vec<(String, String)>,
    /// The lines before it.
    pub context: Vec<String>,
    /// A line of it was longer than what is kept, or the whole was.
    pub truncated: bool,
}

impl Found {
    /// A failure of one record.
    pub fn of_record(mut record: Record, notation: Notation, raw: &str, start: u64, end: u64) -> Self {
        let level = record.level();
        let safety = record.safety();
        let mut message = record.take(Slot::Message);
        let mut event = record.take(Slot::Event);
        if message.is_none() {
            // Structlog calls its message the event.
            message = event.take();
        }
        let event = event.or_else(|| record.take(Slot::ErrorKind));
        let error_type = record.take(Slot::ErrorType);
        let mut error = record.take(Slot::ErrorMessage);
        let mut stack = record.take(Slot::Stack);
        match record.take(Slot::Failure) {
            Some(text) if text.contains('\n') => stack = stack.or(Some(text)),
            other => error = error.or(other),
        }
        if stack.is_none() && message.as_deref().is_some_and(|m| m.contains('\n') && parse_trace(m).is_some()) {
            stack = message.take();
        }
        let error_line = error_line(error_type.as_deref(), error.as_deref());
        // Reading a trace costs more than all else, and intake does it again.
        let untold = error_type.is_none() || error_line.is_none();
        let trace = stack.as_deref().filter(|_| untold).and_then(parse_trace);
        let thrown = trace.as_ref().and_then(|trace| trace.exceptions.first());
        let error_type = error_type.or_else(|| thrown.and_then(|e| type_of(&e.kind)));
        let first = message.as_deref().and_then(|m| m.lines().map(str::trim).find(|l| !l.is_empty()));
        let cause = error_line.clone().or_else(|| thrown.map(|e| error_line_of(&e.kind, &e.message)));
        let title = match (first, cause) {
            (Some(first), Some(cause)) if !first.contains(&cause) => format!("{first}: {cause}"),
            (Some(first), _) => first.to_owned(),
            (None, Some(cause)) => cause,
            (None, None) => event.clone().unwrap_or_else(|| raw.trim().to_owned()),
        };
        let mut text = String::new();
        for part in [message.as_deref(), error_line.as_deref(), stack.as_deref()].into_iter().flatten() {
            // A stack usually begins with the line that names the exception.
            if !text.is_empty() && text.contains(part) {
                continue;
            }
            if Some(part) == error_line.as_deref() && stack.as_deref().is_some_and(|stack| stack.contains(part)) {
                continue;
            }
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(part.trim_end());
        }
        if text.is_empty() {
            text.clone_from(&title);
        }
        Self {
            start,
            end,
            notation,
            level,
            message: title_of(&title),
            error_type,
            text,
            stack,
            event,
            component: record.take(Slot::Component),
            process: record.take(Slot::Process),
            run_id: record.take(Slot::Run),
            session_id: record.take(Slot::Session),
            correlation_id: record.take(Slot::Request),
            timestamp_ms: record.time_ms(),
            fingerprint: record.take(Slot::Fingerprint),
            risk_level: record.take(Slot::RiskLevel).and_then(|level| raised(&level)),
            safety,
            fields: std::mem::take(&mut record.fields),
            context: Vec::new(),
            truncated: false,
        }
    }

    /// A failure of lines of text; `stack` when they are a trace.
    pub fn of_text(level: Level, text: String, stack: Option<String>, start: u64, end: u64) -> Self {
        let trace = stack.as_deref().and_then(parse_trace);
        let thrown = trace.as_ref().and_then(|trace| trace.exceptions.first());
        let thrown_line = thrown.map(|e| error_line_of(&e.kind, head::message(&e.message)));
        let first = || text.lines().map(head::message).find(|l| !l.is_empty()).unwrap_or(text.trim()).to_owned();
        let title = thrown_line.filter(|line| !line.is_empty()).unwrap_or_else(first);
        Self {
            start,
            end,
            notation: Notation::Plaintext,
            level,
            message: title_of(&title),
            error_type: thrown.and_then(|e| type_of(&e.kind)),
            text,
            stack,
            event: None,
            component: None,
            process: None,
            run_id: None,
            session_id: None,
            correlation_id: None,
            timestamp_ms: None,
            fingerprint: None,
            risk_level: None,
            safety: SafetyContext::default(),
            fields: Vec::new(),
            context: Vec::new(),
            truncated: false,
        }
    }

    /// The report of this failure. Whose it is and where it stands is for the caller to add.
    pub fn submission(&self) -> Submission {
        let fields = self.fields.iter().map(|(name, value)| format!("{name}: {value}"));
        let cut = self.truncated.then(|| "(cut: longer than what is kept of one failure)".to_owned());
        Submission {
            title: Some(self.message.clone()),
            detail: Some(self.text.clone()),
            level: Some(self.level.word().to_owned()),
            event: Some(self.event.clone().unwrap_or_else(|| EVENT.to_owned())),
            component: self.component.clone(),
            process: self.process.clone(),
            run_id: self.run_id.clone(),
            session_id: self.session_id.clone(),
            correlation_id: self.correlation_id.clone(),
            fingerprint: self.fingerprint.clone(),
            context: cut.into_iter().chain(self.context.iter().cloned()).chain(fields).collect(),
            safety: self.safety.clone(),
            classification: Classification {
                confidence: Some("high".to_owned()),
                risk_level: self.risk_level.clone(),
                ..Classification::default()
            },
            ..Submission::default()
        }
    }
}

/// A risk that the writer of the log says, where it is more than what every failure of a log has. Never less: a log does not
/// talk its failures small.
fn raised(level: &str) -> Option<String> {
    let level = risk::raise("medium", Some(level));
    (level != "medium").then(|| level.to_lowercase())
}

/// The name of a type; `error` is what a reader says of a stack that names none.
fn type_of(kind: &str) -> Option<String> {
    (!kind.is_empty() && kind != "error").then(|| kind.to_owned())
}

fn error_line(kind: Option<&str>, message: Option<&str>) -> Option<String> {
    match (kind, message) {
        (None, None) => None,
        (kind, message) => Some(error_line_of(kind.unwrap_or_default(), message.unwrap_or_default())),
    }
}

/// `KeyError: 'id'`, without saying the type twice.
fn error_line_of(kind: &str, message: &str) -> String {
    let message = message.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
    if message.is_empty() {
        kind.to_owned()
    } else if kind.is_empty() || message.starts_with(kind) {
        message.to_owned()
    } else {
        format!("{kind}: {message}")
    }
}

/// One line of bounded length that ends with a whole character, and a whole word if there is one.
fn title_of(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
    if line.len() <= TITLE {
        return line.to_owned();
    }
    let cut = &line[..floor_char_boundary(line, TITLE)];
    let cut = cut.rfind(' ').filter(|at| *at > TITLE / 2).map_or(cut, |at| &cut[..at]);
    format!("{cut}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_raises_its_risk_and_never_lowers_it() {
        for (said, wanted) in [
            ("critical", Some("critical")),
            (" High ", Some("high")),
            ("medium", None),
            ("moderate", None),
            ("low", None),
            ("none", None),
            ("whatever", None),
            ("", None),
        ] {
            assert_eq!(raised(said).as_deref(), wanted, "{said}");
        }
    }
}
