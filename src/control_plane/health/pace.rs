//! The pace of checks: how long from one to the next. Pure.

use std::time::Duration;

/// A backend in doubt is checked this many times as often.
const HASTE: u32 = 4;

/// No reason makes checks follow each other faster, unless the configured interval is shorter still: live traffic that
/// fails in a thousand places asks for one check, not for a thousand.
const SOONEST: Duration = Duration::from_millis(50);

/// Nothing makes them follow each other faster than this.
const FLOOR: Duration = Duration::from_millis(10);

/// Returns the time from the begin of one check to the begin of the next. `jitter` is the share, 0 to 1, by which the
/// interval varies in both directions, and `roll` a random number from -1 to 1.
///
/// In doubt (suspect, or the last result contradicts the state) is the time between one state and another, when clients
/// may notice; it is short, so checking faster costs little.
pub(super) fn until_next(interval: Duration, jitter: f64, in_doubt: bool, roll: f64) -> Duration {
    let base = if in_doubt { interval / HASTE } else { interval };
    let share = 1.0 + jitter.clamp(0.0, 1.0) * roll.clamp(-1.0, 1.0);
    base.mul_f64(share).max(soonest(interval))
}

/// Returns the least time from the begin of one check to the begin of the next, however urgent.
pub(super) fn soonest(interval: Duration) -> Duration {
    interval.clamp(FLOOR, SOONEST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_backend_in_doubt_is_checked_four_times_as_often() {
        assert_eq!(until_next(1000 * MS, 0.0, false, 0.7), Duration::from_millis(1000));
        assert_eq!(until_next(1000 * MS, 0.0, true, 0.7), Duration::from_millis(250));
    }

    #[test]
    fn doubt_is_no_reason_to_flood_a_backend() {
        assert_eq!(until_next(100 * MS, 0.0, true, 0.0), Duration::from_millis(50));
        assert_eq!(until_next(30 * MS, 0.0, true, 0.0), Duration::from_millis(30));
        assert_eq!(until_next(Duration::ZERO, 0.0, true, 0.0), Duration::from_millis(10));
    }

    #[test]
    fn jitter_goes_in_both_directions() {
        assert_eq!(until_next(1000 * MS, 0.1, false, -1.0), Duration::from_millis(900));
        assert_eq!(until_next(1000 * MS, 0.1, false, 1.0), Duration::from_millis(1100));
    }

    proptest! {
        #[test]
        fn the_pace_stays_within_the_jitter_and_above_the_floor(
            interval in 0_u64..3_000_000_000, jitter in 0.0..=1.0, roll in -1.0..=1.0, in_doubt: bool,
        ) {
            let interval = Duration::from_millis(interval);
            let pace = until_next(interval, jitter, in_doubt, roll);
            prop_assert!(pace >= soonest(interval) && pace >= FLOOR);
            prop_assert!(pace <= (interval * 2).max(SOONEST));
        }
    }
}
