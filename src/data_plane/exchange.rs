//! One client connection, and on it one exchange after the other: the control flow of the data plane.
//!
//! The stages themselves are elsewhere; this is the order in which they run, and the only place that gives an exchange
//! its end.

mod attempts;
mod ending;
mod next;
mod plan;
mod refusal;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use self::plan::{Destination, OwnAnswer, Plan, Planning};
use self::refusal::Refusal;
use super::admission::Admitted;
use super::buffer::Buffer;
use super::deadline::Deadline;
use super::forward::write_within;
use super::http1::answer::{self, Answer};
use super::http1::rewrite::ClientLines;
use super::proxy_protocol::{Opening, receive};
use super::record::{CLIENT_GONE, Record, log_null};
use super::snapshot::{Held, Listener};
use super::worker::{Hold, Worker};
use crate::telemetry::RefusalReason;

/// How much of an unwanted request body is read before the connection is closed, so that the client can read the answer
/// before the kernel resets the connection.
const LINGER_BYTES: usize = 256 * 1024;
/// How long that may take.
const LINGER: Duration = Duration::from_secs(2);

/// The header line of an answer that is only its text.
const PLAIN_TEXT: &str = "content-type: text/plain; charset=utf-8\r\n";

/// How long a connection that has sent nothing yet may take to do so once the worker drains.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);

/// A connection that was accepted.
#[derive(Debug)]
pub struct Arrival {
    /// The listener's name.
    pub listener: Rc<str>,
    /// The configuration that it comes in under.
    pub rules: Rc<Held>,
    /// Its place.
    pub admitted: Admitted,
    /// Its hold on the worker.
    pub hold: Hold,
    /// The connection.
    pub stream: TcpStream,
    /// Who connected.
    pub client: SocketAddr,
}

/// Serves one client connection until it ends.
pub async fn serve(worker: Rc<Worker>, arrival: Arrival) {
    let began = Instant::now();
    let Some(mut connection) = Connection::open(worker, arrival, began).await else { return };
    while let Some(inbound) = connection.first_bytes().await {
        if !connection.exchange(inbound).await {
            break;
        }
    }
    if connection.exchanges == 0 {
        let listener = &connection.snapshot.listeners[connection.listener];
        log_null(&connection.worker, listener, connection.client, began, None);
    }
}

/// A client connection between exchanges.
struct Connection {
    worker: Rc<Worker>,
    name: Rc<str>,
    client: SocketAddr,
    /// Where it connected to, as a proxy in front told it.
    local: Option<SocketAddr>,
    snapshot: Rc<Held>,
    /// The position of the listener in `snapshot`.
    listener: usize,
    stream: TcpStream,
    deadline: Deadline,
    lines: ClientLines,
    /// Whether `client` is who connected, or whom a proxy in front named, and not a proxy that named nobody.
    named: bool,
    /// What the client has sent ahead.
    ahead: Option<Buffer>,
    exchanges: u64,
    _held: Hold,
    _admitted: Admitted,
}

impl Connection {
    /// Begins a connection: with the header of the PROXY protocol, if the listener wants one.
    async fn open(worker: Rc<Worker>, arrival: Arrival, began: Instant) -> Option<Self> {
        let Arrival { listener: name, rules: snapshot, admitted, hold, mut stream, client: peer } = arrival;
        let listener = snapshot.listener(&name)?;
        let settings = &snapshot.listeners[listener];
        // Answers leave in one write; a kernel that waits for more would only delay the last part of a large one.
        stream.set_nodelay(true).ok()?;
        let deadline = worker.deadlines.register();
        let mut opening = Opening { client: peer, told: None, ahead: None };
        if settings.proxy_protocol {
            // Boxed: its state would make every connection's task larger.
            opening = Box::pin(receive(&worker, settings, (&mut stream, peer), &deadline, began)).await?;
        }
        let Opening { client, told, ahead } = opening;
        let named = told.is_some() || !settings.proxy_protocol;
        let lines = client_lines(settings, client, named);
        Some(Self {
            worker,
            name,
            client,
            local: told.map(|told| told.destination),
            snapshot,
            listener,
            stream,
            deadline,
            lines,
            named,
            ahead,
            exchanges: 0,
            _held: hold,
            _admitted: admitted,
        })
    }

