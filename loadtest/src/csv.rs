//! Writes a report as CSV (RFC 4180): a line per slice of the run and backend, to be read by spreadsheets and scripts.

use crate::report::Report;
use std::fmt::Write as _;

/// The first line.
const HEADER: &str = "at_seconds,phase,backend,rps,requests,failed,p50_ms,p99_ms";

/// What stands for all backends together. Requests, failures and latencies are known of all together only.
const ALL: &str = "all";

/// The slices of the run, each with a line for all backends and one for each of them.
pub fn write(report: &Report) -> String {
    let mut out = format!("{HEADER}\n");
    let length = match &report.buckets[..] {
        [first, second, ..] => second.at_seconds - first.at_seconds,
        _ => report.phases.iter().map(|phase| phase.seconds).sum(),
    };
    for bucket in &report.buckets {
        let at = bucket.at_seconds;
        let phase = field(phase_at(report, at));
        let succeeded = (bucket.requests - bucket.failed) as f64;
        let rps = if length > 0.0 { succeeded / length } else { 0.0 };
        let [p50, p99] = [bucket.p50_ms, bucket.p99_ms].map(number);
        let (requests, failed) = (bucket.requests, bucket.failed);
        // A string takes everything that is written to it.
        let _ = writeln!(out, "{at},{phase},{ALL},{rps},{requests},{failed},{p50},{p99}");
        for name in report.share.keys() {
            let rps = bucket.rps.get(name).copied().unwrap_or(0.0);
            let _ = writeln!(out, "{at},{phase},{},{rps},,,,", field(name));
        }
    }
    out
}

fn number(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn phase_at(report: &Report, at: f64) -> &str {
    let mut end = 0.0;
    let phase = report.phases.iter().find(|phase| {
        end += phase.seconds;
        at < end
    });
    phase.or(report.phases.last()).map_or("", |phase| phase.name.as_str())
}

/// A field in quotes where it needs them.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Failure, Outcome, Recorder};
    use hyper::header::HeaderValue;
    use std::time::Duration;
    use tokio::time::Instant;

    #[test]
    fn there_is_a_line_per_second_and_backend() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut recorder = Recorder::new(start, "before, all", second, second);
        recorder.mark("after", start + second);
        for number in 0..4_u64 {
            let due = start + Duration::from_millis(number * 500);
            let (result, name) =
                if number == 3 { (Err(Failure::Connect), None) } else { (Ok(()), Some("a")) };
            let backend = name.map(HeaderValue::from_static);
            recorder.record(&Outcome { number, due, done: due + Duration::from_millis(2), result, backend });
        }
        let csv = write(&recorder.finish(start + 2 * second));
        insta::assert_snapshot!(csv, @r#"
        at_seconds,phase,backend,rps,requests,failed,p50_ms,p99_ms
        0,"before, all",all,2,2,0,2.007,2.007
        0,"before, all",a,2,,,,
        1,after,all,1,2,1,2.007,2.007
        1,after,a,1,,,,
        "#);
    }
}
