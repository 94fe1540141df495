//! JVM stack traces: `Caused by`, `Wrapped by`, suppressed exceptions left out, `... 12 more` filled in.

use super::{Exception, Frame, Language, Trace, field, header, indent, some};

pub fn read(lines: &[&str]) -> Option<Trace> {
    let first = lines.iter().position(|l| frame(l).is_some())?;
    let mut chain = vec![before(lines, first)];
    let mut root_first = false;
    let mut suppressed = None;
    for line in lines.iter().skip(first) {
        let depth = indent(line);
        let text = line.trim_start();
        if suppressed.is_some_and(|s| depth > s) {
            continue;
        }
        suppressed = None;
        if let Some(frame) = frame(line) {
            if let Some(last) = chain.last_mut() {
                last.frames.push(frame);
            }
        } else if text.starts_with("Suppressed: ") {
            suppressed = Some(depth);
        } else if let Some(cause) = text.strip_prefix("Caused by: ") {
            chain.push(named(cause));
        } else if let Some(wrapper) = text.strip_prefix("Wrapped by: ") {
            root_first = true;
            chain.push(named(wrapper));
        } else if let Some(count) = common(text) {
            fill(&mut chain, count);
        } else if chain.last().is_some_and(|e| !e.frames.is_empty()) && !text.starts_with('[') && !text.is_empty() {
            // Anything else between frames and the next cause ends the trace; a message's second line does not.
            break;
        }
        if chain.len() > super::bounds::EXCEPTIONS {
            break;
        }
    }
    if root_first {
        chain.reverse();
    }
    Some(Trace { language: Language::Java, exceptions: chain })
}

/// The exception named above the first frame; its message may have several lines.
fn before(lines: &[&str], first: usize) -> Exception {
    for line in lines[..first].iter().rev().take(12) {
        let text = line.trim_start();
        let text = match text.strip_prefix("Exception in thread ") {
            Some(rest) => rest.trim_start_matches('"').split_once("\" ").map_or(rest, |(_, rest)| rest),
            None => text.strip_prefix("Caused by: ").unwrap_or(text),
        };
        if let Some((kind, message)) = header::split(text)
            && (header::is_type(kind) || dotted(kind))
        {
            return Exception { kind: field(kind), message: field(message), frames: Vec::new() };
        }
        if let Some((kind, message)) = header::find(text) {
            return Exception { kind: field(kind), message: field(message), frames: Vec::new() };
        }
    }
    Exception::default()
}

fn named(text: &str) -> Exception {
    let (kind, message) = header::split(text).or_else(|| header::find(text)).unwrap_or(("", text));
    Exception { kind: field(kind), message: field(message), frames: Vec::new() }
}

fn dotted(kind: &str) -> bool {
    kind.rsplit_once('.').is_some_and(|(_, class)| class.starts_with(char::is_uppercase))
}

/// `... 12 more` or `... 12 common frames omitted`
fn common(text: &str) -> Option<usize> {
    let (count, rest) = text.strip_prefix("... ")?.split_once(' ')?;
    (rest.starts_with("more") || rest.starts_with("common frames")).then(|| count.parse().ok())?
}

/// The frames that a cause shares with the exception around it are printed only once.
fn fill(chain: &mut [Exception], count: usize) {
    if let [.., outer, inner] = chain {
        let from = outer.frames.len().saturating_sub(count);
        let room = super::bounds::FRAMES.saturating_sub(inner.frames.len());
        inner.frames.extend(outer.frames[from..].iter().take(room).cloned());
    }
}

/// `at java.base/java.lang.Thread.run(Thread.java:829) ~[?:?]`
fn frame(line: &str) -> Option<Frame> {
    let text = line.trim_start().strip_prefix("at ")?;
    let (name, rest) = text.split_once('(')?;
    let (place, _) = rest.split_once(')')?;
    let name = name.rsplit('/').next().unwrap_or(name);
    let (module, function) = name.rsplit_once('.')?;
    let ident = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '$' | '<' | '>' | '-');
    if module.is_empty() || function.is_empty() || !name.chars().all(ident) {
        return None;
    }
    let (file, number) = match place {
        "Native Method" | "Unknown Source" => (None, None),
        // A column or a path belongs to JavaScript, an argument to .NET.
        _ => {
            let (file, number) = place.split_once(':').map_or((place, None), |(f, n)| (f, n.parse().ok()));
            let source = [".java", ".kt", ".scala", ".groovy", ".clj", ".kts"].iter().any(|e| file.ends_with(e));
            let hidden =
                matches!(file, "SourceFile" | "Native Method" | "Unknown Source" | "<generated>" | "<Unknown>");
            if !source && !hidden {
                return None;
            }
            (Some(file), number)
        }
    };
    let file = file.and_then(some);
    Some(Frame { function: some(function), module: some(module), file, line: number, ..Frame::default() })
}
