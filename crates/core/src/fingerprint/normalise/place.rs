//! Where things are: addresses, URLs, paths.
//!
//! A path in the file system is reduced to its last component, because the directories above it differ by machine,
//! checkout and run. A route of a web server keeps every segment, because `/users/1` and `/orders/1` are different
//! places in the code.

use super::{ADDRESS, HEX, PATH, Scan, opaque, segment};

/// First components that tell a file from a route.
const ROOTS: [&str; 28] = [
    "tmp",
    "home",
    "Users",
    "var",
    "usr",
    "opt",
    "etc",
    "root",
    "srv",
    "app",
    "builds",
    "build",
    "workspace",
    "workspaces",
    "private",
    "mnt",
    "media",
    "proc",
    "sys",
    "dev",
    "data",
    "run",
    "Volumes",
    "nix",
    "snap",
    "bin",
    "lib",
    "code",
];
const TEMPORARY: [&str; 6] = ["/tmp/", "/var/folders/", "/private/var/", "/var/tmp/", "/private/tmp/", "/run/user/"];
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

impl Scan<'_> {
    /// `scheme://…`, whose scheme ends at `colon`.
    pub(super) fn url(&mut self, colon: usize) -> bool {
        let scheme = &self.text[self.at..colon];
        let start = colon + 3;
        if scheme.eq_ignore_ascii_case("file") {
            self.at = start;
            return self.path();
        }
        let rest = self.bytes.get(start..).unwrap_or_default();
        let stop = |b: &u8| b.is_ascii_whitespace() || b"\"'`<>|,;){}\\".contains(b) || *b < 0x20;
        let mut end = start + rest.iter().position(stop).unwrap_or(rest.len());
        while end > start && matches!(self.bytes[end - 1], b'.' | b':' | b']' | b'!') {
            end -= 1;
        }
        let whole = &self.text[start..end];
        let visible = &whole[..whole.find(['?', '#']).unwrap_or(whole.len())];
        let (authority, path) = visible.split_at(visible.find('/').unwrap_or(visible.len()));
        if authority.is_empty() && path.is_empty() {
            return false;
        }
        let host = authority.rsplit('@').next().unwrap_or_default();
        self.out.push_str(scheme);
        self.out.push_str("://");
        let bytes = host.as_bytes();
        if host.starts_with('[') || ipv4(bytes, 0).is_some_and(|end| port(bytes, end) == bytes.len()) {
            self.out.push_str(ADDRESS);
        } else {
            self.out.push_str(&segment(host.split(':').next().unwrap_or_default()));
        }
        self.route(path);
        self.asked(end);
        self.words = [(0, 0); 2];
        self.at = end;
        true
    }

    /// Remembers where a request's target ends, when a method stands before it.
    fn asked(&mut self, end: usize) {
        if METHODS.contains(&self.previous()) {
            self.request_end = end;
        }
    }

    fn route(&mut self, path: &str) {
        for part in path.split('/').filter(|p| !p.is_empty()) {
            self.out.push('/');
            self.out.push_str(&segment(part));
        }
    }

    /// An absolute path: `/a/b`, `~/a`, `C:\a`, `\\host\a`.
    pub(super) fn path(&mut self) -> bool {
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let drive = usize::from(rest.get(1) == Some(&b':') && rest[0].is_ascii_alphabetic()) * 2;
        let body = drive + usize::from(rest.first() == Some(&b'~'));
        if !matches!(rest.get(body), Some(b'/' | b'\\'))
            || (rest[body] == b'\\' && drive == 0 && rest.get(1) != Some(&b'\\'))
        {
            return false;
        }
        let stop = |b: &u8| b.is_ascii_whitespace() || b"\"'`<>|,;:()[]{}=&".contains(b) || *b < 0x20;
        let tail = &rest[body..];
        let mut end = start + body + tail.iter().position(stop).unwrap_or(tail.len());
        while end > start && matches!(self.bytes[end - 1], b'.' | b'!') {
            end -= 1;
        }
        let whole = &self.text[start..end];
        let visible = &whole[..whole.find(['?', '#']).unwrap_or(whole.len())];
        let mut parts = visible[body.min(visible.len())..].split(['/', '\\']).filter(|p| !p.is_empty());
        let Some(first) = parts.next() else { return false };
        let last = parts.next_back().unwrap_or(first);
        let file = extension(last).is_some() || body > 0 || whole.contains('\\') || ROOTS.contains(&first);
        if !file || METHODS.contains(&self.previous()) {
            self.route(visible);
        } else {
            self.out.push_str(PATH);
            let temporary = TEMPORARY.iter().any(|t| whole.starts_with(t)) || whole.contains("\\Temp\\");
            if !temporary || extension(last).is_some() {
                self.out.push('/');
                self.out.push_str(&file_name(last));
            }
        }
        self.asked(end);
        self.words = [(0, 0); 2];
        self.at = end;
        true
    }

    /// An IPv6 address at `start`; at the scan's position, or just after its `[`.
    pub(super) fn ipv6(&mut self, start: usize) -> bool {
        if self.segment {
            return false;
        }
        let rest = self.bytes.get(start..).unwrap_or_default();
        let length = rest.iter().take(46).take_while(|b| b.is_ascii_hexdigit() || **b == b':' || **b == b'.').count();
        let text = self.text.get(start..start + length).unwrap_or_default();
        // A sentence may end right behind the address, and a Rust path may look like one: `a::b`.
        let text = text.strip_suffix(['.']).unwrap_or(text);
        let colons = text.bytes().filter(|b| *b == b':').count();
        if colons < 2 || text.len() < 3 || text.parse::<std::net::Ipv6Addr>().is_err() {
            return false;
        }
        let mut end = start + text.len();
        if self.byte(end).is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return false;
        }
        if start > self.at {
            if self.byte(end) != Some(b']') {
                return false;
            }
            end = port(self.bytes, end + 1);
        }
        self.replace(ADDRESS, end);
        true
    }
}

