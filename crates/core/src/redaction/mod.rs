//! The one redaction engine: what counts as a secret in text and in JSON, and what stays readable.
//!
//! It runs at intake, before anything leaves, and on audit payloads. A rule marks the bytes of a secret; marks that
//! overlap or touch become one, so no rule can break the output of another, and each is replaced by `[redacted]`.
//! Passes repeat until nothing is found, so redacting twice is the same as redacting once.
//!
//! One scan over the text looks for all literals at once (`token`, `://`, `ghp_`, …). Only around a hit does a
//! hand-written matcher look closer; clean text costs that scan alone and is returned borrowed.
//!
//! | Profile | Adds to it | Other names |
//! |---|---|---|
//! | `default` | the rules below up to the provider formats | `local`, `standard`, `incident_monitor_local_default`, anything unknown |
//! | `strict` | `email`, `ip_address`, `phone`, `high_entropy` | `pii` |
//!
//! | Rule | Finds | Stays readable |
//! |---|---|---|
//! | `authorization` | the credentials of an `Authorization`-like header or key | the scheme |
//! | `bearer`, `basic` | `Bearer X`, `Basic <base64 of user:password>` anywhere | `Bearer token missing`, `Bearer realm="x"` |
//! | `key_value` | the value after a key whose last word names a secret (`db_password`, `clientSecret`, `x-api-key`), as `k=v`, `k: v`, quoted, escaped or URL-encoded JSON, XML, a `--flag`, or a name and value pair | `token_type=bearer`, `max_tokens: 4096`, `token: expired`, `${VAR}`, `***`, calls such as `get_token()` |
//! | `cookie` | the whole value of `Cookie` and `Set-Cookie` | `cookies: 3` |
//! | `url_userinfo` | the password in `scheme://user:password@host`, or a token in its place | `ssh://git@host` |
//! | `url_query` | signatures and OAuth codes in a query | `?code=404` |
//! | `webhook_url` | the secret path of Slack, Discord, Teams and Zapier hooks | the host |
//! | `private_key` | PEM private keys, also escaped, also cut off at either end | certificates, public keys |
//! | `jwt`, `aws_access_key`, `github_token`, … | token formats of known providers, see [`rules`] | commit hashes, UUIDs, digests |
//!
//! Deliberately absent: the bare word `key` and a secret without any name or format near it (outside `strict`), and
//! any record of what was found. [`Counts`] holds rule ids and numbers, never values.

mod apply;
mod extent;
mod formats;
mod headers;
mod json;
mod keyed;
mod names;
mod odd;
mod pem;
mod rules;
mod scan;
mod strict;
mod url;
mod values;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

pub use rules::{Profile, Rule, profiles, rules};

/// What stands in the place of a secret.
pub const REDACTED: &str = "[redacted]";

/// How many redactions each rule made, by rule id. Never values.
pub type Counts = BTreeMap<&'static str, u32>;

/// A set of rules, ready to run. Get one from [`redactor`].
pub struct Redactor {
    triggers: apply::Triggers,
    personal: Option<strict::Personal>,
}

/// The name of the rules that a profile means.
pub fn level(profile: Option<&str>) -> &'static str {
    match rules::profile(profile) {
        rules::Level::Default => "default",
        rules::Level::Strict => "strict",
    }
}

/// The redactor of a profile. `None` and unknown names get `default`, so a misspelt label never turns redaction off.
pub fn redactor(profile: Option<&str>) -> &'static Redactor {
    static DEFAULT: OnceLock<Redactor> = OnceLock::new();
    static STRICT: OnceLock<Redactor> = OnceLock::new();
    match rules::profile(profile) {
        rules::Level::Default => {
            DEFAULT.get_or_init(|| Redactor { triggers: apply::Triggers::build(), personal: None })
        }
        rules::Level::Strict => STRICT
            .get_or_init(|| Redactor { triggers: apply::Triggers::build(), personal: Some(strict::Personal::build()) }),
    }
}

impl Redactor {
    /// Replaces every secret in `s`. Borrowed when nothing was found.
    pub fn text<'a>(&self, s: &'a str, counts: &mut Counts) -> Cow<'a, str> {
        apply::text(self, s, counts)
    }

    /// Redacts lines that belong together, so that a private key spread over several of them is seen as one. There
    /// may be fewer lines afterwards.
    pub fn lines(&self, lines: &[String], counts: &mut Counts) -> Vec<String> {
        if lines.is_empty() {
            return Vec::new();
        }
        self.text(&lines.join("\n"), counts).split('\n').map(str::to_owned).collect()
    }

    /// Redacts strings anywhere in `v`, and whole values under keys that name a secret. Keys stay as they are.
    pub fn json(&self, v: &mut serde_json::Value, counts: &mut Counts) {
        json::redact(self, v, counts);
    }
}