    /// Takes up the present configuration; false if this listener is no longer in it, or relays from now on.
    fn refresh(&mut self) -> bool {
        let current = self.worker.snapshot.load();
        if Rc::ptr_eq(&current, &self.snapshot) {
            return true;
        }
        let Some(listener) = current.listener(&self.name) else { return false };
        let settings = &current.listeners[listener];
        // It has no routes.
        if settings.relay.is_some() {
            return false;
        }
        self.lines = client_lines(settings, self.client, self.named);
        self.snapshot = current;
        self.listener = listener;
        true
    }

    /// Waits for the next request without holding a buffer; `None` when the connection is to be closed.
    async fn first_bytes(&mut self) -> Option<Buffer> {
        if let Some(mut ahead) = self.ahead.take() {
            skip_empty_lines(&mut ahead);
            if !ahead.filled().is_empty() {
                return Some(ahead);
            }
            self.worker.buffers.put(ahead);
        }
        let timeouts = self.snapshot.listeners[self.listener].timeouts;
        let first = self.exchanges == 0;
        let mut hurried = false;
        self.deadline.arm(if first { timeouts.head } else { timeouts.idle });
        let (worker, stream, deadline) = (&self.worker, &mut self.stream, &self.deadline);
        poll_fn(|cx| {
            while let Poll::Ready(read) = worker.buffers.poll_read(cx, stream) {
                let Ok((mut buffer, count)) = read else { return Poll::Ready(None) };
                skip_empty_lines(&mut buffer);
                if !buffer.filled().is_empty() {
                    return Poll::Ready(Some(buffer));
                }
                worker.buffers.put(buffer);
                if count == 0 {
                    return Poll::Ready(None);
                }
            }
            if worker.is_draining() && !first {
                return Poll::Ready(None);
            }
            if worker.is_draining() && !hurried {
                // Accepted a moment ago: its request is on the way and was promised an answer.
                hurried = true;
                deadline.arm(FAREWELL);
            }
            deadline.poll_passed(cx).map(|()| None)
        })
        .await
    }

    /// Carries one request through all stages; returns whether the connection takes another.
    async fn exchange(&mut self, inbound: Buffer) -> bool {
        let started = Instant::now();
        // A listener that has left the configuration finishes what it was sent, under the rules it was sent under.
        let stays = self.refresh();
        self.exchanges += 1;
        let (worker, snapshot) = (Rc::clone(&self.worker), Rc::clone(&self.snapshot));
        let listener = &snapshot.listeners[self.listener];
        let mut record = Record::begin(&worker, listener, self.client, started);
        let last = !stays || self.exchanges >= listener.requests_per_connection || worker.is_last_exchange();
        let (plan, outbound) = match self.read_head(listener, last, inbound, &mut record).await {
            Ok(planned) => planned,
            Err(refusal) => return Box::pin(self.refuse(&refusal, false, b"", &mut record)).await,
        };
        record.planned(plan.route, plan.words, plan.trace, Instant::now());
        match plan.destination {
            Destination::Upstream(upstream) => self.forward(listener, upstream, plan, outbound, record).await,
            Destination::Answer(ref own) => Box::pin(self.answer(own, &plan, outbound, record)).await,
            Destination::Nowhere => {
                record.refused(RefusalReason::NoRoute);
                let body = b"404 no route matches this request\n";
                let own = OwnAnswer { status: 404, lines: PLAIN_TEXT.to_owned(), body };
                Box::pin(self.answer(&own, &plan, outbound, record)).await
            }
        }
    }

