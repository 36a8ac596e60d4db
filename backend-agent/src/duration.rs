//! Reads a time span with a unit, as every option of the workspace's helper programs takes it: `200ms`, `1s`, `2m`.

use std::time::Duration;

/// Why a text is not a time span.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DurationError {
    /// The unit is missing or unknown.
    #[error("`{0}` has no unit that is known; write milliseconds, seconds or minutes as `200ms`, `1s`, `2m`")]
    Unit(String),
    /// What stands before the unit is not a whole number, or is too large.
    #[error("`{0}` does not start with a whole number; write for example `200ms` or `1s`")]
    Number(String),
}

/// Reads `200ms`, `1s` or `2m`.
///
/// # Errors
/// When the unit is missing or the number is not a whole one.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let unit_starts = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_starts);
    let milliseconds_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(DurationError::Unit(text.to_owned())),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(milliseconds_per_unit))
        .map(Duration::from_millis)
        .ok_or_else(|| DurationError::Number(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_is_read() {
        assert_eq!(parse("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(parse("0s"), Ok(Duration::ZERO));
        assert_eq!(parse("2m"), Ok(Duration::from_secs(120)));
    }

    #[test]
    fn what_is_no_span_is_refused_with_the_text_that_was_given() {
        assert_eq!(parse("200"), Err(DurationError::Unit("200".into())));
        assert_eq!(parse("1.5s"), Err(DurationError::Unit("1.5s".into())));
        assert_eq!(parse("ms"), Err(DurationError::Number("ms".into())));
        assert_eq!(parse(""), Err(DurationError::Unit("".into())));
        assert_eq!(
            parse("99999999999999999999s"),
            Err(DurationError::Number("99999999999999999999s".into()))
        );
    }
}
