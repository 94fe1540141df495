//! One source's step, run so that its panic is its own: counted, shown, and tried again later.
//!
//! What the panic says is not kept: it may quote a line of the log.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tandem_core::source::restart::Restarts;

/// How one source stands with its runner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Supervised {
    pub restarts: Restarts,
    /// Until then it is left alone.
    pub resting_until_ms: Option<u64>,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    Done(T),
    /// It panicked. What it worked on may be half done: throw it away and begin at what was stored.
    Panicked {
        again_at_ms: u64,
    },
    /// Its rest is not over yet.
    Resting {
        until_ms: u64,
    },
}

impl Supervised {
    /// Runs a step, unless the source rests after a fault.
    pub fn run<T>(&mut self, now_ms: u64, step: impl FnOnce() -> T) -> Outcome<T> {
        if let Some(until_ms) = self.resting_until_ms.filter(|&until| now_ms < until) {
            return Outcome::Resting { until_ms };
        }
        self.resting_until_ms = None;
        // The caller throws away what the step worked on, so nobody sees it half done.
        match catch_unwind(AssertUnwindSafe(step)) {
            Ok(done) => Outcome::Done(done),
            Err(_) => {
                let again_at_ms = self.restarts.fault(now_ms);
                self.resting_until_ms = Some(again_at_ms);
                Outcome::Panicked { again_at_ms }
            }
        }
    }

    /// Whether the last thing it did was to panic, and it has not been tried since.
    pub fn is_resting(&self, now_ms: u64) -> bool {
        self.resting_until_ms.is_some_and(|until| now_ms < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_counted_and_tried_again_later() {
        let mut source = Supervised::default();
        assert_eq!(source.run(0, || 7), Outcome::Done(7));
        assert_eq!(source.run(10, || -> u8 { panic!("secret text") }), Outcome::Panicked { again_at_ms: 1_010 });
        assert!(source.is_resting(11));
        assert_eq!(source.run(1_009, || 7), Outcome::Resting { until_ms: 1_010 });
        assert_eq!(source.run(1_010, || -> u8 { panic!("again") }), Outcome::Panicked { again_at_ms: 3_010 });
        assert_eq!(source.restarts.faults, 2);
        assert_eq!(source.run(3_010, || 8), Outcome::Done(8));
        assert!(!source.is_resting(3_011));
    }
}
