//! Load-aware balancing: a backend whose CPU is busy gets less of the work until it is less busy.
//!
//! The balancers weigh what they know themselves: turns, exchanges in flight, latency. What else keeps a backend's CPU busy (a
//! neighbour, a nightly job, fewer cores than the others have) shows in none of these before it hurts. Its agent knows. What
//! it reports becomes a *load factor*, by which the backend's weight is multiplied: 1 up to a usage of `from`, from there
//! falling in a line to `floor` at full usage. Only proportions count, so that where all are busy nobody gets less.
//!
//! The factor is a controller in a loop: less work makes a CPU less busy, which brings work back. Reports are seconds old, so
//! a factor that followed them at once would swing. It follows as a low-pass filter of first order, and the steeper the line,
//! the slower: what a report changes within a second is the same under all rules, a quarter of it at most.
//!
//! Pure: the report and the time that has passed are arguments.

use std::time::Duration;

use tokio::time::Instant;

use super::{Backend, Upstream};

/// The time that the factor takes to come two thirds nearer to where it ought to be, in seconds, where the line falls by as
/// much as the usage rises.
const PACE: f64 = 4.0;

/// The least such time, however flat the line.
const PACE_MIN: f64 = 1.0;

/// The factor is used in steps of one part in so many: each makes the balancer plan anew.
const STEPS: f64 = 50.0;

/// When a backend gets less because its CPU is busy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadAware {
    /// The CPU usage from which on it gets less: 0 to 1, and below 1.
    pub from: f64,
    /// The part of its share that it still gets at full usage: above 0, so that it is never without work by this alone.
    pub floor: f64,
}

impl Default for LoadAware {
    fn default() -> Self {
        Self { from: 0.7, floor: 0.2 }
    }
}

impl LoadAware {
    /// Returns the load factor some time after it was `factor`. `cpu` is the usage that was reported, 0 to 1; None when there is
    /// no report, or an old one, and then nothing is held against the backend.
    ///
    /// ```
    /// use plimsoll::upstream::LoadAware;
    /// use std::time::Duration;
    ///
    /// let rules = LoadAware { from: 0.7, floor: 0.2 };
    /// let minute = Duration::from_secs(60);
    /// assert!((rules.next(1.0, Some(0.85), minute) - 0.6).abs() < 0.01, "half way between 70 % and 100 %");
    /// assert!((0.9..1.0).contains(&rules.next(1.0, Some(0.85), Duration::from_secs(1))), "and smoothly");
    /// ```
    #[must_use]
    pub fn next(self, factor: f64, cpu: Option<f64>, elapsed: Duration) -> f64 {
        let slope = (1.0 - self.floor) / (1.0 - self.from).max(f64::EPSILON);
        let above = cpu.map_or(0.0, |cpu| cpu.clamp(0.0, 1.0) - self.from).max(0.0);
        let wanted = 1.0 - slope * above;
        let kept = (-elapsed.as_secs_f64() / (PACE * slope).max(PACE_MIN)).exp();
        (wanted + (factor - wanted) * kept).clamp(self.floor, 1.0)
    }

    /// Brings a factor within the bounds of these rules, as after a reload.
    pub(super) fn bounded(self, factor: f64) -> f64 {
        factor.clamp(self.floor, 1.0)
    }
}

/// Returns the factor that is used.
pub(super) fn in_steps(factor: f64) -> f64 {
    (factor * STEPS).round().max(1.0) / STEPS
}

/// A load factor that is used from now on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadChange {
    /// The position of the backend.
    pub backend: usize,
    /// The factor before.
    pub from: f64,
    /// The factor now.
    pub to: f64,
}

