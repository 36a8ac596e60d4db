//! Runs an agent: samples its target, answers `/metrics`, `/live` and agent checks, pushes.

use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus::TEXT_FORMAT;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::agent_check::{self, Outlook};
use crate::ending::{self, Ending};
use crate::metrics::Metrics;
use crate::push::{self, Push};
use crate::reading::Target;
use crate::{Source, SourceError, sampler, server};

/// Everything that [`serve`] needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What is measured.
    pub source: Source,
    /// The time between two samples.
    pub interval: Duration,
    /// The folder under which `/proc` and `/sys` of the machine are found, `/` unless they are mounted elsewhere. Has
    /// no effect on [`Source::Process`] but for the number of CPUs.
    pub root: PathBuf,
}

impl Settings {
    /// Makes settings with the defaults: a sample each second, `/proc` and `/sys` where they usually are.
    pub fn new(source: Source) -> Self {
        Self { source, interval: Duration::from_secs(1), root: PathBuf::from("/") }
    }
}

/// Finds what is to be measured, and returns the future that measures it and answers on `listener`, and agent checks on
/// `checks`, until `shutdown` is ready.
///
/// Cancel safety: dropping the future stops the sampling; answers under way may still be sent.
///
/// # Errors
/// When what is to be measured cannot be found. A process that has ended is found, and reported as down.
pub fn serve(
    settings: Settings,
    listener: TcpListener,
    checks: Option<TcpListener>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<impl Future<Output = ()>, SourceError> {
    let target = settings.source.find(&settings.root)?;
    let (asking, ending) = ending::pair();
    let life = async move {
        shutdown.await;
        drop(asking);
    };
    Ok(live(Agent { target, interval: settings.interval, listener, checks, push: None }, ending, life))
}

/// An agent that is ready to begin.
pub(crate) struct Agent {
    pub(crate) target: Box<dyn Target>,
    /// The time between two samples.
    pub(crate) interval: Duration,
    pub(crate) listener: TcpListener,
    /// Where agent checks are answered, if anywhere.
    pub(crate) checks: Option<TcpListener>,
    pub(crate) push: Option<Push>,
}

/// Measures, answers and pushes as long as `life` lasts, and returns what that ends with. What takes its time to end
/// begins to do so with `ending`, which is heard when `life` is over at the latest.
///
/// Cancel safety: dropping it stops everything; answers under way may still be sent, and pushed groups stay.
pub(crate) async fn live<T>(agent: Agent, ending: Ending, life: impl Future<Output = T>) -> T {
    let metrics = Arc::new(Metrics::new(agent.target.kind()));
    tracing::info!(measured = agent.target.kind(), "measuring");
    let (over, lived) = ending::pair();
    let life = async {
        let outcome = life.await;
        drop(over);
        outcome
    };
    let (outlook, seen) = (watch::Sender::new(Outlook::Unknown), ending.clone());
    let checks = {
        let outlook = outlook.subscribe();
        async {
            match agent.checks {
                Some(listener) => agent_check::answer(listener, outlook, seen).await,
                None => pending().await,
            }
        }
    };
    let push = async {
        if let Some(push) = agent.push {
            push::run(push, Arc::clone(&metrics), ending).await;
        }
    };
    let all = async { tokio::join!(life, push, answer(agent.listener, Arc::clone(&metrics), lived)) };
    tokio::select! {
        (outcome, (), ()) = all => outcome,
        never = sampler::sample(agent.target, Arc::clone(&metrics), outlook, agent.interval) => match never {},
        never = checks => match never {},
    }
}

/// Answers on `listener` until `ending`; answers under way then have a moment.
async fn answer(listener: TcpListener, metrics: Arc<Metrics>, ending: Ending) {
    let router = Router::new().route("/metrics", get(show)).route("/live", get("live\n")).with_state(metrics);
    server::answer(listener, router, ending).await;
}

async fn show(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, TEXT_FORMAT)], metrics.render())
}
