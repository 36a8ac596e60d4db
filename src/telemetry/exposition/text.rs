//! The text exposition format 0.0.4, written with few allocations.
//!
//! Instead of the crate's encoder, whose output it equals (a test compares them), because histograms are most of a
//! scrape: here a sample's labels are written once and copied for each of its buckets, and a bucket's bound is turned
//! into text once per family. That is the difference between a scrape that one sees in the CPU time and one that one
//! does not.
//!
//! Format: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.

use std::fmt::Write;

use prometheus::proto::{Histogram, Metric, MetricFamily, MetricType};

/// Writes families as text. Summaries and untyped metrics, which the catalogue cannot list, are left out.
pub(super) fn encode(families: &[MetricFamily]) -> String {
    let mut text = Encoder::default();
    families.iter().for_each(|family| text.family(family));
    text.out
}

#[derive(Default)]
struct Encoder {
    out: String,
    /// The labels of the present sample, without braces.
    labels: String,
    /// The present family's bounds as text.
    bounds: Vec<(f64, String)>,
}

impl Encoder {
    fn family(&mut self, family: &MetricFamily) {
        let (name, kind) = (family.name(), family.get_field_type());
        let word = match kind {
            MetricType::COUNTER => "counter",
            MetricType::GAUGE => "gauge",
            MetricType::HISTOGRAM => "histogram",
            MetricType::SUMMARY | MetricType::UNTYPED => return,
        };
        push_help(&mut self.out, name, family.help());
        self.extend(&["# TYPE ", name, " ", word, "\n"]);
        self.bounds.clear();
        for sample in family.get_metric() {
            self.sample(name, kind, sample);
        }
    }

    fn sample(&mut self, name: &str, kind: MetricType, sample: &Metric) {
        self.labels.clear();
        for pair in sample.get_label() {
            push_label(&mut self.labels, pair.name(), pair.value());
        }
        match kind {
            MetricType::COUNTER => self.line(name, "", sample.get_counter().get_value()),
            MetricType::GAUGE => self.line(name, "", sample.get_gauge().get_value()),
            _ => self.histogram(name, sample.get_histogram()),
        }
    }

    fn histogram(&mut self, name: &str, histogram: &Histogram) {
        for (index, bucket) in histogram.get_bucket().iter().enumerate() {
            self.bound(index, bucket.upper_bound());
            self.bucket(name, Some(index), bucket.cumulative_count());
        }
        self.bucket(name, None, histogram.get_sample_count());
        self.line(name, "_sum", histogram.get_sample_sum());
        self.line(name, "_count", histogram.get_sample_count() as f64);
    }

    /// Makes sure that the text of the bound at `index` is that of `bound`.
    fn bound(&mut self, index: usize, bound: f64) {
        if self.bounds.get(index).is_none_or(|(known, _)| *known != bound) {
            self.bounds.truncate(index);
            self.bounds.push((bound, bound.to_string()));
        }
    }

    /// Writes a line of a bucket; `None` is the infinite bound.
    fn bucket(&mut self, name: &str, bound: Option<usize>, count: u64) {
        let Self { out, labels, bounds } = self;
        let comma = if labels.is_empty() { "" } else { "," };
        let bound = bound.map_or("+Inf", |index| bounds[index].1.as_str());
        for part in [name, "_bucket{", labels, comma, "le=\"", bound, "\"} "] {
            out.push_str(part);
        }
        push_number(out, count as f64);
        out.push('\n');
    }

    fn line(&mut self, name: &str, suffix: &str, value: f64) {
        let Self { out, labels, .. } = self;
        out.push_str(name);
        out.push_str(suffix);
        if !labels.is_empty() {
            out.push('{');
            out.push_str(labels);
            out.push('}');
        }
        out.push(' ');
        push_number(out, value);
        out.push('\n');
    }

    fn extend(&mut self, parts: &[&str]) {
        parts.iter().for_each(|part| self.out.push_str(part));
    }
}

/// Writes the line that says what a metric is.
pub(crate) fn push_help(out: &mut String, name: &str, help: &str) {
    for part in ["# HELP ", name, " "] {
        out.push_str(part);
    }
    escape(out, help, false);
    out.push('\n');
}

/// Writes a label behind those that are there, without braces.
pub(crate) fn push_label(labels: &mut String, name: &str, value: &str) {
    if !labels.is_empty() {
        labels.push(',');
    }
    labels.push_str(name);
    labels.push_str("=\"");
    escape(labels, value, true);
    labels.push('"');
}

/// Writes a number; whole ones, which nearly all are, by the quicker way.
pub(crate) fn push_number(out: &mut String, value: f64) {
    /// Above, a float does not hold every whole number.
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    let written = if value.fract() == 0.0 && (0.0..WHOLE).contains(&value) {
        write!(out, "{}", value as u64)
    } else if value.is_infinite() {
        write!(out, "{}Inf", if value > 0.0 { '+' } else { '-' })
    } else {
        write!(out, "{value}")
    };
    written.expect("invariant: writing to a string cannot fail");
}

/// Writes text with `\` and line feeds escaped, and `"` inside of quotes.
fn escape(out: &mut String, text: &str, quoted: bool) {
    for piece in text.split_inclusive(['\\', '\n', '"']) {
        let last = piece.as_bytes().last();
        match last {
            Some(b'\\') => push_escaped(out, piece, "\\\\"),
            Some(b'\n') => push_escaped(out, piece, "\\n"),
            Some(b'"') if quoted => push_escaped(out, piece, "\\\""),
            _ => out.push_str(piece),
        }
    }
}

fn push_escaped(out: &mut String, piece: &str, last: &str) {
    out.push_str(&piece[..piece.len() - 1]);
    out.push_str(last);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Telemetry, WorkerId};
    use prometheus::TextEncoder;
    use std::time::Duration;

    #[test]
    fn the_text_is_the_one_that_the_crate_would_write() {
        let telemetry = Telemetry::new(2);
        let names = ["plain", "quo\"te", "back\\slash", "line\nfeed", "ünïcode", "\\\"\n", ""];
        let held: Vec<_> = names.iter().map(|name| telemetry.backend(name, name)).collect();
        for (index, backend) in held.iter().enumerate() {
            let shard = backend.shard(WorkerId(index % 2));
            shard.request_duration.record(Duration::from_nanos(123_456_789 * index as u64));
            shard.sent_bytes.add(u64::MAX >> index);
            backend.weight.set(1.0 / (index as f64 + 2.0));
            backend.inflight.dec();
            // The crate writes infinity in its own way: see the next test.
            backend.inflight_limit.set(100.0);
        }
        let families = telemetry.registry.gather();
        let theirs = TextEncoder::new().encode_to_string(&families).expect("the crate can write it");
        for (ours, theirs) in encode(&families).lines().zip(theirs.lines()) {
            assert_eq!(ours, theirs);
        }
        assert_eq!(encode(&families), theirs);
    }

    #[test]
    fn infinity_is_written_as_the_format_wants_it() {
        let mut text = String::new();
        push_number(&mut text, f64::INFINITY);
        push_number(&mut text, f64::NEG_INFINITY);
        push_number(&mut text, f64::NAN);
        assert_eq!(text, "+Inf-InfNaN");
    }
}
