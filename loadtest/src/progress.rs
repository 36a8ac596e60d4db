//! Writes what happened in the last second as one line, for people who watch a run.

use crate::record::{Tally, Window};
use std::time::Duration;

/// What stands above the lines.
pub const HEADER: &str = "   time      rps      p50      p99    p99.9  failed  share";

/// The line of a second that ended `at` after the start of the load.
pub fn line(at: Duration, window: &Window) -> String {
    let all = &window.span.all;
    let seconds = window.length.as_secs_f64().max(f64::MIN_POSITIVE);
    let rps = all.successes() as f64 / seconds;
    let clock = at.as_secs_f64().round() as u64;
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| latency(all.quantile_ms(quantile)));
    let line = format!(
        "{:>4}:{:02} {rps:>8.0} {p50:>8} {p99:>8} {p999:>8} {:>7}  {}",
        clock / 60,
        clock % 60,
        all.failed(),
        shares(window)
    );
    line.trim_end().to_owned()
}

/// Whether something failed in it.
pub fn has_failures(window: &Window) -> bool {
    window.span.all.failed() > 0
}

fn latency(ms: Option<f64>) -> String {
    match ms {
        None => "-".to_owned(),
        Some(ms) if ms < 10.0 => format!("{ms:.1}ms"),
        Some(ms) if ms < 1000.0 => format!("{ms:.0}ms"),
        Some(ms) => format!("{:.1}s", ms / 1000.0),
    }
}

/// The share of each backend, by name: the order in which they first answered would change from run to run.
fn shares(window: &Window) -> String {
    let answers = |at: usize| window.span.backends.get(at).map_or(0, Tally::successes);
    let all: u64 = (0..window.names.len()).map(answers).sum();
    let mut shares: Vec<(&str, u64)> =
        window.names.iter().map(String::as_str).zip((0..).map(answers)).collect();
    shares.sort_unstable();
    let shares = shares.into_iter().map(|(name, own)| {
        let percent = if all == 0 { 0.0 } else { own as f64 / all as f64 * 100.0 };
        format!("{name} {percent:.0}%")
    });
    shares.collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Failure, Outcome, Recorder};
    use hyper::header::HeaderValue;
    use tokio::time::Instant;

    #[test]
    fn a_second_is_one_line() {
        let start = Instant::now();
        let mut recorder = Recorder::new(start, "all", Duration::from_secs(1), Duration::from_secs(1));
        for number in 0..200_u64 {
            let due = start + Duration::from_millis(number * 5);
            let (result, name) = match number {
                7 => (Err(Failure::Reset), None),
                n if n % 4 == 0 => (Ok(()), Some("backend-2")),
                _ => (Ok(()), Some("backend-1")),
            };
            let latency = Duration::from_millis(if number == 100 { 1500 } else { 2 });
            let backend = name.map(HeaderValue::from_static);
            recorder.record(&Outcome { number, due, done: due + latency, result, backend });
        }
        let window = recorder.take_window(start + Duration::from_secs(1));
        assert!(has_failures(&window));
        let text = format!("{HEADER}\n{}", line(Duration::from_secs(61), &window));
        insta::assert_snapshot!(text, @r"
           time      rps      p50      p99    p99.9  failed  share
           1:01      199    2.0ms    2.0ms     1.5s       1  backend-1 75%  backend-2 25%
        ");
        let empty = recorder.take_window(start + Duration::from_secs(2));
        assert!(line(Duration::from_secs(62), &empty).contains("-"));
    }
}
