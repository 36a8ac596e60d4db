//! Traces: what happened to single exchanges, as spans that a collector takes by the OpenTelemetry protocol (OTLP).
//!
//! Whether an exchange has one is decided at its end, when it is known whether it failed, was retried or slow. What is to
//! be told is then copied and goes through a bounded queue to a thread of its own. When the collector cannot keep up, traces
//! are dropped and counted in `plimsoll_traces_dropped_total`; traffic goes on.
//!
//! - context: what a client brings of a trace, and what backends are told of it.
//! - exchange: an exchange that has ended, as a value; spans: what is told of it.
//! - exporter: the thread, and the collector.
//! - operations: what the control plane does, through `tracing`.

mod context;
mod exchange;
mod exporter;
mod operations;
mod spans;

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use arc_swap::ArcSwap;
use opentelemetry_sdk::trace::SpanData;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

pub use context::{Sampling, TraceContext, TraceParent};
pub use exchange::{Text, TracedExchange, TracedTry};
pub(super) use operations::layer;

use super::Telemetry;
use super::hand_over::hand_over;
use super::labels::TraceDrop;
use exporter::Message;

/// Exchanges that may wait for the collector: seconds of many errors, in at most some megabytes.
const QUEUE: usize = 4096;

/// How traces reach their collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceSettings {
    /// The collector's URL.
    pub collector: String,
    /// How it is spoken to.
    pub protocol: TraceProtocol,
    /// Header fields for it.
    pub headers: Vec<(String, String)>,
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceProtocol {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP, as binary protobuf.
    Http,
}

/// Why traces could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The collector cannot be spoken to in this way.
    #[error("traces cannot go to {url}: {source}; see `telemetry.traces`")]
    Collector {
        /// The URL.
        url: String,
        /// What is wrong with it.
        source: opentelemetry_otlp::ExporterBuildError,
    },
    /// A header field for the collector cannot be sent.
    #[error("traces cannot be sent with the header `{0}`; see `telemetry.traces.headers`")]
    Header(String),
    /// The thread cannot be started.
    #[error("cannot start the thread of traces: {0}; check the limits of threads and open files")]
    Thread(std::io::Error),
}

/// The way to the collector, replaced when the configuration names another.
pub type SharedTraces = Arc<ArcSwap<Traces>>;

/// The way to the collector; shared by all workers. By default it leads nowhere.
#[derive(Debug, Default)]
pub struct Traces(Option<Running>);

#[derive(Debug)]
struct Running {
    queue: Sender<Message>,
    telemetry: Arc<Telemetry>,
}

impl Traces {
    /// Starts the thread that speaks to the collector. It need not be there.
    ///
    /// # Errors
    /// When the settings cannot be used, or the thread cannot be started.
    pub fn to(settings: &TraceSettings, telemetry: &Arc<Telemetry>) -> Result<Self, TracesError> {
        let (queue, messages) = tokio::sync::mpsc::channel(QUEUE);
        exporter::start(settings, messages, Arc::clone(telemetry))?;
        Ok(Self(Some(Running { queue, telemetry: Arc::clone(telemetry) })))
    }

    /// Tells whether they lead anywhere.
    pub fn are_on(&self) -> bool {
        self.0.is_some()
    }

    /// Hands an exchange over, or drops and counts it when the queue is full. Never blocks.
    pub fn tell(&self, exchange: Box<TracedExchange>) {
        self.send(Message::Exchange(exchange));
    }

    fn tell_operation(&self, span: SpanData) {
        self.send(Message::Operation(Box::new(span)));
    }

    fn send(&self, message: Message) {
        let Some(running) = &self.0 else { return };
        if running.queue.try_send(message).is_err() {
            running.telemetry.process().traces_dropped.inc(TraceDrop::QueueFull);
        }
    }

    /// Waits until everything so far has been given to the collector or was lost, at most `patience`; returns whether it was.
    ///
    /// Blocks the calling thread: for the end of the process, after the workers have ended.
    pub fn flush(&self, patience: Duration) -> bool {
        let Some(running) = &self.0 else { return true };
        let (done, is_done) = mpsc::channel();
        let try_send = |message| {
            running.queue.try_send(message).map_err(|refused| match refused {
                TrySendError::Full(message) => Some(message),
                TrySendError::Closed(_) => None,
            })
        };
        let Some(left) = hand_over(Message::Flush(done), patience, try_send) else { return false };
        is_done.recv_timeout(left).is_ok()
    }
}
