//! Runs an agent: samples its target and answers `/metrics` and `/live`.

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
use tokio::sync::oneshot;

use crate::metrics::Metrics;
use crate::{Source, SourceError, sampler};

/// How long answers under way may take after the agent was asked to end.
const DRAIN: Duration = Duration::from_secs(2);

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

/// Finds what is to be measured, and returns the future that measures it and answers on `listener` until `shutdown` is
/// ready.
///
/// Cancel safety: dropping the future stops the sampling; answers under way may still be sent.
///
/// # Errors
/// When what is to be measured cannot be found. A process that has ended is found, and reported as down.
pub fn serve(
    settings: Settings,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<impl Future<Output = ()>, SourceError> {
    let target = settings.source.find(&settings.root)?;
    let metrics = Arc::new(Metrics::new(target.kind()));
    tracing::info!(asked = %settings.source, measured = target.kind(), "measuring");
    let router = Router::new()
        .route("/metrics", get(show))
        .route("/live", get("live\n"))
        .with_state(Arc::clone(&metrics));
    let (ending, ended) = oneshot::channel();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        shutdown.await;
        let _ = ending.send(());
    });
    Ok(async move {
        let deadline = async {
            let _ = ended.await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            served = server.into_future() => if let Err(error) = served {
                tracing::error!(%error, "cannot serve any more");
            },
            () = sampler::sample(target, metrics, settings.interval) => {}
            () = deadline => tracing::warn!(drain = ?DRAIN, "drain deadline reached"),
        }
    })
}

async fn show(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, TEXT_FORMAT)], metrics.render())
}
