//! The one place where triage meets the stack trace reader of grouping.

use super::inspect::{ExceptionFact, FrameFact};

/// A trace in triage's words: exceptions outermost first, with the frames of each innermost first.
#[derive(Clone, Debug, Default)]
pub struct Traced {
    pub language: String,
    pub exceptions: Vec<(ExceptionFact, Vec<FrameFact>)>,
}

pub fn read(_text: &str) -> Option<Traced> {
    None
}
