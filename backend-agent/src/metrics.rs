//! The series that an agent exports.
//!
//! What holds only while the target is there (`cpu_usage`, `agent_memory_bytes`) has no series while it is not: a last
//! value that stays would draw a dead backend as a calm one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::core::Collector;
use prometheus::{
    Counter, Encoder as _, Gauge, GaugeVec, IntCounter, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::reading::Reading;

/// All series of one agent.
pub(crate) struct Metrics {
    registry: Registry,
    cpu_usage: GaugeVec,
    cpu_seconds: Counter,
    capacity_cores: Gauge,
    memory_bytes: GaugeVec,
    target_up: IntGauge,
    sampled_at: Gauge,
    errors: IntCounter,
}

const VALID: &str = "invariant: names of metrics are valid and given once";
const NO_LABELS: &[&str] = &[];

impl Metrics {
    /// Makes the series of an agent that measures a target of the kind `source`.
    pub(crate) fn new(source: &str) -> Self {
        let registry = Registry::new();
        let info = IntGaugeVec::new(
            Opts::new("agent_info", "What this agent measures (host, container or process); always 1."),
            &["source", "version"],
        );
        let info = registered(&registry, info);
        info.with_label_values(&[source, env!("CARGO_PKG_VERSION")]).set(1);
        Self {
            cpu_usage: registered(
                &registry,
                GaugeVec::new(
                    Opts::new("cpu_usage", "CPU time in use, in percent of agent_cpu_capacity_cores."),
                    NO_LABELS,
                ),
            ),
            cpu_seconds: registered(
                &registry,
                Counter::new("agent_cpu_seconds_total", "CPU time that the target has used since it began."),
            ),
            capacity_cores: registered(
                &registry,
                Gauge::new(
                    "agent_cpu_capacity_cores",
                    "The most CPUs that the target can keep busy at once.",
                ),
            ),
            memory_bytes: registered(
                &registry,
                GaugeVec::new(Opts::new("agent_memory_bytes", "Memory that the target uses."), NO_LABELS),
            ),
            target_up: registered(
                &registry,
                IntGauge::new("agent_target_up", "1 if the last sample could be taken, 0 if not."),
            ),
            sampled_at: registered(
                &registry,
                Gauge::new("agent_sample_timestamp_seconds", "When the last good sample was taken."),
            ),
            errors: registered(
                &registry,
                IntCounter::new(
                    "agent_sample_errors_total",
                    "Samples that failed for another reason than that the target is gone.",
                ),
            ),
            registry,
        }
    }

    /// Shows a good sample: the reading, the CPU time since the one before, the percentage if there is one yet.
    pub(crate) fn show(&self, reading: &Reading, used: Duration, percent: Option<f64>) {
        self.target_up.set(1);
        self.cpu_seconds.inc_by(used.as_secs_f64());
        self.capacity_cores.set(reading.capacity_cores);
        set_or_drop(&self.cpu_usage, percent);
        set_or_drop(&self.memory_bytes, reading.memory_bytes.map(|bytes| bytes as f64));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.sampled_at.set(now.as_secs_f64());
    }

    /// Shows that there is nothing to see: drops what only held while the target was there.
    pub(crate) fn clear(&self) {
        self.target_up.set(0);
        self.cpu_usage.reset();
        self.memory_bytes.reset();
    }

    /// Counts a sample that failed though the target may be there.
    pub(crate) fn count_error(&self) {
        self.errors.inc();
    }

    /// Renders all series in the Prometheus text format.
    pub(crate) fn render(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(2 * 1024);
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .expect("invariant: series of a registry can be written to memory");
        text
    }
}

fn set_or_drop(series: &GaugeVec, value: Option<f64>) {
    match value {
        Some(value) => series.with_label_values(NO_LABELS).set(value),
        None => series.reset(),
    }
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let series = made.expect(VALID);
    registry.register(Box::new(series.clone())).expect(VALID);
    series
}
