//! The columns of the table: what each shows, how wide it is, and how its backends are put in order.

use std::cmp::Ordering;

use super::figures;
use super::told::{Backend, Moment};
use crate::telemetry::BackendState;

/// A column that backends can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    State,
    Since,
    Weight,
    InFlight,
    Rate,
    Share,
    P50,
    P99,
    Errors,
    Retries,
    Cpu,
    Check,
}

/// One backend with what its columns are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) backend: &'a Backend,
    /// Failed attempts within the last minute.
    pub(super) errors: f32,
    /// Requests that were tried again elsewhere within the last minute.
    pub(super) retries: f32,
    /// When it is so.
    pub(super) at: Moment,
}

impl Column {
    /// All, from left to right.
    pub(super) const ALL: [Self; 13] = [
        Self::Name,
        Self::State,
        Self::Since,
        Self::Weight,
        Self::InFlight,
        Self::Rate,
        Self::Share,
        Self::P50,
        Self::P99,
        Self::Errors,
        Self::Retries,
        Self::Cpu,
        Self::Check,
    ];

    /// Its head.
    pub(super) fn head(self) -> &'static str {
        match self {
            Self::Name => "BACKEND",
            Self::State => "STATE",
            Self::Since => "FOR",
            Self::Weight => "WGT",
            Self::InFlight => "INFL",
            Self::Rate => "RPS",
            Self::Share => "SHR",
            Self::P50 => "P50",
            Self::P99 => "P99",
            Self::Errors => "ERR",
            Self::Retries => "RTR",
            Self::Cpu => "CPU",
            Self::Check => "LAST CHECK",
        }
    }

    /// What it is, for people.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Name => "the backend, below its upstream",
            Self::State => "up, down, draining, slow start, ejected; ! after it: suspect",
            Self::Since => "how long it has been in that state",
            Self::Weight => "its weight; * after it: not the one of the file",
            Self::InFlight => "exchanges in flight, of as many as it takes",
            Self::Rate => "requests answered per second",
            Self::Share => "the share of new work that is intended for it",
            Self::P50 => "half of the requests took no longer, in ms unless it says s",
            Self::P99 => "99 of 100 requests took no longer",
            Self::Errors => "attempts on it that failed within the last minute",
            Self::Retries => "requests that were tried again elsewhere within the last minute",
            Self::Cpu => "the CPU usage that its agent told last",
            Self::Check => "what the last health check found",
        }
    }

    /// Whether its texts begin at the left edge; numbers end at the right one.
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Name | Self::State | Self::Check)
    }

    /// What it shows of a backend. States and names have more to them than text and are drawn by the table.
    pub(super) fn text(self, line: &Line<'_>) -> String {
        let Line { backend, .. } = line;
        let sample = backend.sample.unwrap_or_default();
        match self {
            Self::Name => backend.name.to_string(),
            Self::State => String::new(),
            Self::Since => figures::span(line.at.since(backend.since)),
            Self::Weight => {
                let mark = if backend.weight == backend.configured_weight { "" } else { "*" };
                format!("{}{mark}", backend.weight)
            }
            Self::InFlight => figures::of_limit(backend.in_flight, backend.in_flight_limit),
            Self::Rate => figures::or_dash(rate(backend), figures::amount),
            Self::Share => figures::percent(backend.share * 100.0),
            Self::P50 => figures::or_dash(sample.p50_ms.map(f64::from), figures::latency),
            Self::P99 => figures::or_dash(sample.p99_ms.map(f64::from), figures::latency),
            Self::Errors => figures::amount(f64::from(line.errors.round())),
            Self::Retries => figures::amount(f64::from(line.retries.round())),
            Self::Cpu => figures::or_dash(backend.cpu_percent, figures::percent),
            Self::Check => {
                backend.last_check.as_ref().map_or("-".to_owned(), |check| check.words.to_string())
            }
        }
    }

    /// The order of two backends: names and texts as people count, numbers from the greatest; what has none comes last.
    pub(super) fn order(self, one: &Line<'_>, other: &Line<'_>) -> Ordering {
        match self {
            Self::Name => natural(one.backend.name.as_str(), other.backend.name.as_str()),
            Self::State => severity(one.backend.state).cmp(&severity(other.backend.state)),
            // What has changed last is what somebody looks for.
            Self::Since => other.backend.since.cmp(&one.backend.since),
            Self::Check => natural(&self.text(one), &self.text(other)),
            numbers => {
                let of = |line| numbers.number(line).unwrap_or(f64::NEG_INFINITY);
                of(other).total_cmp(&of(one))
            }
        }
    }

    fn number(self, line: &Line<'_>) -> Option<f64> {
        let Line { backend, .. } = line;
        let sample = backend.sample.unwrap_or_default();
        match self {
            Self::Weight => Some(f64::from(backend.weight)),
            Self::InFlight => Some(backend.in_flight as f64),
            Self::Rate => rate(backend),
            Self::Share => Some(backend.share),
            Self::P50 => sample.p50_ms.map(f64::from),
            Self::P99 => sample.p99_ms.map(f64::from),
            Self::Errors => Some(f64::from(line.errors)),
            Self::Retries => Some(f64::from(line.retries)),
            Self::Cpu => backend.cpu_percent,
            Self::Name | Self::State | Self::Since | Self::Check => None,
        }
    }
}

