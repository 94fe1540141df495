//! Secrets that are believable in form and plainly fake in content. Each is put together from pieces when it is
//! needed, so that neither this file nor the sample logs hold anything that a secret scanner would report.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// The secret of this name. Always the same, so that it can be searched for.
pub fn value(name: &str) -> String {
    match name {
        "github_token" => fake(&["gh", "p_"], 36),
        "aws_key_id" => fake(&["AK", "IA"], 16),
        "aws_secret" => fake(&["w"], 39),
        "db_password" => fake(&["pg"], 14),
        "smtp_password" => fake(&["mx"], 18),
        "stripe_key" => fake(&["sk_", "live_"], 24),
        "slack_token" => fake(&["xo", "xb-"], 40),
        "registry_token" => fake(&["c", "io"], 32),
        "npm_token" => fake(&["np", "m_"], 36),
        "jwt" => jwt(),
        other => unreachable!("no secret is called {other}; the samples' test walks all names"),
    }
}

/// The pieces of a prefix, then `length` characters that say what they are.
fn fake(prefix: &[&str], length: usize) -> String {
    prefix.concat() + &"DEMO0ONLY1NOT2A3REAL4KEY5".chars().cycle().take(length).collect::<String>()
}

fn jwt() -> String {
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    format!("{}.{}.{}", part(r#"{"alg":"HS256"}"#), part(r#"{"sub":"demo","iat":1}"#), fake(&[], 43))
}
