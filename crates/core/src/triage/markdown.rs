//! Text of others inside Markdown of ours.
//!
//! Whatever a report contains, it comes out as text: it cannot end a fence, mention a person, link an issue, embed an
//! image, start a heading or a list, or forge one of our hidden markers. Nothing is dropped but control characters.

use std::borrow::Cow;

/// Stands between the two halves of what must not be recognised.
const BREAK: char = '\u{200b}';

/// A fenced block. The fence is longer than any run of backticks in `text`.
pub fn fence(text: &str, info: &str) -> String {
    let text = neutral(text);
    let fence = "`".repeat(longest_run(&text).max(2) + 1);
    format!("{fence}{info}\n{}\n{fence}", text.trim_matches('\n'))
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Without control characters, without characters that reorder what a reader sees, and without comment openers.
fn neutral(text: &str) -> Cow<'_, str> {
    let bad = |c: char| {
        (c.is_control() && c != '\n' && c != '\t') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let text: Cow<'_, str> =
        if text.contains(bad) { Cow::Owned(text.replace("\r\n", "\n").replace(bad, "")) } else { Cow::Borrowed(text) };
    if text.contains("<!") { Cow::Owned(text.replace("<!", &format!("<{BREAK}!"))) } else { text }
}

/// Several lines of prose. Line breaks stay, everything else is text; pairs of single backticks stay code.
pub fn prose(text: &str) -> String {
    let text = neutral(text);
    let lines: Vec<String> = text.lines().map(|line| start(line.trim())).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

/// One line, whatever line breaks `text` has.
pub fn line(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    start(&neutral(&text))
}

/// A line that begins no block.
fn start(text: &str) -> String {
    let escaped = inline(text);
    let digits = escaped.bytes().take_while(u8::is_ascii_digit).count();
    if escaped.starts_with(['#', '+', '-', '=']) {
        format!("\\{escaped}")
    } else if digits > 0 && escaped[digits..].starts_with(['.', ')']) {
        format!("{}\\{}", &escaped[..digits], &escaped[digits..])
    } else {
        escaped
    }
}

/// Escapes what has a meaning within a line.
fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        if c == '`' {
            let run = rest.len() - rest.trim_start_matches('`').len();
            match (run == 1).then(|| closing(&rest[1..])).flatten() {
                // The next single backtick is where a reader of Markdown ends the span, too.
                Some(end) if end > 0 => {
                    out.push_str(&rest[..end + 2]);
                    rest = &rest[end + 2..];
                }
                Some(_) | None => {
                    out.push_str(&"\\`".repeat(run));
                    rest = &rest[run..];
                }
            }
            before = '`';
            continue;
        }
        rest = &rest[c.len_utf8()..];
        let next = rest.chars().next().unwrap_or(' ');
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Names of code keep their underscores: inside a word they mean nothing.
            '_' if before.is_alphanumeric() && next.is_alphanumeric() => out.push('_'),
            '\\' | '*' | '[' | ']' | '!' | '|' | '~' | '_' => out.extend(['\\', c]),
            '@' => out.extend(['@', BREAK]),
            '#' if next.is_ascii_digit() => out.extend(['#', BREAK]),
            '-' if next.is_ascii_digit() && ends_in_gh(&out) => out.extend(['-', BREAK]),
            _ => out.push(c),
        }
        before = c;
    }
    out
}

/// `GH-12` links an issue like `#12`.
fn ends_in_gh(out: &str) -> bool {
    out.len() >= 2 && out.as_bytes()[out.len() - 2..].eq_ignore_ascii_case(b"gh")
}

/// Where the next run of exactly one backtick begins.
fn closing(text: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = text[at..].find('`') {
        let begin = at + found;
        let run = text[begin..].len() - text[begin..].trim_start_matches('`').len();
        if run == 1 {
            return Some(begin);
        }
        at = begin + run;
    }
    None
}

/// A code span of our own making, on one line.
pub fn code(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = neutral(&text);
    let fence = "`".repeat(longest_run(&text) + 1);
    if text.starts_with('`') || text.ends_with('`') {
        format!("{fence} {text} {fence}")
    } else {
        format!("{fence}{text}{fence}")
    }
}
