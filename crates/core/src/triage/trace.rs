//! The one place where triage meets the stack trace reader of grouping.

use super::inspect::{ExceptionFact, FrameFact};

/// A trace in triage's words: exceptions outermost first, with the frames of each innermost first.
#[derive(Clone, Debug, Default)]
pub struct Traced {
    pub language: String,
    pub exceptions: Vec<(ExceptionFact, Vec<FrameFact>)>,
}

pub fn read(text: &str) -> Option<Traced> {
    let trace = crate::fingerprint::parse_trace(text)?;
    let language = serde_json::to_value(trace.language).ok()?.as_str()?.to_owned();
    let exceptions = trace
        .exceptions
        .into_iter()
        .map(|exception| {
            let frames = exception.frames.into_iter().map(|frame| FrameFact {
                function: frame.function,
                module: frame.module,
                file: frame.file,
                line: frame.line.map(u64::from),
                in_app: frame.in_app,
            });
            (ExceptionFact { kind: exception.kind, message: exception.message }, frames.collect())
        })
        .collect();
    Some(Traced { language, exceptions })
}
