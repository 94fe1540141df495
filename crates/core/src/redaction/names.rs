//! Which names say that their value is a secret.
//!
//! A name is split into words at `_`, `-`, `.` and at humps. Its last word decides: `db_password` names a secret,
//! `password_reset` does not, `token_type` does not. A few trailing words (`value`, `old`, `prod`) change nothing.

/// What kind of secret a name speaks of. It decides which values are plainly not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Password,
    /// `pwd`, which is also the working directory.
    Pwd,
    /// The bare word `pass`, which is also what tests do.
    Pass,
    Secret,
    Token,
    /// A plural, which is more often a number of model tokens.
    Tokens,
    Authorization,
    Cookie,
}

/// How far a name is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// In text: `…_key` only with a word before it that makes it a secret.
    Text,
    /// As a JSON key: every `…_key` but those known to be harmless.
    Json,
}

const NEUTRAL: [&str; 26] = [
    "value",
    "val",
    "hash",
    "plain",
    "plaintext",
    "raw",
    "base64",
    "b64",
    "enc",
    "encrypted",
    "old",
    "new",
    "current",
    "confirm",
    "confirmation",
    "again",
    "header",
    "prod",
    "production",
    "staging",
    "live",
    "dev",
    "primary",
    "secondary",
    "base",
    "default",
];

/// A name that begins so speaks about a secret (`InvalidToken: …`, `has_password=…`).
const ABOUT: [&str; 20] = [
    "invalid",
    "bad",
    "missing",
    "expired",
    "unexpected",
    "unknown",
    "malformed",
    "wrong",
    "incorrect",
    "unauthorized",
    "has",
    "is",
    "requires",
    "require",
    "needs",
    "forgot",
    "reset",
    "no",
    "unsupported",
    "illegal",
];

const SECRET_KEYS: [&str; 41] = [
    "api",
    "access",
    "secret",
    "private",
    "priv",
    "signing",
    "sign",
    "encryption",
    "encrypt",
    "decryption",
    "master",
    "account",
    "shared",
    "auth",
    "storage",
    "subscription",
    "ssh",
    "service",
    "webhook",
    "deploy",
    "hmac",
    "cipher",
    "crypto",
    "session",
    "app",
    "application",
    "consumer",
    "client",
    "security",
    "admin",
    "jwt",
    "rsa",
    "aes",
    "tls",
    "ssl",
    "ingest",
    "ingestion",
    "integration",
    "license",
    "intake",
    "functions",
];

const HARMLESS_KEYS: [&str; 36] = [
    "primary",
    "foreign",
    "partition",
    "sort",
    "idempotency",
    "cache",
    "public",
    "pub",
    "object",
    "row",
    "routing",
    "unique",
    "index",
    "composite",
    "group",
    "grouping",
    "join",
    "map",
    "dedupe",
    "dedup",
    "duplicate",
    "project",
    "issue",
    "argument",
    "metadata",
    "key",
    "lookup",
    "translation",
    "i18n",
    "message",
    "sorting",
    "storage_object",
    "registry",
    "hot",
    "shard",
    "natural",
];

const GLUED_KEYS: [&str; 10] = [
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "accountkey",
    "signingkey",
    "masterkey",
    "authkey",
    "encryptionkey",
    "sharedkey",
];

/// Classifies a name. `quoted` says that it stood in quotation marks or was a JSON key.
pub(super) fn kind(name: &[u8], reach: Reach, quoted: bool) -> Option<Kind> {
    let words = words(name);
    let first = words.first()?;
    if words.len() > 1 && any(first, &ABOUT) {
        return None;
    }
    let mut n = words.len();
    while n > 1 && any(words[n - 1], &NEUTRAL) {
        n -= 1;
    }
    let last = words[n - 1];
    let before = if n > 1 { words[n - 2] } else { b"" };
    if is(last, &["pwd"]) && (before.is_empty() || is(before, &["old"])) || is(last, &["oldpwd"]) {
        return Some(Kind::Pwd);
    }
    if is(last, &["pass"]) {
        return match (before.is_empty(), quoted) {
            (true, false) => Some(Kind::Pass),
            (true, true) | (false, _) => Some(Kind::Password),
        };
    }
    if ends(last, &["password", "passwords", "passwd", "passphrase", "passcode", "passwort", "pwd"]) {
        return Some(Kind::Password);
    }
    if ends(last, &["token"]) || is(last, &["bearer"]) {
        return Some(Kind::Token);
    }
    if ends(last, &["tokens"]) {
        return Some(Kind::Tokens);
    }
    if ends(last, &["authorization"]) || (is(last, &["auth"]) && (name[0] == b'_' || is(before, &["basic", "http"]))) {
        return Some(Kind::Authorization);
    }
    if is(last, &["cookie", "cookies"]) {
        return Some(Kind::Cookie);
    }
    if ends(last, &["secret", "secrets", "credential", "credentials"])
        || (is(last, &["sid"]) && is(before, &["connect"]))
        || is(last, &["creds", "cred", "jsessionid", "phpsessid"])
        || ends(last, &GLUED_KEYS)
        || last.split_last().is_some_and(|(s, apikeys)| s.eq_ignore_ascii_case(&b's') && ends(apikeys, &GLUED_KEYS))
    {
        return Some(Kind::Secret);
    }
    let secret_key = is(last, &["key", "keys"])
        && !before.is_empty()
        && (any(before, &SECRET_KEYS) || (reach == Reach::Json && !any(before, &HARMLESS_KEYS)));
    secret_key.then_some(Kind::Secret)
}

