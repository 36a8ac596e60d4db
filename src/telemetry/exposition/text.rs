//! The text exposition format 0.0.4, and OpenMetrics 1.0, written without an allocation for a line, and handed over piece by piece.
//!
//! Instead of the `prometheus` crate's model and encoder (whose text it equals, a test compares them), because a page of a
//! thousand backends has close to two hundred thousand lines: there each sample is a dozen allocations, here a few copies
//! of what lines have in common. That is the difference between a scrape that one sees in the CPU time and one that one
//! does not.
//!
//! Format: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.

use std::fmt::Write;

use super::PageForm;

/// A page is handed over in pieces of about this size, in bytes: they stay in a processor's cache, and what waits for a slow
/// reader does not grow with the number of series.
const PIECE: usize = 64 * 1024;

/// The most that one sample takes, in bytes, with names of ordinary length: a piece has room for one more.
const SAMPLE: usize = 8 * 1024;

/// A page of metrics while it is being written.
pub(super) struct Page<'g> {
    pub(super) form: PageForm,
    out: String,
    /// What many lines have in common, for who writes them.
    common: String,
    give: &'g mut dyn FnMut(String) -> bool,
    wanted: bool,
}

impl<'g> Page<'g> {
    /// Begins a page that is given away piece by piece, until `give` returns false.
    pub(super) fn new(form: PageForm, give: &'g mut dyn FnMut(String) -> bool) -> Self {
        Self { form, out: String::with_capacity(PIECE + SAMPLE), common: String::new(), give, wanted: true }
    }

    /// Returns where to write, and a text to work with. None when nobody wants the rest.
    pub(super) fn open(&mut self) -> Option<(&mut String, &mut String)> {
        self.wanted.then_some((&mut self.out, &mut self.common))
    }

    /// Gives away what was written if it is enough for a piece.
    pub(super) fn hand_over_if_large(&mut self) {
        if self.out.len() >= PIECE {
            let piece = std::mem::replace(&mut self.out, String::with_capacity(PIECE + SAMPLE));
            self.wanted = (self.give)(piece);
        }
    }

    /// Gives away the rest.
    pub(super) fn end(self) {
        if self.wanted && !self.out.is_empty() {
            (self.give)(self.out);
        }
    }
}

/// Returns labels as text, without braces.
pub(in super::super) fn text_of(labels: &[(&str, &str)]) -> String {
    let mut text = String::new();
    labels.iter().for_each(|(name, value)| push_label(&mut text, name, value));
    text
}

/// Writes the line that says what a metric is.
pub(crate) fn push_help(out: &mut String, name: &str, help: &str, form: PageForm) {
    for part in ["# HELP ", name, " "] {
        out.push_str(part);
    }
    escape(out, help, form == PageForm::OpenMetrics);
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
    if value.fract() == 0.0 && (0.0..WHOLE).contains(&value) {
        return push_count(out, value as u64);
    }
    let written = if value.is_infinite() {
        write!(out, "{}Inf", if value > 0.0 { '+' } else { '-' })
    } else {
        write!(out, "{value}")
    };
    written.expect("invariant: writing to a string cannot fail");
}

