//! The command line: one file per command.

mod ask;
mod check;
mod ctl;
mod demo;
mod import;
mod operator;
mod run;
mod top;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A load balancer whose load you can see.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, about, long_about = None)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a configuration; SIGHUP reloads it, SIGTERM drains.
    Run(run::Arguments),
    /// Say whether a configuration is valid, and where it sends a request.
    Check(check::Arguments),
    /// Ask a running balancer how it is and why it did what it did; reload it, drain a backend or weigh it.
    Ctl(ctl::Arguments),
    /// Watch a running balancer in a terminal: what each backend does, second by second; drain one by a key.
    Top(top::Arguments),
    /// Turn a configuration of HAProxy or nginx into one of plimsoll.
    Import(import::Arguments),
    /// Show traffic moving: three backends, the balancer and steady load, all on this machine.
    Demo(demo::Arguments),
    /// Play the role of one of the demo's processes.
    #[command(subcommand, hide = true)]
    DemoProcess(demo::Process),
}

/// Carries out what the command line asks for.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Ctl(arguments) => ctl::run(&arguments),
        Command::Top(arguments) => top::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::DemoProcess(process) => demo::run_process(process),
    }
}
