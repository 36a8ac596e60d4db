//! The backend of this benchmark, a process of its own: it answers after a delay, tells of every POST that reaches it,
//! and goes wrong on command.
//!
//! What it writes goes through a pipe at once, so that nothing it has seen is lost with it when it is killed.

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::process::{Signal, set_parent_process_death_signal};
use std::io::Write as _;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// The request header that carries a request's number.
pub(crate) const NUMBER: HeaderName = HeaderName::from_static("x-number");

/// The response header that carries the backend's name.
pub(crate) const SERVER: HeaderName = HeaderName::from_static("x-server");

/// How long an answer takes while all is well.
pub(crate) const DELAY: Duration = Duration::from_millis(5);

/// How long a backend that was told to end lets its exchanges run.
const GRACE: Duration = Duration::from_secs(5);

/// What the process is told on its input, a line each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Answer after so long.
    Delay(Duration),
    /// Answer everything with 500, or with 200 again.
    Errors(bool),
}

impl Order {
    /// The line that says it.
    pub(crate) fn line(self) -> String {
        match self {
            Order::Delay(delay) => format!("delay {}\n", delay.as_millis()),
            Order::Errors(errors) => format!("errors {errors}\n"),
        }
    }

    fn parse(line: &str) -> Option<Order> {
        match line.split_once(' ')? {
            ("delay", ms) => ms.parse().ok().map(|ms| Order::Delay(Duration::from_millis(ms))),
            ("errors", errors) => errors.parse().ok().map(Order::Errors),
            _ => None,
        }
    }
}

struct Behaviour {
    name: HeaderValue,
    delay_ms: AtomicU64,
    errors: AtomicBool,
}

/// Serves on `address` as `name` until its parent ends; a SIGTERM lets the exchanges end first.
pub(crate) async fn serve(address: SocketAddr, name: &str) -> anyhow::Result<()> {
    // By KILL, since a stopped process would not heed anything else.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let name = HeaderValue::from_str(name)?;
    let delay_ms = AtomicU64::new(DELAY.as_millis() as u64);
    let behaviour = Arc::new(Behaviour { name, delay_ms, errors: AtomicBool::new(false) });
    let obeying = Arc::clone(&behaviour);
    std::thread::spawn(move || obey(&obeying));
    let mut terminate = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind(address).await.with_context(|| format!("binding {address}"))?;
    writeln!(std::io::stdout(), "listening")?;
    let (ending, _) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::select! {
        () = accept(&listener, &behaviour, &ending, &mut connections) => {}
        _ = terminate.recv() => {}
    }
    // Who has connected already is still served; only then nobody else can connect.
    let waiting = accept(&listener, &behaviour, &ending, &mut connections);
    let _ = timeout(Duration::from_millis(1), waiting).await;
    drop(listener);
    ending.send_replace(true);
    let _ = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    Ok(())
}

/// Returns at the end of the input, which says nothing: who only waits for the end of this process closes it, too.
fn obey(behaviour: &Behaviour) {
    for line in std::io::stdin().lines().map_while(Result::ok) {
        match Order::parse(&line) {
            Some(Order::Delay(delay)) => {
                behaviour.delay_ms.store(delay.as_millis() as u64, Ordering::Relaxed);
            }
            Some(Order::Errors(errors)) => behaviour.errors.store(errors, Ordering::Relaxed),
            None => {}
        }
    }
}

async fn accept(
    listener: &TcpListener,
    behaviour: &Arc<Behaviour>,
    ending: &watch::Sender<bool>,
    connections: &mut JoinSet<()>,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {} // forget the connections that have ended
        connections.spawn(connection(stream, Arc::clone(behaviour), ending.subscribe()));
    }
}

async fn connection(stream: TcpStream, behaviour: Arc<Behaviour>, mut ending: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(request, Arc::clone(&behaviour)));
    let mut served = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        biased;
        _ = &mut served => return, // how it ended is the client's to tell
        _ = ending.wait_for(|ending| *ending) => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = served.await;
}

async fn answer(
    request: Request<Incoming>,
    behaviour: Arc<Behaviour>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let _ = body.collect().await?;
    if head.method == Method::POST
        && let Some(number) = head.headers.get(NUMBER).and_then(|number| number.to_str().ok())
    {
        // A write below PIPE_BUF is whole or not at all.
        let _ = std::io::stdout().write_all(format!("post {number}\n").as_bytes());
    }
    sleep(Duration::from_millis(behaviour.delay_ms.load(Ordering::Relaxed))).await;
    let mut response = Response::new(Full::new(Bytes::from_static(b"done\n")));
    if behaviour.errors.load(Ordering::Relaxed) {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    response.headers_mut().insert(SERVER, behaviour.name.clone());
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_to_a_backend_is_what_it_reads() {
        for order in [Order::Delay(Duration::from_millis(500)), Order::Errors(true), Order::Errors(false)] {
            assert_eq!(Order::parse(order.line().trim_end()), Some(order));
        }
        assert_eq!(Order::parse("delay soon"), None);
    }
}
