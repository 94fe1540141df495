//! The family of traces whose frames begin with `at`: Java, JavaScript, .NET.

use super::{MESSAGE_LINES, Step, View};

#[derive(Clone, Debug, Default)]
pub struct At {
    /// How many lines of a cause's message may still come before its first frame.
    message: usize,
    /// The runtime's farewell was read.
    over: bool,
}

/// `at com.acme.Job.run(Job.java:3)`, `at /app/x.js:1:2`, `at Acme.Job.Run() in …`
pub fn frame(text: &str) -> bool {
    text.trim_start().strip_prefix("at ").is_some_and(|rest| rest.contains(['(', ':']) && !rest.starts_with(' '))
}

/// The state behind a line that opens a cause.
pub fn cause(text: &str) -> Option<At> {
    const STARTS: [&str; 5] = ["Caused by: ", "Suppressed: ", "Wrapped by: ", "---> ", "[cause]: "];
    STARTS.iter().any(|start| text.starts_with(start)).then_some(At { message: MESSAGE_LINES, over: false })
}

impl At {
    pub fn step(&mut self, view: View<'_>) -> Step {
        let text = view.text.trim_start();
        if self.over {
            return Step::No;
        }
        if view.blank() {
            return Step::Maybe;
        }
        if frame(view.text) {
            self.message = 0;
            return Step::Part;
        }
        if let Some(next) = cause(text) {
            *self = next;
            return Step::Part;
        }
        if ["... ", "--- ", "[CIRCULAR REFERENCE", "Emitted 'error' event", "From previous event:"]
            .iter()
            .any(|start| text.starts_with(start))
        {
            return Step::Part;
        }
        if text.starts_with("Node.js v") {
            self.over = true;
            return Step::Part;
        }
        if view.indented() && !view.levelled && !view.waiting {
            return Step::Part;
        }
        // The end of an error's properties.
        if !view.prefixed && text.starts_with(['}', ']']) && text.len() <= 3 {
            return Step::Part;
        }
        if self.message > 0 && !view.prefixed {
            self.message -= 1;
            return Step::Maybe;
        }
        Step::No
    }
}
