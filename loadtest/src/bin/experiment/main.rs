//! One experiment: load on a running stack, a backend that is killed and started again, and a report of what
//! Prometheus recorded of it.
//!
//! Modules in reading order: `ready` (waits until all is there; `balancer` and `prometheus` ask) · `conduct` (the
//! experiment) · `record` (what was scraped, for the story, which `loadtest::story` tells).

mod balancer;
mod conduct;
mod prometheus;
mod ready;
mod record;

use anyhow::Context as _;
use clap::Parser;
use loadtest::actor::Actor;
use loadtest::actor::compose::Compose;
use loadtest::actor::process::{Origin, Process};
use loadtest::plan::parse_duration;
use loadtest::story::Story;
use loadtest::story::folder::Folder;
use loadtest::story::recording::METRICS;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{SignalKind, signal};

/// Kills a backend under load, starts it again, and writes a report of what happened
///
/// Brings the compose stack up and takes it down again, unless told otherwise. Exits 1 when a request failed.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Examples:
  experiment                                          all of it; then open target/experiment/index.html
  experiment --file compose.yaml --file deploy/compose/stand-ins.yaml
  experiment --no-up                                  on the stack that runs
  experiment --process 4711 -- demo-backend --listen 127.0.0.1:8001   without containers: kills process 4711,
                                                      then starts the command, and ends it with the experiment"
)]
pub(crate) struct Args {
    /// The folder for the report: index.html, report.md and the pictures. An earlier report in it is replaced.
    #[arg(long, value_name = "DIR", default_value = "target/experiment")]
    report: PathBuf,
    /// What is asked for; a path that burns some CPU shows in the graph of CPU usage.
    #[arg(long, default_value = "http://127.0.0.1:8080/work/2")]
    url: String,
    /// Requests per second, however fast they are answered.
    #[arg(long, default_value_t = 150.0)]
    rate: f64,
    /// Allow a target that is not on this machine.
    #[arg(long)]
    allow_remote: bool,
    /// How long the load runs before the kill.
    #[arg(long, default_value = "30s", value_parser = parse_duration)]
    before: Duration,
    /// From the kill to the start.
    #[arg(long, default_value = "75s", value_parser = parse_duration)]
    outage: Duration,
    /// From the start to the end of the load.
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    after: Duration,
    /// The backend to kill: its name in the balancer's configuration, and of its service in compose.
    #[arg(long, default_value = "backend-1")]
    backend: String,
    /// The upstream that the backend belongs to.
    #[arg(long, default_value = "app")]
    upstream: String,
    /// The balancer's admin interface.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9900")]
    admin: String,
    /// Prometheus.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    prometheus: String,
    /// Labels by which Prometheus finds the balancer's own series.
    #[arg(long, value_name = "LABELS", default_value = "job=\"plimsoll\"")]
    select: String,
    /// The series of CPU usage in percent, whose label `instance` is the name of a backend.
    #[arg(long, value_name = "SELECTOR", default_value = "cpu_usage{job=\"backend-agent\"}")]
    cpu: String,
    /// How long to wait until everything is ready once it is up.
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    wait: Duration,
    /// A compose file; repeatable, later ones change earlier ones. By default what docker compose looks for.
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The name of the compose project. With --no-up by default that of the files.
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// The docker program.
    #[arg(long, value_name = "PROGRAM", default_value = "docker")]
    docker: PathBuf,
    /// Use the stack that runs, and leave it running.
    #[arg(long)]
    no_up: bool,
    /// Leave the stack up at the end.
    #[arg(long)]
    keep: bool,
    /// Without containers: the process id of the backend to kill. What runs is used as with --no-up.
    #[arg(long, value_name = "PID", requires = "command")]
    process: Option<i32>,
    /// Print the numbers of the report as one JSON object.
    #[arg(long)]
    json: bool,
    /// With --process: the command that starts the backend again.
    #[arg(last = true, requires = "process")]
    command: Vec<OsString>,
}

impl Args {
    /// How long the load lasts.
    fn length(&self) -> Duration {
        self.before + self.outage + self.after
    }

    /// Selects the balancer's counters.
    fn counters(&self) -> String {
        format!("{{__name__=~\"{}\",upstream=\"{}\",{}}}", METRICS.join("|"), self.upstream, self.select)
    }

    fn compose(&self) -> Compose {
        let own = (!self.no_up).then(|| "plimsoll-experiment".to_owned());
        let project = self.project.clone().or(own);
        Compose { docker: self.docker.clone(), project, files: self.files.clone() }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let folder = Folder::claim(&args.report)?;
    let story = experiment(&args).await?;
    folder.write(&story)?;
    sum_up(&args, &story, &folder)?;
    Ok(if story.summary.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Brings up what is wanted, experiments on it, and leaves nothing behind that was not there before.
async fn experiment(args: &Args) -> anyhow::Result<Story> {
    let mut actor = match args.process {
        Some(id) => {
            let process =
                Process::found(id, args.command.clone(), Origin::Replaced).context("look at --process")?;
            Actor::process(process)
        }
        None => Actor::compose(args.compose(), &args.backend),
    };
    let raise = args.process.is_none() && !args.no_up;
    let mut raised = false;
    let conducted = async {
        if raise {
            args.compose().check_absent().await?;
            raised = true;
            say("bringing the stack up; the first time it is built")?;
            args.compose().up().await?;
        }
        conduct::conduct(args, &mut actor).await
    };
    let result = tokio::select! {
        story = conducted => story,
        interrupted = interrupt() => Err(interrupted),
    };
    let put_back = actor.put_back().await;
    let down = if raised && !args.keep { args.compose().down().await } else { Ok(()) };
    // What went wrong first is what to mend.
    let story = result?;
    put_back.and(down)?;
    Ok(story)
}

/// Returns at Ctrl-C or SIGTERM.
async fn interrupt() -> anyhow::Error {
    let (Ok(mut interrupts), Ok(mut terminates)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await; // without handlers a signal just ends the program
    };
    tokio::select! {
        _ = interrupts.recv() => {}
        _ = terminates.recv() => {}
    }
    anyhow::anyhow!("interrupted; there is no report")
}

fn sum_up(args: &Args, story: &Story, folder: &Folder) -> anyhow::Result<()> {
    let text = if args.json {
        serde_json::to_string(&story.summary)?
    } else {
        format!("{}\n\n{}\n", story.headline(), story.lead())
    };
    writeln!(std::io::stdout(), "{}", text.trim_end()).context("cannot write the numbers")?;
    say(&format!("report: {}", folder.page().display()))
}

/// Tells the person who waits.
fn say(what: &str) -> anyhow::Result<()> {
    writeln!(std::io::stderr(), "{what}").context("cannot write to stderr")
}

/// A moment as Prometheus counts, in seconds.
fn unix_time(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
