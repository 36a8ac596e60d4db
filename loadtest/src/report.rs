//! Turns a record into plain numbers that serialise to JSON.
//!
//! It stands apart from the record because a report outlives the run and is read by people and scripts.

use crate::record::{Failure, Phase, Span, Tally};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Requests that were due.
    pub requests: u64,
    /// Those that were not answered in full, in time and below status 500.
    pub failed: u64,
    /// Failures by kind; every kind is listed, with 0 when there was none.
    pub failures: BTreeMap<&'static str, u64>,
    /// The longest time without a successful answer, the start and the end of the run included.
    pub longest_gap_ms: f64,
    /// Latency of the successful requests, from the time they were due.
    #[serde(flatten)]
    pub latency: Latency,
    /// The same in full, for other quantiles.
    #[serde(skip)]
    pub tally: Tally,
    /// How late requests were handed to a connection: the generator's own part in the latencies. 99 of 100 were not later.
    pub lag_p99_ms: Option<f64>,
    /// The latest of them.
    pub lag_max_ms: Option<f64>,
    /// Successful answers per second.
    pub rps: f64,
    /// The share of each backend in the successful answers that name one.
    pub share: BTreeMap<String, f64>,
    /// The named parts of the run, in order.
    pub phases: Vec<PhaseReport>,
    /// The run in equal slices, by the time at which requests were due.
    pub buckets: Vec<BucketReport>,
}

/// Quantiles of latency in milliseconds; None when nothing succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// Half were not slower.
    pub p50_ms: Option<f64>,
    /// 9 of 10 were not slower.
    pub p90_ms: Option<f64>,
    /// 99 of 100 were not slower.
    pub p99_ms: Option<f64>,
    /// 999 of 1000 were not slower.
    pub p999_ms: Option<f64>,
    /// The slowest.
    pub max_ms: Option<f64>,
}

/// One named part of a run: the requests that were due in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhaseReport {
    /// The name that was announced.
    pub name: String,
    /// How long the phase lasted.
    pub seconds: f64,
    /// Requests due in the phase.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// The longest time without a successful answer that began in the phase.
    pub longest_gap_ms: f64,
    /// Latency of the successful requests.
    #[serde(flatten)]
    pub latency: Latency,
    /// The same in full, for other quantiles.
    #[serde(skip)]
    pub tally: Tally,
    /// The share of each backend in the successful answers that name one; backends that gave none have 0.
    pub share: BTreeMap<String, f64>,
    /// Successful answers per second of each backend.
    pub rps: BTreeMap<String, f64>,
}

/// One slice of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BucketReport {
    /// When the slice began, in seconds from the start of the run.
    pub at_seconds: f64,
    /// Requests due in the slice.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// Half of the successful were not slower; None when nothing succeeded.
    pub p50_ms: Option<f64>,
    /// 99 of 100 of the successful were not slower; None when nothing succeeded.
    pub p99_ms: Option<f64>,
    /// Successful answers per second of each backend that had answered by then.
    pub rps: BTreeMap<String, f64>,
}

impl Latency {
    fn of(tally: &Tally) -> Latency {
        Latency {
            p50_ms: tally.quantile_ms(0.5),
            p90_ms: tally.quantile_ms(0.9),
            p99_ms: tally.quantile_ms(0.99),
            p999_ms: tally.quantile_ms(0.999),
            max_ms: tally.quantile_ms(1.0),
        }
    }
}

pub(crate) fn report(
    start: Instant,
    end: Instant,
    names: &[String],
    phases: &[Phase],
    buckets: Vec<BucketReport>,
    lag: &Tally,
) -> Report {
    let ends = phases.iter().skip(1).map(|next| next.start).chain([end]);
    let reports = phases.iter().zip(ends).map(|(phase, end)| phase_report(phase, end, names)).collect();
    let mut whole = phases[0].span.clone();
    phases[1..].iter().for_each(|phase| whole.merge(&phase.span));
    Report {
        requests: whole.all.requests(),
        failed: whole.all.failed(),
        failures: Failure::ALL.iter().map(|kind| (kind.name(), whole.all.failed_by(*kind))).collect(),
        longest_gap_ms: phases.iter().map(|phase| milliseconds(phase.gap)).fold(0.0, f64::max),
        latency: Latency::of(&whole.all),
        tally: whole.all.clone(),
        lag_p99_ms: lag.quantile_ms(0.99),
        lag_max_ms: lag.quantile_ms(1.0),
        rps: per_second(whole.all.successes(), end.saturating_duration_since(start)),
        share: share(names, &whole),
        phases: reports,
        buckets,
    }
}

pub(crate) fn bucket(at: Duration, length: Duration, names: &[String], span: &Span) -> BucketReport {
    BucketReport {
        at_seconds: at.as_secs_f64(),
        requests: span.all.requests(),
        failed: span.all.failed(),
        p50_ms: span.all.quantile_ms(0.5),
        p99_ms: span.all.quantile_ms(0.99),
        rps: rps(names, span, length),
    }
}

fn phase_report(phase: &Phase, end: Instant, names: &[String]) -> PhaseReport {
    let length = end.saturating_duration_since(phase.start);
    PhaseReport {
        name: phase.name.clone(),
        seconds: length.as_secs_f64(),
        requests: phase.span.all.requests(),
        failed: phase.span.all.failed(),
        longest_gap_ms: milliseconds(phase.gap),
        latency: Latency::of(&phase.span.all),
        tally: phase.span.all.clone(),
        share: share(names, &phase.span),
        rps: rps(names, &phase.span, length),
    }
}

fn successes(span: &Span, index: usize) -> u64 {
    span.backends.get(index).map_or(0, Tally::successes)
}

fn share(names: &[String], span: &Span) -> BTreeMap<String, f64> {
    let total: u64 = span.backends.iter().map(Tally::successes).sum();
    let part = |index| if total == 0 { 0.0 } else { successes(span, index) as f64 / total as f64 };
    names.iter().enumerate().map(|(index, name)| (name.clone(), part(index))).collect()
}

fn rps(names: &[String], span: &Span, length: Duration) -> BTreeMap<String, f64> {
    let part = |index| per_second(successes(span, index), length);
    names.iter().enumerate().map(|(index, name)| (name.clone(), part(index))).collect()
}

fn per_second(count: u64, length: Duration) -> f64 {
    if length.is_zero() { 0.0 } else { count as f64 / length.as_secs_f64() }
}

fn milliseconds(span: Duration) -> f64 {
    span.as_micros() as f64 / 1000.0
}
