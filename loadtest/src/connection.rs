//! Carries exchanges on one keep-alive connection: a task that owns the socket, and waits to be handed the next request.
//!
//! It stands apart because a request that is due must never wait for another's answer: each connection has one exchange
//! at a time, and whoever finds all of them busy opens another. hyper's low-level connection and the exchange on it are
//! polled by the same task, so that an answer costs no hand-over between tasks.

use crate::mix::Ask;
use crate::record::{Failure, Outcome};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri, Version};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

type Sender = http1::SendRequest<Full<Bytes>>;
type Driver = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// One request that is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    /// The position of the request in the run, from 0.
    pub(crate) number: u64,
    /// The position of what it asks for in [`Target::asks`].
    pub(crate) ask: usize,
    pub(crate) due: Instant,
    pub(crate) deadline: Instant,
}

/// What the connections to one server share.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// What is asked for anywhere in the run.
    pub(crate) asks: Arc<[Template]>,
    pub(crate) keep_alive: bool,
    pub(crate) number_header: Option<HeaderName>,
    pub(crate) backend_headers: Vec<HeaderName>,
    pub(crate) idle: Idle,
}

/// A request as it is sent, but for its number.
pub(crate) struct Template {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Target {
    fn request(&self, job: &Job) -> Request<Full<Bytes>> {
        let template = &self.asks[job.ask];
        let mut request = Request::new(Full::new(template.body.clone()));
        *request.method_mut() = template.method.clone();
        *request.version_mut() = Version::HTTP_11;
        *request.uri_mut() = template.uri.clone();
        *request.headers_mut() = template.headers.clone();
        if let Some(name) = &self.number_header {
            request.headers_mut().insert(name, HeaderValue::from(job.number));
        }
        request
    }
}

impl Template {
    /// What `ask` is on the wire. None when its address cannot stand in a request.
    pub(crate) fn new(ask: Ask, keep_alive: bool) -> Option<Template> {
        let Ask { method, target, headers: own, body, .. } = ask;
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(target.authority()?.as_str()).ok()?);
        headers.insert(USER_AGENT, HeaderValue::from_static("plimsoll-loadtest"));
        if !keep_alive {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        own.keys().for_each(|name| drop(headers.remove(name)));
        for (name, value) in &own {
            headers.append(name, value.clone());
        }
        let uri = target.path_and_query().map_or("/", |path| path.as_str()).parse().ok()?;
        Some(Template { method, uri, headers, body })
    }
}

/// The connections that wait for a request, the most recently used on top: the fewest possible stay warm.
pub(crate) struct Idle {
    /// None once the run hands out no more requests.
    waiting: Mutex<Option<Vec<oneshot::Sender<Job>>>>,
}

impl Idle {
    pub(crate) fn new() -> Idle {
        Idle { waiting: Mutex::new(Some(Vec::new())) }
    }

    /// Hands `job` to a waiting connection, or gives it back when none waits.
    pub(crate) fn hand_over(&self, mut job: Job) -> Result<(), Job> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(connection) = waiting.as_mut().and_then(Vec::pop) {
            match connection.send(job) {
                Ok(()) => return Ok(()),
                Err(returned) => job = returned, // the server has closed that one meanwhile
            }
        }
        Err(job)
    }

    /// Lets every waiting connection end, and those in use once they have their answer.
    pub(crate) fn close(&self) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Registers a connection; None when the run hands out no more requests.
    fn register(&self) -> Option<oneshot::Receiver<Job>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = waiting.as_mut()?;
        // Those at the bottom may never be popped again; do not let the closed ones pile up there.
        if waiting.len() >= 64 && waiting.len().is_power_of_two() {
            waiting.retain(|connection| !connection.is_closed());
        }
        let (sender, receiver) = oneshot::channel();
        waiting.push(sender);
        Some(receiver)
    }
}

/// Serves `job` on a new connection, then whatever the run hands over, until the connection or the run ends.
pub(crate) async fn serve(mut job: Job, target: &Target, record: &impl Fn(Outcome)) {
    // A request that a closing connection did not take has not been sent: it goes on a fresh one.
    while let Some(unsent) = serve_connection(job, target, record).await {
        job = unsent;
    }
}

