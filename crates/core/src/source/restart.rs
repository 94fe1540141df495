//! When a source that broke is tried again: 1 s, 2 s, 4 s … up to five minutes. An hour without a fault and it counts as
//! new. No spread: sources of one process do not gang up on anybody.

const FIRST_MS: u64 = 1_000;
const LONGEST_MS: u64 = 300_000;
const FORGIVEN_AFTER_MS: u64 = 3_600_000;

/// The faults of one source in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restarts {
    /// Faults since it last ran for an hour without one.
    pub faults: u32,
    pub last_fault_at_ms: Option<u64>,
}

impl Restarts {
    /// Counts a fault; the answer is when to try again.
    pub fn fault(&mut self, now_ms: u64) -> u64 {
        if self.last_fault_at_ms.is_some_and(|at| now_ms.saturating_sub(at) >= FORGIVEN_AFTER_MS) {
            self.faults = 0;
        }
        self.faults = self.faults.saturating_add(1);
        self.last_fault_at_ms = Some(now_ms);
        now_ms.saturating_add(delay_ms(self.faults))
    }
}

/// The delay after this many faults in a row.
pub fn delay_ms(faults: u32) -> u64 {
    let doublings = faults.saturating_sub(1).min(16);
    (FIRST_MS << doublings).min(LONGEST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_five_minutes() {
        let delays: Vec<u64> = (0..12).map(|faults| delay_ms(faults) / 1000).collect();
        assert_eq!(delays, [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(delay_ms(u32::MAX), LONGEST_MS);
    }

    #[test]
    fn an_hour_of_peace_forgives() {
        let mut restarts = Restarts::default();
        assert_eq!(restarts.fault(0), 1_000);
        assert_eq!(restarts.fault(1_000), 3_000);
        assert_eq!(restarts.fault(3_600_999), 3_600_999 + 4_000);
        assert_eq!(restarts.fault(7_200_999), 7_200_999 + 1_000);
        assert_eq!(restarts.faults, 1);
    }
}
