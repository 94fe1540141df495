//! Which lines belong to a failure that has begun: a small state for each language's traces, fed line by line.
//!
//! A state answers for each line whether it is part of the failure, not part, or perhaps: a blank line or the second
//! line of a message is part only if something behind it is. What a trace means is read elsewhere, from its whole text;
//! here is only where it ends.

mod at;
mod go;
mod plain;
mod python;
mod ruby;
mod rust;

pub use plain::Plain;

/// Whether a line belongs to the failure before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Part,
    /// Part if a later line is.
    Maybe,
    No,
}

/// One line as a state sees it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Without the prefix of a logger, with its indentation.
    pub text: &'a str,
    /// There was such a prefix.
    pub prefixed: bool,
    /// The prefix named a level.
    pub levelled: bool,
    /// Lines that are not blank wait for a decision.
    pub waiting: bool,
}

impl View<'_> {
    fn blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    fn indented(&self) -> bool {
        self.text.starts_with([' ', '\t'])
    }
}

/// The failure that is being read.
#[derive(Clone, Debug)]
pub enum Shape {
    Plain(Plain),
    Python(python::Python),
    At(at::At),
    Go(go::Go),
    Rust(rust::Rust),
    Ruby(ruby::Ruby),
}

/// How many lines of a message may stand before the frames that prove it to be one.
const MESSAGE_LINES: usize = 12;

impl Shape {
    /// The state of a trace that begins with this line.
    pub fn start(text: &str) -> Option<Self> {
        python::start(text)
            .map(Self::Python)
            .or_else(|| rust::start(text).map(Self::Rust))
            .or_else(|| go::start(text).map(Self::Go))
            .or_else(|| ruby::start(text).map(Self::Ruby))
    }

    /// The state of frames whose header was an ordinary line.
    pub fn frames(text: &str) -> Option<Self> {
        ruby::frame(text)
            .then(|| Self::Ruby(ruby::Ruby::default()))
            .or_else(|| at::frame(text).then(|| Self::At(at::At::default())))
    }

    /// Judges the next line. The state may become another: a log line is followed by a trace.
    pub fn step(&mut self, view: View<'_>) -> Step {
        let (step, next) = match self {
            Self::Plain(state) => state.step(view),
            Self::Python(state) => (state.step(view), None),
            Self::At(state) => (state.step(view), None),
            Self::Go(state) => (state.step(view), None),
            Self::Rust(state) => (state.step(view), None),
            Self::Ruby(state) => (state.step(view), None),
        };
        if let Some(next) = next {
            *self = next;
        }
        step
    }

    /// Whether the failure is a trace rather than a line.
    pub fn traced(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    /// Whether something essential is still to come, so that waiting for it longer is worth it.
    pub fn unfinished(&self) -> bool {
        match self {
            Self::Python(state) => state.unfinished(),
            Self::Rust(state) => state.unfinished(),
            Self::Go(state) => state.unfinished(),
            Self::Plain(_) | Self::At(_) | Self::Ruby(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;
