//! The watch over the hot path: how many instructions the balancer spends on one exchange, held against a stored bound.
//!
//! Instructions, counted by callgrind, are the same on a busy machine as on an idle one, so that a change of two per cent
//! can be told from noise, which no time measured on a shared machine allows. They are no time: what the kernel does is not
//! among them, and one that misses every cache counts as one that does not. `compare` measures time.

mod bounds;
mod callgrind;
mod case;
mod client;

use anyhow::Context;
use bounds::{Bounds, Verdict};
use case::Case;
use clap::{Parser, Subcommand};
use loadtest::{answering, child};
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Counts plimsoll's instructions per exchange with callgrind, and holds them against the stored bounds.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Example: cargo build --profile watch -p plimsoll && cargo run -p loadtest --bin instructions -- \
    --plimsoll target/watch/plimsoll\n\nNeeds valgrind. Bounds hold for the profile `watch`; exits 1 when one is exceeded."
)]
struct Cli {
    #[command(subcommand)]
    helper: Option<Helper>,
    /// The plimsoll program.
    #[arg(long, default_value = "target/watch/plimsoll")]
    plimsoll: PathBuf,
    /// The file with the bounds.
    #[arg(long, default_value = "loadtest/instructions.yaml")]
    bounds: PathBuf,
    /// Only these cases.
    #[arg(long, value_delimiter = ',')]
    case: Vec<Case>,
    /// Write what is measured as the new bounds.
    #[arg(long, conflicts_with = "case")]
    bless: bool,
}

#[derive(Subcommand)]
enum Helper {
    /// Serves the answers that are forwarded.
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

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    match &cli.helper {
        Some(Helper::Backend { body }) => answering::serve(*body).await.map(|()| ExitCode::SUCCESS),
        Some(Helper::WithParent { command }) => {
            Err(child::become_command(command)).with_context(|| format!("cannot start {command:?}"))
        }
        None => tokio::select! {
            exit = watch(&cli) => exit,
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted; nothing to report"),
        },
    }
}

async fn watch(cli: &Cli) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        cli.plimsoll.exists(),
        "{} is not there; build it with: cargo build --profile watch -p plimsoll",
        cli.plimsoll.display()
    );
    let known = if cli.bless { Bounds::default() } else { Bounds::read(&cli.bounds)? };
    let cases: &[Case] = if cli.case.is_empty() { Case::ALL } else { &cli.case };
    let mut measured = Bounds::default();
    let mut out = std::io::stdout();
    let mut kept = true;
    for case in cases {
        let count = callgrind::per_exchange(*case, &cli.plimsoll).await.with_context(|| format!("{case}"))?;
        measured.set(*case, count);
        if cli.bless {
            writeln!(out, "{case:<12} {count:>8}")?;
            continue;
        }
        let verdict = known.verdict(*case, count);
        writeln!(out, "{case:<12} {count:>8}  {verdict}")?;
        kept &= !matches!(verdict, Verdict::Above { .. } | Verdict::Unknown);
    }
    if cli.bless {
        measured.write(&cli.bounds)?;
    }
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
