//! A pushed family as it will be shown: its lines with the labels of its group, written once and copied at each scrape.

use std::hash::BuildHasher;
use std::ops::Range;

use super::Refusal;
use super::key::{GroupKey, is_label_name};
use super::text::{Family, Kind, Sample, Value, quoted};
use crate::telemetry::{PushResult, push_label, push_number};

/// One family of one push.
#[derive(Debug)]
pub(super) struct Pushed {
    pub(super) name: Box<str>,
    pub(super) kind: Kind,
    pub(super) help: Option<Box<str>>,
    /// The lines of its samples.
    pub(super) text: String,
    /// Each series by the hash of its labels, sorted, with the place of those in `text`.
    pub(super) series: Vec<(u64, Range<usize>)>,
    /// The value of the sample that has no labels but those of its group.
    pub(super) plain: Option<f64>,
    /// How many bytes it may take.
    room: usize,
}

impl Pushed {
    /// Writes the lines of a family, in at most `room` bytes.
    ///
    /// # Errors
    /// When labels are not allowed, a series comes twice, or the room is not enough.
    pub(super) fn of(
        family: &Family<'_>,
        key: &GroupKey,
        hashes: &impl BuildHasher,
        room: usize,
    ) -> Result<Self, Refusal> {
        let name = family.name;
        if let Some(own) = family.kind.own_label().filter(|own| key.get(own).is_some()) {
            let what = format!("{name} must not have an explicit {} label", quoted(own.as_bytes()));
            return Err(Refusal::inconsistent(what));
        }
        let mut pushed = Self {
            name: name.into(),
            kind: family.kind,
            help: family.help.as_deref().map(Into::into),
            text: String::new(),
            series: Vec::with_capacity(family.samples.len()),
            plain: None,
            room,
        };
        for sample in &family.samples {
            pushed.add(sample, key, hashes)?;
            if pushed.is_too_large() {
                let words = "the pushed metrics are too large with the labels of their group";
                return Err(Refusal::new(PushResult::TooLarge, words));
            }
        }
        pushed.series.sort_unstable_by_key(|(hash, _)| *hash);
        if let Some([twice, _]) = pushed.series.array_windows().find(|[one, next]| one.0 == next.0) {
            return Err(Refusal::inconsistent(pushed.was_there(twice)));
        }
        Ok(pushed)
    }

    /// Says of a series that it was there before.
    pub(super) fn was_there(&self, (_, labels): &(u64, Range<usize>)) -> String {
        let (name, labels) = (&self.name, &self.text[labels.clone()]);
        format!("{name}{{{labels}}} was collected before with the same name and label values")
    }

    /// Roughly how many bytes it takes.
    pub(super) fn size(&self) -> usize {
        let help = self.help.as_ref().map_or(0, |help| help.len());
        self.name.len() + help + self.text.len() + self.series.len() * size_of::<u64>()
    }

    fn is_too_large(&self) -> bool {
        self.size() > self.room
    }

    fn add(&mut self, sample: &Sample<'_>, key: &GroupKey, hashes: &impl BuildHasher) -> Result<(), Refusal> {
        let labels = self.labels(sample, key)?;
        let hash = hashes.hash_one(&*labels);
        let at = match &sample.value {
            Value::Number(value) => {
                let is_plain = sample.labels.iter().all(|(name, _)| key.get(name).is_some());
                self.plain = self.plain.or(is_plain.then_some(*value));
                self.line("", &labels, None, *value)
            }
            Value::Distribution { parts, sum, count } => {
                self.distribution(&labels, parts, *sum, whole(*count))
            }
        };
        self.series.push((hash, at..at + labels.len()));
        Ok(())
    }

    /// Returns the labels of a sample as text, sorted: those of the group win, and there always is an instance.
    fn labels(&self, sample: &Sample<'_>, key: &GroupKey) -> Result<String, Refusal> {
        let own = sample.labels.iter().filter(|(name, _)| key.get(name).is_none());
        let mut labels: Vec<(&str, &str)> =
            own.map(|(name, value)| (*name, &**value)).chain(key.labels()).collect();
        if let Some((bad, _)) = labels.iter().find(|(name, _)| !is_label_name(name)) {
            let what = format!("{} has a label with an invalid name: {bad}", self.name);
            return Err(Refusal::inconsistent(what));
        }
        if !labels.iter().any(|(name, _)| *name == "instance") {
            labels.push(("instance", ""));
        }
        labels.sort_unstable();
        let mut text = String::new();
        labels.iter().for_each(|(name, value)| push_label(&mut text, name, value));
        Ok(text)
    }

    /// Writes the lines of a histogram or summary. Returns where its labels stand.
    fn distribution(&mut self, labels: &str, parts: &[(f64, f64)], sum: f64, count: f64) -> usize {
        let is_histogram = self.kind == Kind::Histogram;
        let suffix = if is_histogram { "_bucket" } else { "" };
        for (own, value) in parts {
            // Labels come again with each line, so that a body within its limit may grow beyond all.
            if self.is_too_large() {
                break;
            }
            self.line(suffix, labels, Some(*own), if is_histogram { whole(*value) } else { *value });
        }
        if is_histogram && !parts.iter().any(|(bound, _)| *bound == f64::INFINITY) {
            self.line(suffix, labels, Some(f64::INFINITY), count);
        }
        let at = self.line("_sum", labels, None, sum);
        self.line("_count", labels, None, count);
        at
    }

    /// Writes a line. Returns where its labels stand.
    fn line(&mut self, suffix: &str, labels: &str, own: Option<f64>, value: f64) -> usize {
        let text = &mut self.text;
        for part in [&*self.name, suffix, "{"] {
            text.push_str(part);
        }
        let at = text.len();
        text.push_str(labels);
        if let (Some(own), Some(label)) = (own, self.kind.own_label()) {
            for part in [",", label, "=\""] {
                text.push_str(part);
            }
            push_number(text, own);
            text.push('"');
        }
        text.push_str("} ");
        push_number(text, value);
        text.push('\n');
        at
    }
}

/// What is counted is a whole number, whatever was pushed; below zero and no number at all are none.
fn whole(count: f64) -> f64 {
    count as u64 as f64
}
