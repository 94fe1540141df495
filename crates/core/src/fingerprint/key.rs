//! What a trace contributes to a fingerprint: the type, and each frame as function and file name.
//!
//! The directory of a file never takes part, because it is the checkout's; lines and columns never do, because an
//! edit elsewhere in the file moves them; counters that compilers and runtimes give to closures, lambdas and proxies
//! are removed.

use super::normalise::{file_name, opaque};
use super::stack::{Exception, Frame, Language};

/// The distinct frames, innermost first, of the application alone or of everything. Recursion adds no frame.
pub fn frames(language: Language, exception: &Exception, in_app: bool) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for frame in exception.frames.iter().filter(|f| f.in_app || !in_app) {
        // A place without a function says where a file was, not what was called.
        if in_app && frame.function.is_none() && language != Language::JavaScript {
            continue;
        }
        let key = frame_key(language, frame);
        if !key.is_empty() && !keys.contains(&key) {
            keys.push(key);
        }
        // Enough for the top five even of a stack that is sorted afterwards.
        if keys.len() == 64 {
            break;
        }
    }
    keys
}

fn frame_key(language: Language, frame: &Frame) -> String {
    let function = function(language, frame.function.as_deref().unwrap_or_default());
    match language {
        // The class names the file.
        Language::Java | Language::DotNet => {
            let module = counters(frame.module.as_deref().unwrap_or_default());
            format!("{module}.{function}")
        }
        Language::Python | Language::JavaScript | Language::Go | Language::Rust | Language::Ruby => {
            let file = tail(frame.file.as_deref().unwrap_or_default());
            match (function.is_empty(), file.is_empty()) {
                (true, true) => String::new(),
                (true, false) => format!("<anonymous> ({file})"),
                (false, true) => function,
                (false, false) => format!("{function} ({file})"),
            }
        }
    }
}

fn function(language: Language, name: &str) -> String {
    match language {
        Language::Python | Language::Ruby | Language::DotNet => name.to_owned(),
        Language::Java => counters(name),
        Language::JavaScript => {
            let name = name.strip_prefix("new ").unwrap_or(name);
            let name = name.strip_prefix("Object.").unwrap_or(name);
            if name == "<anonymous>" { String::new() } else { name.to_owned() }
        }
        // `main.run.func1.2` is the second closure in the first closure of `run`.
        Language::Go => name
            .split('.')
            .filter(|part| !part.bytes().all(|b| b.is_ascii_digit()))
            .map(|part| if closure(part) { "func" } else { part })
            .collect::<Vec<_>>()
            .join("."),
        Language::Rust => name.to_owned(),
    }
}

fn closure(part: &str) -> bool {
    ["func", "gowrap", "deferwrap"]
        .iter()
        .any(|p| part.strip_prefix(p).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit())))
}

/// `lambda$run$3`, `$Proxy12`, `Foo$$Lambda$14/0x00000008000b8c40`, `Foo$$EnhancerBySpringCGLIB$$1a2b3c4d`
fn counters(name: &str) -> String {
    let name = name.split("$$Lambda").next().unwrap_or(name);
    let parts: Vec<&str> = name
        .split('$')
        .map(|part| {
            let counter = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            let proxy = part.strip_prefix("Proxy").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
            match (counter || opaque(part), proxy) {
                (true, _) => "",
                (false, true) => "Proxy",
                (false, false) => part,
            }
        })
        .collect();
    parts.join("$")
}

/// The last component of a path; two when the last one is what every package calls its entry.
fn tail(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let mut parts = path.rsplit(['/', '\\']).filter(|p| !p.is_empty());
    let Some(last) = parts.next() else { return String::new() };
    let entry = matches!(last, "__init__.py" | "mod.rs" | "lib.rs") || last.starts_with("index.");
    let temporary = path.starts_with("/tmp/") || path.starts_with("/var/folders/");
    match parts.next() {
        Some(parent) if entry && !temporary && parts.next().is_some() => {
            format!("{}/{}", file_name(parent), file_name(last))
        }
        _ => file_name(last),
    }
}

/// Whether the exception says that the stack itself was the problem.
pub fn overflowed(exception: &Exception) -> bool {
    ["StackOverflow", "RecursionError", "SystemStackError"].iter().any(|k| exception.kind.contains(k))
        || ["Maximum call stack", "stack overflow", "stack level too deep"]
            .iter()
            .any(|m| exception.message.contains(m))
}

/// Whether one type stands for every failure, so that only the message tells them apart.
pub fn catch_all(language: Language, kind: &str) -> bool {
    match language {
        Language::Go | Language::Rust => true,
        Language::Python | Language::Java | Language::JavaScript | Language::Ruby | Language::DotNet => kind.is_empty(),
    }
}