    /// Reads until the head is complete, then plans the exchange. What follows the request stays in `self.ahead`.
    async fn read_head<'s>(
        &mut self,
        listener: &'s Listener,
        last: bool,
        mut inbound: Buffer,
        record: &mut Record<'s>,
    ) -> Result<(Plan<'s>, Vec<u8>), Refusal> {
        self.deadline.arm(listener.timeouts.head);
        loop {
            let planning = Planning { worker: &self.worker, listener, lines: &self.lines, last };
            let planned = plan::plan(planning, &mut inbound);
            if planned.is_err() {
                record.received_bytes = inbound.filled().len() as u64;
            }
            if let Some(planned) = planned? {
                if inbound.filled().is_empty() {
                    self.worker.buffers.put(inbound);
                } else {
                    self.ahead = Some(inbound);
                }
                return Ok(planned);
            }
            let (stream, deadline) = (&mut self.stream, &self.deadline);
            let read = poll_fn(|cx| match inbound.poll_read(cx, stream) {
                Poll::Ready(read) => Poll::Ready(Some(read)),
                Poll::Pending => deadline.poll_passed(cx).map(|()| None),
            });
            match read.await {
                None => {
                    return Err(Refusal::new(408, RefusalReason::HeadTimeout, "request head took too long"));
                }
                Some(Ok(count)) if count > 0 => record.head_came(Instant::now()),
                Some(_) => return Err(Refusal::GONE),
            }
        }
    }

    /// Answers a request that cannot be served, and ends the connection: what follows it cannot be trusted. `head` is the
    /// rewritten head, if it came to that.
    async fn refuse(
        &mut self,
        refusal: &Refusal,
        head_only: bool,
        head: &[u8],
        record: &mut Record<'_>,
    ) -> bool {
        record.refused(refusal.reason);
        if refusal.status == 0 {
            record.end(CLIENT_GONE, head, Instant::now());
            return false;
        }
        let body = refusal.body();
        let own = Answer { status: refusal.status, lines: PLAIN_TEXT, body: body.as_bytes() };
        self.conclude(&own, head_only, false, head, record).await
    }

    /// Gives an answer of our own to a request that was well-formed.
    async fn answer(
        &mut self,
        own: &OwnAnswer<'_>,
        plan: &Plan<'_>,
        outbound: Vec<u8>,
        mut record: Record<'_>,
    ) -> bool {
        // What is left of a body would be taken for the next request.
        let persistent = plan.asked.keeps_after_own_answer() && plan.body.is_done();
        let answer = Answer { status: own.status, lines: &own.lines, body: own.body };
        let stays = self.conclude(&answer, plan.asked.head, persistent, &outbound, &mut record).await;
        self.worker.buffers.put_small(outbound);
        stays
    }

    /// Ends an exchange with an answer of our own; returns whether the connection takes another request.
    async fn conclude(
        &mut self,
        own: &Answer<'_>,
        head_only: bool,
        persistent: bool,
        head: &[u8],
        record: &mut Record<'_>,
    ) -> bool {
        let sent = self.send(own, head_only, !persistent).await;
        record.sent_bytes += sent.unwrap_or(0);
        record.end(if sent.is_some() { own.status } else { CLIENT_GONE }, head, Instant::now());
        if sent.is_some() && !persistent {
            self.linger().await;
        }
        persistent && sent.is_some()
    }

    /// Sends an answer; returns its size, `None` if the client did not take it.
    async fn send(&mut self, own: &Answer<'_>, head_only: bool, close: bool) -> Option<u64> {
        let mut out = self.worker.buffers.take_small();
        answer::write(own, head_only, close, &mut out);
        let patience = self.snapshot.listeners[self.listener].timeouts.write;
        let sent = write_within(&mut self.stream, &out, &self.deadline, patience).await;
        let len = out.len() as u64;
        self.worker.buffers.put_small(out);
        sent.ok().map(|()| len)
    }

    /// Closes the sending side and reads what the client is still sending, within bounds: closing with unread bytes
    /// makes the kernel reset the connection, and the client may lose the answer (RFC 9112 §9.6).
    async fn linger(&mut self) {
        if rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Write).is_err() {
            return;
        }
        self.ahead = None;
        self.deadline.arm(LINGER);
        let mut left = LINGER_BYTES;
        let (worker, stream, deadline) = (&self.worker, &mut self.stream, &self.deadline);
        poll_fn(|cx| {
            loop {
                match worker.buffers.poll_read(cx, stream) {
                    Poll::Ready(Ok((buffer, count))) => {
                        worker.buffers.put(buffer);
                        left = left.saturating_sub(count);
                        if count == 0 || left == 0 {
                            return Poll::Ready(());
                        }
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => return deadline.poll_passed(cx),
                }
            }
        })
        .await;
    }
}

/// Prepares what backends are told about a client.
fn client_lines(settings: &Listener, client: SocketAddr, named: bool) -> ClientLines {
    let make = if named { ClientLines::new } else { ClientLines::unnamed };
    make(&settings.forward, client.ip(), settings.address)
}

/// Takes empty lines from the front, which are ignored before a request (RFC 9112 §2.2): old clients send one after a
/// body.
fn skip_empty_lines(buffer: &mut Buffer) {
    while buffer.filled().starts_with(b"\r\n") {
        buffer.consume(2);
    }
}
