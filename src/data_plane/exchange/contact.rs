//! A connection for one attempt: an idle one, a new one, or the first of two.
//!
//! A host that has vanished answers a connect with silence. How long that is waited for is learned from the backend; then
//! another backend is tried in parallel, and the first connection wins. The other one goes into the pool when it comes.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::attempts::{Claim, Forwarding};
use crate::data_plane::connect::{ConnectError, connect};
use crate::telemetry::{AttemptOutcome, BackendShard, RetryReason};
use crate::upstream::{Backend, InFlight, Pick, Sign};

/// The least patience with a connect. Shorter would turn every pause of a busy host into a second connection.
const PATIENCE_MIN: Duration = Duration::from_millis(50);

/// A connect may take so many times what it usually takes.
const PATIENCE_FACTOR: f32 = 4.0;

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

impl<'s> Forwarding<'_, 's> {
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
        let worker = &self.connection.worker;
        // What cannot be sent again must not meet a connection that has just been closed.
        let only_once = !self.plan.idempotent || !self.upload.is_received();
        let stream = worker.pool.take(backend, only_once)?;
        backend.series.shard(worker.id).connections_reused.inc();
        Some(stream)
    }

    fn reused(&self, (pick, in_flight): Claim<'s>, stream: TcpStream) -> Contact<'s> {
        let waiting = self.waiting(pick.backend);
        let (alarm, drains) = (pick.backend.alarm(), pick.backend.drains_ended());
        Contact { alarm, drains, pick, stream, reused: true, in_flight, waiting }
    }

    fn waiting(&self, backend: &'s Backend) -> Option<Waiting<'s>> {
        let shard = backend.series.shard(self.connection.worker.id);
        self.upload.is_received().then(|| Waiting::begin(shard))
    }

    fn dial(&mut self, (pick, in_flight): Claim<'s>) -> Dial<'s> {
        self.record.dialled(pick.backend);
        let settings = &self.upstream.exchange;
        let (patience, unacknowledged) = (settings.connect_timeout, settings.response_timeout);
        let connecting = Box::pin(connect(pick.backend.address, patience, unacknowledged));
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
            self.count(&pick, error.outcome());
            self.upstream.note(pick.backend, Sign::ConnectFailed, Instant::now());
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
        let shard = pick.backend.series.shard(self.connection.worker.id);
        shard.connections_opened.inc();
        shard.connect_duration.record(took);
        pick.backend.connects.record(took, now);
        self.record.connected(pick.backend, begun, now);
        self.record.picked(pick.backend);
        let (alarm, drains) = (pick.backend.alarm(), pick.backend.drains_ended());
        Ok(Contact { alarm, drains, pick, stream, reused: false, in_flight, waiting })
    }

    /// Lets a connect that was too slow go on without this exchange: its connection serves another.
    fn leave(&mut self, dial: Dial<'s>, outcome: AttemptOutcome) {
        self.count(&dial.pick, outcome);
        let worker = Rc::clone(&self.connection.worker);
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
}
