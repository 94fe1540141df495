//! What an answer of a tracker's API means for the request that brought it.

use serde_json::Value;

use super::{Class, budget::Limits};
use crate::{
    publish::{
        refusal::{self, Refusal},
        settle::Outcome,
    },
    text::truncate,
};

/// An answer as it came, bounded and parsed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    pub status: u16,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    /// `None` when the body is not JSON, or was too long.
    pub body: Option<Value>,
    /// The answer's own time, where it says one; limits are counted by it.
    pub date_ms: Option<u64>,
    pub duration_ms: u64,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.header(name)?.trim().parse().ok()
    }
}

/// Why a request brought nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    pub code: &'static str,
    pub text: String,
    pub status: Option<u16>,
    /// Another attempt may end differently.
    pub retryable: bool,
    /// The request may have had its effect.
    pub may_have_acted: bool,
    /// The destination itself said that it did nothing.
    pub refused: bool,
    /// Its own no, and how long it is worth waiting for.
    pub refusal: Option<Refusal>,
    pub retry_after_ms: Option<u64>,
    pub duration_ms: Option<u64>,
}

impl Trouble {
    pub fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
            status: None,
            retryable: false,
            may_have_acted: false,
            refused: false,
            refusal: None,
            retry_after_ms: None,
            duration_ms: None,
        }
    }

    pub fn outcome(&self) -> Outcome {
        Outcome {
            status_code: self.status,
            retryable: self.retryable,
            error_code: Some(self.code.to_owned()),
            error: Some(self.text.clone()),
            retry_after_ms: self.retry_after_ms,
            duration_ms: self.duration_ms,
            in_doubt: self.may_have_acted,
            refused: self.refused,
            refusal: self.refusal,
            ..Outcome::default()
        }
    }
}

/// What an answer says about limits. GitHub and Linear name their headers differently; both count requests.
pub fn limits(class: Class, answer: &Answer, now_ms: u64) -> Limits {
    let message = message(answer).to_ascii_lowercase();
    let secondary = message.contains("secondary rate limit") || message.contains("abuse detection");
    let ratelimited = errors(answer).any(|error| error["extensions"]["code"] == "RATELIMITED");
    let remaining = answer.number("x-ratelimit-remaining").or(answer.number("x-ratelimit-requests-remaining"));
    let reset = answer.number("x-ratelimit-reset").or(answer.number("x-ratelimit-requests-reset"));
    let retry_after_ms = answer.number("retry-after").map(|seconds| seconds.saturating_mul(1000));
    let refused = answer.status == 429
        || ratelimited
        || (answer.status == 403 && (secondary || remaining == Some(0) || retry_after_ms.is_some()));
    Limits {
        retry_after_ms,
        remaining,
        // GitHub says seconds, Linear milliseconds; a host whose clock is off means the time from its own now.
        reset_at_ms: reset.map(|reset| {
            let reset = if reset < 100_000_000_000 { reset.saturating_mul(1000) } else { reset };
            match answer.date_ms {
                Some(theirs) => now_ms.saturating_add(reset.saturating_sub(theirs)),
                None => reset,
            }
        }),
        search: class == Class::Search || answer.header("x-ratelimit-resource") == Some("search"),
        refused,
        secondary: secondary || ratelimited,
    }
}

/// The body of a good answer, or what is wrong with it. `limits` are the answer's own.
pub fn judge(class: Class, answer: &Answer, limits: &Limits) -> Result<Value, Trouble> {
    let status = answer.status;
    let trouble = |code, text: String| Trouble {
        status: Some(status),
        duration_ms: Some(answer.duration_ms),
        ..Trouble::new(code, text)
    };
    let said = |what: &str| {
        let message = message(answer);
        if message.is_empty() { what.to_owned() } else { format!("{what}: {}", truncate(&message, 300)) }
    };
    let write = class == Class::Write;
    if limits.refused {
        let waits = limits.retry_after_ms.or((limits.remaining == Some(0)).then_some(60_000)).unwrap_or(60_000);
        return Err(Trouble {
            retryable: true,
            retry_after_ms: Some(waits),
            ..trouble("rate_limited", said("the tracker's rate limit refused the request"))
        });
    }
    match status {
        200..=299 => match &answer.body {
            Some(body) if errors(answer).next().is_none() => Ok(body.clone()),
            // GraphQL refuses with 200. A refusal is an answer where every error says by its code that the request was
            // not carried out; any other may have come after it was.
            Some(_) => {
                let open = errors(answer).any(|e| !e["extensions"]["code"].as_str().is_some_and(refuses));
                let codes =
                    errors(answer).filter_map(|e| e["extensions"]["code"].as_str()).collect::<Vec<_>>().join(" ");
                Err(Trouble {
                    retryable: open,
                    may_have_acted: open && write,
                    refused: open && write,
                    refusal: Some(if open {
                        refusal::of_words(&format!("{codes} {}", message(answer)))
                    } else {
                        Refusal::Final
                    }),
                    ..trouble("tracker_refused", said("the tracker refused the request"))
                })
            }
            None => Err(Trouble {
                retryable: true,
                may_have_acted: write,
                ..trouble("answer_malformed", "the tracker's answer is not JSON".into())
            }),
        },
        304 => Ok(Value::Null),
        300..=399 => Err(trouble("redirect", "the tracker answered with a redirect, which is never followed".into())),
        401 => Err(trouble("token_refused", said("the tracker does not accept the token"))),
        403 => Err(trouble("not_permitted", said("the token may not do this"))),
        404 => {
            Err(trouble("not_found", said("the repository or the issue does not exist, or the token may not see it")))
        }
        410 => Err(trouble("issue_gone", said("issues are switched off, or the issue was deleted"))),
        _ if refusal::of_status(status) == Refusal::Passing => Err(Trouble {
            retryable: true,
            may_have_acted: write,
            ..trouble("http_status", said("the tracker failed"))
        }),
        _ => Err(trouble("http_status", said("the tracker refused the request"))),
    }
}

