//! The rule after a request whose outcome is not known: look, and never send again on a guess.
//!
//! | The look | How long ago it was sent | Verdict |
//! |---|---|---|
//! | found the effect | any | it is settled |
//! | complete, and it is not there | shorter than the settling time | look again when that has passed |
//! | complete, and it is not there | longer | it had no effect: it may be sent again |
//! | incomplete, or it failed | any | undecided: look again later; when no attempt is left, the outcome stays unknown |
//!
//! A look is complete when it would have shown the effect had there been one: a list of everything since shortly before
//! the sending, or a read by an id that we chose. An index that lags behind (a search) can find, but it cannot prove
//! absence.

/// Clocks differ; a list begins this long before the time at which something was sent.
pub const SKEW_MS: u64 = 600_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look<T> {
    Found(T),
    Absent,
    /// It could not be looked through to the end.
    Incomplete,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<T> {
    Settled(T),
    SendAgain,
    LookAgainAt(u64),
    Undecided,
}

pub fn judge<T>(look: Look<T>, sent_at_ms: u64, settle_ms: u64, now_ms: u64) -> Verdict<T> {
    let settled_at = sent_at_ms.saturating_add(settle_ms);
    match look {
        Look::Found(effect) => Verdict::Settled(effect),
        Look::Absent if now_ms >= settled_at => Verdict::SendAgain,
        Look::Absent => Verdict::LookAgainAt(settled_at),
        Look::Incomplete => Verdict::Undecided,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_table() {
        for (look, now, verdict) in [
            (Look::Found(7), 0, Verdict::Settled(7)),
            (Look::Found(7), 999, Verdict::Settled(7)),
            (Look::Absent, 149, Verdict::LookAgainAt(150)),
            (Look::Absent, 150, Verdict::SendAgain),
            (Look::Incomplete, 149, Verdict::Undecided),
            (Look::Incomplete, u64::MAX, Verdict::Undecided),
        ] {
            assert_eq!(judge(look, 100, 50, now), verdict);
        }
    }

    proptest! {
        /// Nothing but a complete look after the settling time ever allows a second sending.
        #[test]
        fn sending_again_needs_proof(sent in any::<u64>(), settle in any::<u64>(), now in any::<u64>(), which in 0..3) {
            let look = [Look::Found(()), Look::Absent, Look::Incomplete][which as usize].clone();
            let again = judge(look.clone(), sent, settle, now) == Verdict::SendAgain;
            prop_assert_eq!(again, look == Look::Absent && now >= sent.saturating_add(settle));
        }
    }
}
