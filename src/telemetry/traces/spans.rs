//! The spans of an exchange: one for itself, one for each try, and one for each stage, under the words of the corridor.
//!
//! Attributes follow OpenTelemetry's semantic conventions for HTTP,
//! <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>; what they have no word for begins with `plimsoll.`.

use std::net::SocketAddr;
use std::time::Duration;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

use super::context::TraceContext;
use super::exchange::{TracedExchange, TracedTry};
use crate::telemetry::decisions::{Offset, Try};
use crate::telemetry::labels::{AttemptOutcome, Label as _};

/// The methods that the conventions know; another is `_OTHER`, so that nobody can make names of spans up.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// Returns the spans of an exchange, its own first.
pub(super) fn of(exchange: TracedExchange, scope: &InstrumentationScope) -> Vec<SpanData> {
    let draft = Draft { exchange: &exchange, scope };
    let mut spans = Vec::with_capacity(3 + 5 * exchange.tries.len());
    spans.push(draft.whole());
    draft.stages(&mut spans);
    for one in &exchange.tries {
        draft.one_try(one, &mut spans);
    }
    spans
}

/// Spans in the making.
struct Draft<'a> {
    exchange: &'a TracedExchange,
    scope: &'a InstrumentationScope,
}

impl Draft<'_> {
    fn whole(&self) -> SpanData {
        let exchange = self.exchange;
        let TraceContext { parent, span, .. } = exchange.context;
        let route = exchange.route.as_deref().map_or_else(String::new, |route| format!(" {route}"));
        let mut whole = self.span(
            format!("{}{route}", self.verb()),
            SpanKind::Server,
            (parent, span),
            (Duration::ZERO, exchange.took),
        );
        whole.parent_span_is_remote = exchange.context.is_continued();
        whole.attributes = self.attributes();
        // Of a client's own mistake the conventions say that it is no error of the server's.
        if exchange.status >= 500 || (exchange.status < 400 && exchange.reason.is_some()) {
            whole.status = Status::error(exchange.reason.unwrap_or_default());
        }
        whole
    }

    fn attributes(&self) -> Vec<KeyValue> {
        let exchange = self.exchange;
        let (server, port) = authority(String::from(exchange.host.clone()), exchange.local);
        let mut all = Attributes(Vec::with_capacity(24));
        self.method(&mut all);
        all.add("url.scheme", "http");
        all.add("url.path", String::from(exchange.path.clone()));
        all.add("http.response.status_code", i64::from(exchange.status));
        all.add("http.request.size", exchange.bytes.0 as i64);
        all.add("http.response.size", exchange.bytes.1 as i64);
        all.add("server.address", server);
        all.add("server.port", i64::from(port));
        all.add("client.address", exchange.client.ip().to_canonical().to_string());
        all.add("network.peer.address", exchange.client.ip().to_canonical().to_string());
        all.add("network.peer.port", i64::from(exchange.client.port()));
        all.add("network.protocol.version", exchange.version);
        all.add_some("user_agent.original", exchange.user_agent.clone().map(String::from));
        let status = (exchange.status >= 500).then(|| exchange.status.to_string());
        all.add_some("error.type", exchange.reason.map(str::to_owned).or(status));
        all.add("plimsoll.listener", exchange.listener.to_string());
        all.add_some("plimsoll.route", exchange.route.as_deref().map(str::to_owned));
        all.add_some("plimsoll.upstream", exchange.upstream.as_deref().map(str::to_owned));
        all.add_some("plimsoll.backend", exchange.backend.as_ref().map(|known| known.backend.to_string()));
        all.add_some("plimsoll.balance", exchange.balance);
        all.add_some("plimsoll.reason", exchange.reason);
        all.add_some("plimsoll.request_id", exchange.request_id.clone().map(String::from));
        all.0
    }

    /// The stages before a backend is asked.
    fn stages(&self, spans: &mut Vec<SpanData>) {
        let TracedExchange { head, planned, queued, context, .. } = self.exchange;
        let mut add = |name, times| spans.push(self.stage(name, context.span, times));
        // Usually it comes at once, and there was nothing to wait for.
        if !head.is_zero() {
            add("head", (Duration::ZERO, *head));
        }
        if planned > head {
            add("route", (*head, *planned));
        }
        if let Some(waited) = queued {
            add("admission", *waited);
        }
    }

    fn one_try(&self, one: &TracedTry, spans: &mut Vec<SpanData>) {
        let TraceContext { span: parent, .. } = self.exchange.context;
        let span = self.exchange.context.span_of_try(one.number);
        let took = self.exchange.took;
        let Try { dialled, began, connected, sent, first_byte, ended, .. } = one.what;
        let [began, ended] = [began.as_duration(), ended.map_or(took, Offset::as_duration)];
        let mut attempt = self.span(
            format!("{} {}", self.verb(), one.backend),
            SpanKind::Client,
            (parent, span),
            (began, ended),
        );
        attempt.attributes = self.attributes_of_try(one);
        let harmless = [AttemptOutcome::Ok, AttemptOutcome::Overtaken, AttemptOutcome::ClientAbort];
        if !one.what.outcome.is_some_and(|outcome| harmless.contains(&outcome)) {
            attempt.status = Status::error("");
        }
        spans.push(attempt);
        let [connected, sent, first_byte] =
            [connected, sent, first_byte].map(|moment| moment.map(Offset::as_duration));
        let ready = if dialled { connected } else { Some(began) };
        let mut add = |name, from: Option<Duration>, to: Option<Duration>| {
            if let Some(from) = from {
                spans.push(self.stage(name, span, (from, to.unwrap_or(ended))));
            }
        };
        add("connect", Some(began).filter(|_| dialled), connected);
        add("send", ready, sent);
        add("wait", sent, first_byte);
        add("relay", first_byte, Some(ended));
    }

    fn attributes_of_try(&self, one: &TracedTry) -> Vec<KeyValue> {
        let mut all = Attributes(Vec::with_capacity(16));
        self.method(&mut all);
        if let Some(address) = one.address {
            // `OPTIONS *` has none.
            let path = String::from(self.exchange.path.clone());
            if path.starts_with('/') {
                all.add("url.full", format!("http://{address}{path}"));
            }
            for key in ["server.address", "network.peer.address"] {
                all.add(key, address.ip().to_string());
            }
            for key in ["server.port", "network.peer.port"] {
                all.add(key, i64::from(address.port()));
            }
        }
        all.add("network.protocol.version", "1.1");
        if one.number > 1 {
            all.add("http.request.resend_count", i64::from(one.number - 1));
        }
        all.add_some("http.response.status_code", self.status_of(one).map(i64::from));
        let outcome = one.what.outcome.map_or("cut", AttemptOutcome::as_str);
        all.add_some("error.type", (outcome != AttemptOutcome::Ok.as_str()).then_some(outcome));
        all.add("plimsoll.backend", one.backend.to_string());
        all.add("plimsoll.pick", one.what.reason.as_str());
        all.add("plimsoll.outcome", outcome);
        all.add("plimsoll.in_flight", i64::from(one.what.in_flight));
        all.add("plimsoll.connection", if one.what.dialled { "new" } else { "pooled" });
        all.0
    }

    /// The status that a try was answered with, where it is the one that the client got.
    fn status_of(&self, one: &TracedTry) -> Option<u16> {
        let answered = match one.what.outcome? {
            AttemptOutcome::Ok => true,
            AttemptOutcome::ServerError => {
                let last = self.exchange.tries.last().is_some_and(|last| last.number == one.number);
                last && self.exchange.reason.is_none()
            }
            _ => false,
        };
        answered.then_some(self.exchange.status)
    }

    fn stage(&self, name: &'static str, parent: u64, times: (Duration, Duration)) -> SpanData {
        self.span(name.to_owned(), SpanKind::Internal, (parent, fastrand::u64(1..)), times)
    }

    fn span(
        &self,
        name: String,
        span_kind: SpanKind,
        (parent, span): (u64, u64),
        (from, to): (Duration, Duration),
    ) -> SpanData {
        let trace = TraceId::from(self.exchange.context.trace);
        let began = self.exchange.began;
        SpanData {
            span_context: SpanContext::new(
                trace,
                SpanId::from(span),
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: SpanId::from(parent),
            parent_span_is_remote: false,
            span_kind,
            name: name.into(),
            start_time: began + from,
            end_time: began + to.max(from),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }

    /// What stands for the method in the names of spans.
    fn verb(&self) -> String {
        let method = String::from(self.exchange.method.clone());
        if METHODS.contains(&&*method) { method } else { "HTTP".to_owned() }
    }

    fn method(&self, all: &mut Attributes) {
        let method = String::from(self.exchange.method.clone());
        if METHODS.contains(&&*method) {
            all.add("http.request.method", method);
        } else {
            all.add("http.request.method", "_OTHER");
            all.add("http.request.method_original", method);
        }
    }
}

/// The attributes of a span.
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn add(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.push(KeyValue::new(key, value));
    }

    fn add_some(&mut self, key: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(key, value);
        }
    }
}

/// Parts a `Host`; the listener's own address stands in for what it does not say.
fn authority(host: String, local: SocketAddr) -> (String, u16) {
    if host.is_empty() {
        return (local.ip().to_string(), local.port());
    }
    let port = host.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?)));
    match port {
        Some((name, port)) => (name.trim_matches(['[', ']']).to_owned(), port),
        // Of a URL with this scheme.
        None => (host.trim_matches(['[', ']']).to_owned(), 80),
    }
}

#[cfg(test)]
mod tests;