fn any(word: &[u8], list: &[&str]) -> bool {
    list.iter().any(|w| w.as_bytes().eq_ignore_ascii_case(word))
}

fn is(word: &[u8], list: &[&str]) -> bool {
    any(word, list)
}

fn ends(word: &[u8], list: &[&str]) -> bool {
    list.iter().any(|w| super::scan::ends_with(word, w.as_bytes()))
}

/// The words of a name, without digits at their end.
fn words(name: &[u8]) -> Vec<&[u8]> {
    let mut words = Vec::with_capacity(4);
    let mut start = 0;
    for i in 0..=name.len() {
        let ends = match name.get(i) {
            None => true,
            Some(c) if !c.is_ascii_alphanumeric() => true,
            Some(c) if c.is_ascii_uppercase() && i > start => {
                let after = name[i - 1];
                !after.is_ascii_uppercase() && after.is_ascii_alphanumeric()
                    || after.is_ascii_uppercase() && name.get(i + 1).is_some_and(u8::is_ascii_lowercase)
            }
            Some(_) => false,
        };
        if ends {
            let word = &name[start..i];
            let letters = word.iter().rposition(|c| !c.is_ascii_digit()).map_or(0, |p| p + 1);
            if letters > 0 {
                words.push(&word[..letters]);
            }
            start = if name.get(i).is_some_and(u8::is_ascii_alphanumeric) { i } else { i + 1 };
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_decides() {
        let cases: &[(&str, Option<Kind>)] = &[
            ("password", Some(Kind::Password)),
            ("DB_PASSWORD", Some(Kind::Password)),
            ("dbPassword2", Some(Kind::Password)),
            ("PGPASSWORD", Some(Kind::Password)),
            ("smtp-pass", Some(Kind::Password)),
            ("password_hash", Some(Kind::Password)),
            ("AWS_SECRET_ACCESS_KEY", Some(Kind::Secret)),
            ("SharedAccessKey", Some(Kind::Secret)),
            ("APIKey", Some(Kind::Secret)),
            ("apikeys", Some(Kind::Secret)),
            ("x-api-key", Some(Kind::Secret)),
            ("clientSecret", Some(Kind::Secret)),
            ("spring.datasource.password", Some(Kind::Password)),
            ("csrfmiddlewaretoken", Some(Kind::Token)),
            ("max_tokens", Some(Kind::Tokens)),
            ("Proxy-Authorization", Some(Kind::Authorization)),
            ("_auth", Some(Kind::Authorization)),
            ("Set-Cookie", Some(Kind::Cookie)),
            ("key", None),
            ("sort_key", None),
            ("public_key", None),
            ("monkey", None),
            ("author", None),
            ("authority", None),
            ("token_type", None),
            ("tokenizer", None),
            ("token.js", None),
            ("password_reset", None),
            ("secretary", None),
            ("InvalidToken", None),
            ("SharedAccessKeyName", None),
            ("access_key_id", None),
            ("authorization_marker", None),
            ("compass", None),
            ("bypass", None),
            ("", None),
            ("___", None),
        ];
        for (name, expected) in cases {
            assert_eq!(kind(name.as_bytes(), Reach::Text, false), *expected, "{name}");
        }
    }

    #[test]
    fn a_json_key_reaches_further() {
        assert_eq!(kind(b"stripe_key", Reach::Text, true), None);
        assert_eq!(kind(b"stripe_key", Reach::Json, true), Some(Kind::Secret));
        for harmless in ["idempotency_key", "primaryKey", "public_key", "key", "argument_keys"] {
            assert_eq!(kind(harmless.as_bytes(), Reach::Json, true), None, "{harmless}");
        }
    }
}
