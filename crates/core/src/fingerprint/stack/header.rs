//! The line that names an exception: `KeyError: 'id'`, `java.lang.IllegalStateException: closed`.

/// Type and message of a line that begins with the name of an exception type.
pub fn named(line: &str) -> Option<(&str, &str)> {
    split(line).filter(|(kind, _)| is_type(kind))
}

/// Type and message of a line that begins with an identifier and ends there or goes on with a colon. Says nothing
/// about whether the identifier is a type.
pub fn split(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let ident = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.' | ':' | '/' | '`' | '+');
    let end = line.find(|c| !ident(c)).unwrap_or(line.len());
    let (mut name, mut rest) = line.split_at(end);
    // `TypeError [ERR_INVALID_ARG_TYPE]: …` carries its code beside the type.
    if let Some(code) = rest.strip_prefix(" [")
        && let Some(close) = code.find("]:")
        && code[..close].bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    {
        name = &line[..end + close + 3];
        rest = &line[name.len()..];
    } else if let Some(colon) = first_colon(name) {
        (name, rest) = line.split_at(colon);
    }
    let message = match rest.strip_prefix(':') {
        Some(message) => message.trim(),
        None if rest.is_empty() => "",
        None => return None,
    };
    let starts = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    (starts && name.len() <= 300).then_some((name, message))
}

/// The first colon that is not half of `::`.
fn first_colon(name: &str) -> Option<usize> {
    let bytes = name.as_bytes();
    let mut at = 0;
    while let Some(&b) = bytes.get(at) {
        if b == b':' {
            if bytes.get(at + 1) == Some(&b':') {
                at += 2;
                continue;
            }
            return Some(at);
        }
        at += 1;
    }
    None
}

/// Whether the identifier reads like the name of an exception type.
pub fn is_type(name: &str) -> bool {
    let bare = name.split(" [").next().unwrap_or_default();
    let last = bare.rsplit(['.', ':', '$', '/', '+']).next().unwrap_or_default();
    const ENDS: [&str; 12] = [
        "Error",
        "Exception",
        "Throwable",
        "Failure",
        "Fault",
        "Warning",
        "Interrupt",
        "Exit",
        "Iteration",
        "Timeout",
        "Abort",
        "Rejection",
    ];
    last.starts_with(char::is_uppercase)
        && (ENDS.iter().any(|e| last.trim_end_matches(char::is_numeric).ends_with(e)) || last.starts_with("Errno"))
}

/// Type and message of a line that names an exception, at its start or, behind the words of a logger, at the last
/// name that reads like a type.
pub fn find(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if let Some((kind, message)) = split(line)
        && is_type(kind)
    {
        return Some((kind, message));
    }
    let mut at = 0;
    while let Some(space) = line.get(at..)?.find(' ') {
        at += space + 1;
        if let Some((kind, message)) = split(&line[at..])
            && is_type(kind)
        {
            return Some((kind, message));
        }
    }
    None
}
