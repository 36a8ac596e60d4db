//! The text format of metrics (version 0.0.4), read as strictly as the Pushgateway reads it.
//!
//! A parser of our own: those on crates.io let pass what a Pushgateway refuses (a last line without its end, a second
//! `TYPE`, anything after a value), and who pushes must hear of a mistake here as there, in the same words. Pure, and never
//! panics: see the fuzz target `push`.
//!
//! Format: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.
//!
//! - here: families and their samples, line by line.
//! - `scan`: tokens, numbers, escapes.

mod scan;

use std::borrow::Cow;
use std::collections::HashMap;

use scan::Scan;

pub(super) use scan::quoted;

/// The labels of one sample; more is refused, since each is compared with all others.
pub(super) const LABELS_MAX: usize = 64;

/// What the values of a family are, as its `TYPE` line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by bucket.
    Histogram,
    /// Quantiles.
    Summary,
    /// Nobody said.
    Untyped,
}

impl Kind {
    /// Returns the word of the format.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Untyped => "untyped",
        }
    }

    /// Returns what a sample's name may have behind the family's name.
    #[must_use]
    pub fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Histogram => &["_count", "_sum", "_bucket"],
            Self::Summary => &["_count", "_sum"],
            Self::Counter | Self::Gauge | Self::Untyped => &[],
        }
    }

    fn parse(word: &[u8]) -> Option<Self> {
        let kinds = [Self::Counter, Self::Gauge, Self::Histogram, Self::Summary, Self::Untyped];
        kinds.into_iter().find(|kind| kind.as_str().as_bytes().eq_ignore_ascii_case(word))
    }

    /// The label by which the parts of a distribution are told apart.
    pub(super) fn own_label(self) -> Option<&'static str> {
        match self {
            Self::Histogram => Some("le"),
            Self::Summary => Some("quantile"),
            Self::Counter | Self::Gauge | Self::Untyped => None,
        }
    }
}

/// A body that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed<'t> {
    /// The families that have samples, in the order of their first lines.
    pub families: Vec<Family<'t>>,
    /// Whether a sample has a timestamp, which who pushes must not give.
    pub has_timestamps: bool,
}

/// The metrics of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Family<'t> {
    /// The name, without a suffix.
    pub name: &'t str,
    /// The text of its `HELP` line.
    pub help: Option<String>,
    /// What its values are.
    pub kind: Kind,
    /// Its samples; all lines of one histogram or summary are one.
    pub samples: Vec<Sample<'t>>,
}

/// A value with its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample<'t> {
    /// Without `le` of a histogram and `quantile` of a summary. In the order of the first line.
    pub labels: Labels<'t>,
    /// The value.
    pub value: Value,
}

/// Names and values.
pub type Labels<'t> = Vec<(&'t str, Cow<'t, str>)>;

/// The value of a sample.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a counter, a gauge, or of what nobody has typed.
    Number(f64),
    /// Of a histogram or a summary.
    Distribution {
        /// The count up to each bound, or the value at each quantile.
        parts: Vec<(f64, f64)>,
        /// The sum of all observations.
        sum: f64,
        /// How many there were.
        count: f64,
    },
}

/// Why a text cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("text format parsing error in line {line}: {what}")]
pub struct TextError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

/// Reads a body.
///
/// # Errors
/// The first thing that is wrong, in the words of the Pushgateway.
///
/// ```
/// use plimsoll::control_plane::push::text;
///
/// let parsed = text::parse(b"# TYPE cpu_usage gauge\ncpu_usage{core=\"0\"} 7.5\n").expect("well-formed");
/// assert_eq!(parsed.families[0].name, "cpu_usage");
/// let error = text::parse(b"cpu_usage 7").expect_err("the last line has no end");
/// assert_eq!(error.to_string(), "text format parsing error in line 1: unexpected end of input stream");
/// ```
pub fn parse(body: &[u8]) -> Result<Parsed<'_>, TextError> {
    let mut parser = Parser {
        scan: Scan::new(body),
        families: Vec::new(),
        by_name: HashMap::new(),
        distributions: HashMap::new(),
        has_timestamps: false,
    };
    let mut line = 1;
    while parser.line().map_err(|what| TextError { line, what })? {
        line += 1;
    }
    let told = parser.families.into_iter().filter(|family| !family.samples.is_empty());
    let families = told.map(|family| Family {
        name: family.name,
        help: family.help,
        kind: family.kind.unwrap_or(Kind::Untyped),
        samples: family.samples,
    });
    Ok(Parsed { families: families.collect(), has_timestamps: parser.has_timestamps })
}

/// What is wrong, in words.
type Wrong = String;

/// A family of which not everything is known yet.
struct Draft<'t> {
    name: &'t str,
    help: Option<String>,
    kind: Option<Kind>,
    samples: Vec<Sample<'t>>,
}

/// What a name stands for: a family, or with a suffix a part of its distributions.
#[derive(Clone, Copy)]
struct Meant {
    family: usize,
    suffix: &'static str,
}

struct Parser<'t> {
    scan: Scan<'t>,
    families: Vec<Draft<'t>>,
    by_name: HashMap<&'t str, usize>,
    /// Where the sample of a distribution is, by its family and its sorted labels.
    distributions: HashMap<(usize, Labels<'t>), usize>,
    has_timestamps: bool,
}

impl<'t> Parser<'t> {
    /// Reads one line. False at the end of the text.
    fn line(&mut self) -> Result<bool, Wrong> {
        self.scan.skip_blanks();
        if self.scan.is_at_end() {
            return Ok(false);
        }
        match self.scan.peek()? {
            b'\n' => {}
            b'#' => self.comment()?,
            _ => self.sample()?,
        }
        self.scan.advance(); // the line feed, at which both have stopped
        Ok(true)
    }

