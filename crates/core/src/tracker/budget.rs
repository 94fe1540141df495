//! The budget of one host: when a request may be sent, learned from what the host says.
//!
//! | The host said | Then |
//! |---|---|
//! | `Retry-After` with a refusal | nothing is sent to it before that time |
//! | a refusal with nothing remaining | nothing of that class before its window ends |
//! | a secondary limit without a time | nothing is written for a minute, twice as long each further time in a row, up to 15 min |
//! | an answer with nothing remaining | nothing of that class before its window ends |
//!
//! Where the host's own pace is known, writes are also spread by tokens: one minute's worth, refilled evenly. In memory and
//! per process: after a restart the first answer teaches it again. Several engines learn each for themselves.

use super::Class;

/// GitHub asks for at most eighty content-creating requests a minute; a margin is left for people.
pub const GITHUB_WRITES_PER_MINUTE: u64 = 60;
const SECONDARY_MS: u64 = 60_000;
const SECONDARY_MAX_MS: u64 = 900_000;
/// However far away a host puts the end of a window, it is asked again after this.
const LONGEST_MS: u64 = 86_400_000;

/// What an answer says about limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub retry_after_ms: Option<u64>,
    pub remaining: Option<u64>,
    pub reset_at_ms: Option<u64>,
    /// The window counts searches.
    pub search: bool,
    /// The request was refused because of a limit.
    pub refused: bool,
    /// … and the limit is one without a window (GitHub's secondary limits).
    pub secondary: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    remaining: u64,
    reset_at_ms: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    all_until_ms: u64,
    writes_until_ms: u64,
    secondary_in_a_row: u32,
    main: Option<Window>,
    search: Option<Window>,
    /// Thousandths of a write that may be sent now, and when that was counted.
    tokens: Option<(u64, u64)>,
    /// How often a request had to wait.
    pub held: u64,
}

impl Budget {
    /// Takes one request out of the budget, or says when to ask again.
    pub fn take(&mut self, class: Class, writes_per_minute: Option<u64>, now_ms: u64) -> Result<(), u64> {
        let mut until = self.all_until_ms;
        if class == Class::Write {
            until = until.max(self.writes_until_ms);
        }
        let window = if class == Class::Search { &self.search } else { &self.main };
        if let Some(spent) = window.filter(|w| w.remaining == 0 && w.reset_at_ms > now_ms) {
            until = until.max(spent.reset_at_ms);
        }
        if until > now_ms {
            self.held += 1;
            return Err(until.min(now_ms + LONGEST_MS));
        }
        if let (Class::Write, Some(per_minute)) = (class, writes_per_minute.filter(|n| *n > 0)) {
            let full = per_minute * 1000;
            let (had, counted_at) = self.tokens.unwrap_or((full, now_ms));
            let gained = now_ms.saturating_sub(counted_at).saturating_mul(per_minute) / 60;
            let have = had.saturating_add(gained).min(full);
            if have < 1000 {
                self.held += 1;
                // Nothing is counted, so that waiting in small steps loses nothing to rounding.
                return Err(now_ms + ((1000 - have) * 60).div_ceil(per_minute).max(1));
            }
            self.tokens = Some((have - 1000, now_ms));
        }
        let window = if class == Class::Search { &mut self.search } else { &mut self.main };
        if let Some(window) = window {
            window.remaining = window.remaining.saturating_sub(1);
        }
        Ok(())
    }

    /// Learns from an answer to a request of this class.
    pub fn learn(&mut self, class: Class, limits: &Limits, now_ms: u64) {
        let search = limits.search || class == Class::Search;
        if let (Some(remaining), Some(reset_at_ms)) = (limits.remaining, limits.reset_at_ms) {
            let window = if search { &mut self.search } else { &mut self.main };
            *window = match *window {
                // Answers overtake each other; within a window the lowest count is the latest.
                Some(known) if known.reset_at_ms == reset_at_ms => {
                    Some(Window { remaining: known.remaining.min(remaining), reset_at_ms })
                }
                Some(_) | None => Some(Window { remaining, reset_at_ms }),
            };
        }
        if !limits.refused {
            if class == Class::Write {
                self.secondary_in_a_row = 0;
            }
            return;
        }
        if let Some(wait) = limits.retry_after_ms {
            self.all_until_ms = self.all_until_ms.max(now_ms.saturating_add(wait.min(LONGEST_MS)));
        } else if limits.secondary || limits.remaining != Some(0) {
            // Refusals of requests that were under way together are one event.
            if self.writes_until_ms <= now_ms {
                let wait = (SECONDARY_MS << self.secondary_in_a_row.min(4)).min(SECONDARY_MAX_MS);
                self.secondary_in_a_row += 1;
                self.writes_until_ms = now_ms + wait;
            }
            if class != Class::Write {
                self.all_until_ms = self.all_until_ms.max(self.writes_until_ms);
            }
        }
    }

