//! The agent as a program of its own.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

// `plimsoll` embeds the same arguments. A doc comment here would hide the description they bring.
#[derive(Parser)]
#[command(name = "backend-agent", version)]
struct Cli {
    #[command(flatten)]
    args: backend_agent::Args,
}

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // stdout belongs to the announcement that a parent process reads.
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    // One thread: an agent that is busy itself would report its own load.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(backend_agent::run(cli.args));
    // Not waited for: a host name may be in the middle of being looked up, which takes as long as it takes.
    runtime.shutdown_background();
    outcome
}
