//! The life of a connection that is relayed as it is: a backend is picked and connected to, then bytes go both ways.
//!
//! To everything that decides and counts it is an exchange with one attempt that lasts: a place in flight, the queue, a
//! try elsewhere after a failed connect, the deadline of a drain. What comes from the client before there is a backend
//! stays in the kernel, so that a try elsewhere has lost nothing.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::balance::Words;
use super::buffer::Buffer;
use super::connect::ConnectError;
use super::contact::{Claim, Contact, InVain, Purpose, Reach};
use super::deadline::Deadline;
use super::exchange::Arrival;
use super::proxy_protocol::{Endpoints, Opening, receive};
use super::record::Record;
use super::snapshot::{Listener, Relay};
use super::tunnel::{Carried, End, Tunnel};
use super::worker::Worker;
use crate::telemetry::{AttemptOutcome, Label as _, RefusalReason, TcpOutcome};
use crate::upstream::{Attempted, Balancer, Decision, Failure, NoPick, Pick, Sign, Tried};

/// Serves one client connection until it ends.
///
/// It goes on under the configuration that it came in under, whatever is reloaded meanwhile; a worker that drains waits
/// for it as long as it may.
pub async fn serve(worker: Rc<Worker>, arrival: Arrival) {
    let started = Instant::now();
    let Arrival { listener: name, rules, admitted: _admitted, hold: _hold, mut stream, client: peer } =
        arrival;
    let Some(listener) = rules.listener(&name).map(|index| &rules.listeners[index]) else { return };
    let Some(relay) = &listener.relay else { return };
    // What one side sends is to reach the other at once: nobody here knows whether more follows.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let deadline = worker.deadlines.register();
    let opening = receive(&worker, listener, (&mut stream, peer), &deadline, started).await;
    let Some(Opening { client, told, ahead }) = opening else { return };
    let mut record = Record::begin(&worker, listener, client, started);
    record.planned(None, Words::default(), None, if told.is_some() { Instant::now() } else { started });
    record.routed_to(&relay.upstream);
    let mut relaying = Relaying { worker: &worker, listener, relay, client, told, stream, deadline, record };
    let outcome = match relaying.reach_backend().await {
        Ok(contact) => relaying.converse(contact, ahead).await,
        Err(outcome) => outcome,
    };
    relaying.record.end_relayed(outcome, Instant::now());
}

/// A client's connection on its way through an upstream.
struct Relaying<'s> {
    worker: &'s Rc<Worker>,
    listener: &'s Listener,
    relay: &'s Relay,
    client: SocketAddr,
    /// Both ends, as a proxy in front of us told them.
    told: Option<Endpoints>,
    stream: TcpStream,
    deadline: Deadline,
    record: Record<'s>,
}

