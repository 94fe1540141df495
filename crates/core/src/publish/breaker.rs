//! The circuit breaker of one destination: when to stop asking an endpoint that keeps failing, and when to ask again.
//!
//! | State | A delivery asks | An attempt ended well | An attempt ended badly |
//! |---|---|---|---|
//! | closed | is sent | stays closed, count is zero | counts; the fifth in a row opens for 30 s |
//! | open | waits until the end; the first one after it is the trial | closes | stays open (an attempt begun before it opened) |
//! | half-open (a trial runs) | waits; a trial without an end counts as lost after a minute | closes | opens for twice as long, at most 10 min |
//!
//! In memory and per process on purpose: the durable schedule of each delivery holds without it, and after a restart
//! finding out costs five attempts. Deliberately absent: which outcomes are the endpoint's fault.

/// Failures in a row that open a closed breaker.
pub const THRESHOLD: u32 = 5;
pub const FIRST_COOLDOWN_MS: u64 = 30_000;
pub const MAX_COOLDOWN_MS: u64 = 600_000;
/// A trial that has not ended by then was lost with its task.
pub const TRIAL_LEASE_MS: u64 = 60_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Closed { failures: u32 },
    Open { until_ms: u64, cooldown_ms: u64 },
    HalfOpen { trial_until_ms: u64, cooldown_ms: u64 },
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen { .. } => "half_open",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A delivery wants to be sent.
    Asked,
    Succeeded,
    Failed,
}

/// What to do with the delivery that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Send,
    /// Do not send; ask again then.
    Wait {
        until_ms: u64,
    },
}

/// The breaker's next state, and the answer to [`Event::Asked`] (always `Send` for the other events).
pub fn transition(state: State, event: Event, now_ms: u64) -> (State, Admission) {
    let trial = |cooldown_ms| State::HalfOpen { trial_until_ms: now_ms.saturating_add(TRIAL_LEASE_MS), cooldown_ms };
    let open = |cooldown_ms: u64| State::Open { until_ms: now_ms.saturating_add(cooldown_ms), cooldown_ms };
    let (next, answer) = match (state, event) {
        (State::Closed { .. }, Event::Asked) => (state, Admission::Send),
        (State::Closed { failures }, Event::Failed) if failures + 1 >= THRESHOLD => {
            (open(FIRST_COOLDOWN_MS), Admission::Send)
        }
        (State::Closed { failures }, Event::Failed) => (State::Closed { failures: failures + 1 }, Admission::Send),
        (State::Open { until_ms, cooldown_ms }, Event::Asked) if now_ms >= until_ms => {
            (trial(cooldown_ms), Admission::Send)
        }
        (State::Open { until_ms, .. }, Event::Asked) => (state, Admission::Wait { until_ms }),
        // Attempts that were under way when the breaker opened say nothing new.
        (State::Open { .. }, Event::Failed) => (state, Admission::Send),
        (State::HalfOpen { trial_until_ms, cooldown_ms }, Event::Asked) if now_ms >= trial_until_ms => {
            (trial(cooldown_ms), Admission::Send)
        }
        (State::HalfOpen { trial_until_ms, .. }, Event::Asked) => (state, Admission::Wait { until_ms: trial_until_ms }),
        (State::HalfOpen { cooldown_ms, .. }, Event::Failed) => {
            (open(cooldown_ms.saturating_mul(2).min(MAX_COOLDOWN_MS)), Admission::Send)
        }
        (State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. }, Event::Succeeded) => {
            (State::Closed { failures: 0 }, Admission::Send)
        }
    };
    (next, answer)
}

/// A breaker with its counters, as readiness shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    pub state: State,
    /// Since the process started.
    pub succeeded: u64,
    pub failed: u64,
    pub opened: u64,
    /// Deliveries that were told to wait.
    pub held: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed { failures: 0 }, succeeded: 0, failed: 0, opened: 0, held: 0 }
    }
}

impl Breaker {
    pub fn ask(&mut self, now_ms: u64) -> Admission {
        let (state, answer) = transition(self.state, Event::Asked, now_ms);
        self.state = state;
        if matches!(answer, Admission::Wait { .. }) {
            self.held += 1;
        }
        answer
    }

