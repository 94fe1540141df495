//! Calendar windows of spending, in UTC: the day, the week from Monday, the month, and all time.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::money::Usd;
use crate::wire::wire_enum;

const DAY_MS: u64 = 86_400_000;

wire_enum! {
    pub enum WindowKind {
        Daily = "daily",
        Weekly = "weekly",
        Monthly = "monthly",
        Lifetime = "lifetime",
    }
}

impl WindowKind {
    /// Start and end of the window that holds a moment. All time has no end.
    pub fn bounds(self, now_ms: u64) -> (u64, Option<u64>) {
        let day = now_ms / DAY_MS;
        match self {
            Self::Daily => (day * DAY_MS, Some((day + 1) * DAY_MS)),
            // The first of January 1970 was a Thursday.
            Self::Weekly => {
                let since_monday = (day + 3) % 7;
                // The first days of 1970 belong to a week that began before.
                let monday = day.saturating_sub(since_monday);
                (monday * DAY_MS, Some((day + 7 - since_monday) * DAY_MS))
            }
            Self::Monthly => {
                let (year, month, _) = civil(day);
                let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                (days(year, month) * DAY_MS, Some(days(next_year, next) * DAY_MS))
            }
            Self::Lifetime => (0, None),
        }
    }
}

/// Year, month and day of a day counted from 1970 (the usual era arithmetic, with years that begin in March).
fn civil(day: u64) -> (u64, u64, u64) {
    let z = day + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

/// The number of the first day of a month.
fn days(year: u64, month: u64) -> u64 {
    let y = year - u64::from(month <= 2);
    let era = y / 400;
    let yoe = y % 400;
    let mp = if month > 2 { month - 3 } else { month + 9 };
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + (153 * mp + 2) / 5;
    era * 146_097 + doe - 719_468
}

/// What was used in one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Window {
    pub kind: WindowKind,
    pub window_start_ms: u64,
    /// Null: without end.
    pub window_end_ms: Option<u64>,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub total_tokens: u64,
    pub cost_usd: Usd,
    pub last_automation_id: Option<String>,
    pub last_run_id: Option<String>,
    pub updated_at_ms: u64,
    pub soft_warning_at_ms: Option<u64>,
    pub hard_stop_at_ms: Option<u64>,
}

impl Window {
    pub fn new(kind: WindowKind, now_ms: u64) -> Self {
        let (window_start_ms, window_end_ms) = kind.bounds(now_ms);
        Self {
            kind,
            window_start_ms,
            window_end_ms,
            prompt_tokens: 0,
            completion_tokens: 0,
            total_tokens: 0,
            cost_usd: Usd::ZERO,
            last_automation_id: None,
            last_run_id: None,
            updated_at_ms: now_ms,
            soft_warning_at_ms: None,
            hard_stop_at_ms: None,
        }
    }

    /// Begins anew when the window is over. A clock that went back does not reopen a window.
    pub fn roll(&mut self, now_ms: u64) {
        if self.window_end_ms.is_some_and(|end| now_ms >= end) {
            *self = Self::new(self.kind, now_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        let day = 20_000 * DAY_MS; // 2024-10-04, a Friday.
        let cases = [
            (WindowKind::Daily, 20_000, Some(20_001)),
            (WindowKind::Weekly, 19_996, Some(20_003)),
            (WindowKind::Monthly, 19_997, Some(20_028)),
            (WindowKind::Lifetime, 0, None),
        ];
        for (kind, start, end) in cases {
            let expected = (start * DAY_MS, end.map(|end: u64| end * DAY_MS));
            assert_eq!(kind.bounds(day), expected, "{kind}");
            assert_eq!(kind.bounds(day + DAY_MS - 1), expected, "{kind}");
        }
        assert_eq!(WindowKind::Monthly.bounds(0), (0, Some(31 * DAY_MS)));
        assert_eq!(WindowKind::Weekly.bounds(0), (0, Some(4 * DAY_MS)), "Thursday to Monday");
        // The end of February 2024, a leap year, and of December.
        assert_eq!(WindowKind::Monthly.bounds(19_782 * DAY_MS), (19_754 * DAY_MS, Some(19_783 * DAY_MS)));
        assert_eq!(WindowKind::Monthly.bounds(20_088 * DAY_MS), (20_058 * DAY_MS, Some(20_089 * DAY_MS)));
    }

    #[test]
    fn months_and_weeks_join_without_gaps() {
        for kind in [WindowKind::Daily, WindowKind::Weekly, WindowKind::Monthly] {
            let mut at = 0;
            for _ in 0..3000 {
                let (start, end) = kind.bounds(at);
                let end = end.unwrap();
                assert!(start <= at && at < end, "{kind} {at}");
                assert_eq!(kind.bounds(end).0, end, "{kind} {at}");
                at = end;
            }
        }
    }

    #[test]
    fn a_new_window_begins_with_nothing() {
        let mut window = Window::new(WindowKind::Daily, 5);
        window.cost_usd = Usd::of(3.0);
        window.hard_stop_at_ms = Some(7);
        window.roll(DAY_MS - 1);
        assert_eq!(window.hard_stop_at_ms, Some(7));
        window.roll(DAY_MS);
        assert_eq!((window.cost_usd, window.hard_stop_at_ms, window.window_start_ms), (Usd::ZERO, None, DAY_MS));
    }
}
