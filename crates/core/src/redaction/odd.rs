//! Token formats that need more than a prefix: the telling bytes stand inside them.

use super::scan::{FORMAT, Scan, Set, at, begins_word, starts_with, without_dots};

/// A dot is looked for this far, so that a run full of `eyJ` costs no more than its length.
const LONGEST_HEADER: usize = 1024;

/// A JSON Web Token, or another token that begins with encoded JSON and goes on after a dot.
pub(super) fn jwt(scan: &mut Scan<'_>, hit: usize) {
    let b = scan.bytes;
    if !b[hit..].starts_with(b"eyJ") || !begins_word(b, hit) {
        return;
    }
    let end = without_dots(b, scan.run_end(hit, Set::Dotted));
    let run = &b[hit..end];
    let header = run.iter().take(LONGEST_HEADER).position(|c| *c == b'.').unwrap_or(run.len());
    // These open `{"alg":`, `{"typ":` and `{"kid":`. Such a header is a token even when the rest was cut off.
    let known = [&b"eyJhbGciOi"[..], b"eyJ0eXAiOi", b"eyJraWQiOi"].iter().any(|k| run.starts_with(k));
    if header >= 12 && (run.len() >= header + 4 || (known && header >= 20)) {
        scan.mark(hit, end, "jwt", FORMAT);
    }
}

/// Microsoft Entra client secrets have a digit and `Q~` as their fourth to sixth bytes.
pub(super) fn azure_client_secret(scan: &mut Scan<'_>, hit: usize) {
    let b = scan.bytes;
    let Some(start) = hit.checked_sub(4) else { return };
    let body = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.' | b'~');
    if b[hit] != b'Q' || !b[hit - 1].is_ascii_digit() || !b[start..hit].iter().all(body) || !begins_word(b, start) {
        return;
    }
    let end = without_dots(b, hit + 2 + b[hit + 2..].iter().take(48).take_while(|c| body(c)).count());
    if end - hit >= 30 {
        scan.mark(start, end, "azure_client_secret", FORMAT);
    }
}

/// `<bot id>:AA…`; `hit` is at the colon.
pub(super) fn telegram(scan: &mut Scan<'_>, hit: usize) {
    let b = scan.bytes;
    let digits = b[..hit].iter().rev().take(12).take_while(|c| c.is_ascii_digit()).count();
    let start = hit - digits;
    if !(6..=11).contains(&digits) || !b[hit..].starts_with(b":AA") {
        return;
    }
    if !begins_word(b, start) && !b[..start].ends_with(b"bot") {
        return;
    }
    let end = scan.run_end(hit + 1, Set::Base64Url);
    if (30..=48).contains(&(end - hit)) {
        scan.mark(start, end, "telegram_bot_token", FORMAT);
    }
}

/// The first three bytes of a Discord bot token: a user id, which is a decimal number, in base64.
pub(super) fn discord_prefixes() -> Vec<String> {
    use base64::Engine as _;
    let pairs = (10..100).map(|n| base64::engine::general_purpose::STANDARD.encode(n.to_string()));
    pairs.map(|encoded| encoded[..3].to_owned()).collect()
}

pub(super) fn discord(scan: &mut Scan<'_>, hit: usize, prefix: &str) {
    let b = scan.bytes;
    if !b[hit..].starts_with(prefix.as_bytes()) || !begins_word(b, hit) {
        return;
    }
    let end = without_dots(b, scan.run_end(hit, Set::Dotted));
    if end - hit > 128 {
        return;
    }
    let mut parts = b[hit..end].split(|c| *c == b'.').map(<[u8]>::len);
    let fits = [23..=30, 6..=7, 27..=60].iter().all(|range| parts.next().is_some_and(|n| range.contains(&n)));
    if fits {
        scan.mark(hit, end, "discord_bot_token", FORMAT);
    }
}

/// 32 hex digits and a data centre: `…-us12`; `hit` is at the dash.
pub(super) fn mailchimp(scan: &mut Scan<'_>, hit: usize) {
    let b = scan.bytes;
    let Some(start) = hit.checked_sub(32) else { return };
    let digits = b[hit + 3..].iter().take(3).take_while(|c| c.is_ascii_digit()).count();
    let end = hit + 3 + digits;
    let hex = b[start..hit].iter().all(u8::is_ascii_hexdigit);
    if hex && (1..=2).contains(&digits) && begins_word(b, start) && !at(b, end).is_ascii_alphanumeric() {
        scan.mark(start, end, "mailchimp_api_key", FORMAT);
    }
}

/// A New Relic licence key ends in `NRAL`.
pub(super) fn newrelic_licence(scan: &mut Scan<'_>, hit: usize) {
    let b = scan.bytes;
    let Some(start) = hit.checked_sub(36) else { return };
    let end = hit + 4;
    if b[start..hit].iter().all(u8::is_ascii_hexdigit)
        && b[hit..].starts_with(b"NRAL")
        && begins_word(b, start)
        && !at(b, end).is_ascii_alphanumeric()
    {
        scan.mark(start, end, "newrelic_key", FORMAT);
    }
}

/// `<14 characters>.atlasv1.<60 and more>`.
pub(super) fn terraform(scan: &mut Scan<'_>, hit: usize) {
    let b = scan.bytes;
    let Some(start) = hit.checked_sub(14) else { return };
    if starts_with(b, hit, b".atlasv1.") && b[start..hit].iter().all(u8::is_ascii_alphanumeric) {
        let end = scan.run_end(hit + 9, Set::Base64);
        if end >= hit + 9 + 40 {
            scan.mark(start, end, "terraform_token", FORMAT);
        }
    }
}

/// `<id>:APA91b…`; `hit` is at the colon.
pub(super) fn firebase(scan: &mut Scan<'_>, hit: usize) {
    let b = scan.bytes;
    let end = scan.run_end(hit + 1, Set::Base64Url);
    if end - hit < 100 || !b[hit..].starts_with(b":APA91b") {
        return;
    }
    // A key of a server has a shorter id than a registration.
    let mut starts = [22, 11].into_iter().filter_map(|id| hit.checked_sub(id));
    let begins = |start: &usize| b[*start..hit].iter().all(|c| Set::Base64Url.has(*c)) && begins_word(b, *start);
    scan.mark(starts.find(begins).unwrap_or(hit + 1), end, "firebase_token", FORMAT);
}
