//! The command line of an agent, and the way from there to a running one.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use rustix::system::uname;
use tokio::net::TcpListener;

use crate::child::{self, Lifeline};
use crate::probe::probe;
use crate::program::{Program, Signals};
use crate::push::{Gateway, Push};
use crate::serve::{Agent, live};
use crate::url::Url;
use crate::{Settings, Source, duration, ending, source};

/// Reports the CPU usage of a host, a container or one process, at /metrics and to a Pushgateway
///
/// cpu_usage is in percent: of all CPUs for a host and for a process with its descendants; of the quota for a
/// container that has one, else of all CPUs. Its one line on stdout is `listening ADDRESS`, once it can be scraped. Log
/// messages go to stderr.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  backend-agent                                   # the container it runs in, else the host
  backend-agent --source host --listen 0.0.0.0:9101
  backend-agent --process 4711                    # one process with its descendants
  backend-agent --push http://pushgateway:9091 --instance backend-1
  backend-agent --push http://pushgateway:9091 -- my-server --port 8000
  backend-agent --agent-check 0.0.0.0:9777 --drain-for 3s -- my-server --port 8000
  backend-agent --probe http://127.0.0.1:8000/    # exits with 0 if that answers well, with 1 if not
  backend-agent --process 4711 --listen 127.0.0.1:0 --exit-with-parent --interval 500ms")]
pub struct Args {
    /// What to measure: auto, host, container or process:PID
    ///
    /// auto takes the container when the agent runs in one or under a CPU quota; else the COMMAND that it runs, if there
    /// is one; else the host.
    #[arg(long, default_value = "auto")]
    source: Source,

    /// Measure this process with its descendants; short for --source process:PID
    #[arg(long, value_name = "PID", conflicts_with = "source")]
    process: Option<u32>,

    /// How long to wait between two samples, as 500ms, 1s or 2m; at least 100ms
    #[arg(long, default_value = "1s", value_name = "DURATION", value_parser = interval)]
    interval: Duration,

    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:9101", value_name = "ADDRESS")]
    listen: SocketAddr,

    /// Push to this Pushgateway, or to plimsoll's admin server, by its base URL; may be given more than once
    ///
    /// With PUT to /metrics/job/JOB/instance/INSTANCE below it. A gateway that takes no push is tried again, less and
    /// less often, up to every 30 s. SIGTERM and SIGINT delete what was pushed.
    #[arg(long, value_name = "URL")]
    push: Vec<Gateway>,

    /// How long to wait between two pushes; a tenth more or less by chance, so that agents do not push in step
    #[arg(long, default_value = "5s", value_name = "DURATION", value_parser = push_interval, requires = "push")]
    push_interval: Duration,

    /// The label job of what is pushed
    #[arg(long, default_value = "cpu_usage", value_name = "JOB", requires = "push")]
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    push_job: String,

    /// The label instance of what is pushed, which plimsoll takes for the name of a backend [default: the host's name]
    #[arg(long, requires = "push", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    instance: Option<String>,

    /// Answer HAProxy's agent checks, which plimsoll asks too, on this address
    ///
    /// The answer is one line, such as `up 85%`: the percentage of its weight that the backend wants, all of it up to 70 %
    /// of its CPU and from there in a straight line down to 20 % at full CPU, smoothed over some 5 s. `drain` once the
    /// agent was asked to end and COMMAND still runs; `down` when the process that is measured is gone. Where plimsoll is
    /// set to load_aware and gets pushes too, a busy CPU counts twice: leave out one of them.
    #[arg(long, value_name = "ADDRESS")]
    agent_check: Option<SocketAddr>,

    /// Answer agent checks with `drain` for this long before SIGTERM or SIGINT is passed on to COMMAND, so that it gets no
    /// new work any more when it ends; a second signal is passed on at once
    #[arg(long, default_value = "0s", value_name = "DURATION", value_parser = duration::parse, requires = "agent_check")]
    drain_for: Duration,

    /// Ask this URL once and do nothing else: exits with 0 if it answers with a status from 200 to 399, else with 1
    #[arg(long, value_name = "URL", exclusive = true)]
    probe: Option<Url>,

    #[command(flatten)]
    lifeline: Lifeline,

    /// Run this program beside the agent, and end with it and its status
    ///
    /// Signals are passed on to it, and processes that it leaves behind are reaped, so that the agent can be the first
    /// process of a container. SIGTERM and SIGINT delete what was pushed at once, while the program still ends.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Args {
    /// Returns the settings that were asked for.
    pub fn settings(&self) -> Settings {
        let source = self.process.map_or(self.source, Source::Process);
        Settings { interval: self.interval, ..Settings::new(source) }
    }

