//! Accepts connections and answers what comes in on them, until told to end.
//!
//! It drives hyper's connections itself instead of calling `axum::serve`, for three reasons: the plain `GET /` of a
//! load test is answered before any routing, every answer gets its `x-server` header in one place, and the end has a
//! deadline.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, Method, Request};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::Settings;
use crate::app::App;
use crate::routes::{ROOT, router};

const X_SERVER: HeaderName = HeaderName::from_static("x-server");

/// How long to wait when the system has no socket to give, before asking again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers requests on `listener` until `shutdown` is ready, then lets the exchanges under way finish for at most
/// [`Settings::drain`] and cuts off the rest.
///
/// Cancel safety: dropping the future closes every connection at once.
pub async fn serve(settings: Settings, listener: TcpListener, shutdown: impl Future<Output = ()>) {
    let app = Arc::new(App::new(&settings));
    let answers = Arc::new(Answers { router: TowerToHyperService::new(router(Arc::clone(&app))), app });
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let connection = graceful.watch(connection(stream, Arc::clone(&answers)));
                    connections.spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "connection ended early");
                        }
                    });
                }
                Err(error) => pause_after(&error).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    if tokio::time::timeout(settings.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(drain = ?settings.drain, cut_off = connections.len(), "drain deadline reached");
    }
}

async fn pause_after(error: &io::Error) {
    // A client that left between SYN and accept is its own affair; no more file descriptors would be asked for in a
    // tight loop.
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        tracing::warn!(%error, "cannot accept a connection");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// Everything that is needed to answer a request.
struct Answers {
    app: Arc<App>,
    router: TowerToHyperService<axum::Router>,
}

impl Answers {
    async fn to(&self, request: Request<Incoming>) -> Response {
        let mut response = if request.method() == Method::GET && request.uri().path() == ROOT {
            let mut recording = self.app.metrics.begin_root();
            let response = self.app.greet();
            recording.answered(response.status());
            response
        } else {
            self.router.call(request).await.unwrap_or_else(|never: Infallible| match never {})
        };
        response.headers_mut().insert(X_SERVER, self.app.server.clone());
        response
    }
}

fn connection(
    stream: TcpStream,
    answers: Arc<Answers>,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> {
    // Not fatal: without it small answers may only come later.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let service = service_fn(move |request| {
        let answers = Arc::clone(&answers);
        async move { Ok::<_, Infallible>(answers.to(request).await) }
    });
    http1::Builder::new()
        // A deadline for each head would cost a timer per request, and only known clients get here.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service)
}
