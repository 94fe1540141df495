//! Which paths a log source means, and which names are rotated names of another.
//!
//! A pattern is a relative path whose components may hold `*`, `?` and `[…]`; `**` is any number of directories. A
//! wildcard does not match a leading dot. A rotated name is the name with a number or a date appended, before or after
//! the extension, and possibly `.gz` behind it: `app.log.1`, `app.log-20261121`, `app.1.log`, `app-2026-11-21.log.gz`.

/// A pattern that names nothing inside the workspace, or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError(pub &'static str);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Name(String),
    Wild(String),
    /// `**`
    Any,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
}

impl Pattern {
    /// `path` is relative to `root`, or absolute and below it. `..` may not lead out.
    pub fn new(root: &str, path: &str) -> Result<Self, PatternError> {
        if path.contains('\0') {
            return Err(PatternError("holds a NUL"));
        }
        let path = match path.strip_prefix('/') {
            None => path,
            Some(_) => {
                let below = path.strip_prefix(root.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/'));
                below.ok_or(PatternError("is not below the workspace root"))?
            }
        };
        let mut parts = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop().ok_or(PatternError("leads out of the workspace root"))?;
                }
                "**" => parts.push(Part::Any),
                _ if part.contains(['*', '?', '[']) => parts.push(Part::Wild(part.to_owned())),
                _ => parts.push(Part::Name(part.to_owned())),
            }
        }
        match parts.last() {
            None => Err(PatternError("names no file")),
            Some(Part::Any) => Err(PatternError("ends in `**`, which is no file name")),
            Some(_) => Ok(Self { parts }),
        }
    }

    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The one path that is meant, when there are no wildcards.
    pub fn exact(&self) -> Option<String> {
        let names: Option<Vec<&str>> = self
            .parts
            .iter()
            .map(|part| if let Part::Name(name) = part { Some(name.as_str()) } else { None })
            .collect();
        names.map(|names| names.join("/"))
    }

    /// Whether a path relative to the root is meant.
    pub fn matches(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').collect();
        parts_match(&self.parts, &names)
    }
}

fn parts_match(parts: &[Part], names: &[&str]) -> bool {
    match (parts.split_first(), names.split_first()) {
        (None, None) => true,
        (Some((Part::Any, rest)), _) => (0..=names.len())
            .take_while(|&n| names[..n].iter().all(|name| !name.starts_with('.')))
            .any(|n| parts_match(rest, &names[n..])),
        (Some((part, rest)), Some((name, names))) => part_matches(part, name) && parts_match(rest, names),
        _ => false,
    }
}

/// Whether one component matches one name.
pub fn part_matches(part: &Part, name: &str) -> bool {
    match part {
        Part::Name(wanted) => wanted == name,
        Part::Any => !name.starts_with('.'),
        Part::Wild(wild) => {
            (!name.starts_with('.') || wild.starts_with('.')) && wild_matches(wild.as_bytes(), name.as_bytes())
        }
    }
}

