//! Which numbers and words name a failure, and which keys name an id. This is where "HTTP 404" and "HTTP 500" stay
//! apart while "404 rows" and "500 rows" meet.

use super::{Scan, quantity};

/// Error codes made of a prefix and digits: the prefix and how many digits it takes.
const COMPACT: [(&str, usize, usize); 33] = [
    ("E", 3, 4),
    ("W", 3, 4),
    ("F", 3, 3),
    ("C", 4, 4),
    ("R", 4, 4),
    ("S", 3, 3),
    ("B", 3, 3),
    ("P", 4, 4),
    ("TS", 4, 5),
    ("CS", 4, 4),
    ("CA", 4, 4),
    ("BC", 5, 5),
    ("FS", 4, 4),
    ("SA", 4, 4),
    ("SC", 4, 4),
    ("DL", 4, 4),
    ("NU", 4, 4),
    ("MSB", 4, 4),
    ("LNK", 4, 4),
    ("IDE", 4, 4),
    ("PLR", 4, 4),
    ("PLC", 4, 4),
    ("PLE", 4, 4),
    ("PLW", 4, 4),
    ("SYSLIB", 4, 4),
    ("NETSDK", 4, 4),
    ("PGRST", 3, 3),
    ("AADSTS", 5, 7),
    ("SQL", 4, 5),
    ("KB", 6, 7),
    ("SIGRTMIN", 1, 2),
    ("XX", 3, 3),
    ("HY", 3, 3),
];

/// Prefixes of codes that are joined with a dash: `ORA-00001`.
const DASHED: [&str; 14] =
    ["ORA", "TNS", "PLS", "DPI", "DPY", "MY", "CVE", "RUSTSEC", "SQLCODE", "CWE", "PG", "IMP", "EXP", "HV"];

const ERRNO: [&str; 38] = [
    "EPERM",
    "ENOENT",
    "EINTR",
    "EIO",
    "ENXIO",
    "EBADF",
    "ECHILD",
    "EAGAIN",
    "ENOMEM",
    "EACCES",
    "EFAULT",
    "EBUSY",
    "EEXIST",
    "EXDEV",
    "ENODEV",
    "ENOTDIR",
    "EISDIR",
    "EINVAL",
    "ENFILE",
    "EMFILE",
    "EFBIG",
    "ENOSPC",
    "EROFS",
    "EPIPE",
    "EADDRINUSE",
    "EADDRNOTAVAIL",
    "ECONNREFUSED",
    "ECONNRESET",
    "ECONNABORTED",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "ENOTFOUND",
    "ENOTEMPTY",
    "ENOTCONN",
    "EPROTO",
    "ETIMEDOUT",
    "EAI",
    "ESOCKETTIMEDOUT",
];

