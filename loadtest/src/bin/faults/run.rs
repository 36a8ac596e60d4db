//! One run: hosts, backends and a balancer are started, load is put on, a fault comes and goes.

use crate::backend::{NUMBER, SERVER};
use crate::fault::{Fault, Inflicted, VICTIM};
use crate::fleet::{self, Fleet};
use crate::journal;
use crate::network::{Network, backend_address};
use crate::programs::Program;
use crate::tap::{PATH, Sent, Tap};
use crate::targets;
use crate::verdict::{Answered, Observed, Verdict};
use hyper::Method;
use loadtest::load::{Load, Observer};
use loadtest::plan::Plan;
use loadtest::record::Outcome;
use serde::Serialize;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Where the balancer listens, on its own host.
pub(crate) const LISTENER: &str = "127.0.0.1:8000";

/// The client in turn asks again so long after an answer.
const PAUSE: Duration = Duration::from_millis(2);

/// A client waits for its answer no longer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long each part of a run takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) warm_up: Duration,
    pub(crate) fault: Duration,
    pub(crate) recovery: Duration,
}

/// What one run came to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) program: String,
    pub(crate) fault: Fault,
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
    /// What plimsoll should have reached and has not.
    pub(crate) misses: Vec<String>,
    /// The latest that a request was sent: the machine's own part in the latencies.
    pub(crate) sent_late_max_ms: f64,
}

/// A request that is sent later than this disturbs its run: half of what counts as slow.
const DISTURBED_MS: f64 = 50.0;

impl Run {
    /// Whether something besides the fault has slowed requests down, so that slow answers and gaps say little.
    pub(crate) fn is_disturbed(&self) -> bool {
        self.sent_late_max_ms > DISTURBED_MS || self.verdict.slow_before > 0
    }
}

/// Runs `program` through `fault`, with its configuration and log in `folder`.
pub(crate) async fn run(
    program: &Program,
    fault: Fault,
    timing: Timing,
    folder: &Path,
) -> anyhow::Result<Run> {
    let network = Network::new().await?;
    let mut fleet = Fleet::start(&network).await?;
    network.balancer.enter()?;
    let balancer = program.start(folder, fault.balance(), LISTENER.parse::<SocketAddr>()?).await?;
    let tap = Tap::start(backend_address(VICTIM))?;
    let load = Clients::start(timing.warm_up + timing.fault * 2 + timing.recovery).await?;
    sleep(timing.warm_up).await;
    let late_tries = program.late_tries(timing.fault);
    let (inflicted, late_tries) = tokio::join!(fault.inflict(&network, &mut fleet, timing.fault), late_tries);
    let inflicted = inflicted?;
    sleep(timing.recovery.saturating_sub(Instant::now().saturating_duration_since(inflicted.until))).await;
    let (mut observed, sent_late_max_ms) = load.end(fault, inflicted, &tap.caught()).await?;
    observed.seen = fleet.seen();
    observed.late_tries = late_tries;
    observed.checks = program.checks();
    balancer.end(Duration::from_secs(1)).await?;
    fleet.finish().await?;
    network.finish().await?;
    std::fs::write(folder.join("journal"), journal::text(&observed)?)?;
    let verdict = observed.verdict();
    let misses = if program.has_targets() { targets::misses(fault, &verdict) } else { Vec::new() };
    Ok(Run { program: program.title(), fault, verdict, misses, sent_late_max_ms })
}

/// The load: many clients in open loop, and one that asks in turn.
struct Clients {
    start: Instant,
    gets: Client,
    posts: Client,
    in_turn: Client,
}

struct Client {
    observer: Observer,
    journal: Arc<Mutex<Vec<Outcome>>>,
    report: tokio::task::JoinHandle<loadtest::report::Report>,
}

impl Clients {
    async fn start(longest: Duration) -> anyhow::Result<Clients> {
        let start = Instant::now();
        Ok(Clients {
            start,
            gets: Client::start(Method::GET, Some(1000.0), longest).await?,
            posts: Client::start(Method::POST, Some(100.0), longest).await?,
            in_turn: Client::start(Method::GET, None, longest).await?,
        })
    }

    async fn end(
        self,
        fault: Fault,
        inflicted: Inflicted,
        sent: &[(Instant, Sent)],
    ) -> anyhow::Result<(Observed, f64)> {
        let since_start = |at: Instant| at.saturating_duration_since(self.start);
        let end = since_start(Instant::now());
        for client in [&self.gets, &self.posts, &self.in_turn] {
            client.observer.stop();
        }
        let (gets, sent_late) = self.gets.end(self.start).await?;
        let (posts, _) = self.posts.end(self.start).await?;
        let (in_turn, _) = self.in_turn.end(self.start).await?;
        let observed = Observed {
            gets,
            posts,
            in_turn,
            fault,
            seen: Vec::new(),
            sent: sent.iter().map(|(at, sent)| (since_start(*at), *sent)).collect(),
            late_tries: None,
            checks: true,
            fault_from: since_start(inflicted.from),
            fault_until: since_start(inflicted.until),
            returning: fleet::name(inflicted.backend),
            end,
        };
        Ok((observed, sent_late))
    }
}

impl Client {
    /// Starts asking at `rate`, or in turn without one.
    async fn start(method: Method, rate: Option<f64>, longest: Duration) -> anyhow::Result<Client> {
        let mut plan = Plan::new(&format!("http://{LISTENER}{PATH}"), rate.unwrap_or(1.0), longest)?;
        plan.number_header = (method == Method::POST).then_some(NUMBER);
        plan.method = method;
        plan.timeout = TIMEOUT;
        plan.max_in_flight = 10_000;
        plan.backend_headers = vec![SERVER];
        let journal = Arc::new(Mutex::new(Vec::new()));
        let witnessed = Arc::clone(&journal);
        let load = Load::new(plan).await?.with_witness(move |outcome| {
            witnessed.lock().unwrap_or_else(PoisonError::into_inner).push(outcome.clone());
        });
        let observer = load.observer();
        let report = match rate {
            Some(_) => tokio::spawn(load.run()),
            None => tokio::spawn(load.run_in_turn(PAUSE)),
        };
        Ok(Client { observer, journal, report })
    }

    async fn end(self, start: Instant) -> anyhow::Result<(Vec<Answered>, f64)> {
        let report = self.report.await?;
        let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((
            journal.iter().map(|outcome| answered(outcome, start)).collect(),
            report.lag_max_ms.unwrap_or(0.0),
        ))
    }
}

fn answered(outcome: &Outcome, start: Instant) -> Answered {
    Answered {
        number: outcome.number,
        due: outcome.due.saturating_duration_since(start),
        done: outcome.done.saturating_duration_since(start),
        failure: outcome.result.err().map(loadtest::record::Failure::name),
        backend: outcome.backend.as_ref().and_then(|name| name.to_str().ok()).map(str::to_owned),
    }
}
