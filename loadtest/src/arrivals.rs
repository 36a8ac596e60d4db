//! Lists the points in time at which requests are due, fixed before the first of them is sent.
//!
//! It stands apart because it is what makes the load open-loop: nothing in here can know how the server is doing.

use crate::plan::{Arrivals, Leg, Plan};
use std::time::Duration;

/// Yields the offset of each due request from the start of the run, in order, until the run is over.
///
/// Requests are counted, not timed: the n-th is due when the rate has added up to n. So neither a change of the rate nor
/// rounding adds or loses any. Independent arrivals are those of an even rate of one, put on the same scale ("time
/// rescaling", the inverse of the cumulative intensity).
#[derive(Debug)]
pub struct Schedule {
    legs: Vec<Placed>,
    /// The leg of the last request.
    leg: usize,
    end: f64,
    position: Position,
}

/// A leg, with when it begins and how many requests are due before it.
#[derive(Debug)]
struct Placed {
    leg: Leg,
    begin: f64,
    before: f64,
    count: f64,
}

#[derive(Debug)]
enum Position {
    /// The n-th request.
    Constant(u64),
    Poisson(fastrand::Rng, f64),
}

impl Placed {
    /// When so many requests of this leg have become due, in seconds from its begin.
    fn at(&self, count: f64) -> f64 {
        let Leg { duration, from, to } = self.leg;
        let growth = (to - from) / duration.as_secs_f64();
        // The root of from·t + growth·t²/2 = count, in the form that loses no digits when growth is small.
        let root = (from * from + 2.0 * growth * count).max(0.0).sqrt();
        if count > 0.0 { 2.0 * count / (from + root) } else { 0.0 }
    }
}

impl Schedule {
    /// Makes the schedule of `plan`.
    pub fn new(plan: &Plan) -> Schedule {
        let position = match plan.arrivals {
            Arrivals::Constant => Position::Constant(0),
            Arrivals::Poisson { seed } => Position::Poisson(fastrand::Rng::with_seed(seed), 0.0),
        };
        let (mut begin, mut before) = (Duration::ZERO, 0.0);
        let legs = plan.rates().into_iter().map(|leg| {
            let count = (leg.from + leg.to) / 2.0 * leg.duration.as_secs_f64();
            let placed = Placed { leg, begin: begin.as_secs_f64(), before, count };
            begin += leg.duration;
            before += count;
            placed
        });
        Schedule { legs: legs.collect(), leg: 0, end: plan.duration.as_secs_f64(), position }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let count = match &mut self.position {
            Position::Constant(n) => {
                *n += 1;
                (*n - 1) as f64
            }
            Position::Poisson(rng, count) => {
                // Inverse transform sampling of the exponential distribution; 1 - [0, 1) is never 0.
                *count += -(1.0 - rng.f64()).ln();
                *count
            }
        };
        let placed = loop {
            let placed = self.legs.get(self.leg)?;
            if count < placed.before + placed.count {
                break placed;
            }
            self.leg += 1;
        };
        let at = placed.begin + placed.at(count - placed.before);
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

    fn with_legs(legs: &[(u64, f64, f64)], arrivals: Arrivals) -> Vec<Duration> {
        let seconds = legs.iter().map(|(seconds, _, _)| seconds).sum();
        let mut plan = Plan::new("http://127.0.0.1:1/", 1.0, Duration::from_secs(seconds)).unwrap();
        let legs = legs.iter();
        plan.legs = legs.map(|&(s, from, to)| Leg { duration: Duration::from_secs(s), from, to }).collect();
        plan.arrivals = arrivals;
        Schedule::new(&plan).collect()
    }

    fn between(due: &[Duration], from: u64, to: u64) -> usize {
        due.iter().filter(|at| (Duration::from_secs(from)..Duration::from_secs(to)).contains(at)).count()
    }

    #[test]
    fn a_ramp_is_exact_in_count_and_grows_evenly() {
        let due = with_legs(&[(10, 0.0, 100.0)], Arrivals::Constant);
        assert_eq!(due.len(), 500);
        // Of a ramp from nothing, a quarter is due in the first half.
        assert_eq!((between(&due, 0, 5), between(&due, 5, 10)), (125, 375));
        assert!(due.windows(2).all(|pair| pair[0] < pair[1]));
        let down = with_legs(&[(10, 100.0, 0.0)], Arrivals::Constant);
        assert_eq!((down.len(), between(&down, 0, 5)), (500, 375));
    }

    #[test]
    fn steps_are_exact_in_count_also_after_a_rest() {
        let due = with_legs(&[(2, 10.0, 10.0), (3, 0.0, 0.0), (2, 50.0, 50.0)], Arrivals::Constant);
        assert_eq!([between(&due, 0, 2), between(&due, 2, 5), between(&due, 5, 7)], [20, 0, 100]);
        assert_eq!((due[20], due.len()), (Duration::from_secs(5), 120));
    }

    #[test]
    fn independent_arrivals_follow_a_ramp() {
        let due = with_legs(&[(20, 0.0, 1000.0)], Arrivals::Poisson { seed: 3 });
        assert!((9_700..10_300).contains(&due.len()), "{} arrivals", due.len());
        let first = between(&due, 0, 10) as f64 / due.len() as f64;
        assert!((0.23..0.27).contains(&first), "{first} of them in the first half");
    }
}