/// Final answers per second of a backend.
fn rate(backend: &Backend) -> Option<f64> {
    backend.sample.map(|sample| f64::from(sample.rate()))
}

/// What is worst comes first.
fn severity(state: Option<BackendState>) -> u8 {
    match state {
        Some(BackendState::Down) => 0,
        Some(BackendState::Ejected) => 1,
        Some(BackendState::Draining) => 2,
        None => 3,
        Some(BackendState::SlowStart) => 4,
        Some(BackendState::Up) => 5,
    }
}

/// Compares texts such that numbers within them count as numbers: `backend-2` before `backend-10`.
fn natural(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one, other);
    loop {
        let (a, b) = (digits(one), digits(other));
        if a > 0 && b > 0 {
            let (left, right) = (one[..a].trim_start_matches('0'), other[..b].trim_start_matches('0'));
            let order = left.len().cmp(&right.len()).then_with(|| left.cmp(right));
            if order.is_ne() {
                return order;
            }
            (one, other) = (&one[a..], &other[b..]);
            continue;
        }
        let (mut left, mut right) = (one.chars(), other.chars());
        match (left.next(), right.next()) {
            (Some(a), Some(b)) if a == b => (one, other) = (left.as_str(), right.as_str()),
            (a, b) => return a.cmp(&b),
        }
    }
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::plain::Plain;
    use crate::cli::top::told::Sample;

    #[test]
    fn names_are_put_in_order_as_people_count() {
        let mut names = ["b-10", "b-9", "a", "b-09x", "b", "ä", "b-1-2", "b-1-10"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["a", "b", "b-1-2", "b-1-10", "b-9", "b-09x", "b-10", "ä"]);
    }

    #[test]
    fn the_greatest_comes_first_and_what_has_no_number_last() {
        let backend = |p99_ms: Option<f32>| Backend {
            name: Plain::of("b"),
            sample: p99_ms.map(|p99| Sample { p99_ms: Some(p99), ..Sample::default() }),
            ..Backend::default()
        };
        let backends = [backend(None), backend(Some(1.0)), backend(Some(20.0))];
        let mut lines: Vec<Line<'_>> = backends
            .iter()
            .map(|backend| Line { backend, errors: 0.0, retries: 0.0, at: Moment(0) })
            .collect();
        lines.sort_by(|a, b| Column::P99.order(a, b));
        let order: Vec<String> = lines.iter().map(|line| Column::P99.text(line)).collect();
        assert_eq!(order, ["20.0", "1.00", "-"]);
    }
}
