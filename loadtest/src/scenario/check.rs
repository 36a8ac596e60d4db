//! What must hold, in a line such as `p99 <= 250ms`, and whether it did.

use super::Scenario;
use crate::plan::parse_duration;
use crate::record::Tally;
use crate::report::Report;
use serde::de::{Deserialize, Deserializer, Error};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Something that must hold, of a phase or of the whole run.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The position of the phase; None for the whole run.
    pub phase: Option<usize>,
    /// What.
    pub bound: Bound,
}

/// A bound on what was measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// At most so many requests failed.
    Failed(u64),
    /// At most this share of the requests failed, 0 to 1.
    FailedShare(f64),
    /// This share of the answers, 0 to 1, took at most so long.
    Quantile(f64, Duration),
    /// There was never so long a time without an answer.
    Gap(Duration),
    /// At least so many answers came per second.
    Rps(f64),
    /// The share of a backend in the answers lay between these, 0 to 1.
    Share(String, f64, f64),
}

/// What became of a check.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Verdict {
    /// The name of the phase; None for the whole run.
    pub phase: Option<String>,
    /// What had to hold.
    pub check: String,
    /// What was measured.
    pub measured: String,
    /// Whether it held.
    pub held: bool,
}

/// What there is to write.
const FORMS: &str = "write `failed <= 0`, `failed <= 0.1%`, `p99 <= 250ms` (any quantile, or `max`), `gap <= 1s`, \
                     `rps >= 290` or `share backend-1 within 30%..37%`";

/// What a check looks at.
struct Measured<'a> {
    requests: u64,
    failed: u64,
    seconds: f64,
    gap: Duration,
    tally: &'a Tally,
    share: &'a BTreeMap<String, f64>,
}

/// Holds what was measured against what the scenario demands, check by check.
pub fn verdicts(scenario: &Scenario, report: &Report) -> Vec<Verdict> {
    let verdict = |check: &Check| {
        let (measured, held) = match measured(scenario, report, check.phase) {
            Some(of) => check.bound.hold_against(&of),
            None => ("the phase was not reached".to_owned(), false),
        };
        let phase = check.phase.and_then(|at| Some(scenario.phases.get(at)?.name.clone()));
        Verdict { phase, check: check.bound.to_string(), measured, held }
    };
    scenario.checks.iter().map(verdict).collect()
}

fn measured<'a>(scenario: &Scenario, report: &'a Report, phase: Option<usize>) -> Option<Measured<'a>> {
    let gap = |ms: f64| Duration::from_secs_f64(ms.max(0.0) / 1000.0);
    let Some(at) = phase else {
        return Some(Measured {
            requests: report.requests,
            failed: report.failed,
            seconds: scenario.duration().as_secs_f64(),
            gap: gap(report.longest_gap_ms),
            tally: &report.tally,
            share: &report.share,
        });
    };
    let phase = report.phases.get(at)?;
    Some(Measured {
        requests: phase.requests,
        failed: phase.failed,
        seconds: phase.seconds,
        gap: gap(phase.longest_gap_ms),
        tally: &phase.tally,
        share: &phase.share,
    })
}

impl Bound {
    fn hold_against(&self, of: &Measured<'_>) -> (String, bool) {
        match self {
            Bound::Failed(most) => (format!("{} of {}", of.failed, of.requests), of.failed <= *most),
            Bound::FailedShare(most) => {
                let share = of.failed as f64 / of.requests.max(1) as f64;
                (format!("{} ({} of {})", percent(share), of.failed, of.requests), share <= *most)
            }
            Bound::Quantile(quantile, most) => match of.tally.quantile_ms(*quantile) {
                Some(ms) => (format!("{ms} ms"), ms <= most.as_secs_f64() * 1000.0),
                None => ("no request succeeded".to_owned(), false),
            },
            Bound::Gap(most) => (humantime::format_duration(of.gap).to_string(), of.gap <= *most),
            Bound::Rps(least) => {
                let succeeded = (of.requests - of.failed) as f64;
                let rps = if of.seconds > 0.0 { succeeded / of.seconds } else { 0.0 };
                (format!("{rps:.1}"), rps >= *least)
            }
            Bound::Share(backend, least, most) => {
                let share = of.share.get(backend).copied().unwrap_or(0.0);
                let held = (*least..=*most).contains(&share);
                // A backend that never answered may as well be misspelt.
                let known: Vec<&str> = of.share.keys().map(String::as_str).collect();
                let hint = if of.share.contains_key(backend) || held {
                    String::new()
                } else {
                    format!("; answers came from: {}", known.join(", "))
                };
                (format!("{}{hint}", percent(share)), held)
            }
        }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it, and what there is to write.
    pub fn parse(line: &str) -> Result<Bound, String> {
        let wrong = |why: String| format!("`{line}` is no assertion: {why}; {FORMS}");
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["failed", "<=", most] if most.ends_with('%') => {
                share(most).map(Bound::FailedShare).map_err(wrong)
            }
            ["failed", "<=", most] => {
                let number = most.parse().map(Bound::Failed);
                number.map_err(|_| wrong(format!("`{most}` is no number of requests")))
            }
            ["gap", "<=", most] => parse_duration(most).map(Bound::Gap).map_err(wrong),
            ["max", "<=", most] => parse_duration(most).map(|most| Bound::Quantile(1.0, most)).map_err(wrong),
            ["rps", ">=", least] => {
                let number = least.parse::<f64>().ok().filter(|least| *least >= 0.0);
                number.map(Bound::Rps).ok_or_else(|| wrong(format!("`{least}` is no number")))
            }
            ["share", backend, "within", range] => {
                let (least, most) =
                    range.split_once("..").ok_or_else(|| wrong("a range has `..` in it".into()))?;
                let (least, most) = (share(least).map_err(wrong)?, share(most).map_err(wrong)?);
                if least > most {
                    return Err(wrong("the range ends before it begins".to_owned()));
                }
                Ok(Bound::Share(backend.to_owned(), least, most))
            }
            [quantile, "<=", most] if quantile.starts_with('p') => {
                let number = quantile[1..].parse::<f64>().ok().filter(|of| (0.0..=100.0).contains(of));
                let number = number.ok_or_else(|| wrong(format!("`{quantile}` is not from p0 to p100")))?;
                parse_duration(most).map(|most| Bound::Quantile(number / 100.0, most)).map_err(wrong)
            }
            _ => Err(wrong("it has another form".to_owned())),
        }
    }
}

fn share(word: &str) -> Result<f64, String> {
    let number = word.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    let number = number.filter(|percent| (0.0..=100.0).contains(percent));
    number.map(|percent| percent / 100.0).ok_or_else(|| format!("`{word}` is not from 0% to 100%"))
}

/// At most two decimals, without those that are zero.
fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |span: &Duration| humantime::format_duration(*span).to_string().replace(' ', "");
        match self {
            Bound::Failed(most) => write!(f, "failed <= {most}"),
            Bound::FailedShare(most) => write!(f, "failed <= {}", percent(*most)),
            Bound::Quantile(quantile, most) if *quantile >= 1.0 => write!(f, "max <= {}", time(most)),
            Bound::Quantile(quantile, most) => {
                write!(f, "p{} <= {}", percent(*quantile).trim_end_matches('%'), time(most))
            }
            Bound::Gap(most) => write!(f, "gap <= {}", time(most)),
            Bound::Rps(least) => write!(f, "rps >= {least}"),
            Bound::Share(backend, least, most) => {
                write!(f, "share {backend} within {}..{}", percent(*least), percent(*most))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Bound::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