    fn comment(&mut self) -> Result<(), Wrong> {
        self.scan.advance();
        self.scan.skip_blanks();
        let keyword = self.scan.word()?;
        if keyword != b"HELP" && keyword != b"TYPE" {
            return self.scan.rest_of_line().map(drop);
        }
        self.scan.skip_blanks();
        let name = self.scan.metric_name();
        match self.scan.peek()? {
            b'\n' => return Ok(()),
            b' ' | b'\t' => self.scan.skip_blanks(),
            _ => return Err("invalid metric name in comment".to_owned()),
        }
        let Meant { family, .. } = self.meant(name);
        let draft = &mut self.families[family];
        let name = quoted(draft.name.as_bytes());
        if self.scan.peek()? == b'\n' {
            return Ok(());
        }
        if keyword == b"HELP" {
            if draft.help.is_some() {
                return Err(format!("second HELP line for metric name {name}"));
            }
            draft.help = Some(self.scan.help()?);
            return Ok(());
        }
        if draft.kind.is_some() {
            return Err(format!("second TYPE line for metric name {name}, or TYPE reported after samples"));
        }
        let word = self.scan.rest_of_line()?;
        let kind = Kind::parse(word).ok_or_else(|| format!("unknown metric type {}", quoted(word)))?;
        draft.kind = Some(kind);
        Ok(())
    }

    fn sample(&mut self) -> Result<(), Wrong> {
        let name = self.scan.metric_name();
        if name.is_empty() {
            return Err("invalid metric name".to_owned());
        }
        let meant = self.meant(name);
        let kind = *self.families[meant.family].kind.get_or_insert(Kind::Untyped);
        self.scan.skip_blanks();
        let (mut labels, mut own) = (Labels::new(), None);
        if self.scan.peek()? == b'{' {
            (labels, own) = self.labels(meant.family, kind)?;
        }
        let value = self.scan.value()?;
        if self.scan.peek()? != b'\n' {
            self.scan.timestamp()?;
            self.has_timestamps = true;
        }
        if kind.own_label().is_some() {
            self.add_to_distribution(meant, labels, own, value);
        } else {
            self.families[meant.family].samples.push(Sample { labels, value: Value::Number(value) });
        }
        Ok(())
    }

    /// Reads what stands in braces. What the family's own label says comes apart from the others.
    fn labels(&mut self, family: usize, kind: Kind) -> Result<(Labels<'t>, Option<f64>), Wrong> {
        let metric = quoted(self.families[family].name.as_bytes());
        let (mut labels, mut own) = (Labels::new(), None);
        loop {
            self.scan.advance(); // the brace or the comma
            self.scan.skip_blanks();
            if self.scan.peek()? == b'}' {
                break;
            }
            let name = self.scan.label_name(&metric)?;
            let is_own = kind.own_label() == Some(name);
            if !is_own && labels.iter().any(|(known, _)| *known == name) {
                return Err(format!("duplicate label names for metric {metric}"));
            }
            let value = self.scan.label_value()?;
            if is_own {
                own = Some(scan::number(value.as_bytes()).ok_or_else(|| {
                    format!("expected float as value for '{name}' label, got {}", quoted(value.as_bytes()))
                })?);
            } else if labels.len() == LABELS_MAX {
                return Err(format!("more than {LABELS_MAX} labels for metric {metric}"));
            } else {
                labels.push((name, value));
            }
            if self.scan.peek()? == b'}' {
                break;
            }
        }
        self.scan.advance();
        self.scan.skip_blanks();
        Ok((labels, own))
    }

    /// Takes a line as a part of the distribution with these labels. As with the Pushgateway, a line of a histogram without
    /// a bound says nothing, and neither does a summary's without a quantile.
    fn add_to_distribution(&mut self, meant: Meant, labels: Labels<'t>, own: Option<f64>, value: f64) {
        let samples = &mut self.families[meant.family].samples;
        let mut key = labels.clone();
        key.sort_unstable();
        let at = *self.distributions.entry((meant.family, key)).or_insert_with(|| {
            let value = Value::Distribution { parts: Vec::new(), sum: 0.0, count: 0.0 };
            samples.push(Sample { labels, value });
            samples.len() - 1
        });
        let Value::Distribution { parts, sum, count } = &mut samples[at].value else { return };
        match (meant.suffix, own) {
            ("_count", _) => *count = value,
            ("_sum", _) => *sum = value,
            (_, Some(own)) if !own.is_nan() => parts.push((own, value)),
            _ => {}
        }
    }

    /// Finds what a name stands for, or makes a family of it.
    fn meant(&mut self, name: &'t str) -> Meant {
        if let Some(&family) = self.by_name.get(name) {
            return Meant { family, suffix: "" };
        }
        for suffix in Kind::Histogram.suffixes() {
            let family = name.strip_suffix(suffix).and_then(|base| self.by_name.get(base).copied());
            let kind = family.and_then(|family| self.families[family].kind);
            if let (Some(family), true) = (family, kind.is_some_and(|kind| kind.suffixes().contains(suffix)))
            {
                return Meant { family, suffix };
            }
        }
        let family = self.families.len();
        self.families.push(Draft { name, help: None, kind: None, samples: Vec::new() });
        self.by_name.insert(name, family);
        Meant { family, suffix: "" }
    }
}

#[cfg(test)]
mod tests;
