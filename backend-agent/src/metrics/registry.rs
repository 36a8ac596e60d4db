//! A registry of series, and short ways to make some.

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Counter, Encoder as _, Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, Opts, TextEncoder,
};

const VALID: &str = "invariant: names of metrics are valid and given once";

/// Some series that are shown together.
pub(super) struct Registry(prometheus::Registry);

impl Registry {
    /// Makes one without series.
    pub(super) fn new() -> Self {
        Self(prometheus::Registry::new())
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> Counter {
        self.registered(Counter::new(name, help))
    }

    pub(super) fn int_counter(&self, name: &str, help: &str) -> IntCounter {
        self.registered(IntCounter::new(name, help))
    }

    pub(super) fn int_counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.registered(IntCounterVec::new(Opts::new(name, help), labels))
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.registered(Gauge::new(name, help))
    }

    pub(super) fn int_gauge(&self, name: &str, help: &str) -> IntGauge {
        self.registered(IntGauge::new(name, help))
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.registered(GaugeVec::new(Opts::new(name, help), labels))
    }

    /// Makes a gauge that has no series while it has no value.
    pub(super) fn optional(&self, name: &str, help: &str) -> OptionalGauge {
        OptionalGauge(self.gauges(name, help, &[]))
    }

    /// Makes a counter that has no series before it has a value.
    pub(super) fn optional_counter(&self, name: &str, help: &str) -> OptionalCounter {
        OptionalCounter(self.int_counters(name, help, &[]))
    }

    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.0.gather()
    }

    fn registered<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let series = made.expect(VALID);
        self.0.register(Box::new(series.clone())).expect(VALID);
        series
    }
}

/// A gauge that may have no value, and then has no series.
pub(super) struct OptionalGauge(GaugeVec);

impl OptionalGauge {
    pub(super) fn set(&self, value: Option<f64>) {
        match value {
            Some(value) => self.0.with_label_values::<&str>(&[]).set(value),
            None => self.0.reset(),
        }
    }
}

/// A counter of what may not be there to count, and then has no series.
pub(super) struct OptionalCounter(IntCounterVec);

impl OptionalCounter {
    pub(super) fn inc_by(&self, growth: Option<u64>) {
        if let Some(growth) = growth {
            self.0.with_label_values::<&str>(&[]).inc_by(growth);
        }
    }
}

/// Appends families in the Prometheus text format.
pub(super) fn encode(families: &[MetricFamily], text: &mut Vec<u8>) {
    TextEncoder::new()
        .encode(families, text)
        .expect("invariant: series of a registry can be written to memory");
}
