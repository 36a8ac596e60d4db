//! Spans of time, as both programs write them and as plimsoll does.

use std::fmt;

/// A span of time in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) u64);

/// The longest span that plimsoll takes: 30 days.
const LONGEST: Span = Span(30 * 24 * 3600 * 1_000_000);

/// Units with their length in microseconds, the longest first.
const UNITS: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

impl Span {
    /// Reads HAProxy's form: one number and one unit, milliseconds without one. None when it is no such text.
    pub(crate) fn haproxy(text: &str) -> Option<Self> {
        let (number, unit) = parted(text)?;
        Self::of(number, if unit.is_empty() { "ms" } else { unit })
    }

    /// Reads nginx's form: numbers with units side by side, `1m30s`, seconds without one. None when it is no such text.
    pub(crate) fn nginx(text: &str) -> Option<Self> {
        let compact: String = text.chars().filter(|c| *c != ' ').collect();
        let (mut rest, mut total) = (compact.as_str(), 0_u64);
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (number, tail) = rest.split_at(digits);
            let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, after) = tail.split_at(letters);
            let span = match unit {
                "" => Self::of(number.parse().ok()?, "s")?,
                "w" | "M" | "y" => LONGEST,
                "us" => return None,
                unit => Self::of(number.parse().ok()?, unit)?,
            };
            total = total.saturating_add(span.0);
            rest = after;
        }
        Some(Self(total).bounded())
    }

    pub(crate) fn milliseconds(number: u64) -> Self {
        Self(number.saturating_mul(1_000)).bounded()
    }

    pub(crate) fn seconds(number: u64) -> Self {
        Self(number.saturating_mul(1_000_000)).bounded()
    }

    pub(crate) fn is_zero(self) -> bool {
        self.0 == 0
    }

    fn of(number: u64, unit: &str) -> Option<Self> {
        let (_, length) = UNITS.iter().find(|(name, _)| *name == unit)?;
        Some(Self(number.saturating_mul(*length)).bounded())
    }

    fn bounded(self) -> Self {
        self.min(LONGEST)
    }
}

fn parted(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit))
}

impl fmt::Display for Span {
    /// In the largest unit, up to minutes, that needs no fraction: `10s`, `90s`, `1m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |length: &u64| self.0 >= *length && self.0.is_multiple_of(*length);
        let (unit, length) = UNITS.iter().find(|(_, length)| fits(length)).unwrap_or(&("s", 1_000_000));
        write!(f, "{}{unit}", self.0 / length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn haproxy(text: &str) -> Option<String> {
        Span::haproxy(text).map(|span| span.to_string())
    }

    fn nginx(text: &str) -> Option<String> {
        Span::nginx(text).map(|span| span.to_string())
    }

    #[test]
    fn a_number_alone_is_milliseconds_in_haproxy_and_seconds_in_nginx() {
        assert_eq!(haproxy("5000").as_deref(), Some("5s"));
        assert_eq!(nginx("5000").as_deref(), Some("5000s"));
        assert_eq!(haproxy("250").as_deref(), Some("250ms"));
        assert_eq!(nginx("60").as_deref(), Some("1m"));
    }

    #[test]
    fn units_are_kept_as_people_write_them() {
        assert_eq!(haproxy("1m").as_deref(), Some("1m"));
        assert_eq!(haproxy("90s").as_deref(), Some("90s"));
        assert_eq!(nginx("1m30s").as_deref(), Some("90s"));
        assert_eq!(nginx("1y").as_deref(), Some("30d"), "plimsoll's longest span");
    }

    #[test]
    fn what_is_no_span_is_none() {
        for text in ["", "s", "-1s", "1.5s", "10x", "99999999999999999999s"] {
            assert_eq!((haproxy(text), nginx(text)), (None, None), "{text}");
        }
    }
}