/// Names of gRPC's statuses that are no everyday words.
const GRPC: [&str; 12] = [
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

const REASONS: [&str; 23] = [
    "Client",
    "Server",
    "Not",
    "Bad",
    "Internal",
    "Service",
    "Gateway",
    "Unauthorized",
    "Forbidden",
    "Too",
    "Conflict",
    "Gone",
    "Unprocessable",
    "Payment",
    "Method",
    "Request",
    "Precondition",
    "Payload",
    "Unsupported",
    "Locked",
    "Insufficient",
    "page",
    "Proxy",
];

/// Keys whose value is of one run only, lower case, without `_`, `-` and `.`.
const VOLATILE_KEYS: [&[u8]; 32] = [
    b"requestid",
    b"reqid",
    b"xrequestid",
    b"traceid",
    b"spanid",
    b"correlationid",
    b"sessionid",
    b"session",
    b"runid",
    b"containerid",
    b"pid",
    b"ppid",
    b"tid",
    b"threadid",
    b"thread",
    b"pod",
    b"podname",
    b"instanceid",
    b"instance",
    b"host",
    b"hostname",
    b"node",
    b"nodename",
    b"jobid",
    b"buildid",
    b"userid",
    b"eventid",
    b"messageid",
    b"msgid",
    b"transactionid",
    b"txid",
    b"deploymentid",
];

/// Words after a number that leave it a code: "got 404 for /x", where "got 404 rows" counts.
const AFTER_CODE: [&str; 24] = [
    "for", "from", "on", "in", "at", "by", "to", "as", "via", "with", "when", "while", "after", "during", "and", "but",
    "because", "instead", "calling", "error", "response", "status", "reply", "page",
];

/// Parts of the names of errors that speak of a request.
const WEB: [&str; 10] =
    ["http", "api", "response", "status", "request", "fetch", "axios", "gateway", "upstream", "webhook"];

/// Whether the digits from the scan's position to `end` are a code.
pub(super) fn keeps(scan: &Scan<'_>, end: usize) -> bool {
    let length = end - scan.at;
    let digits = &scan.bytes[scan.at..end];
    let decimal = scan.byte(end) == Some(b'.') && scan.byte(end + 1).is_some_and(|b| b.is_ascii_digit());
    if length > 10 || decimal {
        return false;
    }
    let failing = failing(digits);
    if failing && (reason_follows(scan, end) || answers(scan, end)) {
        return true;
    }
    let (start, stop) = scan.words[0];
    if start == stop {
        return false;
    }
    let between = scan.bytes.get(stop..scan.at).unwrap_or_default();
    if between.len() > 5 || !between.iter().all(|b| b" =:\"'([#,-".contains(b)) {
        return false;
    }
    // `HTTP/1.1` is remembered with its version.
    let word = scan.previous().split('/').next().unwrap_or_default();
    let before = scan.text.get(scan.words[1].0..scan.words[1].1).unwrap_or_default();
    // "returned a 404", "a status of 404".
    let word = if ["a", "an", "of"].contains(&word) && failing { before } else { word };
    let is = |name: &str| word.eq_ignore_ascii_case(name);
    let ends = |name: &str| tail_is(word, name);
    let exit = |w: &str| ["exit", "exited", "exitcode"].iter().any(|n| tail_is(w, n));
    if ends("status") || is("http") || is("https") || ends("response") {
        return length <= 3 || exit(before);
    }
    if is("smtp") || is("ftp") || is("alert") || (is("curl") && between == b": (") {
        return length <= 3;
    }
    if exit(word) || is("rc") || is("errno") || is("signal") || is("sig") || is("returncode") {
        return length <= 3 || exit(word);
    }
    if ends("code") {
        return length <= 6 || exit(before) || exit(word);
    }
    if is("sqlstate") || is("state") {
        return length == 5;
    }
    if is("error") || is("err") {
        // A level before a process id is written in capitals, and so is MySQL's, with its state in parentheses.
        let level = word.bytes().all(|b| b.is_ascii_uppercase());
        let strict = matches!(between, b" " | b"=" | b" #" | b"(" | b" (");
        let told = matches!(between, b": " | b": (") && failing && !counts(scan, end);
        return told || (strict && length <= 5 && (!level || scan.bytes[end..].starts_with(b" (")));
    }
    if failing && (ends("error") || ends("exception")) && web(word) {
        return !counts(scan, end);
    }
    let stopped = ["terminated", "ended", "died", "finished"].iter().any(|n| before.eq_ignore_ascii_case(n));
    if is("with") && (exit(before) || stopped) {
        return true;
    }
    if ["returned", "got", "received", "with", "responded", "failed", "answered"].iter().any(|n| is(n)) {
        return failing && !counts(scan, end);
    }
    false
}

/// A status with which a server refuses or fails.
fn failing(digits: &[u8]) -> bool {
    digits.len() == 3 && matches!(digits[0], b'4' | b'5') && digits.iter().all(u8::is_ascii_digit)
}

/// `Http404`, `HTTP503`: the status is part of the name.
pub(super) fn glued_status(run: &str) -> bool {
    run.len() == 7 && run[..4].eq_ignore_ascii_case("http") && failing(&run.as_bytes()[4..])
}

/// `Http404Error`, `OAuth2Exception`: the name of a class of errors, with digits that belong to it.
pub(super) fn class_name(run: &str) -> bool {
    run.starts_with(|c: char| c.is_ascii_uppercase())
        && run.len() <= 60
        && ["Error", "Exception", "Fault", "Failure"].iter().any(|n| run.len() > n.len() && run.ends_with(n))
}

/// "returned 502" names a failure, "returned 502 rows" and "returned 502 MB" count.
fn counts(scan: &Scan<'_>, end: usize) -> bool {
    let next = end + 1;
    let noun = scan.byte(end) == Some(b' ')
        && scan.byte(next).is_some_and(|b| b.is_ascii_lowercase())
        && !AFTER_CODE.contains(&scan.text.get(next..scan.run_end(next)).unwrap_or_default());
    noun || quantity(scan.bytes, scan.at).is_some()
}

/// The answer to a request: `GET /x 404`, `call -> 503`, `404 /x`.
fn answers(scan: &Scan<'_>, end: usize) -> bool {
    let before = scan.text.get(..scan.at).unwrap_or_default();
    let bare = before.trim_end_matches([' ', '"', '\'', '(', '[']);
    let arrow = ["->", "=>", "\u{2192}"].iter().any(|a| bare.ends_with(a));
    let gap = scan.bytes.get(scan.request_end..scan.at).unwrap_or_default();
    let asked = scan.request_end > 0 && gap.len() <= 5 && gap.iter().all(|b| b" =:\"'([#,-".contains(b));
    let leads = bare.is_empty() && scan.bytes[end..].starts_with(b" /");
    (arrow || asked || leads) && !counts(scan, end)
}

fn web(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    WEB.iter().any(|part| lower.contains(part))
}

fn tail_is(word: &str, name: &str) -> bool {
    word.len() >= name.len() && word.as_bytes()[word.len() - name.len()..].eq_ignore_ascii_case(name.as_bytes())
}

fn reason_follows(scan: &Scan<'_>, end: usize) -> bool {
    let start = end + 1;
    scan.byte(end) == Some(b' ') && REASONS.contains(&scan.text.get(start..scan.run_end(start)).unwrap_or_default())
}

/// Whether eight hexadecimal digits are a failure code of Windows rather than an address.
pub(super) fn windows(hex: &str) -> bool {
    hex.len() == 8 && matches!(hex.as_bytes()[0], b'8' | b'c' | b'C')
}

pub(super) fn word_names_code(word: &str) -> bool {
    ["code", "hresult", "error", "exception", "status"].iter().any(|n| tail_is(word, n))
}

/// `E0382`, `TS2345`, `MSB3073`.
pub(super) fn compact(run: &str) -> bool {
    let letters = run.bytes().take_while(u8::is_ascii_uppercase).count();
    let (prefix, digits) = run.split_at(letters);
    digits.bytes().all(|b| b.is_ascii_digit())
        && COMPACT.iter().any(|(p, least, most)| *p == prefix && (*least..=*most).contains(&digits.len()))
}

/// The states of SQL that cannot be mistaken for a number: `40P01`, `0A000`, `P0001`.
pub(super) fn sqlstate(run: &str) -> bool {
    match run.as_bytes() {
        [a, b, b'P', c, d] => [a, b, c, d].iter().all(|x| x.is_ascii_digit()),
        [b'0', b'A' | b'B' | b'F' | b'L' | b'P' | b'Z', b'0', b'0', x] => x.is_ascii_digit(),
        [b'P' | b'F', b'0', b'0', b'0', x] => x.is_ascii_digit(),
        _ => false,
    }
}

/// Whether the word is a symbolic code: an errno, a signal, `ERR_…`. It is copied either way; this records it.
pub(super) fn named(bytes: &[u8], start: usize, end: usize) -> bool {
    let word = &bytes[start..end];
    match word {
        [b'E', b'R', b'R'] => bytes.get(end) == Some(&b'_'),
        [b'S', b'I', b'G', rest @ ..] => (2..=6).contains(&rest.len()) && rest.iter().all(u8::is_ascii_uppercase),
        [b'E', ..] => ERRNO.iter().any(|e| e.as_bytes() == word),
        [b'A'..=b'Z', ..] => GRPC.iter().any(|name| name.as_bytes() == &bytes[start..name_end(bytes, start)]),
        _ => false,
    }
}

/// The end of a symbolic name in capitals.
pub(super) fn name_end(bytes: &[u8], start: usize) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    let capital = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_';
    start + rest.iter().position(|b| !capital(b)).unwrap_or(rest.len())
}

/// The end of `ORA-00001`, `CVE-2024-3094`, when the word is such a prefix.
pub(super) fn dashed(bytes: &[u8], start: usize, end: usize) -> Option<usize> {
    if bytes.get(end) != Some(&b'-') || !DASHED.iter().any(|p| p.as_bytes() == &bytes[start..end]) {
        return None;
    }
    let rest = &bytes[end..];
    let length = rest.iter().take(20).take_while(|b| b.is_ascii_digit() || **b == b'-').count();
    (length >= 4).then_some(end + length)
}

pub(super) fn volatile_key(key: &[u8]) -> bool {
    let mut name = [0_u8; 28];
    let mut length = 0;
    for byte in key.iter().filter(|b| b.is_ascii_alphanumeric()) {
        if length == name.len() {
            return false;
        }
        name[length] = byte.to_ascii_lowercase();
        length += 1;
    }
    let name = &name[..length];
    VOLATILE_KEYS.contains(&name)
}