    /// The endpoint is known to answer again, and not from a delivery.
    pub fn close(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    pub fn settle(&mut self, succeeded: bool, now_ms: u64) {
        let event = if succeeded { Event::Succeeded } else { Event::Failed };
        let was_open = matches!(self.state, State::Open { .. });
        self.state = transition(self.state, event, now_ms).0;
        if succeeded {
            self.succeeded += 1;
        } else {
            self.failed += 1;
        }
        if !was_open && matches!(self.state, State::Open { .. }) {
            self.opened += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CLOSED: State = State::Closed { failures: 0 };

    #[test]
    fn every_state_and_event() {
        use Admission::{Send, Wait};
        use Event::{Asked, Failed, Succeeded};
        let open = State::Open { until_ms: 100_000, cooldown_ms: 30_000 };
        let half = State::HalfOpen { trial_until_ms: 100_000, cooldown_ms: 30_000 };
        let table = [
            (CLOSED, Asked, 0, CLOSED, Send),
            (CLOSED, Failed, 0, State::Closed { failures: 1 }, Send),
            (State::Closed { failures: 4 }, Failed, 7, State::Open { until_ms: 30_007, cooldown_ms: 30_000 }, Send),
            (State::Closed { failures: 4 }, Succeeded, 7, CLOSED, Send),
            (open, Asked, 99_999, open, Wait { until_ms: 100_000 }),
            (open, Asked, 100_000, State::HalfOpen { trial_until_ms: 160_000, cooldown_ms: 30_000 }, Send),
            (open, Failed, 99_999, open, Send),
            (open, Succeeded, 99_999, CLOSED, Send),
            (half, Asked, 99_999, half, Wait { until_ms: 100_000 }),
            (half, Asked, 100_000, State::HalfOpen { trial_until_ms: 160_000, cooldown_ms: 30_000 }, Send),
            (half, Failed, 50_000, State::Open { until_ms: 110_000, cooldown_ms: 60_000 }, Send),
            (half, Succeeded, 50_000, CLOSED, Send),
        ];
        for (from, event, now, to, answer) in table {
            assert_eq!(transition(from, event, now), (to, answer), "{from:?} {event:?} at {now}");
        }
    }

    #[test]
    fn the_cooldown_doubles_up_to_its_maximum() {
        let mut breaker = Breaker::default();
        let mut now = 0;
        let mut cooldowns = Vec::new();
        for _ in 0..THRESHOLD {
            assert_eq!(breaker.ask(now), Admission::Send);
            breaker.settle(false, now);
        }
        for _ in 0..7 {
            let State::Open { until_ms, cooldown_ms } = breaker.state else { panic!("{:?}", breaker.state) };
            cooldowns.push(cooldown_ms / 1000);
            assert_eq!(breaker.ask(now), Admission::Wait { until_ms });
            now = until_ms;
            assert_eq!(breaker.ask(now), Admission::Send);
            breaker.settle(false, now);
        }
        assert_eq!(cooldowns, [30, 60, 120, 240, 480, 600, 600]);
        assert_eq!((breaker.opened, breaker.held, breaker.failed), (8, 7, 12));
    }

    #[test]
    fn an_endpoint_that_is_known_to_answer_is_asked_at_once() {
        let mut breaker = Breaker::default();
        for _ in 0..THRESHOLD {
            breaker.settle(false, 0);
        }
        assert!(matches!(breaker.ask(1), Admission::Wait { .. }));
        breaker.close();
        assert_eq!((breaker.ask(1), breaker.failed, breaker.opened), (Admission::Send, THRESHOLD.into(), 1));
    }

    proptest! {
        /// Whatever happens, at most one delivery passes per trial, a wait always has an end, and success closes.
        #[test]
        fn histories(steps in prop::collection::vec((0u8..3, 0u64..90_000), 1..200)) {
            let mut state = CLOSED;
            let mut now = 0;
            for (event, passed) in steps {
                now += passed;
                let event = [Event::Asked, Event::Succeeded, Event::Failed][usize::from(event)];
                let (next, answer) = transition(state, event, now);
                if let Admission::Wait { until_ms } = answer {
                    prop_assert!(until_ms > now && until_ms <= now + MAX_COOLDOWN_MS);
                    prop_assert_eq!(transition(next, Event::Asked, until_ms).1, Admission::Send);
                }
                if let (State::HalfOpen { trial_until_ms, .. }, Event::Asked) = (next, event) {
                    let asked_again = transition(next, Event::Asked, now).1;
                    prop_assert_eq!(asked_again, Admission::Wait { until_ms: trial_until_ms });
                }
                if event == Event::Succeeded {
                    prop_assert_eq!(next, CLOSED);
                }
                state = next;
            }
        }
    }
}
