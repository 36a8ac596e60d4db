//! How much of its weight a target wants, by how busy its CPU is. Pure; time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Up to this usage, in percent, a target wants all of its weight: a CPU that is two thirds busy still answers at once.
const FROM: f64 = 70.0;
/// What is left of the weight of a target that is fully busy, in percent. Not nothing: the others may be as busy.
const FLOOR: f64 = 20.0;
/// The time constant over which usage is smoothed, so that one busy second moves little and ten move all.
const SMOOTH_OVER: Duration = Duration::from_secs(5);
/// What is said goes in steps of so many percent, so that a balancer does not compute a new schedule every second.
const STEP: f64 = 5.0;
/// How far from what was said the weight must be before another step is said: less would flicker at the edge of two.
const SLACK: f64 = 4.0;

/// Follows how busy a target is, and says how much of its weight it wants: all of it up to 70 % of its CPU, from there
/// in a straight line down to a fifth at 100 %; smoothed over some 5 s, and in steps of 5 %.
#[derive(Debug, Default)]
pub(crate) struct Weight {
    /// The smoothed usage in percent, and when it was that.
    smoothed: Option<(Instant, f64)>,
    said: Option<f64>,
}

impl Weight {
    /// Takes in how busy the target was, from 0 to 100, and returns the weight that it wants, from 20 to 100.
    pub(crate) fn follow(&mut self, now: Instant, usage: f64) -> u8 {
        let smoothed = match self.smoothed {
            None => usage,
            Some((then, before)) => {
                let elapsed = now.duration_since(then).as_secs_f64();
                // The exponentially weighted average for samples at any distance.
                let keep = (-elapsed / SMOOTH_OVER.as_secs_f64()).exp();
                usage + (before - usage) * keep
            }
        };
        self.smoothed = Some((now, smoothed));
        let wanted = 100.0 - ((smoothed - FROM) / (100.0 - FROM)).clamp(0.0, 1.0) * (100.0 - FLOOR);
        let said = match self.said {
            Some(said) if (wanted - said).abs() <= SLACK => said,
            _ => (wanted / STEP).round() * STEP,
        };
        self.said = Some(said);
        // Within 20 and 100, whatever came in; a conversion of NaN gives 0.
        (said as u8).clamp(FLOOR as u8, 100)
    }

    /// Forgets what it followed: the target was not there for a while.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows a usage that is the same for a second, each second.
    fn weights(usages: impl IntoIterator<Item = f64>) -> Vec<u8> {
        let start = Instant::now();
        let mut weight = Weight::default();
        let at = |second| start + Duration::from_secs(second);
        (0..).zip(usages).map(|(second, usage)| weight.follow(at(second), usage)).collect()
    }

    #[test]
    fn the_weight_falls_in_a_straight_line_above_two_thirds() {
        for (usage, weight) in [(0.0, 100), (70.0, 100), (77.5, 80), (85.0, 60), (92.5, 40), (100.0, 20)] {
            assert_eq!(weights([usage]), [weight], "{usage}");
        }
    }

    #[test]
    fn one_busy_second_does_not_move_it_and_ten_do() {
        let calm = [30.0; 5];
        assert_eq!(weights(calm.into_iter().chain([100.0])).last(), Some(&100));
        let busy = weights(calm.into_iter().chain([100.0; 20]));
        assert!(busy.is_sorted_by(|before, after| before >= after), "it falls all the way: {busy:?}");
        assert!(busy[14] <= 50, "{busy:?}");
        assert!(busy[24] <= 25, "{busy:?}");
        let no_leap = busy.windows(2).all(|pair| pair[0] - pair[1] <= 25);
        assert!(no_leap, "{busy:?}");
    }

    #[test]
    fn at_the_edge_of_two_steps_it_does_not_flicker() {
        let edge = 70.0 + 30.0 * (100.0 - 82.5) / 80.0;
        let swinging = (0..200).map(|turn| if turn % 2 == 0 { edge - 1.0 } else { edge + 1.0 });
        let mut said = weights(swinging);
        said.dedup();
        assert_eq!(said.len(), 1, "{said:?}");
    }

    #[test]
    fn a_target_that_was_gone_begins_anew() {
        let start = Instant::now();
        let mut weight = Weight::default();
        assert_eq!(weight.follow(start, 100.0), 20);
        weight.clear();
        assert_eq!(weight.follow(start, 10.0), 100);
    }

    #[test]
    fn no_number_makes_a_weight_that_is_none() {
        for usage in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            let said = weights([usage, usage, 50.0]);
            assert!(said.iter().all(|weight| (20..=100).contains(weight)), "{usage}: {said:?}");
        }
    }
}
