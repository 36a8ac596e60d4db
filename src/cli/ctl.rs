//! `plimsoll ctl`: asks a running balancer how it is, and changes what it does, through its admin interface.

mod watch;
mod why;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use hyper::Method;
use serde::Deserialize;
use tokio::time::sleep;

use super::operator::Operator;
use crate::control_plane::config::value::text::Name;

/// How often is asked whether a backend has finished what it had.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// What to ask or to change.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  plimsoll ctl drain app/backend-1 --wait        returns when backend-1 may be stopped
  plimsoll ctl ready app/backend-1
  plimsoll ctl add app 127.0.0.1:5004            until it is removed, or the file names it
  plimsoll ctl remove app/backend-4              it finishes what it has
  plimsoll ctl weight app/backend-1 5            until the file says another
  plimsoll ctl reload                            reads the configuration file again, as SIGHUP does
  plimsoll ctl drain app/backend-1 --admin 127.0.0.1:9901
  plimsoll ctl drain app/backend-1 --socket /run/plimsoll.sock
  plimsoll ctl why --status 5xx                  which backends were tried, why, and what took the time
  plimsoll ctl ping --ready                      a health check where there is no shell, as in a container
  plimsoll ctl ping --watch --track-file PATH    for keepalived, which follows the file

How the backends are: `plimsoll top`, or `curl 127.0.0.1:9900/check`.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Let a backend finish what it has, and give it nothing new; checks go on. HAProxy's `maint` is the same here.
    #[command(visible_alias = "maint")]
    Drain {
        /// The backend, with its upstream.
        #[arg(value_name = "UPSTREAM/BACKEND")]
        backend: Place,
        /// Wait until it has nothing left.
        #[arg(long)]
        wait: bool,
    },
    /// Give a backend new work again.
    Ready {
        /// The backend, with its upstream.
        #[arg(value_name = "UPSTREAM/BACKEND")]
        backend: Place,
    },
    /// Give a backend more or less of the work.
    Weight {
        /// The backend, with its upstream.
        #[arg(value_name = "UPSTREAM/BACKEND")]
        backend: Place,
        /// Its share of the work relative to the others, 0 to 1000; 0 gets none while another one can take it.
        #[arg(value_parser = clap::value_parser!(u32).range(0..=1000))]
        weight: u32,
    },
    /// Add a backend to an upstream. It joins as one that a reload adds: with a slow start.
    Add {
        /// The upstream.
        #[arg(value_parser = name)]
        upstream: Name,
        /// Where the backend answers: an IP address or a host name, and a port.
        address: String,
        /// Its name; by default the first of backend-N that is free.
        #[arg(long, value_parser = name)]
        name: Option<Name>,
        /// Its share of the work relative to the others, 0 to 1000; 1 by default.
        #[arg(long, value_parser = clap::value_parser!(u16).range(0..=1000))]
        weight: Option<u16>,
    },
    /// Remove a backend from its upstream. It finishes what it has, until `timeouts.drain`, and gets nothing new.
    Remove {
        /// The backend, with its upstream.
        #[arg(value_name = "UPSTREAM/BACKEND")]
        backend: Place,
    },
    /// Have the balancer read its configuration file again, and wait until it is in force.
    Reload,
    /// Tell what was decided about the latest requests: where each went and why, whom it could have been given to, and how
    /// long each stage of each try took.
    Why(why::Asked),
    /// Exit with 0 when the balancer lives, else with 1.
    Ping {
        /// Ask whether it takes traffic: not while it starts or drains.
        #[arg(long, conflicts_with = "watch")]
        ready: bool,
        #[command(flatten)]
        watch: watch::Watch,
    },
}

/// A backend by its name and that of its upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    upstream: Name,
    backend: Name,
}

/// What the balancer says of a backend after a change.
#[derive(Debug, Deserialize)]
struct Told {
    #[serde(default)]
    backend: String,
    state: String,
    in_flight: u64,
    drained_by: Vec<String>,
    weight: u32,
}

