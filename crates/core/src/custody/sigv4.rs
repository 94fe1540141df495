//! The signature by which S3 and its likes know a request: AWS Signature Version 4, for a whole object in one request.
//!
//! Deliberately absent: queries, chunked uploads, and keeping keys.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::text::hex;

/// The parts of a request that are signed. Header names are lower case.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: &'a str,
    /// From the first slash, not yet encoded.
    pub path: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    /// SHA-256 of the body, lower-case hex.
    pub payload: &'a str,
    pub region: &'a str,
    /// `20260102T030405Z`.
    pub time: &'a str,
}

/// The value of `Authorization`.
pub fn authorization(request: &Request<'_>, access_key: &str, secret_key: &str) -> String {
    let mut headers: Vec<(&str, &str)> = request.headers.to_vec();
    headers.sort_unstable();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let path = encoded_path(request.path);
    let canonical = format!("{}\n{path}\n\n{lines}\n{names}\n{}", request.method, request.payload);
    let day = request.time.get(..8).unwrap_or_default();
    let scope = format!("{day}/{}/s3/aws4_request", request.region);
    let digest = hex(&Sha256::digest(canonical.as_bytes()));
    let to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{digest}", request.time);
    let start = format!("AWS4{secret_key}").into_bytes();
    let key = [day, request.region, "s3", "aws4_request"].into_iter().fold(start, |key, part| mac(&key, part));
    let signature = hex(&mac(&key, &to_sign));
    format!("AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}")
}

/// Everything but letters, digits and `-._~/` in percent form, as it is signed and as it must be sent.
pub fn encoded_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A digest as `x-amz-checksum-sha256` has it; `None` where it is no hex.
pub fn checksum(digest: &str) -> Option<String> {
    crate::text::unhex(digest).map(|bytes| STANDARD.encode(bytes))
}

/// `20260102T030405Z`.
pub fn time(ms: u64) -> String {
    let [year, month, day, hour, minute, second] = parts(ms);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// `2026-01-02T03:04:05Z`.
pub fn long_time(ms: u64) -> String {
    let [year, month, day, hour, minute, second] = parts(ms);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn parts(ms: u64) -> [u64; 6] {
    let seconds = ms / 1_000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since the year 0 of a calendar that begins in March, so that the leap day is a year's last.
    let from = days + 719_468;
    let (era, of_era) = (from / 146_097, from % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    [year, month, day, rest / 3_600, rest / 60 % 60, rest % 60]
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCESS: &str = "AKIAIOSFODNN7EXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    #[test]
    fn the_published_examples() {
        let empty = hex(&Sha256::digest(b""));
        let get = Request {
            method: "GET",
            path: "/test.txt",
            headers: &[
                ("host", "examplebucket.s3.amazonaws.com"),
                ("range", "bytes=0-9"),
                ("x-amz-content-sha256", &empty),
                ("x-amz-date", "20130524T000000Z"),
            ],
            payload: &empty,
            region: "us-east-1",
            time: "20130524T000000Z",
        };
        assert_eq!(
            authorization(&get, ACCESS, SECRET),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
             Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        let body = hex(&Sha256::digest(b"Welcome to Amazon S3."));
        let put = Request {
            method: "PUT",
            path: "/test$file.text",
            headers: &[
                ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("host", "examplebucket.s3.amazonaws.com"),
                ("x-amz-content-sha256", &body),
                ("x-amz-date", "20130524T000000Z"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ],
            payload: &body,
            region: "us-east-1",
            time: "20130524T000000Z",
        };
        let signed = authorization(&put, ACCESS, SECRET);
        assert!(signed.ends_with("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"), "{signed}");
    }

    #[test]
    fn times() {
        for (ms, text) in [
            (0, "19700101T000000Z"),
            (1_369_353_600_000, "20130524T000000Z"),
            (951_782_400_000, "20000229T000000Z"),
            (1_709_251_199_999, "20240229T235959Z"),
            (4_107_542_400_000, "21000301T000000Z"),
        ] {
            assert_eq!(time(ms), text);
            assert_eq!(long_time(ms).replace(['-', ':'], ""), text);
        }
    }
}
