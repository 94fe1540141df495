//! Go: the panic, then goroutines, each a list of calls with the place of each on the line below it.

use super::{MESSAGE_LINES, Step, View};

#[derive(Clone, Debug, Default)]
pub struct Go {
    /// A goroutine was read.
    dumped: bool,
    message: usize,
    /// The exit of the process was read.
    over: bool,
}

pub fn start(text: &str) -> Option<Go> {
    let dumped = goroutine(text);
    (dumped
        || text.starts_with("panic: ")
        || text.starts_with("fatal error: ")
        || text.contains("http: panic serving "))
    .then_some(Go { dumped, message: MESSAGE_LINES, over: false })
}

impl Go {
    pub fn unfinished(&self) -> bool {
        !self.dumped
    }

    pub fn step(&mut self, view: View<'_>) -> Step {
        let text = view.text.trim_start();
        if self.over {
            return Step::No;
        }
        if view.blank() {
            return Step::Maybe;
        }
        if goroutine(text) {
            self.dumped = true;
            return Step::Part;
        }
        if text.starts_with("exit status ") && !view.indented() {
            self.over = true;
            return Step::Part;
        }
        if view.indented() && !view.levelled {
            return Step::Part;
        }
        if ["created by ", "[signal ", "runtime stack:", "...", "goroutine running on "]
            .iter()
            .any(|s| text.starts_with(s))
        {
            return Step::Part;
        }
        if !self.dumped && (text.starts_with("fatal error: ") || text.starts_with("runtime: ")) {
            return Step::Part;
        }
        if self.dumped && (register(text) || text.starts_with("exit status ")) {
            return Step::Part;
        }
        // A call is one only if its place follows.
        if self.dumped && call(text) {
            return Step::Maybe;
        }
        if !self.dumped && self.message > 0 && !view.prefixed && !text.starts_with("panic: ") {
            self.message -= 1;
            return Step::Maybe;
        }
        Step::No
    }
}

/// `goroutine 17 [running]:`
fn goroutine(text: &str) -> bool {
    text.strip_prefix("goroutine ").is_some_and(|rest| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        digits > 0 && rest[digits..].contains('[') && rest.trim_end().ends_with(':')
    })
}

/// `main.(*Server).Handle(0xc000010250, {0x1, 0x2})`
fn call(text: &str) -> bool {
    text.trim_end().ends_with(')')
        && text.find('(').is_some_and(|open| open > 0 && !text[..open].contains(char::is_whitespace))
}

/// `rax    0x0`, printed after a signal.
fn register(text: &str) -> bool {
    text.split_once(' ').is_some_and(|(name, value)| name.len() <= 7 && value.trim_start().starts_with("0x"))
}
