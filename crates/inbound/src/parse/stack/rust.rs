//! Rust: the panic with its place, the message below it, and a backtrace or the advice how to get one.

use super::{MESSAGE_LINES, Step, View};

#[derive(Clone, Debug)]
pub struct Rust {
    /// The message stands on the next line.
    due: bool,
    traced: bool,
    message: usize,
}

pub fn start(text: &str) -> Option<Rust> {
    let (head, place) = text.split_once("panicked at ")?;
    // The old form has the message on the same line.
    head.contains("thread ").then(|| Rust {
        due: place.trim_end().ends_with(':'),
        traced: false,
        message: MESSAGE_LINES,
    })
}

impl Rust {
    pub fn unfinished(&self) -> bool {
        self.due
    }

    pub fn step(&mut self, view: View<'_>) -> Step {
        let text = view.text.trim_start();
        if start(text).is_some() || view.levelled {
            return Step::No;
        }
        if self.due {
            self.due = false;
            return Step::Part;
        }
        if view.blank() {
            return Step::Maybe;
        }
        if text.starts_with("note: ") || text.eq_ignore_ascii_case("stack backtrace:") {
            self.traced = true;
            return Step::Part;
        }
        if view.indented() {
            return Step::Part;
        }
        if !self.traced && self.message > 0 && !view.prefixed {
            self.message -= 1;
            return Step::Maybe;
        }
        Step::No
    }
}
