//! Ruby: the place with the message, callers below it, a cause as another place with a message.

use super::{Step, View};

#[derive(Clone, Debug, Default)]
pub struct Ruby {
    /// The line that began the trace: seen again, it is another failure.
    first: Option<String>,
}

pub fn start(text: &str) -> Option<Ruby> {
    raised(text).then(|| Ruby { first: Some(text.trim().to_owned()) })
}

/// `app/x.rb:12:in 'price': undefined method (NoMethodError)`
fn raised(text: &str) -> bool {
    frame(text)
        && text
            .trim_end()
            .strip_suffix(')')
            .and_then(|t| t.rsplit_once(" ("))
            .is_some_and(|(_, kind)| kind.starts_with(char::is_uppercase) && !kind.contains(' '))
}

/// ``from app/x.rb:12:in `block in show'``, with or without the word.
pub fn frame(text: &str) -> bool {
    let text = text.trim_start();
    let text = text.strip_prefix("from ").unwrap_or(text);
    let marks = [".rb:", ".erb:", ".rake:", ".ru:", ".haml:", ".slim:", ":in `", ":in '"];
    let Some(mark) = marks.iter().find_map(|m| text.find(m)) else { return false };
    // A path has no white space before its place, unless it begins at the root.
    let path = &text[..mark];
    let place = &text[mark..];
    let place =
        place.split_once(':').is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit() || c == 'i'));
    place && !path.is_empty() && (!path.contains(char::is_whitespace) || path.starts_with('/'))
}

impl Ruby {
    pub fn step(&mut self, view: View<'_>) -> Step {
        if view.levelled {
            return Step::No;
        }
        if view.blank() {
            return Step::Maybe;
        }
        if raised(view.text) && !view.indented() {
            let again = self.first.as_deref() == Some(view.text.trim());
            return if again || view.waiting { Step::No } else { Step::Part };
        }
        if frame(view.text) || view.text.trim_start().starts_with("... ") {
            return Step::Part;
        }
        if view.indented() { Step::Part } else { Step::No }
    }
}
