//! Runs `wrk` against an address and reads its report.

use anyhow::Context;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

/// What one run of wrk reports.
#[derive(Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) requests: u64,
    pub(crate) requests_per_second: f64,
    pub(crate) p99_ms: f64,
    /// Socket errors and answers that are not 2xx or 3xx.
    pub(crate) errors: u64,
}

/// Loads `address` from one thread over `connections` connections for the whole seconds of `length`, at least one.
pub(crate) async fn run(address: SocketAddr, connections: u16, length: Duration) -> anyhow::Result<Run> {
    let seconds = length.as_secs().max(1);
    let mut command = tokio::process::Command::new("wrk");
    command.args(["-t1", "--latency", &format!("-c{connections}"), &format!("-d{seconds}s")]);
    command.arg(format!("http://{address}/")).stdin(Stdio::null()).kill_on_drop(true);
    let limit = Duration::from_secs(seconds + 20);
    let output = tokio::time::timeout(limit, command.output())
        .await
        .context("wrk does not end")?
        .context("cannot start wrk; install Debian's package wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    read(&text).with_context(|| format!("wrk against {address} reports no figures: {text}"))
}

fn read(text: &str) -> Option<Run> {
    let after = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name));
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())?;
    let socket_errors = after("Socket errors:").unwrap_or_default();
    let socket_errors: u64 =
        socket_errors.split([' ', ',']).filter_map(|word| word.parse::<u64>().ok()).sum();
    let other_status = after("Non-2xx or 3xx responses:").and_then(|count| count.trim().parse().ok());
    Some(Run {
        requests,
        requests_per_second: after("Requests/sec:")?.trim().parse().ok()?,
        p99_ms: milliseconds(after("99%")?.trim())?,
        errors: socket_errors + other_status.unwrap_or(0),
    })
}

fn milliseconds(text: &str) -> Option<f64> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let factor = match unit {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1000.0,
        "m" => 60_000.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
Running 2s test @ http://127.0.0.1:8080/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.01ms  450.00us   9.95ms   91.30%
  Latency Distribution
     50%    1.93ms
     99%    4.02ms
  63801 requests in 2.01s, 12.05MB read
  Socket errors: connect 0, read 3, write 0, timeout 1
  Non-2xx or 3xx responses: 7
Requests/sec:  31742.10
Transfer/sec:      6.00MB
";

    #[test]
    fn the_report_of_wrk_is_read_with_its_errors() {
        let run = Run { requests: 63_801, requests_per_second: 31_742.10, p99_ms: 4.02, errors: 11 };
        assert_eq!(read(REPORT), Some(run));
        assert_eq!(read("unable to connect to 127.0.0.1:1 Connection refused"), None);
    }
}
