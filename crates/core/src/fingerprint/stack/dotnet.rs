//! .NET stack traces, inner exceptions printed before the frames of what wraps them.

use super::{Exception, Frame, Language, Trace, field, header, some};

const END_OF_INNER: &str = "--- End of inner exception stack trace ---";

pub fn read(lines: &[&str]) -> Option<Trace> {
    let first = lines.iter().position(|l| frame(l).is_some())?;
    let top = (first.saturating_sub(20)..first).rev().find(|i| outermost(lines[*i]).is_some());
    let mut chain: Vec<Exception> = Vec::new();
    if let Some(line) = top.and_then(|i| outermost(lines[i])) {
        // The old runtime prints the whole chain on one line.
        chain.extend(line.split(" ---> ").map(named));
    }
    let mut current = chain.len().saturating_sub(1);
    for line in lines.iter().skip(top.map_or(first, |i| i + 1)) {
        let text = line.trim_start();
        if let Some(inner) = text.strip_prefix("---> ") {
            chain.extend(inner.split(" ---> ").map(named));
            current = chain.len() - 1;
        } else if text.starts_with(END_OF_INNER) {
            current = current.saturating_sub(1);
        } else if let Some(frame) = frame(line) {
            if chain.is_empty() {
                chain.push(Exception::default());
            }
            chain[current].frames.push(frame);
        } else if !text.is_empty() && !text.starts_with("---") && chain.iter().any(|e| !e.frames.is_empty()) {
            break;
        }
        if chain.len() > super::bounds::EXCEPTIONS {
            break;
        }
    }
    Some(Trace { language: Language::DotNet, exceptions: chain })
}

/// The text from the first exception's name on.
fn outermost(line: &str) -> Option<&str> {
    let text = line.trim_start();
    if text.starts_with("---> ") {
        return None;
    }
    let text = text.strip_prefix("Unhandled exception. ").unwrap_or(text);
    let text = text.strip_prefix("Unhandled Exception: ").unwrap_or(text);
    let (kind, _) = header::find(text)?;
    text.find(kind).map(|at| &text[at..])
}

fn named(text: &str) -> Exception {
    // `(Inner Exception #0) System.X: …` is how an aggregate numbers its members.
    let text = text.trim();
    let text = text.strip_prefix("(Inner Exception #").and_then(|t| t.split_once(") ")).map_or(text, |(_, t)| t);
    let (kind, message) = header::split(text).or_else(|| header::find(text)).unwrap_or(("", text));
    Exception { kind: field(kind), message: field(message), frames: Vec::new() }
}

/// `   at Acme.Orders.Service.Run(String id) in /src/Service.cs:line 42`
fn frame(line: &str) -> Option<Frame> {
    let text = line.trim_start().strip_prefix("at ")?;
    let (call, place) = match text.split_once(") in ") {
        Some((call, place)) => (call, Some(place)),
        None => (text.trim_end().strip_suffix(')')?, None),
    };
    let (name, arguments) = call.split_once('(')?;
    // Java prints a source file where .NET prints the parameters, JavaScript a place with colons.
    if arguments.contains(':') || arguments.contains(".java") || arguments.contains('/') || name.contains(' ') {
        return None;
    }
    let (module, function) = split(name)?;
    let (file, number) = match place.and_then(|p| p.rsplit_once(":line ")) {
        Some((file, number)) => (some(file), number.trim().parse().ok()),
        None => (None, None),
    };
    Some(Frame { function: some(function), module: some(module), file, line: number, ..Frame::default() })
}

/// Type and method. What the compiler makes of an `async` method or a lambda is undone, since it carries counters.
fn split(name: &str) -> Option<(&str, &str)> {
    let (module, function) = name.rsplit_once('.')?;
    // Constructors are `.ctor`, so their dot is doubled.
    let module = module.trim_end_matches('.');
    if let Some((outer, inner)) = module.split_once(".<")
        && let Some((method, _)) = inner.split_once('>')
        && !method.is_empty()
    {
        return Some((outer, method));
    }
    if let Some((method, _)) = function.strip_prefix('<').and_then(|f| f.split_once('>'))
        && !method.is_empty()
    {
        return Some((module.split(".<").next().unwrap_or(module), method));
    }
    let function = function.split(['[', '`']).next().unwrap_or(function);
    (!module.is_empty() && !function.is_empty()).then_some((module, function))
}