/// What the balancer says after a reload.
#[derive(Debug, Deserialize)]
struct Reloaded {
    generation: u64,
    warnings: Vec<String>,
}

/// Carries out an action. Exits with 0 when a change is in force or the answer is yes, else with 1 and the reason on
/// standard error.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.context("cannot start the event loop").and_then(|runtime| {
        let told = runtime.block_on(act(arguments))?;
        writeln!(std::io::stdout(), "{told}").context("cannot write the result")
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(std::io::stderr().lock(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn act(Arguments { action, operator }: &Arguments) -> anyhow::Result<String> {
    match action {
        Action::Drain { backend, wait } => operator.drain(backend, *wait).await,
        Action::Ready { backend } => operator.ready(backend).await,
        Action::Weight { backend, weight } => operator.weigh(backend, *weight).await,
        Action::Add { upstream, address, name, weight } => {
            operator.add(upstream, address, name.as_ref(), *weight).await
        }
        Action::Remove { backend } => operator.remove(backend).await,
        Action::Reload => operator.reload().await,
        Action::Why(asked) => operator.why(asked).await,
        Action::Ping { watch, .. } if watch.wanted() => operator.watch(watch).await,
        Action::Ping { ready, .. } => operator.ping(if *ready { "/ready" } else { "/live" }).await,
    }
}

impl Operator {
    async fn ping(&self, path: &str) -> anyhow::Result<String> {
        let (status, text) = self.answer(Method::GET, path, Bytes::new()).await?;
        let text = text.trim_end();
        anyhow::ensure!(status.is_success(), "{path} of {} answers {status}: {text}", self.admin);
        Ok(text.to_owned())
    }

    pub(super) async fn drain(&self, backend: &Place, mut wait: bool) -> anyhow::Result<String> {
        let mut told = self.post(backend, "drain", Bytes::new()).await?;
        while wait {
            // Also before the first look: a worker may have picked the backend a moment ago, and not counted it yet.
            sleep(BETWEEN_LOOKS).await;
            told = self.post(backend, "drain", Bytes::new()).await?;
            wait = told.in_flight > 0;
        }
        Ok(told.sentence(backend))
    }

    pub(super) async fn ready(&self, backend: &Place) -> anyhow::Result<String> {
        Ok(self.post(backend, "ready", Bytes::new()).await?.sentence_when_ready(backend))
    }

    pub(super) async fn weigh(&self, backend: &Place, weight: u32) -> anyhow::Result<String> {
        let body = serde_json::json!({ "weight": weight }).to_string();
        let told = self.post(backend, "weight", body.into()).await?;
        Ok(format!("{}, of weight {}", told.sentence(backend), told.weight))
    }

    async fn add(
        &self,
        upstream: &Name,
        address: &str,
        name: Option<&Name>,
        weight: Option<u16>,
    ) -> anyhow::Result<String> {
        let name = name.map(Name::as_str);
        let body = serde_json::json!({ "address": address, "name": name, "weight": weight }).to_string();
        let path = format!("/api/v1/upstreams/{upstream}/backends");
        let told: Told =
            self.change(Method::POST, &path, body.into()).await.with_context(|| upstream.to_string())?;
        Ok(format!("{upstream}/{} was added at {address}, and is {}", told.backend, told.state))
    }

    async fn remove(&self, place: &Place) -> anyhow::Result<String> {
        let Place { upstream, backend } = place;
        let path = format!("/api/v1/upstreams/{upstream}/backends/{backend}");
        let told: Told = self
            .change(Method::DELETE, &path, Bytes::new())
            .await
            .with_context(|| format!("{upstream}/{backend}"))?;
        Ok(format!("{upstream}/{backend} was removed, {} in flight", told.in_flight))
    }

    async fn reload(&self) -> anyhow::Result<String> {
        let Reloaded { generation, warnings } =
            self.change(Method::POST, "/api/v1/reload", Bytes::new()).await?;
        let warnings: String = warnings.iter().map(|warning| format!("\n{warning}")).collect();
        Ok(format!("the configuration is in force, number {generation} of this process{warnings}"))
    }

    async fn post(&self, place: &Place, verb: &str, body: Bytes) -> anyhow::Result<Told> {
        let Place { upstream, backend } = place;
        let path = format!("/api/v1/upstreams/{upstream}/backends/{backend}/{verb}");
        self.change(Method::POST, &path, body).await.with_context(|| format!("{upstream}/{backend}"))
    }
}

impl Told {
    fn sentence(&self, Place { upstream, backend }: &Place) -> String {
        format!("{upstream}/{backend} is {}, {} in flight", self.state, self.in_flight)
    }

    fn sentence_when_ready(&self, backend: &Place) -> String {
        let mut text = self.sentence(backend);
        if !self.drained_by.is_empty() {
            text += &format!("; still drained by {}", self.drained_by.join(" and "));
        }
        text
    }
}

fn name(text: &str) -> Result<Name, String> {
    Name::parse(text).map_err(|invalid| invalid.message)
}

impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (upstream, backend) =
            text.split_once('/').ok_or("write the upstream and the backend, as in app/backend-1")?;
        Ok(Self { upstream: name(upstream)?, backend: name(backend)? })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::ask::Server;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(line: &str) -> Result<Arguments, String> {
        let line = Line::try_parse_from(["ctl"].into_iter().chain(line.split(' ')));
        line.map(|line| line.arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn a_backend_is_named_with_its_upstream() {
        let arguments = parse("drain app/backend-1 --admin :9901").expect("it is valid");
        assert_eq!(arguments.operator.admin.server(), Server::Address(([0, 0, 0, 0], 9901).into()));
        let Action::Drain { backend, wait: false } = arguments.action else { panic!("{arguments:?}") };
        assert_eq!((backend.upstream.as_str(), backend.backend.as_str()), ("app", "backend-1"));
        for (line, said) in [
            ("drain backend-1", "app/backend-1"),
            ("ready app/", "is not a usable name"),
            ("ready app/../x", "is not a usable name"),
            ("drain app/backend-1 --admin nowhere", "has no port"),
            ("drain app/backend-1 --admin :9901 --socket /a", "cannot be used with"),
            ("add app 127.0.0.1:1 --name a/b", "is not a usable name"),
            ("add app 127.0.0.1:1 --weight 1001", "1001"),
            ("remove backend-1", "app/backend-1"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(said), "{said} in {error}");
        }
    }

    #[test]
    fn maint_is_another_word_for_drain() {
        let arguments = parse("maint app/backend-1 --wait --socket /run/a.sock").expect("it is valid");
        assert!(matches!(arguments.action, Action::Drain { wait: true, .. }), "{arguments:?}");
        assert_eq!(arguments.operator.admin.server(), Server::Socket("/run/a.sock".into()));
    }

    #[test]
    fn who_else_drains_a_backend_is_said_when_it_should_be_ready() {
        let backend = "app/backend-1".parse().expect("a backend");
        let (state, drained_by) = ("draining".to_owned(), vec!["agent".to_owned()]);
        let told = Told { backend: "backend-1".to_owned(), state, in_flight: 2, drained_by, weight: 1 };
        let said = told.sentence_when_ready(&backend);
        assert_eq!(said, "app/backend-1 is draining, 2 in flight; still drained by agent");
        assert_eq!(told.sentence(&backend), "app/backend-1 is draining, 2 in flight");
    }

    #[test]
    fn a_weight_is_one_that_a_configuration_may_say() {
        let arguments = parse("weight app/backend-1 1000 --token secret").expect("it is valid");
        assert_eq!(arguments.operator.token.as_deref(), Some("secret"));
        assert!(matches!(arguments.action, Action::Weight { weight: 1000, .. }), "{arguments:?}");
        for weight in ["1001", "-1", "1.5", "heavy"] {
            assert!(parse(&format!("weight app/backend-1 {weight}")).is_err(), "{weight}");
        }
    }
}
