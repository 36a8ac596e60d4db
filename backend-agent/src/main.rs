//! The agent as a program of its own.

use std::io::IsTerminal as _;

use clap::Parser;
use tracing_subscriber::EnvFilter;

// `plimsoll` embeds the same arguments. A doc comment here would hide the description they bring.
#[derive(Parser)]
#[command(name = "backend-agent", version)]
struct Cli {
    #[command(flatten)]
    args: backend_agent::Args,
}

// One thread: an agent that is busy itself would report its own load.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // stdout belongs to the announcement that a parent process reads.
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    backend_agent::run(cli.args).await
}
