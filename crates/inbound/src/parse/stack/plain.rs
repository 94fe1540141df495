//! A line that says that something failed, before it is known whether a trace follows.

use tandem_core::fingerprint::stack::named_exception;

use super::{MESSAGE_LINES, Shape, Step, View, at};

/// The most lines of a failure that is no trace.
const LINES: usize = 50;

#[derive(Clone, Debug, Default)]
pub struct Plain {
    /// A logger wrote the line, so that a trace behind it belongs to it.
    logged: bool,
    /// The line has a prefix, so that lines without one are likely to be more of it.
    prefixed: bool,
    /// The exception was named on a line of its own.
    named: bool,
    lines: usize,
    message: usize,
}

impl Plain {
    pub fn new(logged: bool, prefixed: bool) -> Self {
        Self { logged, prefixed, ..Self::default() }
    }

    pub fn step(&mut self, view: View<'_>) -> (Step, Option<Shape>) {
        self.lines += 1;
        let text = view.text.trim_start();
        if view.blank() {
            return (Step::Maybe, None);
        }
        if view.levelled || self.lines > LINES {
            return (Step::No, None);
        }
        if let Some(shape) = Shape::start(view.text) {
            // Frames of Ruby belong to the line above them; every other start is a failure of its own unless a logger
            // has announced it.
            let joins =
                (self.logged && !self.named) || matches!(shape, Shape::Ruby(_)) || text.starts_with("goroutine ");
            return if joins && !view.waiting { (Step::Part, Some(shape)) } else { (Step::No, None) };
        }
        if let Some(shape) = Shape::frames(view.text).or_else(|| at::cause(text).map(Shape::At)) {
            return (Step::Part, Some(shape));
        }
        if view.indented() || belongs(text) {
            return (Step::Part, None);
        }
        if view.prefixed {
            return (Step::No, None);
        }
        if named_exception(text).is_some() || rails(text) {
            let joins = self.logged && !self.named && !view.waiting;
            self.named = true;
            return (if joins { Step::Part } else { Step::No }, None);
        }
        // On a console anything may follow, so only what could name an exception is worth waiting for.
        if !self.prefixed && (self.message > 0 || !names(text)) {
            return (Step::No, None);
        }
        self.message += 1;
        (if self.message <= MESSAGE_LINES { Step::Maybe } else { Step::No }, None)
    }
}

/// `NoMethodError (undefined method `total' for nil:NilClass):`
fn rails(text: &str) -> bool {
    text.ends_with("):") && text.split_once(" (").is_some_and(|(kind, _)| named_exception(kind).is_some())
}

/// `com.acme.Boom: no such order`, `Boom`
fn names(text: &str) -> bool {
    let name = text.split(": ").next().unwrap_or_default();
    let last = name.rsplit(['.', '$', ':']).next().unwrap_or_default();
    last.starts_with(char::is_uppercase) && !name.contains(char::is_whitespace)
}

/// What runtimes and databases print below an error.
fn belongs(text: &str) -> bool {
    // PostgreSQL sets two blanks, and puts user and database before them.
    const DETAILS: [&str; 6] = ["DETAIL:  ", "HINT:  ", "STATEMENT:  ", "CONTEXT:  ", "QUERY:  ", "LOCATION:  "];
    const STARTS: [&str; 8] = [
        "Caused by:",
        "Stack trace:",
        "Stack backtrace:",
        "stack backtrace:",
        "[stacktrace]",
        "Backtrace:",
        "note: ",
        "Location:",
    ];
    STARTS.iter().any(|start| text.starts_with(start))
        || DETAILS.iter().any(|d| text.find(d).is_some_and(|at| at == 0 || (at < 80 && text[..at].ends_with(' '))))
        || text.strip_prefix('#').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}
