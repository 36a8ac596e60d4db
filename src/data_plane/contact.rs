//! A connection to a backend for one attempt: an idle one, a new one, or the first of two.
//!
//! A host that has vanished answers a connect with silence. How long that is waited for is learned from the backend; then
//! another backend is tried in parallel, and the first connection wins. The other one goes into the pool when it comes.

mod queue;

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

pub(super) use self::queue::InVain;
use super::connect::{ConnectError, connect};
use super::proxy_protocol::{self, Endpoints};
use super::record::Record;
use super::worker::Worker;
use crate::telemetry::{AttemptOutcome, BackendShard, RetryReason, RetryRefusal};
use crate::upstream::{
    Attempted, Backend, Decision, InFlight, NoPick, Pick, RequestKeys, Sign, Tried, Upstream,
};

/// The least patience with a connect. Shorter would turn every pause of a busy host into a second connection.
const PATIENCE_MIN: Duration = Duration::from_millis(50);

/// A connect may take so many times what it usually takes.
const PATIENCE_FACTOR: f32 = 4.0;

/// A backend that was picked, and a place among its exchanges.
pub(super) type Claim<'s> = (Pick<'s>, InFlight<'s>);

/// A connection to a backend, for one attempt.
#[derive(Debug)]
pub(super) struct Contact<'s> {
    /// The backend.
    pub(super) pick: Pick<'s>,
    /// The connection.
    pub(super) stream: TcpStream,
    /// Whether it comes from the pool.
    pub(super) reused: bool,
    /// The backend's alarm when the connection was taken; see [`Backend::alarm`].
    pub(super) alarm: u32,
    /// How many drains of the backend had ended by then; see [`Backend::drains_ended`].
    pub(super) drains: u32,
    /// Its place among the backend's exchanges.
    pub(super) in_flight: InFlight<'s>,
    /// Until the head of the answer is there. None while a part of the request is still to come.
    pub(super) waiting: Option<Waiting<'s>>,
}

/// Counts an exchange that waits for a backend, so that the backend's silence can be told from having nothing to do.
#[derive(Debug)]
pub(super) struct Waiting<'s>(&'s BackendShard);

impl<'s> Waiting<'s> {
    fn begin(shard: &'s BackendShard) -> Self {
        shard.waiting.inc();
        Self(shard)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.dec();
    }
}

/// A connection in the making.
struct Dial<'s> {
    pick: Pick<'s>,
    in_flight: InFlight<'s>,
    waiting: Option<Waiting<'s>>,
    begun: Instant,
    /// Boxed, so that it can go on without its exchange.
    connecting: Connecting,
}

type Connecting = Pin<Box<dyn Future<Output = Result<TcpStream, ConnectError>>>>;

/// What a connection is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purpose {
    /// What is sent cannot be sent again, and must not meet a connection that has just been closed.
    pub(super) only_once: bool,
    /// Somebody waits for an answer from now on.
    pub(super) waits: bool,
    /// A connection may have served others and serve others: false for one that is one client's.
    pub(super) shared: bool,
    /// How long what is sent may stay unacknowledged. None leaves that to the kernel.
    pub(super) unacknowledged: Option<Duration>,
    /// Both ends of the client's connection, for a header of the PROXY protocol.
    pub(super) endpoints: Option<Endpoints>,
}

/// An exchange on its way to a backend.
pub(super) struct Reach<'r, 's, K> {
    pub(super) worker: &'r Rc<Worker>,
    pub(super) upstream: &'s Upstream,
    pub(super) record: &'r mut Record<'s>,
    pub(super) tried: &'r mut Tried,
    /// What a balancer may want to know.
    pub(super) keys: K,
    pub(super) purpose: Purpose,
}