/// Returns the job that the connection no longer took, if any.
async fn serve_connection(mut job: Job, target: &Target, record: &impl Fn(Outcome)) -> Option<Job> {
    let (mut sender, driver) = match timeout_at(job.deadline, connect(target.address)).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(_)) => return fail(job, Failure::Connect, record),
        Err(_) => return fail(job, Failure::Timeout, record),
    };
    let mut driver = Driven { driver: Some(Box::pin(driver)) };
    let mut reused = false;
    loop {
        let exchange = timeout_at(job.deadline, exchange(&mut sender, target, &job));
        match driver.alongside(exchange).await {
            Err(_) => return fail(job, Failure::Timeout, record),
            Ok(Err(Refused)) if reused => return Some(job),
            Ok(Err(Refused)) => return fail(job, Failure::Reset, record),
            Ok(Ok(answer)) => {
                let broken = answer.result.is_err_and(|failure| failure != Failure::Status);
                let Answer { result, backend } = answer;
                record(Outcome { number: job.number, due: job.due, done: Instant::now(), result, backend });
                if broken || !target.keep_alive {
                    return None;
                }
            }
        }
        job = driver.next_job(target.idle.register()?).await?;
        if driver.driver.is_none() {
            return Some(job);
        }
        reused = true;
    }
}

fn fail(job: Job, failure: Failure, record: &impl Fn(Outcome)) -> Option<Job> {
    let Job { number, due, .. } = job;
    record(Outcome { number, due, done: Instant::now(), result: Err(failure), backend: None });
    None
}

async fn connect(address: SocketAddr) -> Result<(Sender, Driver), ConnectError> {
    let stream = TcpStream::connect(address).await.map_err(|_| ConnectError)?;
    stream.set_nodelay(true).map_err(|_| ConnectError)?;
    http1::handshake(TokioIo::new(stream)).await.map_err(|_| ConnectError)
}

/// No connection; the reasons are all one failure to the record.
struct ConnectError;

/// The connection did not take the request: not a byte of it has been sent.
struct Refused;

struct Answer {
    result: Result<(), Failure>,
    backend: Option<HeaderValue>,
}

/// The half of hyper's connection that reads and writes. None once it has ended: dropping it then is what tells an
/// exchange that waits on it.
struct Driven {
    driver: Option<Pin<Box<Driver>>>,
}

impl Driven {
    async fn alongside<T>(&mut self, exchange: impl Future<Output = T>) -> T {
        let mut exchange = pin!(exchange);
        tokio::select! {
            biased;
            output = &mut exchange => output,
            () = self.end() => exchange.await,
        }
    }

    /// Waits to be handed a request; None when the connection or the run ended before.
    async fn next_job(&mut self, mut jobs: oneshot::Receiver<Job>) -> Option<Job> {
        tokio::select! {
            biased;
            () = self.end() => {
                // It may have ended in the moment in which a job was handed over.
                jobs.close();
                jobs.try_recv().ok()
            }
            job = &mut jobs => job.ok(),
        }
    }

    /// Returns once the connection has ended. Cancel safe.
    async fn end(&mut self) {
        if let Some(driver) = &mut self.driver {
            let _ = driver.await; // what went wrong is told by the exchange that it happened to
            self.driver = None;
        }
    }
}

async fn exchange(sender: &mut Sender, target: &Target, job: &Job) -> Result<Answer, Refused> {
    sender.ready().await.map_err(|_| Refused)?;
    let request = target.request(job);
    let response = match sender.try_send_request(request).await {
        Ok(response) => response,
        Err(error) if error.message().is_some() => return Err(Refused),
        Err(error) if error.error().is_parse() => {
            return Ok(Answer { result: Err(Failure::Protocol), backend: None });
        }
        Err(_) => return Ok(Answer { result: Err(Failure::Reset), backend: None }),
    };
    let backend = target.backend_headers.iter().find_map(|name| response.headers().get(name)).cloned();
    let status = response.status();
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return Ok(Answer { result: Err(Failure::ShortBody), backend });
        }
    }
    let result = if status.as_u16() >= 500 { Err(Failure::Status) } else { Ok(()) };
    Ok(Answer { result, backend })
}