/// Writes a count; by far the most have one digit.
pub(super) fn push_count(out: &mut String, count: u64) {
    if let Ok(digit @ 0..10) = u8::try_from(count) {
        return out.push(char::from(b'0' + digit));
    }
    write!(out, "{count}").expect("invariant: writing to a string cannot fail");
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
    use std::time::{Duration, SystemTime};

    use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};
    use prometheus::{Encoder as _, TextEncoder};

    use super::super::family::Family;
    use super::*;
    use crate::telemetry::catalogue::{BACKEND_WEIGHT, REQUEST_DURATION, RETRIES};
    use crate::telemetry::exemplars::{Exemplar, Exemplars};
    use crate::telemetry::histogram::{Histogram, HistogramTotal};

    const NAMES: [&str; 7] = ["plain", "quo\"te", "back\\slash", "line\nfeed", "ünïcode", "\\\"\n", ""];
    const VALUES: [f64; 7] = [0.0, 7.0, 0.25, 1e-9, 9e15, -3.0, 123_456.789];

    fn total(name: usize) -> HistogramTotal {
        let (histogram, mut total): (Histogram, _) = (Histogram::default(), HistogramTotal::default());
        (0..name).for_each(|n| histogram.record(Duration::from_nanos(123_456_789 * n as u64)));
        histogram.add_to(&mut total);
        total
    }

    /// The samples as the crate models them.
    fn modelled(metric: &'static crate::telemetry::catalogue::Metric, kind: MetricType) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(metric.name.to_owned());
        family.set_help(metric.help.to_owned());
        family.set_field_type(kind);
        let samples = NAMES.iter().enumerate().map(|(n, name)| {
            let labels = ["upstream", "backend"].map(|label| {
                let mut pair = LabelPair::default();
                pair.set_name(label.to_owned());
                pair.set_value((*name).to_owned());
                pair
            });
            let mut sample = proto::Metric::from_label(labels.into());
            if kind == MetricType::GAUGE {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(VALUES[n]);
                sample.set_gauge(gauge);
                return sample;
            }
            let mut histogram = proto::Histogram::default();
            let total = total(n);
            let buckets = total.cumulative().map(|(bound, count)| {
                let mut bucket = proto::Bucket::default();
                bucket.set_upper_bound(bound);
                bucket.set_cumulative_count(count);
                bucket
            });
            histogram.set_bucket(buckets.collect());
            histogram.set_sample_count(total.count());
            histogram.set_sample_sum(total.sum_seconds());
            sample.set_histogram(histogram);
            sample
        });
        family.set_metric(samples.collect());
        family
    }

    #[test]
    fn the_text_is_the_one_that_the_crate_would_write() {
        let families = [
            modelled(&BACKEND_WEIGHT, MetricType::GAUGE),
            modelled(&REQUEST_DURATION, MetricType::HISTOGRAM),
        ];
        let mut theirs = Vec::new();
        TextEncoder::new().encode(&families, &mut theirs).expect("the crate can write it");

        let mut ours = String::new();
        let mut give = |piece: String| {
            ours.push_str(&piece);
            true
        };
        let mut page = Page::new(PageForm::Classic, &mut give);
        let labels = NAMES.map(|name| text_of(&[("upstream", name), ("backend", name)]));
        let mut weights = Family::new(&BACKEND_WEIGHT, &mut page);
        labels.iter().zip(VALUES).for_each(|(labels, value)| weights.number(labels, value));
        let mut durations = Family::new(&REQUEST_DURATION, &mut page);
        labels.iter().enumerate().for_each(|(n, labels)| durations.histogram(labels, &total(n)));
        page.end();
        for (ours, theirs) in ours.lines().zip(String::from_utf8_lossy(&theirs).lines()) {
            assert_eq!(ours, theirs);
        }
        assert_eq!(ours.as_bytes(), theirs);
    }

    #[test]
    fn openmetrics_names_counters_and_bounds_in_its_own_way_and_has_exemplars() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_520_879_607_789);
        let exemplars = Exemplars::default();
        exemplars.record(Exemplar { trace: 0xab, value: Duration::from_millis(30), at });
        exemplars.record(Exemplar { trace: 0xcd, value: Duration::from_secs(60), at });
        let histogram: Histogram = Histogram::default();
        histogram.record(Duration::from_millis(30));
        let mut total = HistogramTotal::default();
        histogram.add_to(&mut total);
        let labels = r#"upstream="app",backend="one""#;
        let page = |form| {
            let mut text = String::new();
            let mut give = |piece: String| {
                text.push_str(&piece);
                true
            };
            let mut page = Page::new(form, &mut give);
            Family::new(&RETRIES, &mut page).count(labels, 3);
            Family::new(&REQUEST_DURATION, &mut page).histogram_with(labels, &total, Some(&exemplars));
            page.end();
            text
        };
        let open = page(PageForm::OpenMetrics);
        for line in [
            "# TYPE plimsoll_retries counter".to_owned(),
            format!("plimsoll_retries_total{{{labels}}} 3"),
            "# TYPE plimsoll_request_duration_seconds histogram".to_owned(),
            format!(r#"plimsoll_request_duration_seconds_bucket{{{labels},le="1.0"}} 1"#),
            format!(
                "plimsoll_request_duration_seconds_bucket{{{labels},le=\"0.05\"}} 1 \
                 # {{trace_id=\"000000000000000000000000000000ab\"}} 0.03 1520879607.789"
            ),
            format!(
                "plimsoll_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 1 \
                 # {{trace_id=\"000000000000000000000000000000cd\"}} 60 1520879607.789"
            ),
        ] {
            assert!(open.lines().any(|shown| shown == line), "{line} in\n{open}");
        }
        assert_eq!(open.matches("trace_id").count(), 2, "no other bucket has one");
        assert!(!page(PageForm::Classic).contains("trace_id"), "the classic form knows none");
    }

    #[test]
    fn infinity_is_written_as_the_format_wants_it() {
        let mut text = String::new();
        push_number(&mut text, f64::INFINITY);
        push_number(&mut text, f64::NEG_INFINITY);
        push_number(&mut text, f64::NAN);
        assert_eq!(text, "+Inf-InfNaN");
    }

    #[test]
    fn no_count_loses_a_digit() {
        let counts = [0, 9, 10, 99, 9_007_199_254_740_993, u64::MAX];
        for count in counts {
            let mut text = String::new();
            push_count(&mut text, count);
            assert_eq!(text, count.to_string());
        }
    }
}
