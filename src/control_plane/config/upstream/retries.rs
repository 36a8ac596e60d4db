//! Retries: when a failed attempt is tried elsewhere.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::read::{duration, integer, list_of, one_of, or_word, text};
use super::super::section::Section;
use super::super::value::Invalid;
use super::super::value::http::status_range;
use super::super::value::quantity::Ratio;

/// When a failed attempt is tried elsewhere. Only what is safe to repeat is repeated, whatever is configured here.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryConfig {
    /// Tries in total, the first included: 1 never retries.
    pub attempts: u32,
    /// The failures that are worth another try.
    pub on: Vec<RetryOn>,
    /// The codes that are worth another try if [`RetryOn::Status`] is, as ranges within 500 to 599.
    pub status: Vec<RangeInclusive<u16>>,
    /// How long one try may take to the head of its answer. None leaves it to the response timeout.
    pub per_try_timeout: Option<Duration>,
    /// Retries for each request.
    pub budget: Ratio,
    /// Retries for each second, besides.
    pub budget_per_second: u32,
    /// When another backend is asked in parallel.
    pub hedge: Hedge,
}

/// A failure that is worth another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryOn {
    /// No connection came about.
    Connect,
    /// The backend closed the connection before the head of its answer was complete.
    Reset,
    /// The backend did not answer in time.
    Timeout,
    /// The backend answered with one of the codes in `status`.
    Status,
}

/// When another backend is asked in parallel, for a request that may be repeated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Hedge {
    /// When the backend has been silent for much longer than usual.
    Auto,
    /// Never.
    Off,
    /// Also when an answer takes longer than this share of the upstream's answers, 0 to 1.
    Quantile(f64),
}

const REASONS: [(&str, RetryOn); 4] = [
    ("connect", RetryOn::Connect),
    ("reset", RetryOn::Reset),
    ("timeout", RetryOn::Timeout),
    ("status", RetryOn::Status),
];

impl RetryConfig {
    /// Decodes the section `retries`.
    pub(super) fn decode(section: &Section<'_>) -> Self {
        Self {
            attempts: section.value("attempts", integer(1..=10)),
            on: section.value("on", list_of(one_of(&REASONS))),
            status: section.value("status", list_of(text(server_errors))),
            per_try_timeout: section.value("per_try_timeout", or_word("unlimited", duration)),
            budget: section.value("budget", text(Ratio::parse)),
            budget_per_second: section.value("budget_per_second", integer(0..=1_000_000)),
            hedge: section.value("hedge", text(Hedge::parse)),
        }
    }
}

/// Reads codes that say something about the backend and not about the request, of which alone another backend may
/// think otherwise.
fn server_errors(text: &str) -> Result<RangeInclusive<u16>, Invalid> {
    if ["5xx", "5XX"].contains(&text) {
        return Err(Invalid::new(format!("`{text}` is no range of status codes")).hint("write `500-599`"));
    }
    let codes = status_range(text)?;
    if *codes.start() >= 500 {
        return Ok(codes);
    }
    let why =
        if *codes.end() < 400 { "is no failure" } else { "is about the request: others would say the same" };
    Err(Invalid::new(format!("an answer {} {why}", text.escape_debug()))
        .hint("codes that are worth another try lie from 500 to 599"))
}

impl Hedge {
    fn parse(text: &str) -> Result<Self, Invalid> {
        let percentile = |digits: &str| {
            let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            digits.parse::<f64>().ok().filter(|percent| plain && (0.0..=99.9).contains(percent))
        };
        match text {
            "auto" => Ok(Self::Auto),
            "off" | "false" => Ok(Self::Off),
            _ => text.strip_prefix('p').and_then(percentile).map(|p| Self::Quantile(p / 100.0)).ok_or_else(|| {
                Invalid::new(format!("`{}` does not say when another backend is asked", text.escape_debug()))
                    .hint("write `auto`, `off`, or a percentile of the latency from `p0` to `p99.9`, such as `p95`")
            }),
        }
    }
}
