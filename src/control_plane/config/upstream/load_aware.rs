//! Load-aware balancing: when a backend gets less because its CPU is busy.

use super::super::read::text;
use super::super::section::Section;
use super::super::tree::Content;
use super::super::value::Invalid;
use super::super::value::quantity::Ratio;

/// When a backend gets less because its CPU is busy, as its agent reports it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadAwareConfig {
    /// The CPU usage from which on it gets less. Below the whole.
    pub from: Ratio,
    /// The part of its share that it still gets at full usage. Above nothing.
    pub floor: Ratio,
}

impl LoadAwareConfig {
    /// Decodes the key `load_aware` of an upstream: `on`, `off`, or a section. None when it is off, as without the key.
    pub(super) fn decode(upstream: &Section<'_>) -> Option<Self> {
        let node = upstream.given("load_aware")?;
        let section = match &node.content {
            Content::Scalar(word) if word == "off" || word == "false" => return None,
            Content::Scalar(word) if word == "on" || word == "true" => upstream.absent("load_aware"),
            Content::Scalar(word) => {
                let invalid = Invalid::new(format!("`{}` says nothing about the load", word.escape_debug()))
                    .hint("write `on`, `off`, or a mapping such as `{from: 70%, floor: 20%}`");
                upstream.problems.invalid(node.place, invalid);
                return None;
            }
            _ => upstream.section("load_aware"),
        };
        Some(Self { from: section.value("from", text(from)), floor: section.value("floor", text(floor)) })
    }
}

fn from(text: &str) -> Result<Ratio, Invalid> {
    let from = Ratio::parse(text)?;
    if from.get() < 0.99 {
        return Ok(from);
    }
    Err(Invalid::new(format!("`{text}` is full usage already"))
        .hint("write less, such as `70%`; at most 98%"))
}

fn floor(text: &str) -> Result<Ratio, Invalid> {
    let floor = Ratio::parse(text)?;
    if floor.get() >= 0.01 {
        return Ok(floor);
    }
    Err(Invalid::new(format!("`{text}` would leave a busy backend without any work"))
        .hint("write at least `1%`; to take a backend out of service, drain it"))
}
