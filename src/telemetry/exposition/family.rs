//! One metric family while it is being filled: turns label values and numbers into what the encoder wants.

use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};

use crate::telemetry::catalogue::{Kind, Metric};
use crate::telemetry::histogram::HistogramTotal;
use crate::telemetry::labels::Label;
use crate::telemetry::status::StatusTotal;

/// The samples of one metric.
pub(super) struct Family {
    metric: &'static Metric,
    samples: Vec<proto::Metric>,
}

impl Family {
    pub(super) fn new(metric: &'static Metric) -> Self {
        Self { metric, samples: Vec::new() }
    }

    /// Adds a sample of a counter or gauge.
    pub(super) fn number(&mut self, labels: &[&str], value: f64) {
        let mut sample = proto::Metric::from_label(self.pairs(labels));
        match self.metric.kind {
            Kind::Counter => {
                let mut counter = proto::Counter::default();
                counter.set_value(value);
                sample.set_counter(counter);
            }
            Kind::Gauge | Kind::Histogram => {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(value);
                sample.set_gauge(gauge);
            }
        }
        self.samples.push(sample);
    }

    /// Adds a sample of a count.
    pub(super) fn count(&mut self, labels: &[&str], count: u64) {
        self.number(labels, count as f64);
    }

    /// Adds a sample for each value of a label, which is the family's last.
    pub(super) fn by_label<L: Label>(&mut self, labels: &[&str], count: impl Fn(L) -> u64) {
        debug_assert_eq!(self.metric.labels.last(), Some(&L::NAME), "{}", self.metric.name);
        for value in L::ALL {
            self.with_last(labels, value.as_str(), count(*value));
        }
    }

    /// Adds a sample for each code that is to be shown; `code` is the family's last label.
    pub(super) fn by_code(&mut self, labels: &[&str], total: &StatusTotal) {
        for (code, count) in total.series() {
            self.with_last(labels, code, count);
        }
    }

    /// Adds a sample of a histogram.
    pub(super) fn histogram(&mut self, labels: &[&str], total: &HistogramTotal) {
        let bucket = |(bound, count)| {
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        };
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(total.cumulative().map(bucket).collect());
        histogram.set_sample_count(total.count());
        histogram.set_sample_sum(total.sum_seconds());
        let mut sample = proto::Metric::from_label(self.pairs(labels));
        sample.set_histogram(histogram);
        self.samples.push(sample);
    }

    pub(super) fn into_proto(self) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.metric.name.to_owned());
        family.set_help(self.metric.help.to_owned());
        family.set_field_type(match self.metric.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram => MetricType::HISTOGRAM,
        });
        family.set_metric(self.samples);
        family
    }

    fn with_last(&mut self, labels: &[&str], last: &str, count: u64) {
        let mut pairs = Vec::with_capacity(labels.len() + 1);
        pairs.extend_from_slice(labels);
        pairs.push(last);
        self.count(&pairs, count);
    }

    fn pairs(&self, values: &[&str]) -> Vec<LabelPair> {
        debug_assert_eq!(self.metric.labels.len(), values.len(), "{}", self.metric.name);
        let pair = |(name, value): (&&str, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        self.metric.labels.iter().zip(values).map(pair).collect()
    }
}
