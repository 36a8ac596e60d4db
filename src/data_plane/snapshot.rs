//! What the data plane reads of the configuration: one immutable value, swapped as a whole.
//!
//! Each worker keeps the snapshot that it saw last and compares one pointer per request. An exchange keeps the snapshot
//! that it began with, so a reload never changes the rules half way.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};

use super::http1::request::Limits;
use super::http1::rewrite::ForwardPolicy;
use super::route::RouteTable;
use crate::telemetry::{ListenerSeries, Sampling, TcpSeries, Telemetry};
use crate::upstream::Upstream;

/// Everything the data plane works with at one time.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Where clients connect.
    pub listeners: Vec<Listener>,
    /// Every upstream, also those that only a disabled route names.
    pub upstreams: Vec<Arc<Upstream>>,
}

impl Snapshot {
    /// Returns the position of the listener called `name`.
    #[must_use]
    pub fn listener(&self, name: &str) -> Option<usize> {
        self.listeners.iter().position(|listener| &*listener.name == name)
    }
}

/// One address where clients connect, and the rules that hold there.
#[derive(Debug)]
pub struct Listener {
    /// The name in metrics and logs.
    pub name: Box<str>,
    /// The address that the configuration gives; port 0 means any free one.
    pub address: SocketAddr,
    /// Bounds of requests.
    pub limits: Limits,
    /// After how long without the head of its answer an exchange is slow.
    pub slow: Duration,
    /// How long clients may be silent.
    pub timeouts: ClientTimeouts,
    /// What backends are told about clients.
    pub forward: ForwardPolicy,
    /// Which exchanges have a trace. None leaves what requests say of one as it is.
    pub sampling: Option<Sampling>,
    /// The most connections open at a time, over all workers.
    pub connections_max: u64,
    /// The most requests on one connection.
    pub requests_per_connection: u64,
    /// Whether each connection begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Where requests go.
    pub routes: RouteTable,
    /// Where connections go as they are. None is for HTTP: requests go where the routes say.
    pub relay: Option<Relay>,
    /// Its metrics.
    pub series: Arc<ListenerSeries>,
}

/// Where the connections of a listener go as they are.
#[derive(Debug)]
pub struct Relay {
    /// The upstream.
    pub upstream: Arc<Upstream>,
    /// What is counted of the connections to each of its backends, in their order.
    pub backends: Box<[Arc<TcpSeries>]>,
    /// What is counted of the connections that came to no backend.
    pub nobody: Arc<TcpSeries>,
}

impl Relay {
    /// Relays to `upstream`.
    #[must_use]
    pub fn to(upstream: &Arc<Upstream>, telemetry: &Telemetry) -> Self {
        let series = |backend| telemetry.tcp(&upstream.name, backend);
        Self {
            upstream: Arc::clone(upstream),
            backends: upstream.backends.iter().map(|backend| series(Some(&*backend.name))).collect(),
            nobody: series(None),
        }
    }
}

/// How long a client may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientTimeouts {
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// Between two parts of a body.
    pub body: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Between two parts of an answer that the client takes.
    pub write: Duration,
    /// How long nothing may move in either direction of a tunnel.
    pub tunnel: Duration,
}

/// A worker's view of the snapshot.
#[derive(Debug)]
pub struct SnapshotReader {
    cache: RefCell<Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>>,
    local: RefCell<Rc<Held>>,
}

/// The snapshot behind a count that no other worker touches: holding it costs nothing that workers share.
#[derive(Debug)]
pub struct Held(Arc<Snapshot>);

impl std::ops::Deref for Held {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.0
    }
}

impl SnapshotReader {
    /// Makes a reader of `published`.
    #[must_use]
    pub fn new(published: Arc<ArcSwap<Snapshot>>) -> Self {
        let mut cache = Cache::new(published);
        let local = RefCell::new(Rc::new(Held(Arc::clone(cache.load()))));
        Self { cache: RefCell::new(cache), local }
    }

    /// Returns the present snapshot. Costs two loads while nothing changed.
    #[must_use]
    pub fn load(&self) -> Rc<Held> {
        let mut cache = self.cache.borrow_mut();
        let current = cache.load();
        let mut local = self.local.borrow_mut();
        if !Arc::ptr_eq(current, &local.0) {
            *local = Rc::new(Held(Arc::clone(current)));
        }
        Rc::clone(&local)
    }
}