/// Steps through both; on a mismatch the last star takes one character more. At most length × length steps.
fn wild_matches(wild: &[u8], name: &[u8]) -> bool {
    let (mut w, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if wild.get(w) == Some(&b'*') {
            star = Some((w + 1, n));
            w += 1;
            continue;
        }
        let width = utf8_width(name[n]).min(name.len() - n);
        match wild.get(w) {
            Some(b'?') => (w, n) = (w + 1, n + width),
            Some(b'[') if class(&wild[w..], name[n]).is_some() => {
                let (matched, length) = class(&wild[w..], name[n]).unwrap_or((false, 1));
                if matched {
                    (w, n) = (w + length, n + 1);
                } else if let Some((after, from)) = star {
                    star = Some((after, from + 1));
                    (w, n) = (after, from + 1);
                } else {
                    return false;
                }
            }
            Some(&byte) if byte == name[n] => (w, n) = (w + 1, n + 1),
            _ => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    (w, n) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    wild[w..].iter().all(|&byte| byte == b'*')
}

fn utf8_width(first: u8) -> usize {
    match first {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    }
}

/// A class at the head of `wild`: whether it holds `byte`, and how long it is. `None` when it is not closed: then the
/// bracket stands for itself.
fn class(wild: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(wild.get(1), Some(b'!' | b'^'));
    let start = if negated { 2 } else { 1 };
    let end = start + 1 + wild.get(start + 1..)?.iter().position(|&b| b == b']')?;
    let members = &wild[start..end];
    let mut held = false;
    let mut at = 0;
    while at < members.len() {
        if members.get(at + 1) == Some(&b'-') && at + 2 < members.len() {
            held |= (members[at]..=members[at + 2]).contains(&byte);
            at += 3;
        } else {
            held |= members[at] == byte;
            at += 1;
        }
    }
    Some((held != negated, end + 1))
}

/// Whether a name says that its content is packed with gzip.
pub fn is_gzip(name: &str) -> bool {
    name.len() > 3 && name.ends_with(".gz")
}

/// Whether a name says that its content is packed in a way that is not read.
pub fn is_packed_otherwise(name: &str) -> bool {
    [".xz", ".zst", ".bz2", ".lz4", ".zip", ".lzma", ".Z"].iter().any(|end| name.ends_with(end))
}

/// The name that `name` is a rotated name of, if `known` has one.
pub fn rotated_from(name: &str, known: impl Fn(&str) -> bool) -> Option<String> {
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    if plain.len() < name.len() && known(plain) {
        return Some(plain.to_owned());
    }
    let cut = |at: usize| -> Option<String> {
        let (base, mark) = plain.split_at(at);
        if base.is_empty() {
            return None;
        }
        if appended(mark) && known(base) {
            return Some(base.to_owned());
        }
        // Before the extension: the mark ends where the extension begins.
        let extension = plain.rfind('.').filter(|&dot| dot > at)?;
        let whole = format!("{base}{}", &plain[extension..]);
        (inserted(&plain[at..extension]) && known(&whole)).then_some(whole)
    };
    plain.char_indices().filter(|(_, c)| matches!(c, '.' | '-' | '_')).find_map(|(at, _)| cut(at))
}

/// `.1`, `-20261121`, `.2026-11-21T10:00`, `.old`
fn appended(mark: &str) -> bool {
    mark == ".old" || (mark.len() > 1 && numeric(&mark[1..]))
}

/// `.1` or a date; not `-2`, which is more likely a second writer than a second file of the first.
fn inserted(mark: &str) -> bool {
    let digits = mark.bytes().filter(u8::is_ascii_digit).count();
    mark.len() > 1 && numeric(&mark[1..]) && (digits >= 6 || (mark.starts_with('.') && digits + 1 == mark.len()))
}

fn numeric(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.' | b':' | b'T' | b'Z'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            ("app.log", "app.log", true),
            ("./logs//app.log", "logs/app.log", true),
            ("/srv/app/logs/app.log", "logs/app.log", true),
            ("a/../app.log", "app.log", true),
            ("app.log", "logs/app.log", false),
            ("*.log", "app.log", true),
            ("*.log", ".app.log", false),
            (".*.log", ".app.log", true),
            ("*.log", "logs/app.log", false),
            ("logs/*/x?.log", "logs/a/x1.log", true),
            ("logs/*/x?.log", "logs/a/xé.log", true),
            ("logs/*/x?.log", "logs/a/x.log", false),
            ("**/app.log", "app.log", true),
            ("**/app.log", "a/b/app.log", true),
            ("**/app.log", "a/.git/app.log", false),
            ("a/**/b/*.log", "a/x/y/b/1.log", true),
            ("a/**/b/*.log", "a/x/y/1.log", false),
            ("w[0-9a].log", "w5.log", true),
            ("w[!0-9].log", "w5.log", false),
            ("w[].log", "w[].log", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
        ] {
            let parsed = Pattern::new("/srv/app/", pattern).expect(pattern);
            assert_eq!(parsed.matches(path), expected, "{pattern} {path}");
        }
        for bad in ["", "..", "../x", "a/../../x", "/etc/passwd", "/srv/application/x", "a\0", "logs/**", "/srv/app"] {
            assert!(Pattern::new("/srv/app", bad).is_err(), "{bad:?}");
        }
        let exact = |pattern| Pattern::new("/r", pattern).expect("parses").exact();
        assert_eq!(exact("a/b.log").as_deref(), Some("a/b.log"));
        assert_eq!(exact("a/*.log"), None);
    }

    #[test]
    fn rotated_names() {
        let known = |name: &str| ["app.log", "app", "out"].contains(&name);
        for (name, of) in [
            ("app.log.1", Some("app.log")),
            ("app.log.2.gz", Some("app.log")),
            ("app.log.gz", Some("app.log")),
            ("app.log-20261121", Some("app.log")),
            ("app.log-20261121.gz", Some("app.log")),
            ("app.log.2026-11-21T10:00", Some("app.log")),
            ("app.log.old", Some("app.log")),
            ("app.1.log", Some("app.log")),
            ("app-2026-11-21.log.gz", Some("app.log")),
            ("out.1", Some("out")),
            ("app-2.log", None),
            ("app.log", None),
            ("app.log.txt", None),
            ("apple.log.1", None),
            ("app.log.", None),
            (".gz", None),
        ] {
            assert_eq!(rotated_from(name, known).as_deref(), of, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_name_panics(root in "\\PC{0,8}", pattern in "[a*?\\[\\]!\\-/.é]{0,24}", name in "[a\\-.0-9é/_]{0,24}") {
            if let Ok(pattern) = Pattern::new(&root, &pattern) {
                pattern.matches(&name);
            }
            rotated_from(&name, |_| true);
            rotated_from(&name, |base| base.len() < 3);
        }

        #[test]
        fn a_name_matches_itself(name in "[a-z.]{1,12}") {
            prop_assume!(!name.split('/').any(|part| part == "." || part == ".."));
            prop_assert!(Pattern::new("/", &name).is_ok_and(|pattern| pattern.matches(&name)));
        }
    }
}
