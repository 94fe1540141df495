//! CPython: frames, then the line that names the exception; chained ones behind a blank line and a sentence.

use super::{Step, View};

const HEADER: &str = "Traceback (most recent call last)";

#[derive(Clone, Debug)]
pub struct Python {
    grouped: bool,
    /// Every line of it has a level, its last one too.
    levelled: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The exception is not named yet.
    Frames,
    Named,
    /// The sentence between two exceptions of a chain was read.
    Joint,
}

pub fn start(text: &str) -> Option<Python> {
    text.contains(HEADER).then(|| Python {
        grouped: text.contains("Exception Group Traceback"),
        levelled: false,
        state: State::Frames,
    })
}

impl Python {
    pub fn unfinished(&self) -> bool {
        self.state != State::Named
    }

    pub fn step(&mut self, view: View<'_>) -> Step {
        let text = view.text.trim_start();
        if self.grouped && (text.starts_with('|') || text.starts_with('+')) {
            // The members of a group stand behind a margin.
            self.state = State::Named;
            return Step::Part;
        }
        match self.state {
            State::Frames if view.blank() => Step::No,
            State::Frames if view.indented() => {
                self.levelled |= view.levelled;
                Step::Part
            }
            State::Frames if exception(text) && view.levelled == self.levelled => {
                self.state = State::Named;
                Step::Part
            }
            State::Frames => Step::No,
            State::Named | State::Joint if view.blank() => Step::Maybe,
            State::Named if joint(text) => {
                self.state = State::Joint;
                Step::Maybe
            }
            State::Joint if text.contains(HEADER) => {
                self.grouped = text.contains("Exception Group");
                self.state = State::Frames;
                Step::Part
            }
            State::Named if !view.waiting && (detail(text) || (view.indented() && !view.levelled)) => Step::Part,
            State::Named | State::Joint => Step::No,
        }
    }
}

fn joint(text: &str) -> bool {
    text.starts_with("During handling of the above exception")
        || text.starts_with("The above exception was the direct cause")
}

/// `KeyError: 'id'`, `KeyboardInterrupt`, `app.errors.Boom: …`; Ruby's traces of terminals end with a place.
fn exception(text: &str) -> bool {
    let name = text.split([':', ' ']).next().unwrap_or_default();
    let ident = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '<' | '>');
    let rest = &text[name.len()..];
    (name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.len() <= 200
        && name.chars().all(ident)
        && (rest.trim().is_empty() || rest.starts_with(':')))
        || text.contains(".rb:")
}

/// Lines that databases and their drivers add to a message.
fn detail(text: &str) -> bool {
    ["DETAIL:", "HINT:", "CONTEXT:", "LINE ", "[SQL:", "[parameters:", "(Background on this error"]
        .iter()
        .any(|start| text.starts_with(start))
}