    /// Until when nothing is sent, if that is in the future.
    pub fn held_until(&self, now_ms: u64) -> Option<u64> {
        let spent = self.main.filter(|w| w.remaining == 0).map_or(0, |w| w.reset_at_ms);
        Some(self.all_until_ms.max(self.writes_until_ms).max(spent)).filter(|until| *until > now_ms)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused() -> Limits {
        Limits { refused: true, ..Limits::default() }
    }

    #[test]
    fn retry_after_stops_everything() {
        let mut budget = Budget::default();
        budget.learn(Class::Write, &Limits { retry_after_ms: Some(5_000), ..refused() }, 1_000);
        for class in Class::ALL {
            assert_eq!(budget.take(*class, None, 5_999), Err(6_000));
            assert_eq!(budget.take(*class, None, 6_000), Ok(()));
        }
    }

    #[test]
    fn a_secondary_limit_without_a_time_waits_longer_each_time() {
        let mut budget = Budget::default();
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..6 {
            budget.learn(Class::Write, &Limits { secondary: true, ..refused() }, now);
            // Those that were under way together count once.
            budget.learn(Class::Write, &Limits { secondary: true, ..refused() }, now + 1);
            let until = budget.take(Class::Write, None, now).expect_err("it waits");
            assert_eq!(budget.take(Class::Read, None, now), Ok(()), "looking goes on");
            waits.push((until - now) / 1000);
            now = until;
        }
        assert_eq!(waits, [60, 120, 240, 480, 900, 900]);
        budget.learn(Class::Write, &Limits::default(), now);
        budget.learn(Class::Write, &Limits { secondary: true, ..refused() }, now);
        assert_eq!(budget.take(Class::Write, None, now), Err(now + 60_000), "an accepted write starts over");
    }

    #[test]
    fn a_spent_window_holds_its_class_alone() {
        let mut budget = Budget::default();
        let window = |remaining, search| Limits {
            remaining: Some(remaining),
            reset_at_ms: Some(50_000),
            search,
            ..Limits::default()
        };
        budget.learn(Class::Search, &window(1, true), 0);
        assert_eq!(budget.take(Class::Search, None, 0), Ok(()));
        assert_eq!(budget.take(Class::Search, None, 1), Err(50_000), "what was taken is counted before it is answered");
        assert_eq!(budget.take(Class::Write, None, 1), Ok(()));
        assert_eq!(budget.take(Class::Search, None, 50_000), Ok(()));
        budget.learn(Class::Write, &window(0, false), 0);
        assert_eq!(budget.take(Class::Read, None, 1), Err(50_000));
    }

    #[test]
    fn writes_are_spread() {
        let mut budget = Budget::default();
        let sent = |budget: &mut Budget, from: u64, to: u64| {
            (from..to).filter(|now| budget.take(Class::Write, Some(60), *now).is_ok()).count()
        };
        assert_eq!(sent(&mut budget, 0, 1_000), 60, "one minute's worth at once");
        assert_eq!(sent(&mut budget, 1_000, 11_001), 11, "then one a second");
        assert_eq!(budget.take(Class::Search, Some(60), 11_001), Ok(()));
    }

    proptest! {
        /// A refusal to send always names a later time, at most a day away, and at some time it lets through.
        #[test]
        fn waits_end(answers in prop::collection::vec((0..3usize, any::<bool>(), prop::option::of(0u64..200_000_000_000),
            prop::option::of(0u64..3), prop::option::of(0u64..u64::MAX), any::<bool>()), 0..30)) {
            let mut budget = Budget::default();
            let mut now = 1_000_000;
            for (class, refused, retry_after_ms, remaining, reset_at_ms, secondary) in answers {
                let class = Class::ALL[class];
                let mut rounds = 0;
                while let Err(until) = budget.take(class, Some(7), now) {
                    prop_assert!(until > now && until <= now + LONGEST_MS);
                    now = until;
                    rounds += 1;
                    if rounds > 3 {
                        break;
                    }
                }
                budget.learn(class, &Limits { retry_after_ms, remaining, reset_at_ms, search: false, refused, secondary }, now);
            }
        }
    }
}