impl<'s> Relaying<'s> {
    /// Makes contact with a backend, and with another one if that fails.
    ///
    /// # Errors
    /// How the connection ends without one.
    async fn reach_backend(&mut self) -> Result<Contact<'s>, TcpOutcome> {
        let endpoints = self.endpoints();
        let mut tried = Tried::new();
        let purpose =
            Purpose { only_once: false, waits: true, shared: false, unacknowledged: None, endpoints };
        let (worker, upstream, keys) = (self.worker, &*self.relay.upstream, self.client.ip());
        let (record, stream, deadline) = (&mut self.record, &self.stream, &self.deadline);
        let mut reach = Reach { worker, upstream, record, tried: &mut tried, keys, purpose };
        loop {
            let claim = match reach.first_claim() {
                Err(NoPick::Full) => match reach.queue(|cx| poll_broken(stream, deadline, cx)).await {
                    Ok(claim) => Ok(claim),
                    Err(InVain::NoneAvailable) => Err(NoPick::NoneAvailable),
                    Err(InVain::Alone) => return Err(TcpOutcome::ClientAbort),
                    Err(InVain::Full | InVain::Late) => {
                        reach.record.refused(RefusalReason::Overloaded);
                        return Err(TcpOutcome::Overloaded);
                    }
                },
                claim => claim,
            };
            let Ok(claim) = claim else {
                reach.record.refused(RefusalReason::NoneAvailable);
                return Err(TcpOutcome::NoneAvailable);
            };
            match attempt(&mut reach, claim).await {
                Ok(contact) => return Ok(contact),
                Err(None) => {}
                Err(Some(outcome)) => return Err(outcome),
            }
        }
    }

    /// Returns both ends of the client's connection, if backends are told.
    fn endpoints(&self) -> Option<Endpoints> {
        self.relay.upstream.exchange.proxy_protocol?;
        let ends = || Some(Endpoints { source: self.client, destination: self.stream.local_addr().ok()? });
        self.told.or_else(ends)
    }

    /// Relays until it is over.
    async fn converse(&mut self, contact: Contact<'s>, ahead: Option<Buffer>) -> TcpOutcome {
        let Contact { pick, mut stream, drains, in_flight: _in_flight, .. } = contact;
        self.answered(&pick);
        let backend = pick.backend;
        let shard = backend.series.shard(self.worker.id);
        let listener = self.listener.series.shard(self.worker.id);
        let tunnel = Tunnel {
            worker: self.worker,
            deadline: &self.deadline,
            idle: self.listener.timeouts.tunnel,
            client: &mut self.stream,
            backend: &mut stream,
            resets: true,
        };
        // Whoever waits is woken when the backend was to have finished.
        let drained =
            poll_fn(|_| if backend.drains_ended() == drains { Poll::Pending } else { Poll::Ready(()) });
        let record = &mut self.record;
        // As it moves: a connection may last for days, and be cut.
        let moved = |carried: Carried| {
            shard.sent_bytes.add(carried.up);
            shard.received_bytes.add(carried.down);
            listener.received_bytes.add(carried.up);
            listener.sent_bytes.add(carried.down);
            record.received_bytes += carried.up;
            record.sent_bytes += carried.down;
        };
        let (_, end) = tunnel.run(ahead, drained, moved).await;
        let (attempt, outcome) = match end {
            End::Finished => (AttemptOutcome::Ok, TcpOutcome::Ok),
            End::Idle => (AttemptOutcome::Ok, TcpOutcome::IdleTimeout),
            End::ClientBroke => (AttemptOutcome::ClientAbort, TcpOutcome::ClientReset),
            End::BackendBroke => (AttemptOutcome::Reset, TcpOutcome::BackendReset),
            End::Cut => (AttemptOutcome::Drained, TcpOutcome::Drained),
        };
        shard.attempts.inc(attempt);
        self.record.try_ended(backend, attempt, (None, None), Instant::now());
        outcome
    }

    /// Notes that a backend has taken the connection: all that is known of how it does.
    fn answered(&mut self, pick: &Pick<'s>) {
        let now = Instant::now();
        let backend = pick.backend;
        let shard = backend.series.shard(self.worker.id);
        shard.answers.inc();
        if self.record.attempts > 1 {
            shard.rescues.inc();
        }
        // The cell is shared by all workers: written only where a balancer reads it.
        if matches!(self.relay.upstream.balancer(), Balancer::PeakEwma)
            && let Some(took) = self.record.connect_time()
        {
            backend.latency.record(took, now);
        }
        self.record.answered(None, None, Some(now));
        self.relay.upstream.note(backend, Sign::Answered, now);
    }
}

/// Makes contact with a backend.
///
/// # Errors
/// How the connection ends; None if another backend is to be tried.
async fn attempt<'s>(
    reach: &mut Reach<'_, 's, std::net::IpAddr>,
    claim: Claim<'s>,
) -> Result<Contact<'s>, Option<TcpOutcome>> {
    let (pick, error) = match reach.contact(claim, false).await {
        Ok(contact) => return Ok(contact),
        Err(failed) => failed,
    };
    reach.failed(&pick, error.outcome());
    let attempted = Attempted {
        failure: Failure::Connect,
        repeatable: true,
        request_written: false,
        body_intact: true,
        answer_started: false,
        attempts: reach.record.attempts,
    };
    match reach.decide(&attempted, pick.index) {
        Decision::Elsewhere(reason) => {
            reach.retried(&pick, reason);
            reach.tried.add(pick.index);
            Err(None)
        }
        Decision::Fresh | Decision::GiveUp(_) => {
            reach.record.because(error.outcome().as_str());
            Err(Some(match error {
                ConnectError::Refused => TcpOutcome::ConnectRefused,
                ConnectError::Timeout(_) => TcpOutcome::ConnectTimeout,
                ConnectError::Unresolved | ConnectError::Other(_) => TcpOutcome::ConnectError,
            }))
        }
    }
}

/// Is ready when a client that waits has broken its connection. One that has only ended its stream may want an answer.
fn poll_broken(client: &TcpStream, deadline: &Deadline, cx: &mut Context<'_>) -> Poll<()> {
    let peek = || Ok(recv(client, &mut [0_u8], RecvFlags::PEEK | RecvFlags::DONTWAIT)?);
    while client.poll_read_ready(cx).is_ready() {
        match client.try_io(Interest::READABLE, peek) {
            // The end of a stream, or bytes that wait for a backend. Readiness stays, and they hide what comes after
            // them from a read: it is looked at again with each tick.
            Ok(_) => {
                if !matches!(client.take_error(), Ok(None)) {
                    return Poll::Ready(());
                }
                deadline.arm(Duration::ZERO);
                return deadline.poll_passed(cx);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return Poll::Ready(()),
        }
    }
    Poll::Pending
}
