//! Outliers: when live traffic takes a backend out.

use std::time::Duration;

use super::super::read::{boolean, duration, or_word, text};
use super::super::section::Section;
use super::super::tree::Content;
use super::super::value::Invalid;
use super::super::value::quantity::Ratio;

/// When live traffic takes a backend out, which is called to eject it.
#[derive(Debug, Clone, PartialEq)]
pub struct OutlierConfig {
    /// Answers with a 5xx in a row after which a backend is ejected. None never.
    pub consecutive_errors: Option<u32>,
    /// Failed attempts in a row after which a backend is ejected. None never.
    pub consecutive_failures: Option<u32>,
    /// By how much the share of failed attempts may exceed that of the other backends; the whole never ejects.
    pub failure_margin: Ratio,
    /// How many times the median wait may be that of the other backends. None never ejects.
    pub latency_factor: Option<f64>,
    /// Whether a backend is ejected that answers nobody for much longer than usual.
    pub stalls: bool,
    /// How long an ejection lasts at least. Each further one lasts twice as long.
    pub ejection_time: Duration,
    /// How long an ejection lasts at most.
    pub max_ejection_time: Duration,
    /// The share of the backends that may be ejected at a time. One may always be, if another is left.
    pub max_ejected: Ratio,
}

impl OutlierConfig {
    /// Decodes the key `outliers` of an upstream: `off`, or a section.
    pub(super) fn decode(upstream: &Section<'_>) -> Option<Self> {
        let section = match upstream.given("outliers").map(|node| (&node.content, node.place)) {
            Some((Content::Scalar(word), _)) if word == "off" || word == "false" => return None,
            Some((Content::Scalar(word), place)) => {
                let invalid = Invalid::new(format!("`{}` says nothing about outliers", word.escape_debug()))
                    .hint("write `off`, or a mapping such as `{consecutive_errors: 10}`; they are on by default");
                upstream.problems.invalid(place, invalid);
                upstream.absent("outliers")
            }
            _ => upstream.section("outliers"),
        };
        Some(Self {
            consecutive_errors: section.value("consecutive_errors", or_word("off", text(in_a_row))),
            consecutive_failures: section.value("consecutive_failures", or_word("off", text(in_a_row))),
            failure_margin: section.value("failure_margin", text(Ratio::parse)),
            latency_factor: section.value("latency_factor", or_word("off", text(latency_factor))),
            stalls: section.value("stalls", boolean),
            ejection_time: section.value("ejection_time", duration),
            max_ejection_time: section.value("max_ejection_time", duration),
            max_ejected: section.value("max_ejected", text(Ratio::parse)),
        })
    }
}

fn in_a_row(text: &str) -> Result<u32, Invalid> {
    match text.parse::<u32>() {
        Ok(count @ 1..=10_000) => Ok(count),
        _ => Err(Invalid::new(format!("`{}` is no number of failures in a row", text.escape_debug()))
            .hint("write a number from 1 to 10000, or `off`")),
    }
}

/// Below 1.5 chance alone would eject: of two like backends one is always the slower.
fn latency_factor(text: &str) -> Result<f64, Invalid> {
    match text.parse::<f64>() {
        Ok(factor) if (1.5..=1000.0).contains(&factor) => Ok(factor),
        _ => Err(Invalid::new(format!("`{}` is no factor of the others' latency", text.escape_debug()))
            .hint("write a number from 1.5 to 1000, such as `5`, or `off`")),
    }
}
