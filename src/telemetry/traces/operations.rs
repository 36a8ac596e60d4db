//! What the control plane does (a reload, a look-up, a drain) as spans: a layer below the program's log.

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{DynFilterFn, LevelFilter};
use tracing_subscriber::registry::LookupSpan;

use super::SharedTraces;

/// Returns the layer that hands the program's own spans to `traces`, with what is logged inside of them. Costs a comparison
/// while those are off.
///
/// Only what this program says itself counts: what its libraries say of the very connection to the collector would never
/// end.
pub(in crate::telemetry) fn layer<S>(traces: SharedTraces) -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'s> LookupSpan<'s> + Send + Sync,
{
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::AlwaysOn)
        .with_span_processor(HandOver(SharedTraces::clone(&traces)))
        .build();
    let ours = |metadata: &Metadata<'_>| {
        metadata.target().starts_with(env!("CARGO_PKG_NAME")) && *metadata.level() <= Level::INFO
    };
    let on = DynFilterFn::new(move |metadata, _| ours(metadata) && traces.load().are_on())
        .with_callsite_filter(move |metadata| {
            if ours(metadata) {
                tracing::subscriber::Interest::sometimes()
            } else {
                tracing::subscriber::Interest::never()
            }
        })
        .with_max_level_hint(LevelFilter::INFO);
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("plimsoll"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(on)
}

/// Hands what has ended to whoever takes it now.
#[derive(Debug)]
struct HandOver(SharedTraces);

impl SpanProcessor for HandOver {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.load().tell_operation(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
