//! When a failed attempt is tried again: 0, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h, each ±20 %. A longer
//! `Retry-After` wins, up to 24 h.

/// Delays before attempt 1, 2, 3 …
const DELAYS_MS: [u64; 8] = [0, 5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 36_000_000];
const RETRY_AFTER_MAX_MS: u64 = 86_400_000;

/// Attempts of one delivery when nothing is configured, and the most that can be configured.
pub const DEFAULT_MAX_ATTEMPTS: u32 = 8;
pub const MAX_ATTEMPTS: u32 = 10;

/// The delay before attempt number `next` (1-based). `spread` is a random number in `0..=400`: 0 is -20 %, 400 is +20 %.
pub fn delay_ms(next: u32, spread: u64, retry_after_ms: Option<u64>) -> u64 {
    let index = usize::try_from(next.saturating_sub(1)).unwrap_or(usize::MAX).min(DELAYS_MS.len() - 1);
    let jittered = DELAYS_MS[index] / 1000 * (800 + spread.min(400));
    jittered.max(retry_after_ms.unwrap_or(0).min(RETRY_AFTER_MAX_MS))
}

/// A configured number of attempts, clamped.
pub fn clamp_attempts(configured: Option<u64>) -> u32 {
    configured.map_or(DEFAULT_MAX_ATTEMPTS, |n| u32::try_from(n.clamp(1, MAX_ATTEMPTS.into())).unwrap_or(MAX_ATTEMPTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule() {
        let middle: Vec<u64> = (1..=9).map(|n| delay_ms(n, 200, None) / 1000).collect();
        assert_eq!(middle, [0, 5, 300, 1800, 7200, 18000, 36000, 36000, 36000]);
        assert_eq!(delay_ms(2, 0, None), 4_000);
        assert_eq!(delay_ms(2, 400, None), 6_000);
        assert_eq!(delay_ms(2, 200, Some(60_000)), 60_000);
        assert_eq!(delay_ms(3, 200, Some(1)), 300_000);
        assert_eq!(delay_ms(2, 200, Some(u64::MAX)), RETRY_AFTER_MAX_MS);
        assert_eq!([clamp_attempts(None), clamp_attempts(Some(0)), clamp_attempts(Some(99))], [8, 1, 10]);
    }
}
