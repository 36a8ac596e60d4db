//! Comparison: the failures and the waits of a backend beside those of its peers taken together.
//!
//! Traffic may be anything from a request in a while to thousands a second, so a difference counts when it cannot be
//! chance and not after a fixed number of requests: the bounds of E. B. Wilson's score interval ("Probable inference,
//! the law of succession, and statistical inference", 1927) for the backend and for its peers must lie apart. The same
//! is asked of windows from half a second to half a minute, so that much traffic is judged at once and little of it
//! later.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::telemetry::{EjectionReason, HistogramTotal};
use crate::upstream::settings::OutlierRules;

/// How many steps of [`super::COMPARE_EVERY`] are kept one by one: five seconds.
const RECENT: usize = 10;

/// How many times as many are kept as sums: twenty-five seconds.
const OLDER: usize = 5;

/// How many steps the usual wait is taken from: ten seconds.
const USUAL: usize = 20;

/// How many answers the usual wait is taken from at least.
const USUAL_MIN: u64 = 50;

/// How many steps the last usual wait is believed when there were too few answers since: a minute.
const BELIEVED: usize = 120;

/// Below this many on either side nothing is compared.
const COMPARED_MIN: u64 = 10;

/// How many standard deviations apart what is compared must be: by chance that happens once in some hundred thousand.
const SIGMAS: f64 = 3.0;

/// A median wait that is less than this above that of the peers is no reason for anything.
const SLOWER_MIN: f64 = 0.02;

/// What was counted of one backend, over all workers, since it is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// Whether it gets new work. What was counted of it while it did not is not compared.
    pub available: bool,
    /// Attempts whose end says something about it: not those that were overtaken, met a stale connection, or ended with
    /// the client.
    pub attempts: u64,
    /// Those among them that failed, or were answered with a 5xx.
    pub failed: u64,
    /// From each request to the head of its answer.
    pub waits: HistogramTotal,
}

/// The counts of the last steps.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    comparable: bool,
    backends: Vec<Track>,
    /// The waits of all backends, latest last.
    waits: VecDeque<HistogramTotal>,
    usual: Option<HistogramTotal>,
    usual_age: usize,
}

/// What was counted of one backend in each of the last steps, latest last.
#[derive(Debug, Clone, Default)]
struct Track {
    /// None before the first step.
    before: Option<Totals>,
    recent: VecDeque<Totals>,
    /// Each the sum of as many steps as `recent` has when it is full.
    older: VecDeque<Totals>,
    /// Steps that are in no sum yet.
    loose: usize,
}

/// How far back is looked.
#[derive(Debug, Clone, Copy)]
enum Window {
    /// So many steps.
    Steps(usize),
    /// All that is known: half a minute at most.
    All,
}

const WINDOWS: [Window; 4] = [Window::Steps(1), Window::Steps(2), Window::Steps(RECENT), Window::All];

impl Comparison {
    pub(super) fn follow(&mut self, kept: &[Option<usize>], comparable: bool) {
        self.comparable = comparable;
        let track =
            |before: &Option<usize>| before.and_then(|n| self.backends.get(n)).cloned().unwrap_or_default();
        self.backends = kept.iter().map(track).collect();
    }

    /// Takes the counts of one step.
    pub(super) fn advance(&mut self, totals: &[Totals]) {
        let mut waits = HistogramTotal::default();
        for (track, &now) in self.backends.iter_mut().zip(totals) {
            let before = track.before.replace(now);
            let step = before.map(|before| now.since(&before)).unwrap_or_default();
            waits.add(&step.waits);
            if !now.available {
                track.clear();
            } else if before.is_some_and(|before| before.available) {
                track.push(step);
            }
        }
        push(&mut self.waits, waits, USUAL);
        let mut lately = HistogramTotal::default();
        self.waits.iter().for_each(|step| lately.add(step));
        self.usual_age += 1;
        if lately.count() >= USUAL_MIN {
            (self.usual, self.usual_age) = (Some(lately), 0);
        } else if self.usual_age > BELIEVED {
            self.usual = None;
        }
    }

    pub(super) fn usual_wait(&self, quantile: f64) -> Option<Duration> {
        self.usual?.quantile(quantile).map(Duration::from_secs_f64)
    }

    /// Returns who is to be ejected, by position, and for what: the reason of the shortest window that has one.
    pub(super) fn verdicts(&self, rules: &OutlierRules) -> BTreeMap<usize, EjectionReason> {
        let mut found = BTreeMap::new();
        for window in WINDOWS.into_iter().filter(|_| self.comparable) {
            let sums: Vec<Totals> = self.backends.iter().map(|track| track.sum(window)).collect();
            // Peers are all but one: added up once, so that a thousand backends cost a thousand times one.
            let mut all = Totals::default();
            sums.iter().for_each(|own| all.add(own));
            for (backend, own) in sums.iter().enumerate().filter(|(_, own)| own.are_enough()) {
                if let Some(reason) = verdict(own, &all.since(own), rules) {
                    found.entry(backend).or_insert(reason);
                }
            }
        }
        found
    }
}

