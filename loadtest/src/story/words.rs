//! Puts numbers into words: times, shares, and the sentences that tell the story.

use super::Story;
use super::outage::Outage;
use super::summary::{Phase, Summary};
use std::fmt::Write as _;

/// Between a number and its unit: the two stay on one line.
const NBSP: char = '\u{a0}';

/// A span in seconds that is as good as none.
const INSTANT: f64 = 0.001;

/// Shares that differ by less than this are told as one.
const SHARE_ALIKE: f64 = 0.01;

/// A moment of the run, such as `1:05` or `1:02:03`.
pub(super) fn clock(at: f64) -> String {
    let seconds = at.max(0.0).round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A moment of the run to the millisecond, such as `1:05.250`.
pub(super) fn exact_clock(at: f64) -> String {
    let millis = (at.max(0.0) * 1000.0).round() as u64;
    format!("{}.{:03}", clock((millis / 1000) as f64), millis % 1000)
}

/// A span of time in the unit that suits it.
pub(super) fn span(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match seconds {
        s if s < 0.000_95 => format!("less than 1{NBSP}ms"),
        s if s < 0.9995 => format!("{:.0}{NBSP}ms", s * 1000.0),
        s if s < 9.95 => format!("{s:.1}{NBSP}s"),
        s if s < 119.5 => format!("{s:.0}{NBSP}s"),
        s if s < 3600.0 => format!("{}{NBSP}min {}{NBSP}s", whole / 60, whole % 60),
        _ => format!("{}{NBSP}h {}{NBSP}min", whole / 3600, whole / 60 % 60),
    }
}

/// A span that may not have ended.
pub(super) fn span_or_dash(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "–".to_owned(), span)
}

/// A latency.
pub(super) fn latency(ms: Option<f64>) -> String {
    match ms {
        None => "–".to_owned(),
        Some(ms) if ms < 10.0 => format!("{ms:.1}{NBSP}ms"),
        Some(ms) => span(ms / 1000.0),
    }
}

/// A share, 0 to 1, in percent.
pub(super) fn share(share: f64) -> String {
    percent(share * 100.0)
}

/// A number of percent.
pub(super) fn percent(percent: f64) -> String {
    format!("{percent:.1}{NBSP}%")
}

