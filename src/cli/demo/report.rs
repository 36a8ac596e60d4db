//! The one JSON object that `plimsoll demo --json` ends with.
//!
//! It stands apart from the load generator's report because scripts rely on its keys: they change only on purpose.

use super::scenario::Restart;
use loadtest::report::{PhaseReport, Report};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The phases of a scenario; whatever else was announced is a transition between two of them.
const PHASES: [&str; 4] = ["steady", "before", "during", "after"];

/// What a demo came to, as the client saw it.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct DemoReport {
    /// Requests that were due.
    pub(super) requests: u64,
    /// Requests not answered in full, in time and below status 500.
    pub(super) failed: u64,
    /// The longest time without a successful answer, the start and the end of the run included.
    pub(super) longest_gap_ms: f64,
    /// Half of the answers were not slower, from the time they were due; None when there was none.
    pub(super) p50_ms: Option<f64>,
    /// 99 of 100 answers were not slower; None when there was none.
    pub(super) p99_ms: Option<f64>,
    /// `before`, `during` and `after` of a scenario; without one the single phase `steady`.
    pub(super) phases: Vec<Phase>,
    /// The requests due between two phases: `detecting` and `recovering`.
    pub(super) transitions: Vec<Phase>,
    /// From the kill until the balancer showed backend-1 down; None without a scenario, or when it never did.
    pub(super) detected_after_ms: Option<f64>,
    /// From the restart until backend-1 had its share back; None without a scenario, or when it never had.
    pub(super) recovered_after_ms: Option<f64>,
}

/// The requests that were due in one part of the run.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Phase {
    name: String,
    seconds: f64,
    requests: u64,
    failed: u64,
    longest_gap_ms: f64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    share: BTreeMap<String, f64>,
    rps: BTreeMap<String, f64>,
}

impl DemoReport {
    /// Draws up the report of a run over the backends called `names`.
    pub(super) fn new(report: &Report, restart: Option<&Restart>, names: &[String]) -> DemoReport {
        let (phases, transitions) = report
            .phases
            .iter()
            .map(|phase| Phase::new(phase, names))
            .partition(|phase| PHASES.contains(&phase.name.as_str()));
        DemoReport {
            requests: report.requests,
            failed: report.failed,
            longest_gap_ms: report.longest_gap_ms,
            p50_ms: report.latency.p50_ms,
            p99_ms: report.latency.p99_ms,
            phases,
            transitions,
            detected_after_ms: restart.and_then(|restart| restart.detected_after).map(milliseconds),
            recovered_after_ms: restart.and_then(|restart| restart.recovered_after).map(milliseconds),
        }
    }

    /// The same for people.
    pub(super) fn text(&self) -> String {
        let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2} ms"));
        let mut text = format!(
            "\n{} requests, {} failed; p50 {}, p99 {}; longest time without an answer {}",
            self.requests,
            self.failed,
            ms(self.p50_ms),
            ms(self.p99_ms),
            ms(Some(self.longest_gap_ms))
        );
        for phase in &self.phases {
            let shares = phase.share.iter().map(|(name, share)| format!("  {name} {:.1} %", share * 100.0));
            text += &format!("\n{:<7}{}", phase.name, shares.collect::<String>());
        }
        if let Some(detected) = self.detected_after_ms {
            text += &format!("\nbackend-1 was seen to be down {detected:.0} ms after it was killed");
        }
        if let Some(recovered) = self.recovered_after_ms {
            text += &format!("\nbackend-1 had its share back {recovered:.0} ms after it was started again");
        }
        text
    }
}

impl Phase {
    fn new(phase: &PhaseReport, names: &[String]) -> Phase {
        // A backend that never answered is not unknown, it has 0.
        let complete = |values: &BTreeMap<String, f64>| {
            let zeros = names.iter().map(|name| (name.clone(), 0.0));
            zeros.chain(values.clone()).collect()
        };
        Phase {
            name: phase.name.clone(),
            seconds: phase.seconds,
            requests: phase.requests,
            failed: phase.failed,
            longest_gap_ms: phase.longest_gap_ms,
            p50_ms: phase.latency.p50_ms,
            p99_ms: phase.latency.p99_ms,
            share: complete(&phase.share),
            rps: complete(&phase.rps),
        }
    }
}

fn milliseconds(span: Duration) -> f64 {
    span.as_micros() as f64 / 1000.0
}