/// Codes of errors that come before anything is done.
fn refuses(code: &str) -> bool {
    const CODES: [&str; 12] = [
        "INPUT_ERROR",
        "INVALID_INPUT",
        "BAD_USER_INPUT",
        "GRAPHQL_PARSE_FAILED",
        "GRAPHQL_VALIDATION_FAILED",
        "AUTHENTICATION_ERROR",
        "UNAUTHENTICATED",
        "FORBIDDEN",
        "FEATURE_NOT_ACCESSIBLE",
        "USAGE_LIMIT_EXCEEDED",
        "ENTITY_NOT_FOUND",
        "RATELIMITED",
    ];
    CODES.contains(&code)
}

fn errors(answer: &Answer) -> impl Iterator<Item = &Value> {
    let errors = answer.body.as_ref().and_then(|body| body.get("errors")).and_then(Value::as_array);
    // GitHub's REST lists what is wrong with a request under the same key, beside its `message`.
    let graphql = answer.body.as_ref().is_some_and(|body| body.get("message").is_none());
    errors.filter(|_| graphql).into_iter().flatten()
}

/// The tracker's own words. They may quote what was sent, so callers redact them.
fn message(answer: &Answer) -> String {
    let Some(body) = &answer.body else { return String::new() };
    if let Some(message) = body.get("message").and_then(Value::as_str) {
        return message.to_owned();
    }
    let all: Vec<&str> = errors(answer).filter_map(|error| error["message"].as_str()).collect();
    all.join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Answer { status, headers, body, date_ms: None, duration_ms: 1 }
    }

    #[test]
    fn every_answer_has_one_meaning() {
        let empty = || Some(json!({}));
        let secondary = || Some(json!({"message": "You have exceeded a secondary rate limit."}));
        let graphql = |code: &str| Some(json!({"errors": [{"message": "no", "extensions": {"code": code}}]}));
        // Status, headers, body; then for a write: code, retryable, may have acted.
        for (status, headers, body, expected) in [
            (201, vec![], empty(), None),
            (200, vec![], None, Some(("answer_malformed", true, true))),
            (200, vec![], graphql("INVALID_INPUT"), Some(("tracker_refused", false, false))),
            (200, vec![], graphql("INTERNAL_SERVER_ERROR"), Some(("tracker_refused", true, true))),
            (200, vec![], graphql("SOMETHING_NEW"), Some(("tracker_refused", true, true))),
            (200, vec![], Some(json!({"errors": [{"message": "Not found"}]})), Some(("tracker_refused", true, true))),
            (400, vec![], graphql("RATELIMITED"), Some(("rate_limited", true, false))),
            (301, vec![], empty(), Some(("redirect", false, false))),
            (401, vec![], empty(), Some(("token_refused", false, false))),
            (403, vec![], empty(), Some(("not_permitted", false, false))),
            (403, vec![], secondary(), Some(("rate_limited", true, false))),
            (403, vec![("retry-after", "7")], empty(), Some(("rate_limited", true, false))),
            (403, vec![("x-ratelimit-remaining", "0")], empty(), Some(("rate_limited", true, false))),
            (403, vec![("x-ratelimit-remaining", "9")], empty(), Some(("not_permitted", false, false))),
            (404, vec![], empty(), Some(("not_found", false, false))),
            (410, vec![], empty(), Some(("issue_gone", false, false))),
            (422, vec![], Some(json!({"message": "no", "errors": [{}]})), Some(("http_status", false, false))),
            (429, vec![], None, Some(("rate_limited", true, false))),
            (500, vec![], None, Some(("http_status", true, true))),
            (502, vec![], empty(), Some(("http_status", true, true))),
        ] {
            let answer = answer(status, &headers, body);
            let told = judge(Class::Write, &answer, &limits(Class::Write, &answer, 0)).err();
            assert_eq!(told.as_ref().map(|t| (t.code, t.retryable, t.may_have_acted)), expected, "{answer:?}");
            // Whatever a read answers, it changed nothing.
            let read = judge(Class::Read, &answer, &limits(Class::Read, &answer, 0)).err();
            assert!(read.is_none_or(|t| !t.may_have_acted), "{answer:?}");
        }
    }

    #[test]
    fn limits_of_both_trackers() {
        let github = answer(
            403,
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000060"), ("x-ratelimit-resource", "search")],
            None,
        );
        let told = limits(Class::Read, &github, 1_700_000_000_000);
        assert_eq!((told.remaining, told.reset_at_ms, told.search), (Some(0), Some(1_700_000_060_000), true));
        let skewed = Answer { date_ms: Some(1_700_000_030_000), ..github };
        assert_eq!(limits(Class::Read, &skewed, 5_000).reset_at_ms, Some(35_000));
        let linear = answer(
            200,
            &[("x-ratelimit-requests-remaining", "3"), ("x-ratelimit-requests-reset", "1700000060000")],
            Some(json!({})),
        );
        assert_eq!(limits(Class::Read, &linear, 0).reset_at_ms, Some(1_700_000_060_000));
    }
}