/// A count, with commas where there are many digits.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let first = digits.len() % 3;
    let groups = digits.as_bytes().chunks(3).len();
    let mut text = String::with_capacity(digits.len() + groups);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && at % 3 == first {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The headline: who went away, and whether the clients noticed.
pub(super) fn headline(story: &Story) -> String {
    let Summary { requests, failed, backend, .. } = &story.summary;
    let lost = match failed {
        0 => "no request failed".to_owned(),
        failed => format!("{} of {} requests failed", count(*failed), count(*requests)),
    };
    let killed = story.main_outage().is_some_and(|outage| outage.killed.is_some());
    match backend {
        None => format!("All backends stayed up, and {lost}"),
        Some(name) if killed => format!("{name} was killed, and {lost}"),
        Some(name) => format!("{name} was taken out, and {lost}"),
    }
}

/// The story in a few sentences.
pub(super) fn lead(story: &Story) -> String {
    let summary = &story.summary;
    let mut text = String::new();
    match (&summary.backend, story.main_outage()) {
        (Some(name), Some(outage)) => {
            let at = clock(outage.began());
            match outage.killed {
                Some(_) => {
                    let _ = write!(text, "At {at} {name} was killed. {}", detection(summary));
                }
                None => {
                    let _ = write!(text, "At {at} the balancer took {name} out.");
                }
            }
            text += &takeover(story, name);
            text += &losses(summary);
            text += &comeback(summary, outage, name);
            text += &others(story);
        }
        _ => {
            let shares = summary.phases.first().map(|phase| listed(story, phase, None)).unwrap_or_default();
            if !shares.is_empty() {
                let _ = write!(text, "{shares}.");
            }
            text += &losses(summary);
        }
    }
    text.trim().to_owned()
}

fn detection(summary: &Summary) -> String {
    let taken_out = |detected| format!("took it out {} after the kill", span(detected));
    match (summary.detected_after, summary.redistributed_after) {
        (None, _) => "The balancer did not take it out.".to_owned(),
        (Some(detected), None) => format!("The balancer {}.", taken_out(detected)),
        (Some(detected), Some(last)) if last < INSTANT => {
            format!("The balancer sent it nothing more, and {}.", taken_out(detected))
        }
        (Some(detected), Some(last)) => {
            format!(
                "The balancer sent it its last request {} later, and {}.",
                span(last),
                taken_out(detected)
            )
        }
    }
}

/// Who carried the share of the one that was away.
fn takeover(story: &Story, away: &str) -> String {
    let phase = |name: &str| story.summary.phases.iter().find(|phase| phase.name == name);
    let (Some(before), Some(during)) = (phase("before"), phase("during")) else { return String::new() };
    let (then, now) = (listed(story, before, Some(away)), listed(story, during, Some(away)));
    if then.is_empty() || now.is_empty() {
        return String::new();
    }
    let others: Vec<f64> = story
        .names()
        .filter(|name| *name != away)
        .filter_map(|name| before.share.get(name).copied())
        .collect();
    match alike(&others) {
        Some(mean) => format!(" While it was away, {now} instead of {}.", share(mean)),
        None => format!(" While it was away, {now}; before, {then}."),
    }
}

/// `backend-2 and backend-3 answered 50.0 % each`, or each by itself.
fn listed(story: &Story, phase: &Phase, without: Option<&str>) -> String {
    let shares: Vec<(&str, f64)> = (story.names())
        .filter(|name| Some(*name) != without)
        .filter_map(|name| Some((name, *phase.share.get(name)?)))
        .collect();
    let values: Vec<f64> = shares.iter().map(|(_, share)| *share).collect();
    let names: Vec<&str> = shares.iter().map(|(name, _)| *name).collect();
    match (&shares[..], alike(&values)) {
        ([], _) => String::new(),
        ([(name, value)], _) => format!("{name} answered {} of the requests", share(*value)),
        (_, Some(mean)) => format!("{} answered {} of the requests each", enumerated(&names), share(mean)),
        (_, None) => {
            let parts: Vec<String> =
                shares.iter().map(|(name, value)| format!("{name} {}", share(*value))).collect();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            format!("the requests were answered by {}", enumerated(&parts))
        }
    }
}

/// The mean of values that are nearly the same.
fn alike(values: &[f64]) -> Option<f64> {
    let (least, most) =
        values.iter().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
    (most - least < SHARE_ALIKE).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn enumerated(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn losses(summary: &Summary) -> String {
    let failed = if summary.failed == 0 { "none".to_owned() } else { count(summary.failed) };
    let mut text = format!(" Of {} requests {failed} failed", count(summary.requests));
    if summary.rescued > 0 {
        let _ = write!(
            text,
            ", and {} that had met a failure {} answered by another backend",
            count(summary.rescued),
            if summary.rescued == 1 { "was" } else { "were" }
        );
    }
    let _ =
        write!(text, "; the longest time without an answer was {}.", span(summary.longest_gap_ms / 1000.0));
    text
}

fn comeback(summary: &Summary, outage: &Outage, name: &str) -> String {
    match (summary.absent_for, summary.back_after, summary.up_after) {
        (None, _, _) => match outage.up {
            None => format!(" {name} was not back when the load ended."),
            Some(up) => format!(" {name} had its full share again at {}.", clock(up)),
        },
        (Some(absent), None, _) => format!(
            " {name} was started again after {}, and had not come back when the load ended.",
            span(absent)
        ),
        (Some(absent), Some(back), None) => format!(
            " {name} was started again after {} and got work {} later; the load ended before it had its full share.",
            span(absent),
            span(back)
        ),
        (Some(absent), Some(back), Some(up)) => format!(
            " {name} was started again after {}, got work {} later, and had its full share {} after the start.",
            span(absent),
            span(back),
            span(up)
        ),
    }
}

fn others(story: &Story) -> String {
    match story.outages.len() {
        0 | 1 => String::new(),
        2 => " There was one more outage.".to_owned(),
        n => format!(" There were {} more outages.", n - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_spans_are_written_in_units_that_suit_them() {
        assert_eq!([clock(0.0), clock(65.4), clock(3723.0)], ["0:00", "1:05", "1:02:03"]);
        assert_eq!([exact_clock(59.9996), exact_clock(1.25)], ["1:00.000", "0:01.250"]);
        let spans = [0.0, 0.0123, 0.9999, 1.25, 75.2, 119.9, 3599.0, 7260.0].map(span);
        let plain = spans.map(|span| span.replace(NBSP, " "));
        assert_eq!(
            plain,
            ["less than 1 ms", "12 ms", "1.0 s", "1.2 s", "75 s", "2 min 0 s", "59 min 59 s", "2 h 1 min"]
        );
        assert_eq!(latency(Some(0.84)).replace(NBSP, " "), "0.8 ms");
    }

    #[test]
    fn many_digits_are_grouped() {
        let written = [0, 999, 4800, 49_500, 123_456, 1_234_567].map(count);
        assert_eq!(written, ["0", "999", "4800", "49,500", "123,456", "1,234,567"]);
    }

    #[test]
    fn names_are_enumerated() {
        assert_eq!(enumerated(&["a", "b", "c"]), "a, b and c");
        assert_eq!(enumerated(&["a"]), "a");
    }
}
