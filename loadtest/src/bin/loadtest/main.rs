//! `loadtest run` puts load on one address and prints what came back; `loadtest scenario` does what a file says.
//!
//! Modules in reading order: `run` · `scenario` (the run of a file) → `stage` (what is done to whom, and put back) ·
//! `screen` (what is said meanwhile).

mod run;
mod scenario;
mod screen;
mod stage;

use clap::{Parser, Subcommand};
use loadtest::child;
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

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
    Run(run::Args),
    /// Does what a scenario file says; exits 1 when something that must hold did not.
    Scenario(scenario::Args),
    /// Becomes a command that ends with this program.
    #[command(hide = true)]
    WithParent {
        #[arg(last = true)]
        command: Vec<OsString>,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run::run(&args).await,
        Command::Scenario(args) => scenario::run(&args).await,
        Command::WithParent { command } => Err(child::become_command(&command).into()),
    };
    done.unwrap_or_else(|error| {
        // Nobody is left to tell when stderr is closed.
        let _ = writeln!(std::io::stderr().lock(), "loadtest: {error:#}");
        ExitCode::from(2)
    })
}

/// Returns at Ctrl-C or SIGTERM.
async fn interrupted() {
    let (Ok(mut interrupts), Ok(mut terminates)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await; // without handlers a signal just ends the program
    };
    tokio::select! {
        _ = interrupts.recv() => {}
        _ = terminates.recv() => {}
    }
}
