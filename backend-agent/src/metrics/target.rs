//! What holds of the target.
//!
//! What holds only while it is there (`cpu_usage`, `agent_memory_bytes`) has no series while it is not: a last value
//! that stays would draw a dead backend as a calm one.

use std::io::Write as _;
use std::time::Duration;

use prometheus::{Counter, Gauge};

use super::registry::{OptionalGauge, Registry, encode};
use crate::reading::Reading;

const CPU_USAGE: &str = "cpu_usage";

pub(super) struct TargetSeries {
    registry: Registry,
    cpu_usage: OptionalGauge,
    cpu_seconds: Counter,
    capacity_cores: Gauge,
    memory_bytes: OptionalGauge,
}

impl TargetSeries {
    pub(super) fn new() -> Self {
        let of = Registry::new();
        Self {
            cpu_usage: of.optional(CPU_USAGE, "CPU time in use, in percent of agent_cpu_capacity_cores."),
            cpu_seconds: of
                .counter("agent_cpu_seconds_total", "CPU time that the target has used since it began."),
            capacity_cores: of
                .gauge("agent_cpu_capacity_cores", "The most CPUs that the target can keep busy at once."),
            memory_bytes: of.optional("agent_memory_bytes", "Memory that the target uses."),
            registry: of,
        }
    }

    pub(super) fn show(&self, reading: &Reading, used: Duration, percent: Option<f64>) {
        self.cpu_usage.set(percent);
        self.cpu_seconds.inc_by(used.as_secs_f64());
        self.capacity_cores.set(reading.capacity_cores);
        self.memory_bytes.set(reading.memory_bytes.map(|bytes| bytes as f64));
    }

    pub(super) fn clear(&self) {
        self.cpu_usage.set(None);
        self.memory_bytes.set(None);
    }

    pub(super) fn render(&self, text: &mut Vec<u8>) {
        encode(&self.registry.gather(), text);
    }

    /// Renders the same without a type for `cpu_usage`, as a script sends it that pushes `cpu_usage 7`: a Pushgateway
    /// refuses whoever comes second with another type.
    pub(super) fn render_push(&self, text: &mut Vec<u8>) {
        let families = self.registry.gather().into_iter();
        let (cpu_usage, others): (Vec<_>, Vec<_>) = families.partition(|family| family.name() == CPU_USAGE);
        encode(&others, text);
        for series in cpu_usage.iter().flat_map(|family| family.get_metric()) {
            let _ = writeln!(text, "{CPU_USAGE} {}", series.get_gauge().get_value()); // memory takes it
        }
    }
}
