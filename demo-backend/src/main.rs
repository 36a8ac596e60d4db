//! The demo backend as a program of its own.

use std::io::IsTerminal as _;

use clap::Parser;
use tracing_subscriber::EnvFilter;

// `plimsoll demo-backend` embeds the same arguments. A doc comment here would hide the description they bring.
#[derive(Parser)]
#[command(name = "demo-backend", version)]
struct Cli {
    #[command(flatten)]
    args: demo_backend::Args,
}

// One thread answers: a request costs little, and what costs CPU on purpose runs on threads of its own.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // stdout belongs to the announcement that a parent process reads.
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    demo_backend::run(cli.args).await
}
