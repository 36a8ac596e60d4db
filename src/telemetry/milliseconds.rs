//! Durations as every JSON of the program has them: milliseconds with the precision of a microsecond.

use std::time::Duration;

use serde::Serializer;

/// Returns milliseconds with the precision of a microsecond.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

pub(crate) fn as_milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(milliseconds(*duration))
}

pub(crate) fn as_optional_milliseconds<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => as_milliseconds(duration, serializer),
        None => serializer.serialize_none(),
    }
}
