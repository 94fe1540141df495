//! How a webhook proves that it comes from here, in two forms side by side, and how a receiver checks either.
//!
//! | Form | Headers | Signed bytes | Key |
//! |---|---|---|---|
//! | Tandem | `x-tandem-signature: t=<ms>,v1=<hex>[,v1=<hex>]` | `<t>.<body>` | the secret's UTF-8 bytes |
//! | Standard Webhooks | `webhook-id`, `webhook-timestamp` (seconds), `webhook-signature: v1,<base64>[ v1,<base64>]` | `<id>.<timestamp>.<body>` | the secret's UTF-8 bytes, or, when it reads `whsec_<base64>`, the decoded bytes |
//!
//! Both are HMAC-SHA256. While a secret is being replaced there is one entry for the new secret and one for the old,
//! and a receiver that knows either accepts. Deliberately absent: reading secrets, and the clock.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The value of `x-tandem-signature-scheme`.
pub const SCHEME: &str = "tandem_hmac_sha256_v1";
/// How far a timestamp may be from the receiver's clock, in either direction, when the receiver has no reason to differ.
pub const TOLERANCE_MS: u64 = 300_000;
/// Prefix of a secret whose key bytes are base64, as the Standard Webhooks specification has it.
const ENCODED_SECRET: &str = "whsec_";
/// A header with more entries than any rotation needs is refused before any of them is computed.
const MAX_ENTRIES: usize = 16;

type Code = Hmac<Sha256>;

/// The headers of the Standard Webhooks form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standard {
    pub id: String,
    /// Seconds.
    pub timestamp: String,
    pub signature: String,
}

/// Why a signature is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The headers cannot be read, or hold no signature of a version known here.
    Malformed,
    /// The timestamp is too far from the receiver's clock: a replay, or a clock that is wrong.
    OutsideTolerance,
    /// None of the signatures was made with any of the secrets.
    Mismatch,
}

/// The value of `x-tandem-signature`: one entry for each secret, in order.
pub fn tandem<'a>(secrets: impl IntoIterator<Item = &'a str>, t_ms: u64, body: &[u8]) -> String {
    let mut header = format!("t={t_ms}");
    for secret in secrets {
        header.push_str(",v1=");
        header.push_str(&hex::encode(tandem_code(secret, t_ms, body).finalize().into_bytes()));
    }
    header
}

/// The Standard Webhooks headers: one entry for each secret, in order.
pub fn standard<'a>(
    secrets: impl IntoIterator<Item = &'a str>,
    delivery_id: &str,
    at_ms: u64,
    body: &[u8],
) -> Standard {
    let timestamp = (at_ms / 1000).to_string();
    let entries: Vec<String> = secrets
        .into_iter()
        .map(|secret| {
            let code = standard_code(secret, delivery_id, &timestamp, body).finalize().into_bytes();
            format!("v1,{}", STANDARD.encode(code))
        })
        .collect();
    Standard { id: delivery_id.to_owned(), timestamp, signature: entries.join(" ") }
}

/// Checks `x-tandem-signature` over the raw body. Returns its timestamp. Any entry made with any of the secrets will do;
/// keys other than `t` and `v1` are left to later versions.
pub fn verify_tandem(
    header: &str,
    body: &[u8],
    secrets: &[&str],
    now_ms: u64,
    tolerance_ms: u64,
) -> Result<u64, Refusal> {
    let mut t_ms = None;
    let mut entries = Vec::new();
    for part in header.split(',') {
        let (key, value) = part.trim().split_once('=').ok_or(Refusal::Malformed)?;
        match key {
            "t" if t_ms.is_none() => t_ms = Some(decimal(value)?),
            "t" => return Err(Refusal::Malformed),
            "v1" => entries.push(hex::decode(value).map_err(|_| Refusal::Malformed)?),
            _ => {}
        }
    }
    let t_ms = t_ms.ok_or(Refusal::Malformed)?;
    judge(&entries, t_ms, now_ms, tolerance_ms, secrets, |secret| tandem_code(secret, t_ms, body))?;
    Ok(t_ms)
}