impl<'s, K: RequestKeys> Reach<'_, 's, K> {
    /// Picks a backend unless others wait for one, and takes a place among its exchanges.
    pub(super) fn first_claim(&mut self) -> Result<Claim<'s>, NoPick> {
        if self.upstream.queue.is_empty() { self.claim() } else { Err(NoPick::Full) }
    }

    fn claim(&mut self) -> Result<Claim<'s>, NoPick> {
        loop {
            let pick = self.pick()?;
            // Rarely another worker has taken the last place since it was picked.
            if let Some(in_flight) = self.upstream.begin_exchange(pick.backend) {
                return Ok((pick, in_flight));
            }
        }
    }

    fn pick(&mut self) -> Result<Pick<'s>, NoPick> {
        let first = self.record.attempts == 0;
        let now = if first { self.record.planned_at() } else { Instant::now() };
        let picked = self.upstream.pick(&self.keys, self.tried, &mut self.worker.rng.borrow_mut(), now);
        self.record.picking(picked.as_ref().ok().map(|pick| pick.index), self.tried, now);
        picked
    }

    /// Takes a connection to the picked backend from the pool, or makes one; not necessarily to that backend.
    ///
    /// # Errors
    /// The last backend that was tried, and why there is no connection to it.
    pub(super) async fn contact(
        &mut self,
        (pick, in_flight): Claim<'s>,
        fresh: bool,
    ) -> Result<Contact<'s>, (Pick<'s>, ConnectError)> {
        self.record.tried(&pick, fresh);
        if !fresh && let Some(stream) = self.take_idle(pick.backend) {
            return Ok(self.reused((pick, in_flight), stream));
        }
        // Boxed: connecting is rare and slow, and its state would make every connection's task larger.
        let dial = self.dial((pick, in_flight));
        Box::pin(self.connect(dial)).await
    }

    fn take_idle(&self, backend: &'s Arc<Backend>) -> Option<TcpStream> {
        if !self.purpose.shared {
            return None;
        }
        let stream = self.worker.pool.take(backend, self.purpose.only_once)?;
        backend.series.shard(self.worker.id).connections_reused.inc();
        Some(stream)
    }

    fn reused(&self, (pick, in_flight): Claim<'s>, stream: TcpStream) -> Contact<'s> {
        let waiting = self.waiting(pick.backend);
        let (alarm, drains) = (pick.backend.alarm(), pick.backend.drains_ended());
        Contact { alarm, drains, pick, stream, reused: true, in_flight, waiting }
    }

    fn waiting(&self, backend: &'s Backend) -> Option<Waiting<'s>> {
        let shard = backend.series.shard(self.worker.id);
        self.purpose.waits.then(|| Waiting::begin(shard))
    }

    fn dial(&mut self, (pick, in_flight): Claim<'s>) -> Dial<'s> {
        self.record.dialled(pick.backend);
        let patience = self.upstream.exchange.connect_timeout;
        let connecting = Box::pin(connect(pick.backend.address, patience, self.purpose.unacknowledged));
        let waiting = self.waiting(pick.backend);
        Dial { pick, in_flight, waiting, begun: Instant::now(), connecting }
    }

    async fn connect(&mut self, mut first: Dial<'s>) -> Result<Contact<'s>, (Pick<'s>, ConnectError)> {
        let patience = self.connect_patience(first.pick.backend);
        tokio::select! {
            biased;
            connected = &mut first.connecting => return self.connected(first, connected),
            () = sleep(patience) => {}
        }
        self.upstream.note(first.pick.backend, Sign::ConnectFailed, Instant::now());
        if !self.others_than(first.pick.index) {
            let connected = first.connecting.as_mut().await;
            return self.connected(first, connected);
        }
        self.tried.add(first.pick.index);
        let Ok((pick, in_flight)) = self.claim() else {
            let connected = first.connecting.as_mut().await;
            return self.connected(first, connected);
        };
        self.retried(&first.pick, RetryReason::Connect);
        self.record.tried(&pick, false);
        if let Some(stream) = self.take_idle(pick.backend) {
            self.leave(first, AttemptOutcome::ConnectTimeout);
            return Ok(self.reused((pick, in_flight), stream));
        }
        let second = self.dial((pick, in_flight));
        self.race(first, second).await
    }

    /// Waits for the first of two connections, or for both to fail.
    async fn race(
        &mut self,
        mut first: Dial<'s>,
        mut second: Dial<'s>,
    ) -> Result<Contact<'s>, (Pick<'s>, ConnectError)> {
        let (won, connected, mut other, late) = tokio::select! {
            connected = &mut first.connecting => (first, connected, second, AttemptOutcome::Overtaken),
            connected = &mut second.connecting => (second, connected, first, AttemptOutcome::ConnectTimeout),
        };
        if connected.is_ok() {
            self.leave(other, late);
            return self.connected(won, connected);
        }
        if let Err((pick, error)) = self.connected(won, connected) {
            self.failed(&pick, error.outcome());
            self.tried.add(pick.index);
        }
        self.record.picked(other.pick.backend);
        let connected = other.connecting.as_mut().await;
        self.connected(other, connected)
    }

    fn connected(
        &mut self,
        dial: Dial<'s>,
        connected: Result<TcpStream, ConnectError>,
    ) -> Result<Contact<'s>, (Pick<'s>, ConnectError)> {
        let Dial { pick, in_flight, waiting, begun, .. } = dial;
        let stream = connected.map_err(|error| (pick, error))?;
        let now = Instant::now();
        let took = now.duration_since(begun);
        let shard = pick.backend.series.shard(self.worker.id);
        shard.connections_opened.inc();
        shard.connect_duration.record(took);
        pick.backend.connects.record(took, now);
        self.record.connected(pick.backend, begun, now);
        self.record.picked(pick.backend);
        self.introduce(&stream).map_err(|error| (pick, ConnectError::Other(error)))?;
        let (alarm, drains) = (pick.backend.alarm(), pick.backend.drains_ended());
        Ok(Contact { alarm, drains, pick, stream, reused: false, in_flight, waiting })
    }

    /// Tells the backend who the client is, if it wants to know.
    fn introduce(&self, stream: &TcpStream) -> std::io::Result<()> {
        let Some(version) = self.upstream.exchange.proxy_protocol else { return Ok(()) };
        let mut header = self.worker.buffers.take_small();
        proxy_protocol::write(version, self.purpose.endpoints, &mut header);
        // A new connection takes some ten bytes at once; the runtime does not know yet that it is writable.
        let sent = rustix::net::send(stream, &header, rustix::net::SendFlags::NOSIGNAL);
        let whole = sent? == header.len();
        self.worker.buffers.put_small(header);
        if whole { Ok(()) } else { Err(std::io::ErrorKind::WriteZero.into()) }
    }

    /// Lets a connect that was too slow go on without this exchange: its connection serves another.
    fn leave(&mut self, dial: Dial<'s>, outcome: AttemptOutcome) {
        self.count(&dial.pick, outcome);
        if !self.purpose.shared {
            return;
        }
        let worker = Rc::clone(self.worker);
        let backend = Arc::clone(dial.pick.backend);
        let capacity = self.upstream.exchange.idle_connections;
        tokio::task::spawn_local(async move {
            if let Ok(stream) = dial.connecting.await {
                backend.series.shard(worker.id).connections_opened.inc();
                worker.pool.put(&backend, stream, Instant::now(), capacity);
            }
        });
    }

    /// Returns how long a connect to the backend is waited for before another is tried as well.
    fn connect_patience(&self, backend: &Backend) -> Duration {
        let most = self.upstream.exchange.connect_patience;
        match backend.connects.estimate(Instant::now(), false) {
            None => most,
            Some(usual) => Duration::from_secs_f32(usual * PATIENCE_FACTOR).max(PATIENCE_MIN).min(most),
        }
    }

    /// Counts an attempt that came to no connection, and tells the backend's signs.
    pub(super) fn failed(&mut self, pick: &Pick<'_>, outcome: AttemptOutcome) {
        self.count(pick, outcome);
        self.upstream.note(pick.backend, Sign::ConnectFailed, Instant::now());
    }

    fn count(&mut self, pick: &Pick<'_>, outcome: AttemptOutcome) {
        pick.backend.series.shard(self.worker.id).attempts.inc(outcome);
        self.record.try_ended(pick.backend, outcome, (None, None), Instant::now());
    }

    /// Charges a backend with a retry.
    pub(super) fn retried(&self, pick: &Pick<'s>, reason: RetryReason) {
        pick.backend.series.shard(self.worker.id).retries.inc(reason);
    }

    /// Asks the rules what follows an attempt on the backend at `index`, and for what they do not know: whether somebody
    /// else is left, and the budget.
    pub(super) fn decide(&self, attempted: &Attempted, index: usize) -> Decision {
        let decision = self.upstream.retries.decide(attempted);
        let refusal = match decision {
            decided if decided.needs_another_backend() && !self.others_than(index) => RetryRefusal::NoBackend,
            decided if decided.costs_a_retry() && !self.upstream.budget.take() => RetryRefusal::Budget,
            Decision::GiveUp(Some(refusal)) => refusal,
            decided => return decided,
        };
        self.upstream.series.shard(self.worker.id).retries_refused.inc(refusal);
        Decision::GiveUp(Some(refusal))
    }

    /// Tells whether a backend is left that may be picked and has not been tried, besides the one at `index`.
    pub(super) fn others_than(&self, index: usize) -> bool {
        self.upstream.has_other(index, self.tried)
    }
}
