//! One metric family while it is being written: turns numbers and the text of labels into lines.

use std::fmt::Write;
use std::sync::LazyLock;

use super::PageForm;
use super::text::{Page, push_count, push_help, push_number};
use crate::telemetry::catalogue::Metric;
use crate::telemetry::exemplars::{Exemplar, Exemplars};
use crate::telemetry::histogram::{BOUNDS_NS, HistogramTotal};
use crate::telemetry::labels::Label;
use crate::telemetry::seconds_since_epoch;
use crate::telemetry::status::StatusTotal;

type Bounds = LazyLock<[String; BOUNDS_NS.len()]>;

/// The bounds of all histograms in seconds, as text.
static BOUNDS: Bounds = LazyLock::new(|| BOUNDS_NS.map(|bound| (bound as f64 / 1e9).to_string()));

/// The same for OpenMetrics, where a number always has a point, so that one bound has one form.
static OPEN_BOUNDS: Bounds = LazyLock::new(|| BOUNDS_NS.map(|bound| format!("{:?}", bound as f64 / 1e9)));

/// The samples of one metric. A family without a sample leaves no trace on the page.
///
/// Labels come as text without braces, as [`text_of`](super::text::text_of) makes it, in the order of the catalogue.
pub(super) struct Family<'p, 'g> {
    metric: &'static Metric,
    page: &'p mut Page<'g>,
    begun: bool,
}

impl<'p, 'g> Family<'p, 'g> {
    pub(super) fn new(metric: &'static Metric, page: &'p mut Page<'g>) -> Self {
        Self { metric, page, begun: false }
    }

    /// Adds a sample of a counter or gauge.
    pub(super) fn number(&mut self, labels: &str, value: f64) {
        self.sample(labels, &[], |out| push_number(out, value));
    }

    /// Adds a sample of a count.
    pub(super) fn count(&mut self, labels: &str, count: u64) {
        self.sample(labels, &[], |out| push_count(out, count));
    }

    /// Adds a sample for each value of a label, which is the family's last.
    pub(super) fn by_label<L: Label>(&mut self, labels: &str, count: impl Fn(L) -> u64) {
        for value in L::ALL {
            self.sample(labels, &[(L::NAME, value.as_str())], |out| push_count(out, count(*value)));
        }
    }

    /// Adds a sample for these values of the family's last two labels.
    pub(super) fn by_two<A: Label, B: Label>(&mut self, labels: &str, first: A, second: B, count: u64) {
        let last = [(A::NAME, first.as_str()), (B::NAME, second.as_str())];
        self.sample(labels, &last, |out| push_count(out, count));
    }

    /// Adds a sample for each code that is to be shown; `code` is the family's last label.
    pub(super) fn by_code(&mut self, labels: &str, total: &StatusTotal) {
        for (code, count) in total.series() {
            self.sample(labels, &[("code", code)], |out| push_count(out, count));
        }
    }

    /// Adds a sample of a histogram.
    pub(super) fn histogram(&mut self, labels: &str, total: &HistogramTotal) {
        self.histogram_with(labels, total, None);
    }

    /// Adds a sample of a histogram whose buckets have exemplars, where the form knows any.
    pub(super) fn histogram_with(
        &mut self,
        labels: &str,
        total: &HistogramTotal,
        exemplars: Option<&Exemplars>,
    ) {
        let name = self.metric.name;
        let (bounds, exemplars) = match self.page.form {
            PageForm::Classic => (&BOUNDS, None),
            PageForm::OpenMetrics => (&OPEN_BOUNDS, exemplars),
        };
        let Some((out, common)) = self.begin() else { return };
        // Most of a page are buckets, which differ in their ends alone.
        common.clear();
        let comma = if labels.is_empty() { "" } else { "," };
        for part in [name, "_bucket{", labels, comma, "le=\""] {
            common.push_str(part);
        }
        let finite = bounds.iter().map(String::as_str).zip(total.cumulative().map(|(_, count)| count));
        for (bucket, (bound, count)) in finite.chain([("+Inf", total.count())]).enumerate() {
            for part in [common.as_str(), bound, "\"} "] {
                out.push_str(part);
            }
            push_count(out, count);
            if let Some(exemplar) = exemplars.and_then(|known| known.get(bucket)) {
                push_exemplar(out, exemplar);
            }
            out.push('\n');
        }
        line(out, [name, "_sum"], labels, &[], |out| push_number(out, total.sum_seconds()));
        line(out, [name, "_count"], labels, &[], |out| push_count(out, total.count()));
        self.page.hand_over_if_large();
    }

    fn sample(&mut self, labels: &str, last: &[(&str, &str)], number: impl FnOnce(&mut String)) {
        let name = self.metric.name;
        let Some((out, _)) = self.begin() else { return };
        line(out, [name, ""], labels, last, number);
        self.page.hand_over_if_large();
    }

    /// Returns where to write, and a text to work with, once the head is there. None when nobody reads any more.
    fn begin(&mut self) -> Option<(&mut String, &mut String)> {
        let form = self.page.form;
        let (out, common) = self.page.open()?;
        if !std::mem::replace(&mut self.begun, true) {
            let Metric { name, help, kind, .. } = self.metric;
            // OpenMetrics names a counter without what all its samples end in.
            let short = name.strip_suffix("_total").filter(|_| form == PageForm::OpenMetrics);
            let name = short.unwrap_or(name);
            push_help(out, name, help, form);
            for part in ["# TYPE ", name, " ", kind.as_str(), "\n"] {
                out.push_str(part);
            }
        }
        Some((out, common))
    }
}

/// Writes an exemplar behind the count of its bucket.
fn push_exemplar(out: &mut String, Exemplar { trace, value, at }: Exemplar) {
    let (value, at) = (value.as_secs_f64(), seconds_since_epoch(at));
    write!(out, " # {{trace_id=\"{trace:032x}\"}} {value} {at:.3}")
        .expect("invariant: writing to a string cannot fail");
}

/// Writes one line. The last labels are words of ours, which need no escaping.
fn line(
    out: &mut String,
    name: [&str; 2],
    labels: &str,
    last: &[(&str, &str)],
    number: impl FnOnce(&mut String),
) {
    name.iter().for_each(|part| out.push_str(part));
    let mut before = "{";
    if !labels.is_empty() {
        out.push_str(before);
        out.push_str(labels);
        before = ",";
    }
    for (name, value) in last {
        for part in [before, name, "=\"", value, "\""] {
            out.push_str(part);
        }
        before = ",";
    }
    out.push_str(if before == "," { "} " } else { " " });
    number(out);
    out.push('\n');
}
