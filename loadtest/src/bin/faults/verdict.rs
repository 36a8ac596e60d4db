//! Turns what was seen during a run into the figures of the table. Pure: times are offsets from the run's start.

use crate::fault::{Fault, VICTIM};
use crate::fleet::Seen;
use crate::tap::Sent;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// An answer later than this is slow.
const SLOW: Duration = Duration::from_millis(100);

/// The traffic's share is looked at in slices of this length.
const SLICE: Duration = Duration::from_millis(200);

/// The share of the traffic with which a backend is back.
const BACK: f64 = 0.25;

/// From this long after the fault on, no client's request should go to the backend.
pub(crate) const LATE: Duration = Duration::from_secs(2);

/// What became of one request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answered {
    pub(crate) number: u64,
    pub(crate) due: Duration,
    pub(crate) done: Duration,
    /// Why it failed; None when it did not.
    pub(crate) failure: Option<&'static str>,
    pub(crate) backend: Option<String>,
}

/// Everything that was seen during one run.
#[derive(Debug, Clone)]
pub(crate) struct Observed {
    pub(crate) fault: Fault,
    pub(crate) gets: Vec<Answered>,
    pub(crate) posts: Vec<Answered>,
    /// The requests of the client that asks one at a time.
    pub(crate) in_turn: Vec<Answered>,
    pub(crate) seen: Vec<Seen>,
    /// What went over the wire to the backend that fails.
    pub(crate) sent: Vec<(Duration, Sent)>,
    /// Requests that the balancer itself says it tried on that backend while it was late.
    pub(crate) late_tries: Option<u64>,
    /// Whether some of its connections may be checks.
    pub(crate) checks: bool,
    pub(crate) fault_from: Duration,
    pub(crate) fault_until: Duration,
    /// The backend whose return is waited for.
    pub(crate) returning: String,
    /// The end of the run: nothing was due later.
    pub(crate) end: Duration,
}

/// The figures of one run.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct Verdict {
    pub(crate) failed_get: u64,
    pub(crate) failed_post: u64,
    /// Of the failed POSTs, those that had been sent to a backend: nobody can know what it did with them.
    pub(crate) failed_post_sent: u64,
    /// GETs answered, but later than 100 ms.
    pub(crate) slow_get: u64,
    /// The longest time between two answers that the client in turn saw.
    pub(crate) gap_ms: f64,
    /// POSTs that backends received more than once.
    pub(crate) posts_executed_twice: u64,
    /// POSTs that were sent to the failing backend and reached another one as well.
    pub(crate) posts_sent_twice: u64,
    /// Clients' requests that went to the backend later than 2 s after it failed and before it was back; for faults
    /// that it would have had to be left alone in, and None where that cannot be known.
    pub(crate) late_requests: Option<u64>,
    /// Connections to the backend in that time, those of checks included.
    pub(crate) late_connects: u64,
    /// From the end of the fault until the backend had a quarter of the traffic again. None when it never had.
    pub(crate) back_after_s: Option<f64>,
    /// The backend's share of the answers in the second half of the fault.
    pub(crate) share_during: f64,
    pub(crate) failures: BTreeMap<&'static str, u64>,
    /// Failures before the fault.
    pub(crate) failed_before: u64,
    /// Slow GETs before the fault, but for the first second: not 0 means that something else was wrong as well.
    pub(crate) slow_before: u64,
}

impl Observed {
    /// Works out the figures.
    pub(crate) fn verdict(&self) -> Verdict {
        let all = || self.gets.iter().chain(&self.posts);
        let later = |answered: &&Answered| answered.done >= self.fault_from;
        let failed = |answers: &[Answered]| {
            answers.iter().filter(later).filter(|answered| answered.failure.is_some()).count() as u64
        };
        let on_the_wire: HashSet<u64> = self.sent.iter().filter_map(|(_, sent)| sent.post()).collect();
        let received = |number: u64| self.seen.iter().any(|seen| seen.number == number);
        let lost = self.posts.iter().filter(later).filter(|post| post.failure.is_some());
        let lost_after = lost.filter(|post| on_the_wire.contains(&post.number) || received(post.number));
        let mut failures = BTreeMap::new();
        for kind in all().filter(later).filter_map(|answered| answered.failure) {
            *failures.entry(kind).or_default() += 1;
        }
        Verdict {
            failed_get: failed(&self.gets),
            failed_post: failed(&self.posts),
            failed_post_sent: lost_after.count() as u64,
            slow_get: self.gets.iter().filter(later).filter(|get| get.is_slow()).count() as u64,
            gap_ms: longest_gap(&self.in_turn, self.fault_from, self.end).as_secs_f64() * 1000.0,
            posts_executed_twice: executed_twice(&self.seen),
            posts_sent_twice: sent_twice(&on_the_wire, &self.seen),
            late_requests: self.late_requests(),
            late_connects: self.late(|sent| sent == Sent::Connect),
            back_after_s: self.back_after().map(|after| after.as_secs_f64()),
            share_during: self.share_during(),
            failures,
            slow_before: (self.gets.iter())
                .filter(|get| !later(get) && get.due >= Duration::from_secs(1) && get.is_slow())
                .count() as u64,
            failed_before: all().filter(|a| !later(a) && a.failure.is_some()).count() as u64,
        }
    }

