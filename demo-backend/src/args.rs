//! The command line of a demo backend, and the way from there to a running server.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use backend_agent::child::{self, Lifeline};
use backend_agent::duration;
use tokio::net::TcpListener;

use crate::{ServerName, Settings, serve};

/// A small HTTP application to stand behind a load balancer
///
/// Its one line on stdout is `listening ADDRESS`, once requests can come. Log messages go to stderr. SIGTERM and
/// SIGINT let the exchanges under way finish.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Endpoints (any method):
  /                    Hello, World! and the server's number; with --storage what can be asked of it
  /api/data            a JSON object, after --data-delay
  /api/switch          switches / and /api/data between status 200 and 500
  /api/status          says which, with that status: a health check
  /work/MS             burns that much CPU time, at most 10000 ms
  /sleep/MS/ANSWER     waits, at most 60000 ms, then answers with ANSWER
  /bytes/N             sends N bytes, at most 1 GiB
  /echo                sends the request's body back
  /kv, /kv/KEY         GET the values of a key, POST another one; with --storage
  /metrics             what was counted, for Prometheus

Examples:
  demo-backend --name backend-2 --listen 127.0.0.1:8002
  demo-backend --listen 127.0.0.1:0 --exit-with-parent    # a free port, printed on stdout
  demo-backend --data-delay 20ms --workers 1              # a quicker and narrower one
  demo-backend --storage keys.json                        # a key-value service")]
pub struct Args {
    /// Name of this server, sent with every answer in the header x-server
    #[arg(long, default_value = "backend-1")]
    name: ServerName,

    /// Number in the greeting [default: the number that the name ends with, or 1]
    #[arg(long)]
    number: Option<u32>,

    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8000", value_name = "ADDRESS")]
    listen: SocketAddr,

    /// How long /api/data waits before it answers, as 200ms, 1s or 2m
    #[arg(long, default_value = "200ms", value_name = "DURATION", value_parser = duration::parse)]
    data_delay: Duration,

    /// How many requests for /work burn CPU at once [default: the number of CPUs]
    #[arg(long)]
    workers: Option<NonZeroUsize>,

    /// Be a key-value service too, with this file; the command `storage` may use the same one
    #[arg(long, value_name = "FILE")]
    storage: Option<PathBuf>,

    #[command(flatten)]
    lifeline: Lifeline,
}

impl Args {
    /// Returns the settings that were asked for.
    pub fn settings(&self) -> Settings {
        let defaults = Settings::new(self.name.clone());
        Settings {
            number: self.number.unwrap_or(defaults.number),
            data_delay: self.data_delay,
            workers: self.workers.unwrap_or(defaults.workers),
            storage: self.storage.clone(),
            ..defaults
        }
    }
}

/// Binds, announces the address on stdout, and serves until SIGTERM or SIGINT.
///
/// Call it on the main thread, because `--exit-with-parent` ties the calling thread.
///
/// # Errors
/// When the address is taken, stdout is closed, a signal cannot be caught or the parent has already ended.
pub async fn run(args: Args) -> anyhow::Result<()> {
    args.lifeline.tie()?;
    // Before the announcement: a parent may ask for the end as soon as it has read it.
    let shutdown = child::asked_to_end().context("cannot catch SIGTERM and SIGINT")?;
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}; choose another --listen", args.listen))?;
    let address = listener.local_addr().context("cannot tell the address that was bound")?;
    child::announce(address).context("cannot write the address to stdout")?;
    tracing::info!(server = %args.name, %address, "serving");
    serve(args.settings(), listener, shutdown).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, Parser};

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn nothing_typed_means_the_documented_defaults() {
        let args = Cli::parse_from(["demo-backend"]).args;
        assert_eq!(args.listen.to_string(), "127.0.0.1:8000");
        let settings = args.settings();
        assert_eq!((settings.name.as_str(), settings.number), ("backend-1", 1));
        assert_eq!(settings.data_delay, Duration::from_millis(200));
    }

    #[test]
    fn what_is_typed_is_what_the_server_gets() {
        let typed = ["demo-backend", "--name", "blue-3", "--data-delay", "0ms", "--workers", "2"];
        let settings = Cli::parse_from(typed).args.settings();
        assert_eq!((settings.number, settings.workers.get()), (3, 2));
        assert_eq!(settings.data_delay, Duration::ZERO);
    }
}
