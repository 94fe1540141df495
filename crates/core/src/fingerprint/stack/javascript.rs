//! V8 stack traces (Node, Deno, Chrome) and the `name@place` lines of other browsers; `cause` chains.

use super::{Exception, Frame, Language, Trace, field, header, indent, location, some};

pub fn read(lines: &[&str]) -> Option<Trace> {
    let first = lines.iter().position(|l| frame(l).is_some())?;
    let mut chain = vec![before(lines, first)];
    let margin = indent(lines[first]);
    for line in lines.iter().skip(first) {
        let text = line.trim_start();
        if let Some(frame) = frame(line) {
            if let Some(last) = chain.last_mut() {
                last.frames.push(frame);
            }
        } else if let Some(cause) = text.strip_prefix("[cause]: ").or_else(|| text.strip_prefix("Caused by: ")) {
            chain.push(named(cause.trim_end_matches([' ', '{'])));
        } else if text.starts_with("... ") || text.is_empty() || text.starts_with("at ") {
            continue;
        } else if indent(line) < margin && !text.starts_with(['}', '[', ']']) && !property(text) {
            break;
        }
        if chain.len() > super::bounds::EXCEPTIONS {
            break;
        }
    }
    // Frames alone with nothing before them may be anything.
    let told = chain.iter().any(|e| !e.kind.is_empty()) || chain[0].frames.len() > 1;
    told.then_some(Trace { language: Language::JavaScript, exceptions: chain })
}

/// A property of the error that Node prints behind the frames: `code: 'ECONNREFUSED',`.
fn property(text: &str) -> bool {
    text.split_once(": ").is_some_and(|(name, _)| {
        name.starts_with(char::is_lowercase) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

/// The error named above the first frame. Test runners print the source between the two.
fn before(lines: &[&str], first: usize) -> Exception {
    let mut nearest = None;
    for line in lines[..first].iter().rev().take(30) {
        let text = line.trim_start();
        if text.is_empty() {
            continue;
        }
        nearest = nearest.or(Some(text));
        let text = text.split_once("Uncaught ").map_or(text, |(_, rest)| rest);
        let text = text.strip_prefix("(in promise) ").unwrap_or(text);
        let text =
            text.split_once("Warning: ").filter(|(head, _)| head.ends_with("Rejection")).map_or(text, |(_, t)| t);
        if let Some((kind, message)) = header::find(text) {
            return Exception { kind: field(kind), message: field(message), frames: Vec::new() };
        }
    }
    Exception { kind: String::new(), message: field(nearest.unwrap_or_default()), frames: Vec::new() }
}

fn named(text: &str) -> Exception {
    let (kind, message) = header::find(text).unwrap_or(("", text));
    Exception { kind: field(kind), message: field(message), frames: Vec::new() }
}

fn frame(line: &str) -> Option<Frame> {
    let text = line.trim_start();
    match text.strip_prefix("at ") {
        Some(text) => v8(text),
        None => browser(text),
    }
}

/// `async Object.run [as handler] (file:///app/x.mjs:1:2)`, `/app/x.js:1:2`, `new Foo (<anonymous>)`
fn v8(text: &str) -> Option<Frame> {
    // Node opens a brace behind the last frame when the error has properties.
    let text = text.trim_end_matches([' ', '{']);
    if let Some((name, place)) = text.strip_suffix(')').and_then(|t| t.rsplit_once(" (")) {
        let function = name.strip_prefix("async ").unwrap_or(name);
        let function = function.split(" [as ").next().unwrap_or(function);
        if matches!(place, "<anonymous>" | "native") || place.starts_with("index ") {
            return Some(Frame { function: some(function), ..Frame::default() });
        }
        let place = place.rsplit_once(" (").map_or(place, |(_, p)| p.trim_end_matches(')'));
        return script(function, place);
    }
    script("", text.strip_prefix("async ").unwrap_or(text))
}

/// `run@https://example.com/static/app.js:1:2`
fn browser(text: &str) -> Option<Frame> {
    let (function, place) = text.split_once('@')?;
    let known = place.starts_with("http") || place.starts_with("file:") || place.starts_with("webpack");
    (known && !function.contains(' ')).then(|| script(function, place))?
}

fn script(function: &str, place: &str) -> Option<Frame> {
    let (file, line, column) = location(place)?;
    // Without a column this is another language's place.
    column?;
    let function = if function == "<anonymous>" { "" } else { function };
    let file = file.strip_prefix("file://").unwrap_or(file);
    // A frame's place is one word; a sentence with a time of day in it is not.
    let place = !file.contains(char::is_whitespace) || file.starts_with(['/', '\\']) || file.get(1..3) == Some(":\\");
    (place && !file.ends_with(".rs")).then(|| Frame {
        function: some(function),
        file: some(file),
        line: Some(line),
        column,
        ..Frame::default()
    })
}
