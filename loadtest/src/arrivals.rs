//! Lists the points in time at which requests are due, fixed before the first of them is sent.
//!
//! It stands apart because it is what makes the load open-loop: nothing in here can know how the server is doing.

use crate::plan::{Arrivals, Plan};
use std::time::Duration;

/// Yields the offset of each due request from the start of the run, in order, until the run is over.
#[derive(Debug)]
pub struct Schedule {
    gap_mean: f64,
    end: f64,
    position: Position,
}

#[derive(Debug)]
enum Position {
    /// The n-th request; its time is computed from n, so that rounding does not add up.
    Constant(u64),
    Poisson(fastrand::Rng, f64),
}

impl Schedule {
    /// Makes the schedule of `plan`.
    pub fn new(plan: &Plan) -> Schedule {
        let position = match plan.arrivals {
            Arrivals::Constant => Position::Constant(0),
            Arrivals::Poisson { seed } => Position::Poisson(fastrand::Rng::with_seed(seed), 0.0),
        };
        Schedule { gap_mean: 1.0 / plan.rate, end: plan.duration.as_secs_f64(), position }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let at = match &mut self.position {
            Position::Constant(n) => {
                let at = *n as f64 * self.gap_mean;
                *n += 1;
                at
            }
            Position::Poisson(rng, at) => {
                // Inverse transform sampling of the exponential distribution; 1 - [0, 1) is never 0.
                *at += -(1.0 - rng.f64()).ln() * self.gap_mean;
                *at
            }
        };
        (at < self.end).then(|| Duration::from_secs_f64(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(rate: f64, seconds: u64, arrivals: Arrivals) -> Vec<Duration> {
        let mut plan = Plan::new("http://127.0.0.1:1/", rate, Duration::from_secs(seconds)).unwrap();
        plan.arrivals = arrivals;
        Schedule::new(&plan).collect()
    }

    #[test]
    fn constant_arrivals_are_evenly_spaced_and_do_not_drift() {
        let due = schedule(300.0, 100, Arrivals::Constant);
        assert_eq!(due.len(), 30_000);
        assert_eq!(due[0], Duration::ZERO);
        assert_eq!(due[29_700], Duration::from_secs(99));
    }

    #[test]
    fn poisson_arrivals_keep_the_rate_and_vary_the_gap() {
        let due = schedule(1000.0, 50, Arrivals::Poisson { seed: 7 });
        assert!((49_000..51_000).contains(&due.len()), "{} arrivals", due.len());
        // Of exponential gaps, 1 - 1/e are shorter than the mean.
        let short = due.windows(2).filter(|pair| pair[1] - pair[0] < Duration::from_millis(1)).count();
        let share = short as f64 / due.len() as f64;
        assert!((0.62..0.645).contains(&share), "{share} of the gaps are shorter than the mean");
        assert_eq!(due, schedule(1000.0, 50, Arrivals::Poisson { seed: 7 }));
    }
}
