//! `loadtest run`: puts open-loop load on one address and prints what came back.

use crate::interrupted;
use crate::screen::Screen;
use anyhow::Context as _;
use loadtest::load::Load;
use loadtest::plan::{Arrivals, Plan, parse_duration};
use loadtest::report::{Latency, Report};
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

/// What to ask for, how often and how long.
#[derive(clap::Args)]
#[command(after_help = "Example: loadtest run --url http://127.0.0.1:8080/ --rate 300 --duration 30s")]
pub(crate) struct Args {
    /// What to ask for.
    #[arg(long)]
    url: String,
    /// Requests due per second.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// A closed loop instead of a rate: so many clients, each of which asks again once it has its answer.
    #[arg(long, value_name = "N", conflicts_with = "rate")]
    connections: Option<usize>,
    /// Give each request a connection of its own.
    #[arg(long)]
    no_keep_alive: bool,
    /// How long requests become due.
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// How long after it was due a request may be answered.
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,
    /// Spread the requests as independent clients would: exponential gaps, repeatable by this seed.
    #[arg(long, value_name = "SEED")]
    poisson: Option<u64>,
    /// The most requests in flight; one more that falls due fails as an overrun.
    #[arg(long, default_value_t = 1000)]
    max_in_flight: usize,
    /// How finely the run is recorded over time.
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    bucket: Duration,
    /// Allow a target that is not on this machine.
    #[arg(long)]
    allow_remote: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Show no progress, which is a line per second on stderr when that is a terminal.
    #[arg(long)]
    quiet: bool,
}

/// Exits with 1 when a request failed.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let load = Load::new(plan(args)?).await?;
    let observer = load.observer();
    let screen = Screen::new(args.quiet || !std::io::stderr().is_terminal());
    let interrupt = async {
        interrupted().await;
        observer.stop();
        std::future::pending::<Report>().await
    };
    let report = tokio::select! {
        report = load.run() => report,
        report = interrupt => report,
        never = screen.follow(&observer) => match never {},
    };
    let text = if args.json { serde_json::to_string(&report)? } else { text(&report)? };
    writeln!(std::io::stdout().lock(), "{}", text.trim_end()).context("writing the report")?;
    Ok(if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn plan(args: &Args) -> anyhow::Result<Plan> {
    let mut plan = Plan::new(&args.url, args.rate, args.duration)?;
    plan.timeout = args.timeout;
    plan.max_in_flight = args.max_in_flight;
    plan.bucket = args.bucket;
    plan.allow_remote = args.allow_remote;
    plan.connections = args.connections;
    plan.keep_alive = !args.no_keep_alive;
    if let Some(seed) = args.poisson {
        plan.arrivals = Arrivals::Poisson { seed };
    }
    Ok(plan)
}

/// The report for people.
pub(crate) fn text(report: &Report) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    writeln!(out, "requests     {} ({:.1} answered per second)", report.requests, report.rps)?;
    let kinds: Vec<String> = (report.failures.iter().filter(|(_, count)| **count > 0))
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    writeln!(out, "failed       {}  {}", report.failed, kinds.join(", "))?;
    let Latency { p50_ms, p90_ms, p99_ms, p999_ms, max_ms } = report.latency;
    for (name, value) in
        [("p50", p50_ms), ("p90", p90_ms), ("p99", p99_ms), ("p99.9", p999_ms), ("max", max_ms)]
    {
        writeln!(out, "{name:<12} {}", milliseconds(value))?;
    }
    writeln!(out, "longest gap  {}", milliseconds(Some(report.longest_gap_ms)))?;
    writeln!(out, "sent late    {} (p99)", milliseconds(report.lag_p99_ms))?;
    for (backend, share) in &report.share {
        writeln!(out, "{backend:<12} {:.1} %", share * 100.0)?;
    }
    Ok(out)
}

fn milliseconds(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2} ms"))
}