    fn back_after(&self) -> Option<Duration> {
        let is_back = |slice: u32| {
            let from = self.fault_until + SLICE * slice;
            share(&self.gets, &self.returning, from, from + SLICE).is_some_and(|share| share >= BACK)
        };
        let slices = (self.end.saturating_sub(self.fault_until).as_nanos() / SLICE.as_nanos()) as u32;
        // Twice in a row, so that a burst of late answers is not taken for a return.
        (0..slices.saturating_sub(1)).find(|slice| is_back(*slice) && is_back(slice + 1)).map(|n| SLICE * n)
    }

    fn late_requests(&self) -> Option<u64> {
        let on_the_wire = || self.late(|sent| sent != Sent::Connect);
        match self.fault {
            // A refused or unanswered connection shows no request: only the balancer knows what it was for.
            Fault::Kill | Fault::VanishLink | Fault::VanishDrop => {
                let connects = (!self.checks).then(|| self.late(|sent| sent == Sent::Connect));
                Some(self.late_tries.or(connects)?.max(on_the_wire()))
            }
            Fault::Hang | Fault::Errors => Some(on_the_wire()),
            Fault::Slow | Fault::SlowLeast | Fault::SlowEwma | Fault::Restarts | Fault::Rolling => None,
        }
    }

    fn late(&self, what: impl Fn(Sent) -> bool) -> u64 {
        let span = self.fault_from + LATE..self.fault_until;
        self.sent.iter().filter(|(at, sent)| span.contains(at) && what(*sent)).count() as u64
    }

    fn share_during(&self) -> f64 {
        let half = self.fault_from + (self.fault_until.saturating_sub(self.fault_from)) / 2;
        share(&self.gets, &self.returning, half, self.fault_until).unwrap_or(0.0)
    }
}

impl Answered {
    pub(crate) fn is_slow(&self) -> bool {
        self.failure.is_none() && self.done.saturating_sub(self.due) > SLOW
    }
}

/// The longest time without a good answer between the last one before `from` and `end`.
fn longest_gap(answers: &[Answered], from: Duration, end: Duration) -> Duration {
    let mut good: Vec<Duration> = answers.iter().filter(|a| a.failure.is_none()).map(|a| a.done).collect();
    good.sort();
    let before = good.iter().rposition(|done| *done < from).unwrap_or(0);
    let points: Vec<Duration> =
        good.into_iter().skip(before).filter(|done| *done < end).chain([end]).collect();
    points.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(end.saturating_sub(from))
}

/// The share of `backend` in the good answers to what was due in `from..to`. None when there were none.
fn share(answers: &[Answered], backend: &str, from: Duration, to: Duration) -> Option<f64> {
    let due = answers.iter().filter(|a| a.failure.is_none() && (from..to).contains(&a.due));
    let (mut all, mut own) = (0u64, 0u64);
    for answer in due {
        all += 1;
        own += u64::from(answer.backend.as_deref() == Some(backend));
    }
    (all > 0).then(|| own as f64 / all as f64)
}

/// How many of the POSTs sent to the first backend reached another.
fn sent_twice(on_the_wire: &HashSet<u64>, seen: &[Seen]) -> u64 {
    let elsewhere = seen.iter().filter(|seen| seen.backend != VICTIM).map(|seen| seen.number);
    elsewhere.collect::<HashSet<u64>>().intersection(on_the_wire).count() as u64
}

/// How many requests reached backends more than once, the same or another.
fn executed_twice(seen: &[Seen]) -> u64 {
    let mut times: HashMap<u64, u64> = HashMap::new();
    for seen in seen {
        *times.entry(seen.number).or_default() += 1;
    }
    times.values().filter(|times| **times > 1).count() as u64
}

#[cfg(test)]
mod tests;
