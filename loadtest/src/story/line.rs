//! Turns what was recorded into lines over time: rates from counters, shares, the latencies that the client saw.
//!
//! It stands apart from drawing so that its tests compare numbers.

use super::recording::{Recording, Sample};
use crate::report::BucketReport;

/// A value over time, in the order of time.
pub type Line = Vec<Point>;

/// A value at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When, in seconds from the start of the load.
    pub at: f64,
    /// How much; None breaks the line.
    pub value: Option<f64>,
}

/// The most slices that a line is drawn of: more could not be told apart on the widest graph.
const SLICES_MAX: usize = 450;

/// The least part of a slice that lies within the load's time. Of a shorter one, a rate would be an accident.
const WITHIN_MIN: f64 = 0.2;

/// The shortest time that a run is taken for.
const SECONDS_MIN: f64 = 0.05;

/// Values of a line that are further apart than so many of its usual steps have something missing between them.
const STEPS_MISSING: f64 = 2.5;

impl Point {
    /// A point with a value.
    pub fn new(at: f64, value: f64) -> Point {
        Point { at, value: Some(value) }
    }
}

/// What was counted between two samples.
struct Slice<'a> {
    from: &'a Sample,
    to: &'a Sample,
    /// When it began and ended, or the load did: nothing is counted outside of its time.
    within: [f64; 2],
}

impl Slice<'_> {
    /// How much a counter grew. One that shrank began anew with its process, from 0.
    fn grown(&self, counter: impl Fn(&Sample) -> f64) -> f64 {
        grown(self.from, self.to, counter)
    }

    fn seconds(&self) -> f64 {
        self.within[1] - self.within[0]
    }
}

/// How much a counter grew from one sample to another. One that shrank began anew with its process, from 0.
pub(crate) fn grown(from: &Sample, to: &Sample, counter: impl Fn(&Sample) -> f64) -> f64 {
    let (before, after) = (counter(from), counter(to));
    if after >= before { after - before } else { after }
}

/// Final answers per second of the backend at this position, as steps.
pub(super) fn rps(recording: &Recording, backend: usize) -> Line {
    steps(recording, |slice| Some(slice.grown(|sample| answers(sample, backend)) / slice.seconds()))
}

/// The share of that backend in the answers of all of them, 0 to 1; None where there were no answers.
pub(super) fn share(recording: &Recording, backend: usize) -> Line {
    steps(recording, |slice| {
        let own = slice.grown(|sample| answers(sample, backend));
        let all: f64 =
            (0..recording.backends.len()).map(|each| slice.grown(|sample| answers(sample, each))).sum();
        (all > 0.0).then(|| own / all)
    })
}

/// Final answers per second of one class of codes, 1 to 5.
pub(super) fn class(recording: &Recording, class: usize) -> Line {
    steps(recording, |slice| Some(slice.grown(|sample| sample.classes[class - 1]) / slice.seconds()))
}

/// CPU usage of that backend in percent, broken where it was away.
pub(super) fn cpu(recording: &Recording, backend: usize) -> Line {
    let values = &recording.cpu[backend];
    let mut gaps: Vec<f64> = values.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    gaps.sort_by(f64::total_cmp);
    let usual = gaps.get(gaps.len() / 2).copied().unwrap_or(f64::INFINITY);
    let mut line = Line::new();
    for &(at, percent) in values.iter().filter(|(at, _)| (0.0..=recording.seconds).contains(at)) {
        if let Some(last) = line.last().filter(|last| at - last.at > usual * STEPS_MISSING) {
            line.push(Point { at: last.at, value: None });
        }
        line.push(Point::new(at, percent));
    }
    thinned(line, |values| values.iter().sum::<f64>() / values.len() as f64)
}

/// The latency that half of the client's requests did not exceed, in milliseconds, by the time at which they were
/// due.
pub(super) fn p50(recording: &Recording) -> Line {
    let line = buckets(recording, |bucket| bucket.p50_ms);
    thinned(line, |values| values.iter().sum::<f64>() / values.len() as f64)
}

/// The same for 99 of 100.
pub(super) fn p99(recording: &Recording) -> Line {
    let line = buckets(recording, |bucket| bucket.p99_ms);
    thinned(line, |values| values.iter().copied().fold(0.0, f64::max))
}

/// The client's failed requests per second.
pub(super) fn failed(recording: &Recording) -> Line {
    let length = bucket_length(recording);
    let line = buckets(recording, |bucket| Some(bucket.failed as f64 / length));
    thinned(line, |values| values.iter().sum::<f64>() / values.len() as f64)
}

fn answers(sample: &Sample, backend: usize) -> f64 {
    sample.backends.get(backend).map_or(0.0, |counters| counters.answers)
}

/// One level for each slice: an outage between two slices is a square hole, not a valley.
fn steps(recording: &Recording, value: impl Fn(&Slice<'_>) -> Option<f64>) -> Line {
    let every = recording.samples.len().div_ceil(SLICES_MAX).max(1);
    let samples: Vec<&Sample> = recording.samples.iter().step_by(every).collect();
    let mut line = Line::new();
    for pair in samples.windows(2) {
        let [from, to] = [pair[0], pair[1]];
        let within = [from.at, to.at].map(|at| at.clamp(0.0, recording.seconds));
        let slice = Slice { from, to, within };
        if slice.seconds() > (to.at - from.at) * WITHIN_MIN {
            let value = value(&slice);
            line.extend(within.map(|at| Point { at, value }));
        }
    }
    line
}

fn buckets(recording: &Recording, value: impl Fn(&BucketReport) -> Option<f64>) -> Line {
    let half = bucket_length(recording) / 2.0;
    let buckets = recording.client.buckets.iter().filter(|bucket| bucket.requests > 0);
    buckets.map(|bucket| Point { at: bucket.at_seconds + half, value: value(bucket) }).collect()
}

fn bucket_length(recording: &Recording) -> f64 {
    match &recording.client.buckets[..] {
        [first, second, ..] => second.at_seconds - first.at_seconds,
        _ => recording.seconds.max(SECONDS_MIN),
    }
}

/// The line with as many points as can be told apart, each put together from several by `merge`.
fn thinned(line: Line, merge: impl Fn(&[f64]) -> f64) -> Line {
    let every = line.len().div_ceil(SLICES_MAX).max(1);
    if every == 1 {
        return line;
    }
    let merged = line.chunks(every).map(|points| {
        let values: Vec<f64> = points.iter().filter_map(|point| point.value).collect();
        let middle = points[points.len() / 2].at;
        Point { at: middle, value: (!values.is_empty()).then(|| merge(&values)) }
    });
    merged.collect()
}

#[cfg(test)]
mod tests;
