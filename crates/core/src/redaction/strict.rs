//! What the `strict` profile adds: data about people and machines, and values that look random.

use super::scan::{CONTEXT, Scan, at, begins_word};
use regex::bytes::Regex;
use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) struct Personal {
    email: Regex,
    phone: Regex,
}

/// The shortest value that can look random.
const SHORTEST: usize = 24;

impl Personal {
    pub fn build() -> Self {
        let pattern = |p| Regex::new(p).expect("the pattern is constant");
        Self {
            email: pattern(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24}"),
            phone: pattern(
                r"(?-u)\+[0-9][0-9 ().-]{7,18}[0-9]|\([0-9]{3}\) ?[0-9]{3}-[0-9]{4}|\b[0-9]{3}[-.][0-9]{3}[-.][0-9]{4}\b",
            ),
        }
    }

    pub fn find(&self, scan: &mut Scan<'_>) {
        let b = scan.bytes;
        if memchr::memchr(b'@', b).is_some() {
            for m in self.email.find_iter(b) {
                scan.mark(m.start(), m.end(), "email", CONTEXT);
            }
        }
        for m in self.phone.find_iter(b) {
            let plus = b[m.start()] == b'+';
            let digits = m.as_bytes().iter().filter(|c| c.is_ascii_digit()).count();
            let alone = begins_word(b, m.start())
                && !at(b, m.end()).is_ascii_alphanumeric()
                && !matches!(at(b, m.start().wrapping_sub(1)), b'-' | b'.' | b'_');
            if alone && (!plus || (8..=15).contains(&digits)) {
                scan.mark(m.start(), m.end(), "phone", CONTEXT);
            }
        }
        addresses(scan);
        random(scan);
    }
}

fn addresses(scan: &mut Scan<'_>) {
    let b = scan.bytes;
    let mut i = 0;
    while i < b.len() {
        let part = |c: u8| c.is_ascii_hexdigit() || matches!(c, b'.' | b':');
        if !part(b[i]) || (i > 0 && (b[i - 1].is_ascii_alphanumeric() || b[i - 1] == b'_')) {
            i += 1;
            continue;
        }
        let mut end = i + b[i..].iter().take_while(|c| part(**c)).count();
        let next = end.max(i + 1);
        let whole = !(at(b, end).is_ascii_alphanumeric() || at(b, end) == b'_');
        while end > i && matches!(b[end - 1], b'.') {
            end -= 1;
        }
        if whole && let Some(end) = address_end(&b[i..end]) {
            scan.mark(i, i + end, "ip_address", CONTEXT);
        }
        i = next;
    }
}

/// The length of the address that `run` begins with, unless it is one of this machine.
fn address_end(run: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(run).ok()?;
    let v4 = text.split_once(':').map_or(text, |(host, _port)| host);
    if let Ok(ip) = v4.parse::<Ipv4Addr>() {
        return (!ip.is_loopback() && !ip.is_unspecified()).then_some(v4.len());
    }
    let v6 = text.strip_suffix(':').filter(|t| !t.ends_with(':')).unwrap_or(text);
    let ip = v6.parse::<Ipv6Addr>().ok()?;
    // `::` alone and times such as `1::2` are code; an address of a network has three groups or more.
    let groups = v6.split(':').filter(|g| !g.is_empty()).count();
    (!ip.is_loopback() && !ip.is_unspecified() && groups >= 3).then_some(v6.len())
}

fn random(scan: &mut Scan<'_>) {
    let b = scan.bytes;
    let part = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'_' | b'-' | b'=');
    let mut i = 0;
    while i < b.len() {
        if !part(b[i]) {
            i += 1;
            continue;
        }
        let end = i + b[i..].iter().take_while(|c| part(**c)).count();
        if looks_random(&b[i..end]) {
            // Base64 may go on after a slash.
            let from = i - b[..i].iter().rev().take_while(|c| **c == b'/' || part(**c)).count();
            let to = end + b[end..].iter().take_while(|c| **c == b'/' || part(**c)).count();
            let (from, to) =
                if b[from..to].contains(&b'.') { (i, end) } else { (from.max(start_of_path(b, from, i)), to) };
            scan.mark(from, to, "high_entropy", CONTEXT);
            i = to;
            continue;
        }
        i = end;
    }
}

/// Parts before the random one that read like a path stay.
fn start_of_path(b: &[u8], from: usize, i: usize) -> usize {
    if b[from..i].iter().any(|c| c.is_ascii_digit() || *c == b'+') { from } else { i }
}

/// Mixed case and digits, and little repetition. Hex digests, UUIDs and identifiers fail one of these.
fn looks_random(run: &[u8]) -> bool {
    let count = |f: fn(&u8) -> bool| run.iter().filter(|c| f(c)).count();
    if run.len() < SHORTEST
        || count(u8::is_ascii_digit) < 2
        || count(u8::is_ascii_uppercase) < 3
        || count(u8::is_ascii_lowercase) < 3
    {
        return false;
    }
    let mut seen = [0u32; 256];
    for c in run {
        seen[usize::from(*c)] += 1;
    }
    let n = run.len() as f64;
    let entropy: f64 = seen.iter().filter(|c| **c > 0).map(|c| f64::from(*c) / n).map(|p| -p * p.log2()).sum();
    // Changes between kinds of character tell a random string from words joined by humps.
    let kind = |c: u8| (c.is_ascii_digit(), c.is_ascii_uppercase());
    let changes = run.windows(2).filter(|w| kind(w[0]) != kind(w[1])).count();
    entropy >= 3.8 && changes * 3 >= run.len()
}
