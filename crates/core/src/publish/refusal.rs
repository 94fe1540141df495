//! How long a destination's no is worth waiting for.
//!
//! | It says | Another attempt | Then |
//! |---|---|---|
//! | that the request is wrong, or may not be made (a 4xx, "validation failed", "no such") | none | a dead letter with its words |
//! | that it cannot now (a limit, an outage, a time-out) | on the schedule | a dead letter when that is over |
//! | no, and not why | on the schedule, until it has said so three times | a dead letter with its words |
//!
//! Whether the request took effect is another question ([`doubt`](crate::tracker::doubt)): a no to something that was
//! sent is looked up first, and counts once the look has confirmed it. Words are the destination's own, so what they
//! decide is only how long somebody waits. Where they speak of both, they are waited for.

use super::Delivery;

/// So often a no without a reason is heard before it is believed.
pub const BELIEVED: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It stays until somebody changes something.
    Final,
    /// It may pass by itself.
    Passing,
    /// It does not say why.
    Untold,
}

impl Refusal {
    /// Whether another attempt may end differently, after it was heard so often.
    pub fn may_pass(self, heard: usize) -> bool {
        match self {
            Self::Final => false,
            Self::Passing => true,
            Self::Untold => heard < BELIEVED,
        }
    }
}

/// What an HTTP status that is no success says.
pub fn of_status(status: u16) -> Refusal {
    match status {
        408 | 425 | 429 | 500..=599 => Refusal::Passing,
        _ => Refusal::Final,
    }
}

const PASSING: [&str; 22] = [
    "rate limit",
    "ratelimit",
    "too many requests",
    "time-out",
    "timeout",
    "timed out",
    "temporar",
    "try again",
    "try later",
    "retry",
    "unavailable",
    "overloaded",
    "bad gateway",
    "internal server error",
    "connection refused",
    "connection reset",
    "connection closed",
    "econnrefused",
    "econnreset",
    "etimedout",
    "fetch failed",
    "network error",
];

const FINAL: [&str; 34] = [
    "validation failed",
    "validation error",
    "invalid argument",
    "invalid input",
    "invalid param",
    "invalid request",
    "invalid value",
    "invalid field",
    "bad request",
    "bad credentials",
    "missing required",
    "required parameter",
    "is required",
    "no such",
    "not found",
    "does not exist",
    "doesn't exist",
    "unknown tool",
    "unknown field",
    "unauthorized",
    "unauthorised",
    "unauthenticated",
    "authentication",
    "forbidden",
    "permission",
    "not permitted",
    "not allowed",
    "not accessible",
    "access denied",
    "not supported",
    "unsupported",
    "archived",
    "disabled",
    "read-only",
];

/// What a destination's own words say.
pub fn of_words(text: &str) -> Refusal {
    let text = text.to_ascii_lowercase().replace('_', " ");
    let statuses: Vec<Refusal> = statuses(&text).map(of_status).collect();
    if PASSING.iter().any(|words| text.contains(words)) || statuses.contains(&Refusal::Passing) {
        return Refusal::Passing;
    }
    if FINAL.iter().any(|words| text.contains(words)) || statuses.contains(&Refusal::Final) {
        return Refusal::Final;
    }
    Refusal::Untold
}

/// Numbers that stand where a text names an HTTP status. Others are line numbers and issues.
fn statuses(text: &str) -> impl Iterator<Item = u16> {
    let bare = |word: &str| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned();
    let words: Vec<&str> = text.split_whitespace().collect();
    let named = move |at: usize| {
        let before = at.checked_sub(1).map(|at| words[at]).unwrap_or_default();
        let status = bare(words[at]).parse::<u16>().ok().filter(|status| (400..600).contains(status))?;
        let told = ["status", "code", "http", "http/1.1", "http/2", "error"].contains(&bare(before).as_str());
        // As in `POST https://api.example.com/issues: 422 …`.
        let answered = before.ends_with(':') && before.contains("://");
        (told || answered).then_some(status)
    };
    (0..text.split_whitespace().count()).filter_map(named)
}