    /// Returns what is to be pushed where; `None` when it is nowhere.
    fn push(&self) -> Option<Push> {
        let mut gateways: Vec<Gateway> = Vec::new();
        for gateway in &self.push {
            if !gateways.contains(gateway) {
                gateways.push(gateway.clone());
            }
        }
        let instance = || uname().nodename().to_string_lossy().into_owned();
        (!gateways.is_empty()).then(|| Push {
            gateways,
            interval: self.push_interval,
            job: self.push_job.clone(),
            instance: self.instance.clone().unwrap_or_else(instance),
        })
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    // The kernel counts CPU time in steps of 10 ms; in less than ten of them a percentage says nothing.
    at_least_100ms(text, "to measure CPU usage")
}

fn push_interval(text: &str) -> Result<Duration, String> {
    at_least_100ms(text, "to push")
}

fn at_least_100ms(text: &str, what_for: &str) -> Result<Duration, String> {
    let interval = duration::parse(text).map_err(|e| e.to_string())?;
    if interval < Duration::from_millis(100) {
        return Err(format!("`{text}` is too short {what_for}; use at least 100ms"));
    }
    Ok(interval)
}

/// Binds, announces the address on stdout, and measures, serves and pushes until SIGTERM or SIGINT, or until the program
/// beside it ends. Returns what to exit with.
///
/// Call it on the main thread, because `--exit-with-parent` ties the calling thread; and in a process whose children are
/// this agent's alone, because they are reaped.
///
/// # Errors
/// When the source does not exist, the address is taken, stdout is closed, a signal cannot be caught, the parent has
/// already ended, or a URL that is probed is not well.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(url) = &args.probe {
        return probe(url).await.map(|()| ExitCode::SUCCESS);
    }
    args.lifeline.tie()?;
    let (listener, address) = bind(args.listen, "--listen").await?;
    let checks = match args.agent_check {
        Some(asked) => Some(bind(asked, "--agent-check").await?),
        None => None,
    };
    let checks = checks.map(|(listener, address)| {
        tracing::info!(%address, "answering agent checks");
        listener
    });
    let settings = args.settings();
    let agent = |target| Agent { target, interval: settings.interval, listener, checks, push: args.push() };
    let (asking, ending) = ending::pair();
    let Some((program, arguments)) = args.command.split_first() else {
        let asked = child::asked_to_end().context("cannot catch SIGTERM and SIGINT")?;
        let target = settings.source.find(&settings.root)?;
        child::announce(address).context("cannot write the address to stdout")?;
        let life = async { (asked.await, drop(asking)) };
        live(agent(target), ending, life).await;
        return Ok(ExitCode::SUCCESS);
    };
    let signals = Signals::catch().context("cannot catch signals")?;
    let follows = settings.source == Source::Auto && !source::confined(&settings.root);
    // What can go wrong goes wrong before the program runs.
    let found = if follows { None } else { Some(settings.source.find(&settings.root)?) };
    child::announce(address).context("cannot write the address to stdout")?;
    let program = match Program::start(program, arguments) {
        Ok(program) => program,
        Err(error) => {
            tracing::error!(%error, "cannot start the program");
            return Ok(error.exit_code());
        }
    };
    let target = match found {
        Some(target) => target,
        None => Source::Process(program.pid()).find(&settings.root)?,
    };
    Ok(live(agent(target), ending, program.run(signals, asking, args.drain_for)).await)
}

/// Binds an address that an option names; returns the address that it became, too.
async fn bind(address: SocketAddr, option: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another {option}"))?;
    let address = listener.local_addr().context("cannot tell the address that was bound")?;
    Ok((listener, address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, Parser};

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn settings(typed: &[&str]) -> Result<Settings, clap::Error> {
        Cli::try_parse_from([&["backend-agent"], typed].concat()).map(|cli| cli.args.settings())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        let args = Cli::parse_from(["backend-agent"]).args;
        assert_eq!(args.listen.to_string(), "127.0.0.1:9101");
    }

    #[test]
    fn a_process_can_be_named_in_two_ways_but_not_in_both() {
        assert_eq!(settings(&["--process", "42"]).unwrap().source, Source::Process(42));
        assert_eq!(settings(&["--source", "process:42"]).unwrap().source, Source::Process(42));
        assert!(settings(&["--process", "42", "--source", "host"]).is_err());
    }

    #[test]
    fn an_interval_in_which_nothing_can_be_measured_is_refused() {
        assert_eq!(settings(&["--interval", "100ms"]).unwrap().interval, Duration::from_millis(100));
        let said = settings(&["--interval", "99ms"]).unwrap_err().to_string();
        assert!(said.contains("at least 100ms"), "{said}");
    }
}