impl Track {
    fn clear(&mut self) {
        self.recent.clear();
        self.older.clear();
        self.loose = 0;
    }

    fn push(&mut self, step: Totals) {
        push(&mut self.recent, step, RECENT);
        self.loose += 1;
        if self.loose == RECENT {
            self.loose = 0;
            let mut sum = Totals::default();
            self.recent.iter().for_each(|step| sum.add(step));
            push(&mut self.older, sum, OLDER);
        }
    }

    fn sum(&self, window: Window) -> Totals {
        let mut sum = Totals::default();
        let (steps, sums) = match window {
            Window::Steps(steps) => (steps, 0),
            Window::All => (self.loose, OLDER),
        };
        let recent = self.recent.iter().rev().take(steps);
        recent.chain(self.older.iter().take(sums)).for_each(|step| sum.add(step));
        sum
    }
}

impl Totals {
    fn add(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.failed += other.failed;
        self.waits.add(&other.waits);
    }

    /// Tells whether they can be compared with anything.
    fn are_enough(&self) -> bool {
        self.attempts >= COMPARED_MIN || self.waits.count() >= COMPARED_MIN
    }

    /// Returns what is in these and not in those, which are a part of them.
    fn since(&self, before: &Self) -> Self {
        Self {
            available: self.available,
            attempts: self.attempts.saturating_sub(before.attempts),
            failed: self.failed.saturating_sub(before.failed),
            waits: self.waits.since(&before.waits),
        }
    }
}

/// Returns what a backend is to be ejected for, beside its peers.
fn verdict(own: &Totals, peers: &Totals, rules: &OutlierRules) -> Option<EjectionReason> {
    if fails_far_more(own, peers, rules) {
        return Some(EjectionReason::SuccessRate);
    }
    is_far_slower(own, peers, rules).then_some(EjectionReason::Latency)
}

fn fails_far_more(own: &Totals, peers: &Totals, rules: &OutlierRules) -> bool {
    if own.attempts < COMPARED_MIN || peers.attempts < COMPARED_MIN {
        return false;
    }
    let (at_least, _) = wilson(own.failed as f64, own.attempts as f64);
    let (_, at_most) = wilson(peers.failed as f64, peers.attempts as f64);
    at_least > at_most + rules.failure_margin
}

fn is_far_slower(own: &Totals, peers: &Totals, rules: &OutlierRules) -> bool {
    let answers = own.waits.count();
    let Some(slow_from) = slow_from(peers, rules).filter(|_| answers >= COMPARED_MIN) else { return false };
    let (at_least, _) = wilson(own.waits.above(slow_from), answers as f64);
    // More than half of the answers are slow: the median is, and that is no chance.
    at_least > 0.5
}

/// Returns the wait in seconds above which an answer is slow beside those of the peers.
fn slow_from(peers: &Totals, rules: &OutlierRules) -> Option<f64> {
    let enough = peers.waits.count() >= COMPARED_MIN && rules.latency_factor > 0.0;
    let median = peers.waits.quantile(0.5).filter(|_| enough)?;
    Some((median * rules.latency_factor).max(median + SLOWER_MIN))
}

/// Returns the bounds between which the true ratio lies, if `hits` of `of` were seen.
fn wilson(hits: f64, of: f64) -> (f64, f64) {
    let (ratio, z) = ((hits / of).clamp(0.0, 1.0), SIGMAS);
    let middle = ratio + z * z / (2.0 * of);
    let spread = z * (ratio * (1.0 - ratio) / of + z * z / (4.0 * of * of)).sqrt();
    let scale = 1.0 + z * z / of;
    ((middle - spread) / scale, (middle + spread) / scale)
}

fn push<T>(queue: &mut VecDeque<T>, latest: T, most: usize) {
    while queue.len() >= most {
        queue.pop_front();
    }
    queue.push_back(latest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_those_of_wilsons_formula() {
        // Computed by hand for z = 3.
        for (hits, of, lower, upper) in
            [(0.0, 10.0, 0.0, 0.4737), (10.0, 10.0, 0.5263, 1.0), (300.0, 1000.0, 0.25847, 0.3451)]
        {
            let (at_least, at_most) = wilson(hits, of);
            assert!(
                (at_least - lower).abs() < 1e-4 && (at_most - upper).abs() < 1e-4,
                "{at_least} {at_most}"
            );
        }
    }
}
