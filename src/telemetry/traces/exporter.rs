//! The thread behind traces: takes what has ended from the queue, makes spans of it and gives them to the collector.
//!
//! It has a runtime of its own, so that neither a slow collector nor the making of many spans delays a health check.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::{
    Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use super::exchange::TracedExchange;
use super::{TraceProtocol, TraceSettings, TracesError, spans};
use crate::telemetry::Telemetry;
use crate::telemetry::exemplars::Exemplar;
use crate::telemetry::labels::TraceDrop;
use crate::telemetry::series::BackendSeries;

/// How long others may join what has come first. Meanwhile nobody who ends an exchange wakes this thread.
const GATHER: Duration = Duration::from_millis(200);

/// At most about so many spans go to the collector at a time, as in OpenTelemetry's own batches.
const BATCH: usize = 512;

/// How long the collector may take for a batch, tries again included.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is said of a collector that took longer.
const TOO_LATE: &str = "it did not answer within 5 s";

/// What is asked of the thread.
#[derive(Debug)]
pub(super) enum Message {
    /// Tell of this exchange.
    Exchange(Box<TracedExchange>),
    /// Tell of this span of the program's own.
    Operation(Box<SpanData>),
    /// Answer when everything before has been given away, or lost.
    Flush(Sender<()>),
}

/// Starts the thread. It ends when the last sender of `queue` is gone.
///
/// # Errors
/// When the collector's URL or header fields cannot be used, or the system refuses a thread.
pub(super) fn start(
    settings: &TraceSettings,
    queue: Receiver<Message>,
    telemetry: Arc<Telemetry>,
) -> Result<(), TracesError> {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let settings = settings.clone();
    let begin = move || match prepare(&settings, telemetry) {
        Ok((runtime, thread)) => {
            // Whoever asked waits for the answer.
            let _ = tell.send(Ok(()));
            runtime.block_on(thread.run(queue));
        }
        Err(error) => drop(tell.send(Err(error))),
    };
    std::thread::Builder::new().name("traces".into()).spawn(begin).map_err(TracesError::Thread)?;
    told.recv().unwrap_or_else(|_| Err(TracesError::Thread(std::io::Error::other("it ended at once"))))
}

/// Makes what the thread works with, on that thread: a runtime cannot be given up inside of another one.
fn prepare(settings: &TraceSettings, telemetry: Arc<Telemetry>) -> Result<(Runtime, Thread), TracesError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(TracesError::Thread)?;
    // Making the exporter takes a runtime; it connects when there is something to say.
    let mut exporter = {
        let _inside = runtime.enter();
        build(settings)?
    };
    exporter.set_resource(&resource());
    let scope = InstrumentationScope::builder("plimsoll").with_version(env!("CARGO_PKG_VERSION")).build();
    let thread = Thread { exporter, scope, telemetry, batch: Batch::default(), failing: false };
    Ok((runtime, thread))
}

fn build(settings: &TraceSettings) -> Result<SpanExporter, TracesError> {
    let builder = SpanExporter::builder();
    let built = match settings.protocol {
        TraceProtocol::Grpc => builder
            .with_tonic()
            .with_protocol(Protocol::Grpc)
            .with_endpoint(&settings.collector)
            .with_timeout(PATIENCE)
            .with_metadata(MetadataMap::from_headers(fields(&settings.headers)?))
            .build(),
        TraceProtocol::Http => builder
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&settings.collector)
            .with_timeout(PATIENCE)
            .with_headers(settings.headers.iter().cloned().collect())
            .build(),
    };
    built.map_err(|source| TracesError::Collector { url: settings.collector.clone(), source })
}

fn fields(headers: &[(String, String)]) -> Result<HeaderMap, TracesError> {
    let field = |(name, value): &(String, String)| {
        let refused = || TracesError::Header(name.clone());
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?;
        Ok((key, HeaderValue::from_str(value).map_err(|_| refused())?))
    };
    headers.iter().map(field).collect()
}

/// Who speaks. The environment may add to it (`OTEL_RESOURCE_ATTRIBUTES`), as OpenTelemetry has it.
fn resource() -> Resource {
    let instance = uuid(fastrand::u128(..));
    Resource::builder()
        .with_service_name("plimsoll")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", instance))
        .build()
}

/// Writes a random UUID (RFC 9562 §5.4), as the conventions want an instance to be called.
fn uuid(random: u128) -> String {
    let marked = random & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = format!("{marked:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// What goes to the collector together.
#[derive(Debug, Default)]
struct Batch {
    spans: Vec<SpanData>,
    /// How many traces begin in it.
    traces: u64,
    /// What is shown on a histogram once the collector has it.
    exemplars: Vec<(Arc<BackendSeries>, Exemplar)>,
}

struct Thread {
    exporter: SpanExporter,
    scope: InstrumentationScope,
    telemetry: Arc<Telemetry>,
    batch: Batch,
    failing: bool,
}

impl Thread {
    async fn run(mut self, mut queue: Receiver<Message>) {
        while let Some(first) = queue.recv().await {
            if !matches!(first, Message::Flush(_)) {
                tokio::time::sleep(GATHER).await;
            }
            self.take(first).await;
            while let Ok(next) = queue.try_recv() {
                self.take(next).await;
            }
            self.export().await;
        }
    }

    async fn take(&mut self, message: Message) {
        match message {
            Message::Exchange(exchange) => {
                self.batch.traces += 1;
                if let Some(backend) = &exchange.backend {
                    let at = exchange.began + exchange.took;
                    let exemplar = Exemplar { trace: exchange.context.trace, value: exchange.took, at };
                    self.batch.exemplars.push((Arc::clone(backend), exemplar));
                }
                self.batch.spans.append(&mut spans::of(*exchange, &self.scope));
            }
            Message::Operation(span) => {
                self.batch.traces += u64::from(span.parent_span_id == opentelemetry::trace::SpanId::INVALID);
                self.batch.spans.push(*span);
            }
            Message::Flush(done) => {
                self.export().await;
                // Whoever asked may have run out of patience.
                let _ = done.send(());
            }
        }
        if self.batch.spans.len() >= BATCH {
            self.export().await;
        }
    }

    async fn export(&mut self) {
        let Batch { spans, traces, exemplars } = std::mem::take(&mut self.batch);
        if spans.is_empty() {
            return;
        }
        let process = self.telemetry.process();
        // Not only the exporter's own limit, which connecting does not count against.
        let taken = match timeout(PATIENCE, self.exporter.export(spans)).await {
            Ok(taken) => taken.map_err(|error| error.to_string()),
            Err(_) => Err(TOO_LATE.to_owned()),
        };
        match taken {
            Ok(()) => {
                process.traces_exported.add(traces);
                exemplars.into_iter().for_each(|(backend, exemplar)| backend.exemplars.record(exemplar));
                if std::mem::replace(&mut self.failing, false) {
                    tracing::info!("the collector takes traces again");
                }
            }
            Err(error) => {
                process.traces_dropped.add(TraceDrop::ExportFailed, traces);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(%error, "the collector takes no traces; dropping them until it does");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_cannot_be_made_is_said_also_inside_of_a_runtime() {
        let settings = TraceSettings {
            collector: "http://127.0.0.1:9".to_owned(),
            protocol: TraceProtocol::Grpc,
            headers: vec![("no name".to_owned(), "x".to_owned())],
        };
        let (_sender, queue) = tokio::sync::mpsc::channel(1);
        let refused = start(&settings, queue, Telemetry::new(1));
        assert!(matches!(refused, Err(TracesError::Header(name)) if name == "no name"));
    }

    #[test]
    fn an_instance_is_called_by_a_random_uuid() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