impl Upstream {
    /// Lets the load factors follow what was reported: `cpu` returns the usage of a backend, 0 to 1, and None when nothing is
    /// known of it. `elapsed` is the time since the last call; call it about once a second.
    ///
    /// Another fleet is swapped in only when a factor has moved by a step. Whoever picks never waits for it, and sees either
    /// the shares before or those after. Returns what has moved.
    pub fn follow_load(
        &self,
        cpu: impl Fn(&Backend) -> Option<f64>,
        elapsed: Duration,
        now: Instant,
    ) -> Vec<LoadChange> {
        let Some(rules) = self.load_aware else { return Vec::new() };
        let follow = |(at, backend): (usize, &std::sync::Arc<Backend>)| {
            let from = backend.load_factor();
            backend.follow_load(|factor| rules.next(factor, cpu(backend), elapsed));
            let to = backend.load_factor();
            (from != to).then_some(LoadChange { backend: at, from, to })
        };
        let moved: Vec<LoadChange> = self.backends.iter().enumerate().filter_map(follow).collect();
        if !moved.is_empty() {
            self.publish(now);
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Any rules that a configuration may say.
    fn rules() -> impl Strategy<Value = LoadAware> {
        (0.0..=0.95, 0.01..=1.0).prop_map(|(from, floor)| LoadAware { from, floor })
    }

    fn settled(rules: LoadAware, cpu: Option<f64>) -> f64 {
        rules.next(0.6, cpu, SECOND * 100_000)
    }

    #[test]
    fn the_factor_is_whole_up_to_a_usage_and_falls_in_a_line_to_its_floor() {
        let rules = LoadAware { from: 0.7, floor: 0.2 };
        for (cpu, factor) in [
            (0.0, 1.0),
            (0.7, 1.0),
            (0.775, 0.8),
            (0.85, 0.6),
            (0.925, 0.4),
            (1.0, 0.2),
            (7.0, 0.2),
            (-1.0, 1.0),
        ] {
            assert!((settled(rules, Some(cpu)) - factor).abs() < 1e-9, "{cpu}");
        }
        assert_eq!(settled(rules, None), 1.0, "without a report");
    }

    #[test]
    fn the_factor_takes_its_time() {
        let rules = LoadAware::default();
        let mut factor = 1.0;
        let after: Vec<f64> = (0..60)
            .map(|_| {
                factor = rules.next(factor, Some(1.0), SECOND);
                factor
            })
            .collect();
        assert!(after[0] > 0.9 && (0.4..0.6).contains(&after[9]) && after[59] < 0.21, "{after:?}");
    }

    proptest! {
        #[test]
        fn the_factor_stays_within_its_bounds_and_moves_towards_where_it_ought_to_be(
            rules in rules(),
            factor in 0.0..=1.0,
            cpu in proptest::option::of(-0.5..=1.5),
            elapsed in 0..100_000_u64,
        ) {
            let factor = rules.bounded(factor);
            let next = rules.next(factor, cpu, Duration::from_millis(elapsed));
            let wanted = settled(rules, cpu);
            prop_assert!((rules.floor..=1.0).contains(&next), "{next}");
            prop_assert!((next - wanted).abs() <= (factor - wanted).abs() + 1e-12, "{factor}, {next}, {wanted}");
            prop_assert!((next - factor).abs() <= elapsed as f64 / 1e3 / PACE_MIN + 1e-12, "not at once");
        }

        #[test]
        fn time_in_parts_is_time_at_once(rules in rules(), cpu in 0.0..=1.0, parts in 1..20_u32) {
            let at_once = rules.next(1.0, Some(cpu), SECOND * parts);
            let in_parts = (0..parts).fold(1.0, |factor, _| rules.next(factor, Some(cpu), SECOND));
            prop_assert!((at_once - in_parts).abs() < 1e-9);
        }

        /// One of some backends has to do something besides. Its agent reports each five seconds the mean usage of the last
        /// five, which by then is as old again on average.
        #[test]
        fn the_loop_settles_whatever_the_rules(
            rules in rules(),
            peers in 1..6_u32,
            load in 0.1..0.8_f64,
            besides in 0.0..0.9_f64,
        ) {
            let (mut factor, mut reported) = (1.0, None);
            let mut usage = VecDeque::from([load; 5]);
            let mut seen = Vec::new();
            for second in 0..600 {
                let share = factor * f64::from(peers + 1) / (factor + f64::from(peers));
                usage.pop_front();
                usage.push_back((load * share + besides).min(1.0));
                if second % 5 == 0 {
                    reported = Some(usage.iter().sum::<f64>() / 5.0);
                }
                factor = rules.next(factor, reported, SECOND);
                seen.push(factor);
            }
            let late = &seen[300..];
            let most = late.iter().fold(0.0_f64, |most, factor| most.max(*factor));
            let least = late.iter().fold(1.0_f64, |least, factor| least.min(*factor));
            prop_assert!(most - least < 0.02, "it swings between {least} and {most}");
        }
    }
}