/// Checks the Standard Webhooks headers over the raw body. Entries of other versions (`v1a`) are skipped.
pub fn verify_standard(
    headers: &Standard,
    body: &[u8],
    secrets: &[&str],
    now_ms: u64,
    tolerance_ms: u64,
) -> Result<(), Refusal> {
    let t_ms = decimal(&headers.timestamp)?.checked_mul(1000).ok_or(Refusal::Malformed)?;
    let mut entries = Vec::new();
    for entry in headers.signature.split_ascii_whitespace() {
        if let ("v1", code) = entry.split_once(',').ok_or(Refusal::Malformed)? {
            entries.push(STANDARD.decode(code).map_err(|_| Refusal::Malformed)?);
        }
    }
    judge(&entries, t_ms, now_ms, tolerance_ms, secrets, |secret| {
        standard_code(secret, &headers.id, &headers.timestamp, body)
    })
}

/// Compares every entry with every secret. Each comparison takes the same time wherever the bytes differ, and a match
/// does not end the loop.
fn judge(
    entries: &[Vec<u8>],
    t_ms: u64,
    now_ms: u64,
    tolerance_ms: u64,
    secrets: &[&str],
    code: impl Fn(&str) -> Code,
) -> Result<(), Refusal> {
    if entries.is_empty() || entries.len() > MAX_ENTRIES {
        return Err(Refusal::Malformed);
    }
    if t_ms.abs_diff(now_ms) > tolerance_ms {
        return Err(Refusal::OutsideTolerance);
    }
    let mut matched = false;
    // A blank secret would let anyone sign.
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        let expected = code(secret);
        for entry in entries {
            matched |= expected.clone().verify_slice(entry).is_ok();
        }
    }
    if matched { Ok(()) } else { Err(Refusal::Mismatch) }
}

/// Digits only: `u64::from_str` would also take a sign, and then two texts would stand for one timestamp.
fn decimal(text: &str) -> Result<u64, Refusal> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().map_err(|_| Refusal::Malformed)
    } else {
        Err(Refusal::Malformed)
    }
}

fn tandem_code(secret: &str, t_ms: u64, body: &[u8]) -> Code {
    keyed(secret.as_bytes(), &[t_ms.to_string().as_bytes(), b".", body])
}

fn standard_code(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> Code {
    keyed(&standard_key(secret), &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body])
}

/// A `whsec_` secret whose rest is not base64 is used as it stands, like any other text.
fn standard_key(secret: &str) -> Vec<u8> {
    secret
        .strip_prefix(ENCODED_SECRET)
        .and_then(|rest| STANDARD.decode(rest).or_else(|_| STANDARD_NO_PAD.decode(rest)).ok())
        .filter(|key| !key.is_empty())
        .unwrap_or_else(|| secret.as_bytes().to_vec())
}

