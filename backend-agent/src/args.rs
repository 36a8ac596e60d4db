//! The command line of an agent, and the way from there to a running one.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;

use crate::child::{self, Lifeline};
use crate::{Settings, Source, duration, serve};

/// Reports the CPU usage of a host, a container or one process at /metrics
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
  backend-agent --process 4711 --listen 127.0.0.1:0 --exit-with-parent --interval 500ms")]
pub struct Args {
    /// What to measure: auto, host, container or process:PID
    ///
    /// auto takes the container when the agent runs in one or under a CPU quota, else the host.
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

    #[command(flatten)]
    lifeline: Lifeline,
}

impl Args {
    /// Returns the settings that were asked for.
    pub fn settings(&self) -> Settings {
        let source = self.process.map_or(self.source, Source::Process);
        Settings { interval: self.interval, ..Settings::new(source) }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration::parse(text).map_err(|e| e.to_string())?;
    // The kernel counts CPU time in steps of 10 ms; in less than ten of them a percentage says nothing.
    if interval < Duration::from_millis(100) {
        return Err(format!("`{text}` is too short to measure CPU usage; use at least 100ms"));
    }
    Ok(interval)
}

/// Binds, announces the address on stdout, and measures and serves until SIGTERM or SIGINT.
///
/// Call it on the main thread, because `--exit-with-parent` ties the calling thread.
///
/// # Errors
/// When the source does not exist, the address is taken, stdout is closed, a signal cannot be caught or the parent has
/// already ended.
pub async fn run(args: Args) -> anyhow::Result<()> {
    args.lifeline.tie()?;
    let shutdown = child::asked_to_end().context("cannot catch SIGTERM and SIGINT")?;
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}; choose another --listen", args.listen))?;
    let address = listener.local_addr().context("cannot tell the address that was bound")?;
    let serving = serve(args.settings(), listener, shutdown)?;
    child::announce(address).context("cannot write the address to stdout")?;
    serving.await;
    Ok(())
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
