//! What the agent keeps about its own work.

use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge};

use super::now;
use super::registry::{Registry, encode};
use crate::push::{ACCEPTED, RESULTS};

pub(super) struct OwnSeries {
    registry: Registry,
    target_up: IntGauge,
    sampled_at: Gauge,
    errors: IntCounter,
    pushes: IntCounterVec,
    last_push: GaugeVec,
}

impl OwnSeries {
    pub(super) fn new(source: &str) -> Self {
        let of = Registry::new();
        let what = "What this agent measures (host, container or process); always 1.";
        let info = of.gauges("agent_info", what, &["source", "version"]);
        info.with_label_values(&[source, env!("CARGO_PKG_VERSION")]).set(1.0);
        Self {
            target_up: of.int_gauge("agent_target_up", "1 if the last sample could be taken, 0 if not."),
            sampled_at: of.gauge("agent_sample_timestamp_seconds", "When the last good sample was taken."),
            errors: of.int_counter(
                "agent_sample_errors_total",
                "Samples that failed for another reason than that the target is gone.",
            ),
            pushes: of.int_counters(
                "agent_pushes_total",
                "Pushes to a gateway: accepted, rejected (4xx), failed (5xx), refused (nobody listens), and so on.",
                &["target", "result"],
            ),
            last_push: of.gauges(
                "agent_last_push_timestamp_seconds",
                "When the gateway accepted a push last; 0 before the first.",
                &["target"],
            ),
            registry: of,
        }
    }

    pub(super) fn show_up(&self, now: f64) {
        self.target_up.set(1);
        self.sampled_at.set(now);
    }

    pub(super) fn show_down(&self) {
        self.target_up.set(0);
    }

    pub(super) fn count_error(&self) {
        self.errors.inc();
    }

    pub(super) fn pushes_to(&self, gateway: &str) -> PushSeries {
        for result in RESULTS {
            self.pushes.with_label_values(&[gateway, result]);
        }
        let last = self.last_push.with_label_values(&[gateway]);
        PushSeries { gateway: gateway.to_owned(), pushes: self.pushes.clone(), last }
    }

    pub(super) fn render(&self, text: &mut Vec<u8>) {
        encode(&self.registry.gather(), text);
    }
}

/// The series of the pushes to one gateway.
pub(crate) struct PushSeries {
    gateway: String,
    pushes: IntCounterVec,
    last: Gauge,
}

impl PushSeries {
    /// Counts a push that was accepted just now.
    pub(crate) fn count_accepted(&self) {
        self.count(ACCEPTED);
        self.last.set(now());
    }

    /// Counts a push with one of [`RESULTS`].
    pub(crate) fn count(&self, result: &'static str) {
        self.pushes.with_label_values(&[&*self.gateway, result]).inc();
    }
}
