//! CPython tracebacks, chained by `raise … from` or `during handling`, and the first member of an exception group.

use super::{Exception, Frame, Language, Trace, field, indent, some};

const HEADER: &str = "Traceback (most recent call last)";
const GROUP: &str = "Exception Group Traceback (most recent call last)";

pub fn read(lines: &[&str]) -> Option<Trace> {
    let grouped = lines.iter().any(|l| l.contains(GROUP));
    // Only exception groups draw a margin of bars around their members.
    let clean: Vec<&str> = lines.iter().map(|l| if grouped { margin(l) } else { l }).collect();
    let start = clean.iter().position(|l| l.contains(HEADER) || frame(l).is_some())?;
    let mut found: Vec<Exception> = Vec::new();
    let mut at = start;
    while let Some((exception, next)) = block(&clean, at) {
        found.push(exception);
        match chained(&clean, next) {
            Some(next) => at = next,
            None => {
                if grouped && found.len() == 1 {
                    let member = (next..clean.len()).find(|i| clean[*i].contains(HEADER));
                    if let Some((member, _)) = member.and_then(|i| block(&clean, i)) {
                        // The member is inside the group, so it is printed after what wraps it.
                        found.insert(0, member);
                    }
                }
                break;
            }
        }
    }
    // The cause is printed first.
    found.reverse();
    let told = found.iter().any(|e| !e.frames.is_empty());
    told.then_some(Trace { language: Language::Python, exceptions: found })
}

/// One traceback from `at`: its exception and the line after it.
fn block(lines: &[&str], at: usize) -> Option<(Exception, usize)> {
    let header = lines.get(at)?.contains(HEADER);
    let mut exception = Exception::default();
    let mut next = at + usize::from(header);
    let mut margin = None;
    while let Some(line) = lines.get(next) {
        if let Some(frame) = frame(line) {
            margin.get_or_insert(indent(line));
            exception.frames.push(frame);
        } else if line.contains(HEADER) {
            break;
        } else if !line.trim().is_empty() && margin.is_none_or(|m| indent(line) < m.max(1)) {
            // The first line back at the margin names the exception.
            let (kind, message) = split(line);
            if header || !exception.frames.is_empty() {
                exception.kind = field(kind);
                exception.message = field(message);
            }
            next += 1;
            break;
        }
        next += 1;
    }
    exception.frames.reverse();
    let any = !exception.frames.is_empty() || (header && !exception.kind.is_empty());
    any.then_some((exception, next))
}

/// Any class may be raised, so the name is whatever stands before the colon.
fn split(line: &str) -> (&str, &str) {
    let line = line.trim();
    match super::header::split(line) {
        Some((kind, message)) => (kind.strip_prefix("__main__.").unwrap_or(kind), message),
        None => super::header::find(line).unwrap_or(("", line)),
    }
}

/// The start of the next traceback of the same chain.
fn chained(lines: &[&str], from: usize) -> Option<usize> {
    // A message may have several lines, so the joint is looked for a little further down.
    let joint = (from..lines.len().min(from + 40)).take_while(|i| !lines[*i].contains(HEADER)).find(|i| {
        lines[*i].contains("During handling of the above exception")
            || lines[*i].contains("was the direct cause of the following exception")
    })?;
    (joint + 1..lines.len().min(joint + 4)).find(|i| lines[*i].contains(HEADER))
}

/// `  File "/app/x.py", line 10, in handle`
fn frame(line: &str) -> Option<Frame> {
    let at = line.find("File \"")?;
    if !line[..at].trim().is_empty() {
        return None;
    }
    let (file, rest) = line[at + 6..].split_once("\", line ")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let number = rest[..digits].parse().ok()?;
    let function = rest[digits..].strip_prefix(", in ").and_then(some);
    Some(Frame { function, file: some(file), line: Some(number), ..Frame::default() })
}

fn margin(line: &str) -> &str {
    let rest = line.trim_start();
    match rest.strip_prefix("| ").or_else(|| rest.strip_prefix("+ ")) {
        Some(rest) => rest,
        None => line,
    }
}
