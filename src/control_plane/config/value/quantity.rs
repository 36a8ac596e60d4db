//! Quantities with a unit: spans of time, sizes in bytes, ratios.
//!
//! A unit is never guessed: `timeout: 5` meant seconds in one program that its reader knows and milliseconds in
//! another, so it is refused with both readings in the hint.

use std::time::Duration;

use super::Invalid;

/// The longest span that a configuration may name: 30 days. Far below where arithmetic on instants overflows.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Units of time with their length in nanoseconds.
const TIME_UNITS: [(&str, u64); 6] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Units of size with their length in bytes.
const SIZE_UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// A share of a whole, from 0 to 1. Written as `20%` or `0.2`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Ratio(f64);

impl Ratio {
    /// Reads `20%` or `0.2`.
    ///
    /// # Errors
    /// When the text is no number, or lies outside 0 to 1 (0 % to 100 %).
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let (digits, scale) = match text.strip_suffix('%') {
            Some(digits) => (digits.trim_end(), 100.0),
            None => (text, 1.0),
        };
        let number = decimal(digits).ok_or_else(|| {
            Invalid::new(format!("`{text}` is not a ratio")).hint("write it as `20%` or `0.2`")
        })?;
        let ratio = number / scale;
        if ratio > 1.0 {
            return Err(Invalid::new(format!("`{text}` is more than the whole"))
                .hint("a ratio lies between `0%` and `100%`; a percentage needs its `%`"));
        }
        Ok(Self(ratio))
    }

    /// The share as a number from 0 to 1.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

/// Reads a span such as `250ms`, `10s`, `1.5m` or `1h`.
///
/// # Errors
/// When the number or its unit is missing or unknown, or the span is longer than 30 days.
pub fn duration(text: &str) -> Result<Duration, Invalid> {
    let (number, unit) = split_unit(text);
    let number_value = decimal(number).ok_or_else(|| {
        Invalid::new(format!("`{text}` is not a duration"))
            .hint("write a number and a unit: `250ms`, `10s`, `1m`, `1h`")
    })?;
    let nanos_per_unit = match TIME_UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, nanos)) => *nanos,
        None if unit.is_empty() && number_value == 0.0 => 1,
        None if unit.is_empty() => {
            return Err(Invalid::new(format!("`{text}` has no unit"))
                .hint(format!("write `{number}s` for seconds or `{number}ms` for milliseconds")));
        }
        None => {
            return Err(Invalid::new(format!("`{text}` has the unknown unit `{unit}`"))
                .hint("the units of time are us, ms, s, m, h and d"));
        }
    };
    let seconds = number_value * (nanos_per_unit as f64 / 1e9);
    if seconds > LONGEST.as_secs_f64() {
        return Err(
            Invalid::new(format!("`{text}` is longer than 30 days")).hint("the longest span is `30d`")
        );
    }
    Ok(Duration::from_nanos((number_value * nanos_per_unit as f64).round() as u64))
}

/// Reads a size such as `64KiB`, `1MiB`, `10MB` or `512B`, in bytes.
///
/// # Errors
/// When the number or its unit is missing or unknown, or the size does not fit into 63 bits.
pub fn size(text: &str) -> Result<u64, Invalid> {
    let (number, unit) = split_unit(text);
    let number_value = decimal(number).ok_or_else(|| {
        Invalid::new(format!("`{text}` is not a size"))
            .hint("write a number and a unit: `512B`, `64KiB`, `10MB`")
    })?;
    let bytes_per_unit = match SIZE_UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, bytes)) => *bytes,
        None if unit.is_empty() && number_value == 0.0 => 1,
        None if unit.is_empty() => {
            return Err(Invalid::new(format!("`{text}` has no unit"))
                .hint(format!("write `{number}B` for bytes or `{number}KiB` for units of 1024 bytes")));
        }
        None => {
            return Err(Invalid::new(format!("`{text}` has the unknown unit `{unit}`"))
                .hint("the units of size are B, KiB, MiB, GiB (1024 each) and kB, MB, GB (1000 each)"));
        }
    };
    let bytes = number_value * bytes_per_unit as f64;
    if bytes >= (1_u64 << 63) as f64 {
        return Err(Invalid::new(format!("`{text}` is too large")));
    }
    Ok(bytes.round() as u64)
}

/// Parts `10s` into `10` and `s`. Spaces between the two are fine.
fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

/// A number of digits with at most one point: no sign, no exponent, no `inf`.
fn decimal(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if plain { text.parse().ok() } else { None }
}
