//! What a run comes to in numbers: shares and CPU before, during and after the first outage, and how long things
//! took.

use super::line::{self, grown};
use super::outage::Outage;
use super::recording::{Recording, Sample};
use serde::Serialize;
use std::collections::BTreeMap;

/// The numbers of a run. Spans are in seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Requests that were due at the client.
    pub requests: u64,
    /// Those of them that were not answered in full, in time and below status 500.
    pub failed: u64,
    /// Attempts that failed on a backend and were repeated.
    pub retried: u64,
    /// Requests that a backend answered after another one had failed.
    pub rescued: u64,
    /// The longest time without a successful answer, at the client.
    pub longest_gap_ms: f64,
    /// Half of the answers were not slower; None when there was none.
    pub p50_ms: Option<f64>,
    /// 99 of 100 answers were not slower; None when there was none.
    pub p99_ms: Option<f64>,
    /// The backend that was killed first, or else was away first; None when none was. All that follows is about
    /// that absence.
    pub backend: Option<String>,
    /// From the kill until the balancer took it out.
    pub detected_after: Option<f64>,
    /// From the kill until the last attempt was sent to it.
    pub redistributed_after: Option<f64>,
    /// From the kill until a new process was started.
    pub absent_for: Option<f64>,
    /// From the start until the balancer gave it work again.
    pub back_after: Option<f64>,
    /// From the start until it had its full share again.
    pub up_after: Option<f64>,
    /// `before`, `during` and `after`; only `steady` when no backend was away.
    pub phases: Vec<Phase>,
}

/// A part of the run in which nothing changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Phase {
    /// `steady`, `before`, `during` or `after`.
    pub name: &'static str,
    /// When it began, in seconds from the start of the load.
    pub from: f64,
    /// When it ended.
    pub to: f64,
    /// Each backend's share of the answers, 0 to 1; empty when nothing was recorded.
    pub share: BTreeMap<String, f64>,
    /// Each backend's answers per second; empty when nothing was recorded.
    pub rps: BTreeMap<String, f64>,
    /// Each backend's mean CPU usage in percent, without those that were away.
    pub cpu: BTreeMap<String, f64>,
}

/// At the start of a phase, CPU usage is still that of the phase before: agents tell means of the time that has
/// passed.
const CPU_LAG: f64 = 2.0;

/// The least part of a phase that its CPU usage is taken from.
const CPU_PART: f64 = 0.7;

pub(super) fn of(recording: &Recording, outages: &[Outage]) -> Summary {
    let main = main(outages);
    let first = main.map(|at| &outages[at]);
    let after = |from: Option<f64>, to: Option<f64>| Some(round(to? - from?));
    let began = first.map(Outage::began);
    let started = first.and_then(|outage| outage.started);
    let total = |counter: fn(&Sample, usize) -> f64| {
        let (Some(from), Some(to)) = (recording.samples.first(), recording.samples.last()) else { return 0 };
        (0..recording.backends.len()).map(|at| grown(from, to, |sample| counter(sample, at))).sum::<f64>()
            as u64
    };
    let client = &recording.client;
    Summary {
        requests: client.requests,
        failed: client.failed,
        retried: total(|sample, at| sample.backends[at].retried),
        rescued: total(|sample, at| sample.backends[at].rescued),
        longest_gap_ms: client.longest_gap_ms,
        p50_ms: client.latency.p50_ms,
        p99_ms: client.latency.p99_ms,
        backend: first.map(|outage| recording.backends[outage.backend].clone()),
        detected_after: after(began, first.and_then(|outage| outage.detected)),
        redistributed_after: after(began, first.and_then(|outage| outage.redistributed)),
        absent_for: after(began, started),
        back_after: after(started, first.and_then(|outage| outage.back)),
        up_after: after(started, first.and_then(|outage| outage.up)),
        phases: phases(recording, outages),
    }
}