/// The end of `a.b.c.d` at `at`.
pub(super) fn ipv4(bytes: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    for group in 0..4 {
        if group > 0 {
            if bytes.get(end) != Some(&b'.') {
                return None;
            }
            end += 1;
        }
        let rest = bytes.get(end..)?;
        let digits = rest.iter().take(4).take_while(|b| b.is_ascii_digit()).count();
        if !(1..=3).contains(&digits) {
            return None;
        }
        end += digits;
    }
    let more = bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
    (!more && !bytes.get(end).is_some_and(u8::is_ascii_alphanumeric)).then_some(end)
}

/// The end of `:port` at `at`, or `at`.
pub(super) fn port(bytes: &[u8], at: usize) -> usize {
    if bytes.get(at) != Some(&b':') {
        return at;
    }
    match bytes[at + 1..].iter().take(7).take_while(|b| b.is_ascii_digit()).count() {
        0 | 7.. => at,
        digits => at + 1 + digits,
    }
}

/// The end of the e-mail address at `at`.
pub(super) fn email(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let name = rest.iter().take(64).take_while(|b| b.is_ascii_alphanumeric() || b"._%+-".contains(b)).count();
    if rest.get(name) != Some(&b'@') {
        return None;
    }
    let domain = &rest[name + 1..];
    let length = domain.iter().take(128).take_while(|b| b.is_ascii_alphanumeric() || b".-".contains(b)).count();
    let domain = &domain[..length];
    let trimmed = domain.strip_suffix(b".").unwrap_or(domain);
    trimmed.contains(&b'.').then_some(at + name + 1 + trimmed.len())
}

/// The extension of a file name: one to five letters or digits, one letter at least.
fn extension(name: &str) -> Option<&str> {
    let (stem, extension) = name.rsplit_once('.')?;
    let shape = (1..=5).contains(&extension.len())
        && extension.bytes().all(|b| b.is_ascii_alphanumeric())
        && extension.bytes().any(|b| b.is_ascii_alphabetic());
    (shape && !stem.is_empty()).then_some(extension)
}

/// A file name without what a build or a temporary directory put into it. Small numbers stay: `step2.py` is a file.
pub fn file_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut start = 0;
    for (at, c) in name.char_indices().chain([(name.len(), '.')]) {
        if !matches!(c, '.' | '-' | '_' | '$' | '@' | '~') {
            continue;
        }
        let part = &name[start..at];
        let digits = part.len() >= 3 && part.bytes().all(|b| b.is_ascii_digit());
        let made = start == 0 && part.len() >= 9 && part.starts_with("tmp");
        if digits || made || (part.is_ascii() && opaque(part)) {
            out.push_str(HEX);
        } else {
            out.push_str(part);
        }
        if at < name.len() {
            out.push(c);
        }
        start = at + c.len_utf8();
    }
    out
}
