//! Secrets in URLs: in front of the host, in the query, and in the path of incoming webhooks.

use super::keyed::name_around;
use super::scan::{CONTEXT, FORMAT, Scan, at, quote_len, starts_with};
use super::values;

/// How far a password with an unescaped `/` in it is looked for.
const REACH: usize = 256;

fn ends_url(c: u8) -> bool {
    c <= b' ' || matches!(c, b'"' | b'\'' | b'<' | b'>' | b'`')
}

/// `hit` is at `://`.
pub(super) fn userinfo(scan: &mut Scan<'_>, hit: usize) {
    let b = scan.bytes;
    let start = hit + 3;
    let mut end = start;
    let mut last_at = None;
    while end < b.len() && !ends_url(b[end]) && !matches!(b[end], b'/' | b'?' | b'#' | b'\\') {
        if b[end] == b'@' {
            last_at = Some(end);
        }
        end += 1;
    }
    // `redis://:pa/ss@host`: after the colon of a host comes a port, so this is a password with a slash in it.
    if last_at.is_none()
        && let Some(colon) = b[start..end].iter().position(|c| *c == b':')
        && b[start + colon + 1..end].iter().any(|c| !c.is_ascii_digit())
        && at(b, start) != b'['
    {
        let rest = b[end..].iter().take(REACH).take_while(|c| !ends_url(**c));
        last_at = rest.enumerate().filter(|(_, c)| **c == b'@').last().map(|(n, _)| end + n);
    }
    let Some(host) = last_at else { return };
    let colon = b[start..host].iter().position(|c| *c == b':').map(|n| start + n);
    let Some(colon) = colon else {
        if values::looks_random(&b[start..host], 16) {
            scan.mark(start, host, "url_userinfo", CONTEXT);
        }
        return;
    };
    let (user, password) = (&b[start..colon], &b[colon + 1..host]);
    let spare = password.is_empty() || matches!(password, b"x-oauth-basic" | b"x");
    if spare && !user.is_empty() && !values::masked(user) || values::looks_random(user, 20) {
        scan.mark(start, host, "url_userinfo", CONTEXT);
    } else if !spare && !values::harmless(super::names::Kind::Password, password) {
        scan.mark(colon + 1, host, "url_userinfo", CONTEXT);
    }
}

/// `user:password@tcp(host)`, as Go's MySQL driver has it; `hit` is at `@`.
pub(super) fn mysql_dsn(scan: &mut Scan<'_>, hit: usize) {
    let b = scan.bytes;
    let back = b[..hit].iter().rev().take(REACH).take_while(|c| !ends_url(**c)).count();
    let start = hit - back;
    // A cut at REACH must not fall inside a character; from the colon on it cannot.
    let Some(colon) = b[start..hit].iter().position(|c| *c == b':') else { return };
    let from = start + colon + 1;
    if !values::harmless(super::names::Kind::Password, &b[from..hit]) {
        scan.mark(from, hit, "url_userinfo", CONTEXT);
    }
}

/// A query parameter that is secret only in a URL; `hit` is inside its name.
pub(super) fn query(scan: &mut Scan<'_>, hit: usize) {
    let b = scan.bytes;
    let (start, end) = name_around(b, hit);
    let name = &b[start..end];
    let before = &b[..start];
    let parameter = start > 0 && matches!(b[start - 1], b'?' | b'&' | b';')
        || [&b"%26"[..], b"%3f", b"%3F", b"\\u0026"].iter().any(|e| before.ends_with(e));
    if !parameter || at(b, end) != b'=' {
        return;
    }
    let from = end + 1;
    if scan.spans.last().is_some_and(|last| last.rule == "url_query" && from < last.end) {
        return;
    }
    // `code` is a grant only when it is long; `?code=404` is a status.
    let code = name.eq_ignore_ascii_case(b"code");
    let ends = |i: usize| {
        ends_url(b[i])
            || matches!(b[i], b'&' | b'#' | b';' | b')' | b'\\')
            || (code && b[i] == b'?')
            || quote_len(b, i) > 0
            || starts_with(b, i, b"%26")
    };
    let to = (from..b.len()).find(|&i| ends(i)).unwrap_or(b.len());
    let value = &b[from..to];
    if values::harmless(super::names::Kind::Secret, value) || (code && !values::looks_random(value, 10)) {
        return;
    }
    scan.mark(from, to, "url_query", CONTEXT);
}

/// Hosts and paths after which the rest of the URL is the secret.
pub(super) const WEBHOOKS: [&str; 10] = [
    "hooks.slack.com/services/",
    "hooks.slack.com/workflows/",
    "hooks.slack.com/triggers/",
    "hooks.slack-gov.com/services/",
    "discord.com/api/webhooks/",
    "discordapp.com/api/webhooks/",
    "webhook.office.com/webhookb2/",
    "outlook.office.com/webhook/",
    "hooks.zapier.com/hooks/catch/",
    "maker.ifttt.com/trigger/",
];

pub(super) fn webhook(scan: &mut Scan<'_>, hit: usize, prefix: &str) {
    let b = scan.bytes;
    let from = hit + prefix.len();
    let path = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'/' | b'_' | b'-' | b'@' | b'.' | b'%' | b'=');
    let to = from + b[from..].iter().take(512).take_while(|c| path(c)).count();
    let to = to - b[from..to].iter().rev().take_while(|c| **c == b'.').count();
    if to > from {
        scan.mark(from, to, "webhook_url", FORMAT);
    }
}
