//! Numbers as text, in few characters: what a column of the table has room for.

use std::time::Duration;

use super::told::Moment;

/// A count or a rate in at most four characters: `0`, `0.5`, `12`, `1234`, `12k`, `1.2M`.
pub(super) fn amount(number: f64) -> String {
    match number {
        none if !none.is_finite() => "-".to_owned(),
        small if small.abs() < 9.95 && small.fract() != 0.0 => trimmed(small),
        number if number < 9_999.5 => format!("{number:.0}"),
        thousands if thousands < 999_500.0 => format!("{:.0}k", thousands / 1e3),
        millions if millions < 9.95e6 => format!("{:.1}M", millions / 1e6),
        millions if millions < 9.995e8 => format!("{:.0}M", millions / 1e6),
        more => format!("{:.0}G", more / 1e9),
    }
}

/// Milliseconds in at most four characters; from a second on with the unit: `0.71`, `12.3`, `123`, `1.5s`, `90s`.
pub(super) fn latency(milliseconds: f64) -> String {
    match milliseconds {
        none if !none.is_finite() => "-".to_owned(),
        short if short < 9.995 => format!("{short:.2}"),
        short if short < 99.95 => format!("{short:.1}"),
        long if long < 999.5 => format!("{long:.0}"),
        seconds if seconds < 9_950.0 => format!("{:.1}s", seconds / 1e3),
        seconds => format!("{:.0}s", seconds / 1e3),
    }
}

/// The same with its unit, where there is room.
pub(super) fn latency_with_unit(milliseconds: f64) -> String {
    let text = latency(milliseconds);
    if text.ends_with('s') || text == "-" { text } else { format!("{text} ms") }
}

/// A part of a hundred without digits behind the point.
pub(super) fn percent(percent: f64) -> String {
    if percent.is_finite() { format!("{percent:.0}%") } else { "-".to_owned() }
}

/// How many of how many, or of any number.
pub(super) fn of_limit(count: u64, limit: Option<u64>) -> String {
    match limit {
        Some(limit) => format!("{}/{}", amount(count as f64), amount(limit as f64)),
        None => amount(count as f64),
    }
}

/// A time that has passed, in its greatest unit: `12s`, `59m`, `23h`, `99d`.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", (seconds / 86_400).min(999)),
    }
}

/// The same in its two greatest units: `12s`, `3m 20s`, `5h 3m`, `12d 4h`.
pub(super) fn long_span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// The time of day in UTC.
pub(super) fn clock(Moment(at): Moment) -> String {
    let seconds = at / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A number as `form` has it, or a dash for none.
pub(super) fn or_dash(number: Option<f64>, form: impl Fn(f64) -> String) -> String {
    number.map_or_else(|| "-".to_owned(), form)
}

/// One digit behind the point, if it is one.
fn trimmed(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_their_columns_and_round_at_every_seam() {
        let amounts = [
            (0.0, "0"),
            (0.04, "0"),
            (0.5, "0.5"),
            (9.94, "9.9"),
            (9.96, "10"),
            (12.3, "12"),
            (9_999.4, "9999"),
            (9_999.6, "10k"),
            (999_400.0, "999k"),
            (999_600.0, "1.0M"),
            (12e6, "12M"),
            (2e9, "2G"),
            (f64::NAN, "-"),
        ];
        for (number, text) in amounts {
            assert_eq!(amount(number), text);
        }
        let latencies = [
            (0.0, "0.00"),
            (9.994, "9.99"),
            (9.996, "10.0"),
            (99.94, "99.9"),
            (99.96, "100"),
            (999.4, "999"),
            (999.6, "1.0s"),
            (9_949.0, "9.9s"),
            (9_960.0, "10s"),
            (90_000.0, "90s"),
        ];
        for (milliseconds, text) in latencies {
            assert_eq!(latency(milliseconds), text);
        }
        assert_eq!(
            (latency_with_unit(1.0), latency_with_unit(2e3)),
            ("1.00 ms".to_owned(), "2.0s".to_owned())
        );
        assert_eq!((of_limit(3, None), of_limit(3, Some(100))), ("3".to_owned(), "3/100".to_owned()));
    }

    #[test]
    fn times_are_told_in_their_greatest_units() {
        let spans = [(0, "0s", "0s"), (59, "59s", "59s"), (200, "3m", "3m 20s"), (18_190, "5h", "5h 3m")];
        for (seconds, short, long) in spans {
            let time = Duration::from_secs(seconds);
            assert_eq!((span(time).as_str(), long_span(time).as_str()), (short, long));
        }
        assert_eq!(span(Duration::MAX), "999d");
        assert_eq!(long_span(Duration::from_secs(90_000)), "1d 1h");
        assert_eq!(clock(Moment(86_400_000 + 35_467_250)), "09:51:07");
    }
}
