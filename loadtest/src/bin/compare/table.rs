//! Prints a comparison for people.

use crate::rounds::{Comparison, Measured, Spread};
use std::fmt::Write as _;

/// One table per number of connections.
pub(crate) fn text(comparison: &Comparison) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    for setting in &comparison.settings {
        writeln!(
            out,
            "{} connections, {}-byte answers, one CPU, medians of {} interleaved rounds of {} s",
            setting.connections, comparison.body_bytes, comparison.rounds, comparison.round_seconds
        )?;
        writeln!(
            out,
            "{:<20} {:>12} {:>22} {:>22} {:>11} {:>8} {:>9} {:>7} {:>7}",
            "",
            "CPU us/req",
            "ratio to HAProxy",
            "to plain plimsoll",
            "requests/s",
            "p99 ms",
            "peak MB",
            "idle %",
            "errors"
        )?;
        for peer in &setting.peers {
            line(&mut out, peer)?;
        }
        writeln!(out)?;
    }
    Ok(out)
}

fn line(out: &mut String, peer: &Measured) -> std::fmt::Result {
    let name = match peer.with {
        Some(feature) => format!("  with {feature}"),
        None => format!("{} {}", format!("{:?}", peer.peer).to_lowercase(), peer.version),
    };
    writeln!(
        out,
        "{name:<20} {:>12.2} {:>22} {:>22} {:>11.0} {:>8.2} {:>9.1} {:>7.2} {:>7}",
        peer.cpu_us_per_request.median,
        ratio(peer.ratio_to_haproxy),
        ratio(peer.ratio_to_plain),
        peer.requests_per_second.median,
        peer.p99_ms.median,
        peer.peak_rss_mb,
        peer.idle_cpu * 100.0,
        peer.errors
    )
}

fn ratio(ratio: Option<Spread>) -> String {
    ratio.map_or_else(
        || "-".to_owned(),
        |ratio| format!("{:.3} ({:.3}-{:.3})", ratio.median, ratio.min, ratio.max),
    )
}
