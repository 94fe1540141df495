//! Ruby backtraces in both orders, with the quotes of every version, and the header of Rails' logger.

use super::{Exception, Frame, Language, Trace, field, header, some};

pub fn read(lines: &[&str]) -> Option<Trace> {
    let first = lines.iter().position(|l| frame(l).is_some())?;
    if lines[..first].iter().rev().take(2).any(|l| l.contains("Traceback (most recent call last)")) {
        return reversed(lines, first);
    }
    let mut chain: Vec<Exception> = Vec::new();
    for line in lines.iter().skip(first) {
        let Some((frame, rest)) = frame(line) else {
            if line.trim().is_empty() || line.trim().starts_with("... ") {
                continue;
            }
            break;
        };
        match raised(rest) {
            // Whatever is raised behind frames is the cause of what is above.
            Some((kind, message)) if chain.len() < super::bounds::EXCEPTIONS => {
                chain.push(Exception { kind, message, frames: vec![frame] });
            }
            _ => {
                if chain.is_empty() {
                    chain.push(before(&lines[..first]));
                }
                if let Some(last) = chain.last_mut() {
                    last.frames.push(frame);
                }
            }
        }
    }
    let told = chain.iter().any(|e| !e.kind.is_empty() || e.frames.len() > 1);
    told.then_some(Trace { language: Language::Ruby, exceptions: chain })
}

/// The order of terminals: numbered callers first, the raise last.
fn reversed(lines: &[&str], first: usize) -> Option<Trace> {
    let mut exception = Exception::default();
    for line in lines.iter().skip(first) {
        let Some((frame, rest)) = frame(line) else { break };
        exception.frames.push(frame);
        if let Some((kind, message)) = raised(rest) {
            (exception.kind, exception.message) = (kind, message);
            break;
        }
    }
    exception.frames.reverse();
    Some(Trace { language: Language::Ruby, exceptions: vec![exception] })
}

/// `: undefined method 'x' for nil (NoMethodError)` behind the first frame.
fn raised(rest: &str) -> Option<(String, String)> {
    let text = rest.strip_prefix(": ")?.trim();
    match text.strip_suffix(')').and_then(|t| t.rsplit_once(" (")) {
        Some((message, kind)) if kind.starts_with(char::is_uppercase) && !kind.contains(' ') => {
            Some((field(kind), field(message)))
        }
        // A message of several lines carries its class at the end of the first, or nowhere.
        _ => text.ends_with("Error").then(|| (field(text), String::new())),
    }
}

/// The header of a logger: `NoMethodError (undefined method …):` or `NoMethodError: undefined method …`.
fn before(lines: &[&str]) -> Exception {
    for line in lines.iter().rev().take(12) {
        let text = line.trim();
        if let Some((kind, rest)) = text.split_once(" (")
            && header::is_type(kind)
            && !kind.contains(' ')
        {
            let message = rest.trim_end_matches(':').trim_end_matches(')');
            return Exception { kind: field(kind), message: field(message), frames: Vec::new() };
        }
        if let Some((kind, message)) = header::find(text) {
            return Exception { kind: field(kind), message: field(message), frames: Vec::new() };
        }
    }
    let message = lines.iter().rev().find(|l| !l.trim().is_empty()).map_or("", |l| l.trim());
    Exception { kind: String::new(), message: field(message), frames: Vec::new() }
}

/// ``from app/x.rb:12:in `block in show'``, and what follows it on the line.
fn frame(line: &str) -> Option<(Frame, &str)> {
    let text = line.trim_start();
    let text = text.strip_prefix("# ").unwrap_or(text);
    let numbered = text.split_once(": from ").filter(|(n, _)| n.bytes().all(|b| b.is_ascii_digit()));
    let text = numbered.map_or(text, |(_, t)| t);
    let text = text.strip_prefix("from ").unwrap_or(text);
    let text = text.strip_prefix('[').unwrap_or(text);
    let mark = [".rb:", ".erb:", ".rake:", ".ru:", ".haml:", ".slim:"]
        .iter()
        .find_map(|m| text.find(m).map(|at| at + m.len()));
    let mark = match mark {
        Some(mark) => mark,
        // Executables have no extension, so only `:in` tells them.
        None => text.find(":in ").and_then(|at| text[..at].rfind(':')).map(|at| at + 1)?,
    };
    let file = &text[..mark - 1];
    let digits = text[mark..].bytes().take_while(u8::is_ascii_digit).count();
    let line = text[mark..mark + digits].parse().ok()?;
    if file.is_empty() || (file.contains(' ') && !file.starts_with('/')) {
        return None;
    }
    let rest = &text[mark + digits..];
    let mut frame = Frame { file: some(file), line: Some(line), ..Frame::default() };
    let Some(method) = rest.strip_prefix(":in ") else {
        return Some((frame, rest));
    };
    let method = method.strip_prefix(['`', '\'']).unwrap_or(method);
    let (method, rest) = method.split_once('\'').unwrap_or((method, ""));
    // A block belongs to the method around it.
    let method = method.rsplit_once(" in ").map_or(method, |(_, m)| m);
    frame.function = some(method);
    Some((frame, rest))
}
