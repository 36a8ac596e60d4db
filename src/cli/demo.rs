//! `plimsoll demo`: three backends, the balancer and steady load on this machine, and a table in which traffic
//! moves.
//!
//! The demo is a spectator: it watches the balancer through `/metrics` and its answers, as a user would, and acts
//! on it by nothing but signals to the backends' processes.
//!
//! Modules in reading order: `fleet` (the processes; `child` is one of them) · `play` (what happens while the load
//! runs) · `scenario` (what happens by itself) · `recent`, `scrape` (what is seen) · `table`, `screen` (what is
//! shown) ·
//! `report` (what it came to) · `history` (what a report in a folder is made of).

mod child;
mod fleet;
mod history;
mod play;
mod recent;
mod report;
mod scenario;
mod scrape;
mod screen;
mod table;

use crate::cli::run;
use anyhow::Context as _;
use backend_agent::child::Lifeline;
use fleet::Fleet;
use loadtest::plan::parse_duration;
use loadtest::story::folder::Folder;
use play::{Outcome, Play};
use report::DemoReport;
use scenario::{DURATION_MIN, Scenario};
use screen::Screen;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What to show, and for how long.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  plimsoll demo                                  watch, and kill one of the printed pids
  plimsoll demo --duration 30s --scenario restart
  plimsoll demo --duration 30s --scenario restart --json
  plimsoll demo --scenario restart --report report    # then open report/index.html")]
pub(super) struct Arguments {
    /// How long the load lasts.
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    duration: Duration,
    /// Requests per second, however fast they are answered.
    #[arg(long, default_value_t = 300.0)]
    rate: f64,
    /// What happens by itself; without it, kill a process yourself: it is started again after ten seconds.
    #[arg(long, value_enum)]
    scenario: Option<Scenario>,
    /// The path that is asked for, such as /sleep/5/ok.
    #[arg(long, default_value = "/")]
    path: String,
    /// The balancer's port; by default 8080, or any when that is taken.
    #[arg(long)]
    port: Option<u16>,
    /// The port of the balancer's metrics and probes; by default 9900, or any when that is taken.
    #[arg(long)]
    admin_port: Option<u16>,
    /// Print one JSON object at the end and nothing else.
    #[arg(long)]
    json: bool,
    /// Write a report with graphs to this folder: index.html, report.md and the pictures. Made if it is missing;
    /// an earlier report in it is replaced, anything else is not.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

/// The roles that the demo's child processes play.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Process {
    /// A demo backend.
    Backend(demo_backend::Args),
    /// The agent of one backend.
    Agent(Box<backend_agent::Args>),
    /// The command `storage`, for the file of a demo backend.
    Storage(key_value::Args),
    /// The balancer.
    Balancer {
        /// Whether it ends with the demo.
        #[command(flatten)]
        lifeline: Lifeline,
        /// What `plimsoll run` takes.
        #[command(flatten)]
        run: run::Arguments,
    },
}

/// Runs the demo. Exits with 0 when no request failed and the scenario, if any, ran to its end.
pub(super) fn run(args: &Arguments) -> ExitCode {
    conclude(runtime().and_then(|runtime| runtime.block_on(demo(args))))
}

/// Plays the role of one of the child processes until it is ended.
pub(super) fn run_process(process: Process) -> ExitCode {
    let role = |role: Result<(), anyhow::Error>| conclude(role.map(|()| ExitCode::SUCCESS));
    match process {
        Process::Backend(args) => {
            role(runtime().and_then(|runtime| runtime.block_on(demo_backend::run(args))))
        }
        Process::Agent(args) => {
            conclude(runtime().and_then(|runtime| runtime.block_on(backend_agent::run(*args))))
        }
        Process::Storage(args) => {
            role(key_value::run(&args, &mut io::stdout().lock()).map_err(anyhow::Error::from))
        }
        Process::Balancer { lifeline, run } => match lifeline.tie() {
            Ok(()) => run::run(&run),
            Err(error) => conclude(Err(error.into())),
        },
    }
}

fn conclude(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(io::stderr().lock(), "{error:#}");
        ExitCode::FAILURE
    })
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().context("cannot start the event loop")
}

async fn demo(args: &Arguments) -> anyhow::Result<ExitCode> {
    if args.scenario.is_some() && args.duration < DURATION_MIN {
        anyhow::bail!("a scenario needs at least {} s; use a longer --duration", DURATION_MIN.as_secs());
    }
    let folder = args.report.as_deref().map(Folder::claim).transpose()?;
    let mut interrupts = Interrupts::new()?;
    let mut screen = Screen::new(args.json);
    let started = tokio::select! {
        fleet = Fleet::start(args.port, args.admin_port) => fleet,
        () = interrupts.next() => anyhow::bail!("interrupted before the load began"),
    };
    let mut fleet = started?;
    screen.say(&greeting(&mut fleet, args)?)?;
    let names = fleet.names();
    let outcome = Play::new(args, &mut fleet, &mut screen).run(&mut interrupts).await;
    let ended = fleet.end().await; // also when the play failed
    let mut outcome = outcome?;
    ended?;
    if let (Some(folder), Some(history)) = (folder, outcome.history.take()) {
        folder.write(&history.story(command(), &outcome.report))?;
        screen.say(&format!("report   {}", folder.page().display()))?;
    }
    sum_up(args, &outcome, &names)
}

/// What was typed, without the place of the program.
fn command() -> String {
    let args = std::env::args().skip(1);
    ["plimsoll".to_owned()].into_iter().chain(args).collect::<Vec<_>>().join(" ")
}

fn greeting(fleet: &mut Fleet, args: &Arguments) -> anyhow::Result<String> {
    let balancer = fleet.balancer_pid()?;
    let mut text = format!(
        "see it   http://{}/\ntraffic  http://{}{}\nmetrics  http://{}/metrics\nconfig   {}\nbalancer pid {balancer}",
        fleet.admin,
        fleet.web,
        args.path,
        fleet.admin,
        fleet.configuration_file().display()
    );
    for member in &mut fleet.members {
        let pid = member.pid().unwrap_or_default();
        write!(text, "\n{} pid {pid} at http://{}", member.name, member.address)?;
    }
    write!(text, "\n{} requests per second for {} s; ", args.rate, args.duration.as_secs_f64())?;
    text += match args.scenario {
        Some(Scenario::Restart) => "backend-1 is killed at one third and started again at two thirds",
        None => "kill -9 one of the backends and watch",
    };
    Ok(text)
}

fn sum_up(args: &Arguments, outcome: &Outcome, names: &[String]) -> anyhow::Result<ExitCode> {
    let report = DemoReport::new(&outcome.report, outcome.restart.as_ref(), names);
    let text = if args.json { serde_json::to_string(&report)? } else { report.text() };
    writeln!(io::stdout(), "{text}").context("cannot write the report")?;
    let unfinished = outcome.restart.as_ref().is_some_and(|restart| !restart.is_complete());
    let bad = report.failed > 0 || (unfinished && !outcome.interrupted);
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Ctrl-C and SIGTERM: the demo then ends early and in order.
pub(super) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn new() -> io::Result<Interrupts> {
        Ok(Interrupts {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Returns at the next of them. Cancel safe.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
