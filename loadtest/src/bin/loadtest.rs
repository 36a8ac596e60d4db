//! `loadtest run`: puts open-loop load on one address and prints what came back.

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use loadtest::load::Load;
use loadtest::plan::{Arrivals, Plan, parse_duration};
use loadtest::report::{Latency, Report};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

/// Open-loop HTTP/1.1 load: latency counts from the time a request was due, not from when it was sent.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Asks one address at a steady rate and reports; exits 1 when a request failed.
    Run(RunArgs),
}

#[derive(Args)]
#[command(after_help = "Example: loadtest run --url http://127.0.0.1:8080/ --rate 300 --duration 30s")]
struct RunArgs {
    /// What to ask for.
    #[arg(long)]
    url: String,
    /// Requests due per second.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
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
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let Command::Run(args) = Cli::parse().command;
    let load = Load::new(plan(&args)?).await?;
    let observer = load.observer();
    let interrupt = async {
        let _ = tokio::signal::ctrl_c().await; // without the signal handler the run just takes its time
        observer.stop();
        std::future::pending::<Report>().await
    };
    let report = tokio::select! {
        report = load.run() => report,
        report = interrupt => report,
    };
    let text = if args.json { serde_json::to_string(&report)? } else { text(&report)? };
    writeln!(std::io::stdout().lock(), "{}", text.trim_end()).context("writing the report")?;
    Ok(if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn plan(args: &RunArgs) -> anyhow::Result<Plan> {
    let mut plan = Plan::new(&args.url, args.rate, args.duration)?;
    plan.timeout = args.timeout;
    plan.max_in_flight = args.max_in_flight;
    plan.bucket = args.bucket;
    plan.allow_remote = args.allow_remote;
    if let Some(seed) = args.poisson {
        plan.arrivals = Arrivals::Poisson { seed };
    }
    Ok(plan)
}

fn text(report: &Report) -> Result<String, std::fmt::Error> {
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
