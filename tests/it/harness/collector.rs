//! A small collector of traces: takes what OTLP sends, by gRPC or by HTTP, in the official protobuf types.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::backend::Backend;
use super::{eventually_ok, wire};

/// A running collector.
pub(crate) struct Collector {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    requests: Arc<Requests>,
    _http: Option<Backend>,
}

type Fields = Vec<(String, String)>;

/// What was sent, with the header fields of each request.
#[derive(Default)]
struct Requests(Mutex<Vec<(Fields, ExportTraceServiceRequest)>>);

impl Requests {
    fn add(&self, fields: Fields, request: ExportTraceServiceRequest) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((fields, request));
    }
}

struct Grpc(Arc<Requests>);

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let fields = request.metadata().clone().into_headers();
        let fields = fields
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        self.0.add(fields.collect(), request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Takes traces by gRPC.
    pub(crate) fn grpc() -> Self {
        let requests = Arc::new(Requests::default());
        let listener =
            std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let service = TraceServiceServer::new(Grpc(Arc::clone(&requests)));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(async move {
                listener.set_nonblocking(true).expect("a socket need not block");
                let listener = tokio::net::TcpListener::from_std(listener).expect("it is a socket");
                // It ends with the process of the tests.
                let _ = tonic::transport::Server::builder()
                    .add_service(service)
                    .serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener))
                    .await;
            });
        });
        Self { address, requests, _http: None }
    }

    /// Takes traces by HTTP, at the path of the specification.
    pub(crate) fn http() -> Self {
        let requests = Arc::new(Requests::default());
        let taken = Arc::clone(&requests);
        let server = Backend::answering(move |request: &wire::Message| {
            let is_it = request.head.method() == "POST" && request.head.target() == "/v1/traces";
            let decoded = ExportTraceServiceRequest::decode(request.body.as_slice());
            let Some(decoded) = decoded.ok().filter(|_| is_it) else {
                return b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec();
            };
            taken.add(request.head.fields.clone(), decoded);
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n".to_vec()
        });
        Self { address: server.address, requests, _http: Some(server) }
    }

    /// Every span so far, in the order in which they came.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let requests = self.requests.0.lock().unwrap_or_else(PoisonError::into_inner);
        let resources = requests.iter().flat_map(|(_, request)| &request.resource_spans);
        resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| &scope.spans).cloned().collect()
    }

    /// Waits until there are spans of which `wanted` makes something.
    #[track_caller]
    pub(crate) fn expect<T>(&self, wanted: impl Fn(&[Span]) -> Option<T>) -> T {
        eventually_ok(|| {
            let spans = self.spans();
            let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
            wanted(&spans).ok_or_else(|| format!("the spans are not there yet: {names:?}"))
        })
    }

    /// The attributes of who sent the spans, and the header fields of the first request.
    pub(crate) fn sender(&self) -> (Vec<KeyValue>, Fields) {
        let requests = self.requests.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (fields, first) = requests.first().expect("something was sent");
        let resource = first.resource_spans.first().and_then(|spans| spans.resource.clone());
        (resource.unwrap_or_default().attributes, fields.clone())
    }
}

/// What attributes say under `key`, as text. None when they say nothing.
pub(crate) fn said(attributes: &[KeyValue], key: &str) -> Option<String> {
    let known = attributes.iter().find(|attribute| attribute.key == key)?;
    match known.value.as_ref().and_then(|AnyValue { value }| value.as_ref())? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

/// An id as `traceparent` has it.
pub(crate) fn digits(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
