//! The circuit breakers of this process, one per destination, and which outcomes they hear about.
//!
//! When a breaker opens and closes is decided in `core::publish::breaker`.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tandem_core::publish::breaker::{Admission, Breaker};

use crate::failure::{AttemptOutcome, Code};

/// Keys are the caller's; they must tell tenants apart.
#[derive(Debug, Default)]
pub struct Breakers {
    known: Mutex<HashMap<String, Breaker>>,
}

impl Breakers {
    /// Whether a delivery may be sent now. One that must wait is rescheduled; it does not count as an attempt.
    pub fn ask(&self, key: &str, now_ms: u64) -> Admission {
        self.lock().entry(key.to_owned()).or_default().ask(now_ms)
    }

    pub fn settle(&self, key: &str, outcome: &AttemptOutcome, now_ms: u64) {
        if let Some(well) = verdict(outcome) {
            self.lock().entry(key.to_owned()).or_default().settle(well, now_ms);
        }
    }

    /// For readiness. A destination that was never asked is closed.
    pub fn of(&self, key: &str) -> Breaker {
        self.lock().get(key).copied().unwrap_or_default()
    }

    /// Starts afresh: the destination was changed, enabled again or removed.
    pub fn forget(&self, key: &str) {
        self.lock().remove(key);
    }

    // A breaker is a few numbers that are valid after any panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Breaker>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the endpoint did well: an answer that is no throttle and no server error shows that it works, even if it
/// refuses. `None` for endings that say nothing about the endpoint.
fn verdict(outcome: &AttemptOutcome) -> Option<bool> {
    let Some(code) = outcome.error_code else { return Some(true) };
    match code {
        Code::HttpStatus => Some(!outcome.retryable),
        Code::Redirect | Code::EndpointGone => Some(true),
        Code::Timeout | Code::Connect | Code::ConnectionLost | Code::Tls | Code::DnsFailed => Some(false),
        Code::UrlInvalid
        | Code::UrlScheme
        | Code::HostNotAllowed
        | Code::PrivateAddress
        | Code::DestinationChanged
        | Code::PayloadTooLarge
        | Code::RequestInvalid
        | Code::SecretUnavailable => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;
    use tandem_core::publish::breaker::{FIRST_COOLDOWN_MS, State, THRESHOLD};

    #[test]
    fn only_the_endpoints_own_failures_open_it() {
        let breakers = Breakers::default();
        let fail = |code| AttemptOutcome::failed(Failure::of(code), 1);
        for _ in 0..20 {
            breakers.settle("t/a", &fail(Code::SecretUnavailable), 0);
            breakers.settle("t/a", &fail(Code::PrivateAddress), 0);
        }
        assert_eq!(breakers.of("t/a"), Breaker::default());
        for _ in 0..THRESHOLD {
            breakers.settle("t/a", &fail(Code::Timeout), 0);
        }
        assert_eq!(breakers.ask("t/a", 1), Admission::Wait { until_ms: FIRST_COOLDOWN_MS });
        assert_eq!(breakers.ask("t/b", 1), Admission::Send);
        breakers.forget("t/a");
        assert_eq!(breakers.ask("t/a", 1), Admission::Send);
    }

    #[test]
    fn a_refusal_shows_that_the_endpoint_works() {
        let status = |status: u16, code| {
            let retryable = crate::failure::retryable_status(status);
            let failed = AttemptOutcome::failed(Failure::of(code), 1);
            AttemptOutcome { status_code: Some(status), retryable, ..failed }
        };
        let breakers = Breakers::default();
        for _ in 0..THRESHOLD {
            breakers.settle("k", &status(429, Code::HttpStatus), 0);
            breakers.settle("k", &status(422, Code::HttpStatus), 0);
        }
        assert_eq!(breakers.of("k").state, State::Closed { failures: 0 });
        for _ in 0..THRESHOLD {
            breakers.settle("k", &status(503, Code::HttpStatus), 0);
        }
        assert!(matches!(breakers.of("k").state, State::Open { .. }));
    }
}
