//! Readers: how a value in the tree becomes a value of a type.
//!
//! A reader takes a node, notes what is wrong with it, and gives None then. Readers are functions, so that they
//! combine: `list_of(text(Cidr::parse))`.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::report::Problems;
use super::section::suggestion;
use super::tree::{Content, Node};
use super::value::{Invalid, quantity};

/// Reads a single value by its constructor from text.
pub(super) fn text<T>(parse: impl Fn(&str) -> Result<T, Invalid>) -> impl Fn(&Node, &Problems) -> Option<T> {
    move |node, problems| {
        if let Content::Unset = node.content {
            return None;
        }
        let Content::Scalar(text) = &node.content else {
            let hint = matches!(node.content, Content::Map(_))
                .then(|| "a text with `: ` in it needs quotes".to_owned());
            problems.error(
                node.place,
                format!("{} stands where a single value is expected", node.kind()),
                hint,
            );
            return None;
        };
        parse(text).map_err(|invalid| problems.invalid(node.place, invalid)).ok()
    }
}

/// Reads a single value as it stands.
pub(super) fn string(node: &Node, problems: &Problems) -> Option<String> {
    text(|text| Ok(text.to_owned()))(node, problems)
}

/// Reads a list; a single value is a list of one. Items that are wrong are left out.
pub(super) fn list_of<T>(
    read: impl Fn(&Node, &Problems) -> Option<T>,
) -> impl Fn(&Node, &Problems) -> Option<Vec<T>> {
    move |node, problems| Some(node.items().iter().filter_map(|item| read(item, problems)).collect())
}

/// Reads one of a few words.
pub(super) fn one_of<T: Clone>(words: &[(&str, T)]) -> impl Fn(&Node, &Problems) -> Option<T> {
    text(move |text| match words.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => Ok(value.clone()),
        None => {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            let shown = known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            let message = match known.len() {
                1 => format!("`{}` is not {shown}, the only choice in this release", text.escape_debug()),
                _ => format!("`{}` is none of {shown}", text.escape_debug()),
            };
            Err(Invalid::new(message).hint(suggestion(text, &known)))
        }
    })
}

/// Reads `true` or `false`.
pub(super) fn boolean(node: &Node, problems: &Problems) -> Option<bool> {
    text(|text| match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => {
            let hint = match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" | "1" | "true" => "write `true`",
                "no" | "off" | "n" | "0" | "false" => "write `false`",
                _ => "write `true` or `false`",
            };
            Err(Invalid::new(format!("`{}` is neither `true` nor `false`", text.escape_debug())).hint(hint))
        }
    })(node, problems)
}

/// Reads a whole number within bounds.
pub(super) fn integer<T>(bounds: RangeInclusive<T>) -> impl Fn(&Node, &Problems) -> Option<T>
where
    T: FromStr + PartialOrd + Display,
{
    text(move |text| {
        let digits = text.replace('_', "");
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let number = if plain { digits.parse::<T>().ok() } else { None };
        let found = text.escape_debug();
        match number {
            Some(number) if bounds.contains(&number) => Ok(number),
            _ => {
                let what = if plain { "out of bounds" } else { "not a whole number" };
                let hint = format!("write a number from {} to {}", bounds.start(), bounds.end());
                Err(Invalid::new(format!("`{found}` is {what}")).hint(hint))
            }
        }
    })
}

/// Reads a span of time, which may be zero.
pub(super) fn span(node: &Node, problems: &Problems) -> Option<Duration> {
    text(quantity::duration)(node, problems)
}

/// Reads a span of time that is not zero.
pub(super) fn duration(node: &Node, problems: &Problems) -> Option<Duration> {
    text(|text| match quantity::duration(text)? {
        Duration::ZERO => Err(Invalid::new("a timeout of zero would end everything at once")
            .hint("leave the key out for its default, or write a longer span such as `1s`")),
        span => Ok(span),
    })(node, problems)
}

/// Reads a size that is within bounds, in bytes.
pub(super) fn size(bounds: RangeInclusive<u64>) -> impl Fn(&Node, &Problems) -> Option<u64> {
    text(move |text| {
        let bytes = quantity::size(text)?;
        if bounds.contains(&bytes) {
            return Ok(bytes);
        }
        let (least, most) = (shown_size(*bounds.start()), shown_size(*bounds.end()));
        Err(Invalid::new(format!("`{text}` is out of bounds"))
            .hint(format!("write a size from {least} to {most}")))
    })
}

/// Reads a value, or the word for having no bound, which gives None.
pub(super) fn or_word<T>(
    word: &'static str,
    read: impl Fn(&Node, &Problems) -> Option<T>,
) -> impl Fn(&Node, &Problems) -> Option<Option<T>> {
    move |node, problems| match &node.content {
        Content::Scalar(text) if text == word => Some(None),
        _ => read(node, problems).map(Some),
    }
}

fn shown_size(bytes: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}
