//! What holds of the target.
//!
//! What holds only while it is there (`cpu_usage`, `agent_memory_bytes`) has no series while it is not: a last value
//! that stays would draw a dead backend as a calm one. What nobody counts for a kind of target has none at all.

use std::io::Write as _;
use std::time::Duration;

use prometheus::{Counter, Gauge, GaugeVec};

use super::registry::{OptionalCounter, OptionalGauge, Registry, encode};
use crate::reading::{Reading, Traffic, Usage};

const CPU_USAGE: &str = "cpu_usage";

/// What a target has used since the sample before.
#[derive(Debug)]
pub(crate) struct Growth {
    pub(crate) cpu: Duration,
    pub(crate) network: Option<Traffic>,
    pub(crate) disk: Option<Traffic>,
}

pub(super) struct TargetSeries {
    registry: Registry,
    cpu_usage: OptionalGauge,
    core_usage: GaugeVec,
    cpu_seconds: Counter,
    capacity_cores: Gauge,
    loads: [OptionalGauge; 3],
    memory_bytes: OptionalGauge,
    memory_limit_bytes: OptionalGauge,
    network_received: OptionalCounter,
    network_sent: OptionalCounter,
    disk_read: OptionalCounter,
    disk_written: OptionalCounter,
}

impl TargetSeries {
    pub(super) fn new() -> Self {
        let of = Registry::new();
        let load = |minutes: u32| {
            let help = format!("Load average of the whole machine over {minutes} min.");
            of.optional(&format!("agent_load{minutes}"), &help)
        };
        Self {
            cpu_usage: of.optional(CPU_USAGE, "CPU time in use, in percent of agent_cpu_capacity_cores."),
            core_usage: of.gauges(
                "agent_cpu_core_usage",
                "CPU time in use on each core, in percent of the core; of hosts, and of containers under cgroup v1.",
                &["core"],
            ),
            cpu_seconds: of
                .counter("agent_cpu_seconds_total", "CPU time that the target has used since it began."),
            capacity_cores: of
                .gauge("agent_cpu_capacity_cores", "The most CPUs that the target can keep busy at once."),
            loads: [load(1), load(5), load(15)],
            memory_bytes: of.optional(
                "agent_memory_bytes",
                "Memory that the target uses, without what could be freed at once.",
            ),
            memory_limit_bytes: of
                .optional("agent_memory_limit_bytes", "The most memory that the target can use."),
            network_received: of.optional_counter(
                "agent_network_received_bytes_total",
                "Bytes received from the network by a host, or in the network namespace of a container.",
            ),
            network_sent: of.optional_counter(
                "agent_network_sent_bytes_total",
                "Bytes sent to the network by a host, or in the network namespace of a container.",
            ),
            disk_read: of.optional_counter("agent_disk_read_bytes_total", "Bytes read from disks."),
            disk_written: of.optional_counter("agent_disk_written_bytes_total", "Bytes written to disks."),
            registry: of,
        }
    }

    pub(super) fn show(&self, reading: &Reading, growth: &Growth, usage: Option<&Usage>) {
        self.cpu_usage.set(usage.map(|usage| usage.percent));
        // Anew each time: a core may have been taken away.
        self.core_usage.reset();
        for (core, percent) in usage.iter().flat_map(|usage| &usage.cores) {
            self.core_usage.with_label_values(&[core.to_string()]).set(*percent);
        }
        self.cpu_seconds.inc_by(growth.cpu.as_secs_f64());
        self.capacity_cores.set(reading.capacity_cores);
        for (minutes, load) in self.loads.iter().enumerate() {
            load.set(reading.load.map(|loads| loads[minutes]));
        }
        self.memory_bytes.set(reading.memory_bytes.map(|bytes| bytes as f64));
        self.memory_limit_bytes.set(reading.memory_limit_bytes.map(|bytes| bytes as f64));
        self.network_received.inc_by(growth.network.map(|traffic| traffic.inward));
        self.network_sent.inc_by(growth.network.map(|traffic| traffic.outward));
        self.disk_read.inc_by(growth.disk.map(|traffic| traffic.inward));
        self.disk_written.inc_by(growth.disk.map(|traffic| traffic.outward));
    }

    pub(super) fn clear(&self) {
        self.cpu_usage.set(None);
        self.core_usage.reset();
        self.memory_bytes.set(None);
        self.memory_limit_bytes.set(None);
        self.loads.iter().for_each(|load| load.set(None));
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