fn keyed(key: &[u8], parts: &[&[u8]]) -> Code {
    let mut code = Code::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        code.update(part);
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BODY: &[u8] = br#"{"event":"incident_monitor.incident"}"#;
    const T: u64 = 1_700_000_000_000;

    /// The vector of the wire contract.
    #[test]
    fn published_vector() {
        assert_eq!(
            tandem(["test-secret"], T, BODY),
            "t=1700000000000,v1=5ad38f243882895e5a059e1cdb84f84c4c20b1a2e898ef7fdaed1b8267d43ce4"
        );
    }

    /// The example of the Standard Webhooks specification.
    #[test]
    fn standard_vector() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let body = br#"{"test": 2432232314}"#;
        let headers = standard([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330_000, body);
        assert_eq!(headers.signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(headers.timestamp, "1614265330");
    }

    #[test]
    fn any_entry_and_any_secret_will_do() {
        let both = tandem(["new", "old"], T, BODY);
        assert_eq!(both.matches("v1=").count(), 2);
        for known in [&["new"][..], &["old"], &["unrelated", "old"]] {
            assert_eq!(verify_tandem(&both, BODY, known, T, TOLERANCE_MS), Ok(T));
            let headers = standard(["new", "old"], "bmwh_1", T, BODY);
            assert_eq!(verify_standard(&headers, BODY, known, T, TOLERANCE_MS), Ok(()));
        }
        // An entry that does not match after one that does, and the other way round.
        let mixed = format!("{},v1={}", tandem(["new"], T, BODY), "00".repeat(32));
        assert_eq!(verify_tandem(&mixed, BODY, &["new"], T, TOLERANCE_MS), Ok(T));
        assert_eq!(verify_tandem(&mixed, BODY, &["old"], T, TOLERANCE_MS), Err(Refusal::Mismatch));
    }

    #[test]
    fn refusals() {
        let good = tandem(["s"], T, BODY);
        let check = |header: &str, now| verify_tandem(header, BODY, &["s"], now, TOLERANCE_MS);
        assert_eq!(check(&good, T + TOLERANCE_MS), Ok(T));
        assert_eq!(check(&good, T + TOLERANCE_MS + 1), Err(Refusal::OutsideTolerance));
        assert_eq!(check(&good, T - TOLERANCE_MS - 1), Err(Refusal::OutsideTolerance));
        assert_eq!(verify_tandem(&good, b"{}", &["s"], T, 1), Err(Refusal::Mismatch));
        assert_eq!(verify_tandem(&tandem([""], T, BODY), BODY, &[""], T, 1), Err(Refusal::Mismatch));
        let hex = good.split_once("v1=").map(|(_, hex)| hex).unwrap_or_default();
        for header in [
            "",
            "t=1",
            "v1=00",
            "t=x,v1=00",
            "t=+1700000000000,v1=00",
            "t=1700000000000,v1=zz",
            &format!("t=1,t={T},v1={hex}"),
            &format!("t={T}{}", ",v1=00".repeat(MAX_ENTRIES + 1)),
        ] {
            assert_eq!(check(header, T), Err(Refusal::Malformed), "{header}");
        }
        let mut headers = standard(["s"], "bmwh_1", T, BODY);
        headers.id = "bmwh_2".to_owned();
        assert_eq!(verify_standard(&headers, BODY, &["s"], T, 1000), Err(Refusal::Mismatch));
        headers.signature = "v1a,AAAA".to_owned();
        assert_eq!(verify_standard(&headers, BODY, &["s"], T, 1000), Err(Refusal::Malformed));
        headers.timestamp = u64::MAX.to_string();
        assert_eq!(verify_standard(&headers, BODY, &["s"], T, 1000), Err(Refusal::Malformed));
    }

    proptest! {
        #[test]
        fn signing_then_checking_holds_and_a_changed_byte_does_not(
            secret in "[!-~]{1,40}", body in prop::collection::vec(any::<u8>(), 1..200), t in 0..u64::MAX / 4, at in any::<prop::sample::Index>(),
        ) {
            let t = t / 1000 * 1000;
            let header = tandem([secret.as_str()], t, &body);
            let headers = standard([secret.as_str()], "bmwh_1", t, &body);
            prop_assert_eq!(verify_tandem(&header, &body, &[&secret], t, 0), Ok(t));
            prop_assert_eq!(verify_standard(&headers, &body, &[&secret], t, 0), Ok(()));
            let mut changed = body.clone();
            changed[at.index(body.len())] ^= 1;
            prop_assert_eq!(verify_tandem(&header, &changed, &[&secret], t, 0), Err(Refusal::Mismatch));
            prop_assert_eq!(verify_standard(&headers, &changed, &[&secret], t, 0), Err(Refusal::Mismatch));
        }

        #[test]
        fn no_header_makes_it_panic(header in "(t=[0-9]{0,22}|,|v1=[0-9a-f]{0,6}|=|\\PC){0,8}") {
            let _ = verify_tandem(&header, BODY, &["s"], T, TOLERANCE_MS);
            let headers = Standard { id: header.clone(), timestamp: header.clone(), signature: header };
            let _ = verify_standard(&headers, BODY, &["s"], T, TOLERANCE_MS);
        }
    }
}