/// Whether a no to something that was sent is believed, now that a look has confirmed that it had no effect. What was
/// said to an earlier delivery of the same content is not held against this one.
pub fn confirmed(delivery: &Delivery, why: &str) -> bool {
    let Some(said) = delivery.attempts.iter().rev().find(|attempt| attempt.error.as_deref() == Some(why)) else {
        return false;
    };
    // A last sending could not be looked up any more.
    let last = delivery.attempts.len() + 1 >= usize::try_from(delivery.max_attempts).unwrap_or(usize::MAX);
    last || !of_words(why).may_pass(heard(delivery, said.error_code.as_deref()))
}

/// How often an attempt of the delivery ended with this code.
pub fn heard(delivery: &Delivery, code: Option<&str>) -> usize {
    delivery.attempts.iter().filter(|attempt| attempt.error_code.as_deref() == code).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn statuses_of_http() {
        for (status, refusal) in [
            (400, Refusal::Final),
            (401, Refusal::Final),
            (403, Refusal::Final),
            (404, Refusal::Final),
            (408, Refusal::Passing),
            (409, Refusal::Final),
            (410, Refusal::Final),
            (413, Refusal::Final),
            (422, Refusal::Final),
            (425, Refusal::Passing),
            (429, Refusal::Passing),
            (451, Refusal::Final),
            (500, Refusal::Passing),
            (503, Refusal::Passing),
            (599, Refusal::Passing),
        ] {
            assert_eq!(of_status(status), refusal, "{status}");
        }
    }

    #[test]
    fn words_of_tools_and_trackers() {
        use Refusal::{Final, Passing, Untold};
        for (words, refusal) in [
            ("failed to create issue: POST https://api.github.com/repos/a/b/issues: 422 Validation Failed []", Final),
            ("failed to create issue: POST https://api.github.com/repos/a/b/issues: 410 Issues are off", Final),
            ("failed to list issues: GET https://api.github.com/repos/a/b/issues: 502 []", Passing),
            ("403 Resource not accessible by personal access token", Final),
            ("401 Bad credentials", Final),
            ("You have exceeded a secondary rate limit", Passing),
            ("429 Too Many Requests", Passing),
            ("the server refused with code -32603: internal error", Untold),
            ("the server refused with code -32602: unknown field `x`", Final),
            ("HTTP 400", Final),
            ("request failed with status code 503", Passing),
            ("Input validation error: 'title' is required", Final),
            ("ENTITY_NOT_FOUND: team", Final),
            ("INTERNAL_SERVER_ERROR", Passing),
            ("upstream timed out", Passing),
            ("connect ECONNREFUSED 127.0.0.1:443", Passing),
            ("Service Unavailable", Passing),
            ("quota exhausted", Untold),
            ("something went wrong", Untold),
            ("no such label", Final),
            ("the repository was archived", Final),
            // Both: it is waited for.
            ("404 not found, try again later", Passing),
            // Numbers that are no status.
            ("see issue 404", Untold),
            ("line 503 of 1422", Untold),
            ("code 12422", Untold),
            ("", Untold),
        ] {
            assert_eq!(of_words(words), refusal, "{words}");
        }
    }

    #[test]
    fn what_is_waited_for_and_how_often() {
        use Refusal::{Final, Passing, Untold};
        for (refusal, heard, waits) in [
            (Final, 0, false),
            (Final, 1, false),
            (Passing, 1, true),
            (Passing, 100, true),
            (Untold, 1, true),
            (Untold, 2, true),
            (Untold, 3, false),
            (Untold, 4, false),
        ] {
            assert_eq!(refusal.may_pass(heard), waits, "{refusal:?} {heard}");
        }
    }

    proptest! {
        #[test]
        fn any_words_have_a_meaning(text in "\\PC{0,200}") {
            let meaning = of_words(&text);
            prop_assert_eq!(of_words(&text.to_ascii_uppercase()), meaning);
            prop_assert_eq!(of_words(&format!("{text} try again")), Refusal::Passing);
        }
    }
}
