//! Waiting for something to become true, with a deadline instead of a guess.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Asks every few milliseconds until there is an answer. Panics with `what` after `limit`.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, ask: impl FnMut() -> Option<T>) -> T {
    until_every(Duration::from_millis(5), what, limit, ask)
}

/// The same at another pace, for what takes long or costs much to ask.
#[track_caller]
pub fn until_every<T>(pace: Duration, what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    poll_every(pace, limit, &mut ask).unwrap_or_else(|| panic!("waited {limit:?} in vain: {what}"))
}

/// Like [`until`], for callers who can say more about what they saw instead.
pub fn poll<T>(limit: Duration, ask: impl FnMut() -> Option<T>) -> Option<T> {
    poll_every(Duration::from_millis(5), limit, ask)
}

fn poll_every<T>(pace: Duration, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(pace);
    }
}

pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
