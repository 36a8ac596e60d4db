//! Slow start: how a backend comes back into service.

use std::time::Duration;

use super::super::read::{or_word, text};
use super::super::report::Problems;
use super::super::section::Section;
use super::super::tree::{Content, Node};
use super::super::value::quantity::{self, Ratio};

/// How a backend comes back: its share grows evenly from `floor` to the whole.
#[derive(Debug, Clone, PartialEq)]
pub struct SlowStartConfig {
    /// How long it takes. Zero is at once.
    pub duration: Duration,
    /// The part of its share that it begins with.
    pub floor: Ratio,
}

impl SlowStartConfig {
    /// Decodes the key `slow_start` of an upstream: a duration, `off`, or a section.
    pub(super) fn decode(upstream: &Section<'_>) -> Self {
        let (section, given) = match upstream.given("slow_start") {
            Some(node @ Node { content: Content::Scalar(_), .. }) => {
                (upstream.absent("slow_start"), span(node, upstream.problems))
            }
            _ => (upstream.section("slow_start"), None),
        };
        Self {
            duration: given.unwrap_or_else(|| section.value("duration", span)),
            floor: section.value("floor", text(Ratio::parse)),
        }
    }
}

fn span(node: &Node, problems: &Problems) -> Option<Duration> {
    or_word("off", text(quantity::duration))(node, problems).map(Option::unwrap_or_default)
}