/// The position of the outage that the story is about: the first that somebody made, or else the first.
pub(super) fn main(outages: &[Outage]) -> Option<usize> {
    let made = outages.iter().position(|outage| outage.killed.is_some());
    made.or((!outages.is_empty()).then_some(0))
}

/// The phases around that outage, as far as no other outage changes the shares.
fn phases(recording: &Recording, outages: &[Outage]) -> Vec<Phase> {
    let end = recording.seconds;
    let Some(main) = main(outages) else { return vec![phase(recording, "steady", 0.0, end)] };
    let outage = outages[main];
    let next = |from: f64| {
        let later = outages.iter().enumerate().filter(|(at, other)| *at != main && other.began() >= from);
        later.map(|(_, other)| other.began()).fold(end, f64::min)
    };
    let earlier = outages[..main].iter().map(|earlier| earlier.up.unwrap_or(0.0)).fold(0.0, f64::max);
    let mut phases = vec![phase(recording, "before", earlier.min(outage.began()), outage.began())];
    if let Some(detected) = outage.detected {
        let from = outage.redistributed.map_or(detected, |at| at.max(detected));
        let to = outage.started.or(outage.back).unwrap_or(end).min(next(from));
        phases.push(phase(recording, "during", from, to.max(from)));
    }
    if let Some(from) = outage.up.and_then(|up| all_up(outages, up)).filter(|from| *from < end) {
        phases.push(phase(recording, "after", from, next(from)));
    }
    phases
}

/// From when on all backends are up, at `up` or later; None when that is never so.
fn all_up(outages: &[Outage], up: f64) -> Option<f64> {
    let mut from = up;
    for (at, outage) in outages.iter().enumerate() {
        let again = || outages[at + 1..].iter().any(|later| later.backend == outage.backend);
        match outage.up {
            _ if outage.began() > from => break,
            Some(up) => from = from.max(up),
            None if again() => {} // it went away once more before it had its share, and that outage tells the end
            None => return None,
        }
    }
    Some(from)
}

fn phase(recording: &Recording, name: &'static str, from: f64, to: f64) -> Phase {
    let by_name = |values: Vec<Option<f64>>| {
        let named = recording.backends.iter().cloned().zip(values);
        named.filter_map(|(name, value)| Some((name, value?))).collect::<BTreeMap<String, f64>>()
    };
    let (share, rps) = answers(recording, from, to);
    let cpu = (0..recording.backends.len()).map(|backend| cpu(recording, backend, from, to)).collect();
    Phase {
        name,
        from: round(from),
        to: round(to),
        share: by_name(share),
        rps: by_name(rps),
        cpu: by_name(cpu),
    }
}

/// Shares and answers per second between the first and the last sample of the span.
fn answers(recording: &Recording, from: f64, to: f64) -> (Vec<Option<f64>>, Vec<Option<f64>>) {
    let within: Vec<&Sample> =
        recording.samples.iter().filter(|sample| (from..=to).contains(&sample.at)).collect();
    let (Some(first), Some(last)) = (within.first(), within.last()) else { return Default::default() };
    let seconds = last.at - first.at;
    if seconds <= 0.0 {
        return Default::default();
    }
    let counts: Vec<f64> = (0..recording.backends.len())
        .map(|at| grown(first, last, |sample| sample.backends[at].answers))
        .collect();
    let all: f64 = counts.iter().sum();
    let share = counts.iter().map(|own| (all > 0.0).then(|| round(own / all))).collect();
    (share, counts.iter().map(|own| Some(round(own / seconds))).collect())
}

fn cpu(recording: &Recording, backend: usize, from: f64, to: f64) -> Option<f64> {
    let from = from + CPU_LAG.min((to - from) * (1.0 - CPU_PART));
    let values = line::cpu(recording, backend);
    let within = values.iter().filter(|point| (from..=to).contains(&point.at));
    let values: Vec<f64> = within.filter_map(|point| point.value).collect();
    (!values.is_empty()).then(|| round(values.iter().sum::<f64>() / values.len() as f64))
}

/// What is beyond a tenth of a millisecond, or of a thousandth, is noise.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
