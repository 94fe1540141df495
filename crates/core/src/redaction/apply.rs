//! One pass: literals, then matchers at their hits, then the replacement of what they marked.

use super::scan::Scan;
use super::{Counts, REDACTED, Redactor, formats, headers, keyed, odd, pem, url};
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind};
use std::borrow::Cow;

/// Passes over one text. Each removes what it finds, so hostile text is needed to come anywhere near.
const PASSES: usize = 8;

#[derive(Debug, Clone)]
enum Trigger {
    Format(usize),
    Key,
    Bearer,
    Basic,
    IdentifiedBy,
    Curl,
    Userinfo,
    MysqlDsn,
    Query,
    Webhook(&'static str),
    PemBegin,
    PemEnd,
    Jwt,
    AzureClientSecret,
    Telegram,
    Discord(String),
    Mailchimp,
    NewRelicLicence,
    Terraform,
    Firebase,
}

/// All literals, and what to look at where one is found.
pub(super) struct Triggers {
    automaton: AhoCorasick,
    targets: Vec<Trigger>,
}

impl Triggers {
    pub fn build() -> Self {
        let mut all: Vec<(String, Trigger)> = Vec::new();
        for (n, format) in formats::FORMATS.iter().enumerate() {
            all.push((format.prefix.to_owned(), Trigger::Format(n)));
        }
        for word in [
            "pass",
            "pwd",
            "secret",
            "token",
            "cred",
            "authoriz",
            "_auth",
            "basic_auth",
            "http_auth",
            "key",
            "cookie",
            "bearer",
            "jsessionid",
        ] {
            all.push((word.to_owned(), Trigger::Key));
        }
        for word in ["sig=", "signature=", "hmac=", "code="] {
            all.push((word.to_owned(), Trigger::Query));
        }
        for prefix in url::WEBHOOKS {
            all.push((prefix.to_owned(), Trigger::Webhook(prefix)));
        }
        for prefix in odd::discord_prefixes() {
            all.push((prefix.clone(), Trigger::Discord(prefix)));
        }
        for (word, trigger) in [
            ("phpsessid", Trigger::Key),
            ("connect.sid", Trigger::Key),
            ("bearer", Trigger::Bearer),
            ("basic", Trigger::Basic),
            ("identified by", Trigger::IdentifiedBy),
            ("curl ", Trigger::Curl),
            ("://", Trigger::Userinfo),
            ("@tcp(", Trigger::MysqlDsn),
            ("@unix(", Trigger::MysqlDsn),
            ("-----begin ", Trigger::PemBegin),
            ("-----end ", Trigger::PemEnd),
            ("eyj", Trigger::Jwt),
            ("q~", Trigger::AzureClientSecret),
            (":aa", Trigger::Telegram),
            ("-us", Trigger::Mailchimp),
            ("nral", Trigger::NewRelicLicence),
            (".atlasv1.", Trigger::Terraform),
            (":apa91b", Trigger::Firebase),
        ] {
            all.push((word.to_owned(), trigger));
        }
        let automaton = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(all.iter().map(|(literal, _)| literal))
            .expect("the literals are constant and few");
        Self { automaton, targets: all.into_iter().map(|(_, trigger)| trigger).collect() }
    }

    fn find(&self, scan: &mut Scan<'_>) {
        for hit in self.automaton.find_overlapping_iter(scan.bytes) {
            let at = hit.start();
            match &self.targets[hit.pattern().as_usize()] {
                Trigger::Format(n) => formats::find(scan, at, &formats::FORMATS[*n]),
                Trigger::Key => keyed::find(scan, at),
                Trigger::Bearer => headers::bearer(scan, at),
                Trigger::Basic => headers::basic(scan, at),
                Trigger::IdentifiedBy => headers::identified_by(scan, at),
                Trigger::Curl => headers::curl(scan, at),
                Trigger::Userinfo => url::userinfo(scan, at),
                Trigger::MysqlDsn => url::mysql_dsn(scan, at),
                Trigger::Query => url::query(scan, at),
                Trigger::Webhook(prefix) => url::webhook(scan, at, prefix),
                Trigger::PemBegin => pem::begin(scan, at),
                Trigger::PemEnd => pem::end(scan, at),
                Trigger::Jwt => odd::jwt(scan, at),
                Trigger::AzureClientSecret => odd::azure_client_secret(scan, at),
                Trigger::Telegram => odd::telegram(scan, at),
                Trigger::Discord(prefix) => odd::discord(scan, at, prefix),
                Trigger::Mailchimp => odd::mailchimp(scan, at),
                Trigger::NewRelicLicence => odd::newrelic_licence(scan, at),
                Trigger::Terraform => odd::terraform(scan, at),
                Trigger::Firebase => odd::firebase(scan, at),
            }
        }
    }
}

pub(super) fn text<'a>(redactor: &Redactor, s: &'a str, counts: &mut Counts) -> Cow<'a, str> {
    let mut current = Cow::Borrowed(s);
    for _ in 0..PASSES {
        match pass(redactor, &current, counts) {
            Some(redacted) => current = Cow::Owned(redacted),
            None => break,
        }
    }
    current
}

fn pass(redactor: &Redactor, s: &str, counts: &mut Counts) -> Option<String> {
    let mut scan = Scan::new(s);
    redactor.triggers.find(&mut scan);
    if let Some(personal) = &redactor.personal {
        personal.find(&mut scan);
    }
    let mut spans = scan.spans;
    if spans.is_empty() {
        return None;
    }
    spans.sort_unstable_by_key(|span| (span.start, std::cmp::Reverse(span.end), span.rank, span.rule));
    let mut out = String::with_capacity(s.len());
    let mut copied = 0;
    let mut spans = spans.into_iter().peekable();
    while let Some(mut span) = spans.next() {
        while let Some(next) = spans.next_if(|next| next.start <= span.end) {
            span.end = span.end.max(next.end);
        }
        let start = crate::text::floor_char_boundary(s, span.start).max(copied);
        let end = (span.end..=s.len()).find(|&i| s.is_char_boundary(i)).unwrap_or(s.len());
        out.push_str(&s[copied..start]);
        out.push_str(REDACTED);
        copied = end;
        *counts.entry(span.rule).or_default() += 1;
    }
    out.push_str(&s[copied..]);
    (out != s).then_some(out)
}
