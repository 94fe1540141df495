//! The catalogue: which profiles and rules there are, for documentation and for checking ids.

use super::formats;

/// A named set of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub description: &'static str,
}

/// A rule as receipts name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub id: &'static str,
    pub description: &'static str,
    /// Whether only the `strict` profile has it.
    pub strict_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Default,
    Strict,
}

const PROFILES: [Profile; 2] = [
    Profile {
        name: "default",
        aliases: &["local", "standard", "incident_monitor_local_default"],
        description: "Credentials: named secrets, headers, URLs, private keys and known token formats.",
    },
    Profile {
        name: "strict",
        aliases: &["pii"],
        description: "All of default, and email addresses, IP addresses, phone numbers and random-looking values.",
    },
];

/// Every profile.
pub fn profiles() -> &'static [Profile] {
    &PROFILES
}

pub(super) fn profile(label: Option<&str>) -> Level {
    let strict = &PROFILES[1];
    match label.map(str::trim) {
        Some(label) if std::iter::once(&strict.name).chain(strict.aliases).any(|n| n.eq_ignore_ascii_case(label)) => {
            Level::Strict
        }
        Some(_) | None => Level::Default,
    }
}

const fn rule(id: &'static str, description: &'static str) -> Rule {
    Rule { id, description, strict_only: false }
}

const fn strict(id: &'static str, description: &'static str) -> Rule {
    Rule { id, description, strict_only: true }
}

const CONTEXTUAL: [Rule; 20] = [
    rule("authorization", "Credentials in an Authorization header or a key of that name"),
    rule("bearer", "A bearer token wherever it stands"),
    rule("basic", "HTTP basic credentials wherever they stand"),
    rule("key_value", "The value of a key whose name says that it is secret"),
    rule("cookie", "The value of a Cookie or Set-Cookie header"),
    rule("url_userinfo", "The password or token in front of a URL's host"),
    rule("url_query", "A signature or OAuth code in a URL's query"),
    rule("webhook_url", "The secret path of an incoming webhook"),
    rule("private_key", "A PEM private key"),
    rule("jwt", "A JSON Web Token"),
    rule("azure_client_secret", "A Microsoft Entra client secret"),
    rule("telegram_bot_token", "A Telegram bot token"),
    rule("discord_bot_token", "A Discord bot token"),
    rule("mailchimp_api_key", "A Mailchimp API key"),
    rule("terraform_token", "An HCP Terraform token"),
    rule("firebase_token", "A Firebase server key or registration token"),
    strict("email", "An email address"),
    strict("ip_address", "An IPv4 or IPv6 address that is not loopback"),
    strict("phone", "A phone number"),
    strict("high_entropy", "A long value that looks random"),
];

/// Every rule, contextual ones first.
pub fn rules() -> Vec<Rule> {
    let mut all = CONTEXTUAL.to_vec();
    for format in formats::FORMATS {
        if all.iter().all(|r| r.id != format.rule) {
            all.push(rule(format.rule, formats::describe(format.rule)));
        }
    }
    all
}
