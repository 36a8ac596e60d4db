//! The listeners' sockets: one per worker on each address (`SO_REUSEPORT`), bound before anything is served.
//!
//! The process keeps a handle of each socket beside the worker's. So a listener that gets another name at the same
//! address goes on with the sockets of the one before, and with the connections that wait in them: closing a socket and
//! opening another would reset those that come in between.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// How many connections wait in the kernel for each worker; the kernel bounds it further by `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A listener as the configuration wants it: its name and address. Port 0 means any free one.
pub(super) type Wanted = (Box<str>, SocketAddr);

/// The sockets of all open listeners.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    open: Vec<Bound>,
}

/// The sockets of one listener.
#[derive(Debug)]
struct Bound {
    name: Box<str>,
    /// What the configuration says.
    configured: SocketAddr,
    /// Where it listens: with a port even when the configuration leaves it to the system.
    actual: SocketAddr,
    /// One for each worker.
    sockets: Vec<TcpListener>,
}

/// What workers are to open for one listener.
#[derive(Debug)]
pub(super) struct Opening {
    /// The listener's name.
    pub(super) name: Box<str>,
    /// One for each worker.
    pub(super) sockets: Vec<TcpListener>,
}

/// The way from the open listeners to the wanted ones. Dropping it closes what was bound for it.
#[derive(Debug)]
pub(super) struct Change {
    gone: Vec<Box<str>>,
    bound: Vec<Bound>,
    openings: Vec<Opening>,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("listener {listener} cannot listen on {address}: {source}{}", hint(.source))]
pub struct BindError {
    listener: String,
    address: SocketAddr,
    source: io::Error,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program listens there, choose another port or stop it",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege (CAP_NET_BIND_SERVICE)",
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        _ => "",
    }
}

impl Sockets {
    /// Binds what is `wanted` and not open yet. Nothing that is open notices.
    ///
    /// # Errors
    /// The first address that cannot be bound; those bound before it are closed again.
    pub(super) fn prepare(&self, wanted: &[Wanted], workers: usize) -> Result<Change, BindError> {
        let is_open = |(name, address): &&Wanted| self.open.iter().any(|open| open.is(name, *address));
        let gone: Vec<_> = self
            .open
            .iter()
            .filter(|open| !wanted.iter().any(|(name, address)| open.is(name, *address)))
            .collect();
        let mut change = Change {
            gone: gone.iter().map(|bound| bound.name.clone()).collect(),
            bound: Vec::new(),
            openings: Vec::new(),
        };
        for (name, address) in wanted.iter().filter(|wanted| !is_open(wanted)) {
            let failed = |source| BindError { listener: name.to_string(), address: *address, source };
            let bound = bind(name, *address, &gone, workers).map_err(failed)?;
            let sockets = duplicates(&bound.sockets).map_err(failed)?;
            change.openings.push(Opening { name: name.clone(), sockets });
            change.bound.push(bound);
        }
        Ok(change)
    }

    /// Takes note of a change; returns what the workers are to close, and then to open.
    pub(super) fn apply(&mut self, change: Change) -> (Vec<Box<str>>, Vec<Opening>) {
        let Change { gone, bound, openings } = change;
        // Now, so that a socket that nobody takes over closes at the moment the worker leaves it.
        self.open.retain(|open| !gone.contains(&open.name));
        for Bound { name, actual, .. } in &bound {
            tracing::info!(listener = &**name, address = %actual, "listening");
        }
        self.open.extend(bound);
        (gone, openings)
    }
}

impl Bound {
    fn is(&self, name: &str, configured: SocketAddr) -> bool {
        *self.name == *name && self.configured == configured
    }

    /// Whether a socket that shares nothing could not be bound to `address` beside this one.
    fn meets(&self, address: SocketAddr) -> bool {
        let (own, other) = (self.actual.ip(), address.ip());
        self.actual.port() == address.port()
            && (own == other || own.is_unspecified() || other.is_unspecified())
    }
}

/// Binds one listener, or takes over the sockets of one that is about to go from the same address.
fn bind(name: &str, configured: SocketAddr, gone: &[&Bound], workers: usize) -> io::Result<Bound> {
    let name = name.into();
    if let Some(before) = gone.iter().find(|bound| bound.actual == configured) {
        let sockets = duplicates(&before.sockets)?;
        return Ok(Bound { name, configured, actual: configured, sockets });
    }
    // SO_REUSEPORT would let a second process of the same user share the port in silence, and take half of its traffic.
    // A socket without it tells, unless it is a socket of our own that is in its way.
    if configured.port() != 0 && !gone.iter().any(|bound| bound.meets(configured)) {
        drop(open(configured, false)?);
    }
    let first = open(configured, true)?;
    // Port 0 means any free one, and the same one for all workers.
    let actual = first.local_addr()?;
    let rest = (1..workers).map(|_| open(actual, true));
    let sockets = std::iter::once(Ok(first)).chain(rest).collect::<io::Result<_>>()?;
    Ok(Bound { name, configured, actual, sockets })
}

fn duplicates(sockets: &[TcpListener]) -> io::Result<Vec<TcpListener>> {
    sockets.iter().map(TcpListener::try_clone).collect()
}

fn open(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if shared {
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}
