//! Accepts the connections of one listener on one worker.
//!
//! Every worker listens on a socket of its own (`SO_REUSEPORT`), and the kernel spreads connections over them.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::admission;
use super::exchange::{self, Arrival};
use super::snapshot::Held;
use super::tcp;
use super::worker::{Hold, Worker};
use crate::telemetry::{AcceptError, ListenerSeries};

/// How long accepting rests after it failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Keeps a listener open; dropping it ends the accepting, not the connections.
#[derive(Debug)]
pub struct Closer {
    _end: oneshot::Sender<()>,
}

/// Starts to accept on `socket` for the listener called `name`.
///
/// # Errors
/// When the socket cannot be registered with the runtime.
pub fn open(worker: &Rc<Worker>, name: &str, socket: std::net::TcpListener) -> io::Result<Closer> {
    let socket = TcpListener::from_std(socket)?;
    let (end, ended) = oneshot::channel();
    tokio::task::spawn_local(accept(Rc::clone(worker), worker.hold(), name.into(), socket, ended));
    Ok(Closer { _end: end })
}

async fn accept(
    worker: Rc<Worker>,
    _held: Hold,
    name: Rc<str>,
    socket: TcpListener,
    mut ended: oneshot::Receiver<()>,
) {
    let series = worker.shared.telemetry.listener(&name);
    let mut door = Door { rules: worker.snapshot.load(), worker, name, series };
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = &mut ended => break,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => {
                failing = false;
                door.serve(stream, client);
            }
            Err(error) => {
                if !failing {
                    failing = true;
                    let listener = &*door.name;
                    tracing::warn!(listener, %error, "cannot accept a connection; raise the limit of open files if it is that");
                }
                back_off(&door.worker, &door.series, &error).await;
            }
        }
    }
    // What the kernel has queued by now was promised an answer; closing the socket would reset it. The kernel is asked
    // itself: the runtime knows only of events that it has seen.
    let Ok(socket) = socket.into_std() else { return };
    while let Ok((stream, client)) = socket.accept() {
        let registered = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        if let Ok(stream) = registered {
            door.serve(stream, client);
        }
    }
}

/// What the connections of one listener begin with.
struct Door {
    worker: Rc<Worker>,
    name: Rc<str>,
    series: Arc<ListenerSeries>,
    /// The last configuration that had this listener.
    rules: Rc<Held>,
}

impl Door {
    fn serve(&mut self, stream: TcpStream, client: SocketAddr) {
        let current = self.worker.snapshot.load();
        if current.listener(&self.name).is_some() {
            self.rules = current;
        }
        let Some(index) = self.rules.listener(&self.name) else { return };
        let listener = &self.rules.listeners[index];
        let (max, relayed) = (listener.connections_max, listener.relay.is_some());
        let Some(admitted) = admission::admit(&self.series, self.worker.id, max) else { return };
        // Held before the task runs for the first time, or a draining worker might end before it does.
        let hold = self.worker.hold();
        let rules = Rc::clone(&self.rules);
        let arrival = Arrival { listener: Rc::clone(&self.name), rules, admitted, hold, stream, client };
        let worker = Rc::clone(&self.worker);
        if relayed {
            tokio::task::spawn_local(tcp::serve(worker, arrival));
        } else {
            tokio::task::spawn_local(exchange::serve(worker, arrival));
        }
    }
}

async fn back_off(worker: &Worker, series: &ListenerSeries, error: &io::Error) {
    let kind = match error.raw_os_error() {
        Some(code) if code == rustix::io::Errno::MFILE.raw_os_error() => AcceptError::Descriptors,
        Some(code) if code == rustix::io::Errno::NFILE.raw_os_error() => AcceptError::Descriptors,
        Some(code) if code == rustix::io::Errno::NOMEM.raw_os_error() => AcceptError::Memory,
        Some(code) if code == rustix::io::Errno::NOBUFS.raw_os_error() => AcceptError::Memory,
        Some(code) if code == rustix::io::Errno::CONNABORTED.raw_os_error() => AcceptError::Aborted,
        _ => AcceptError::Other,
    };
    series.shard(worker.id).accept_errors.inc(kind);
    if kind != AcceptError::Aborted {
        // Without a pause the same error would come back at once and eat the CPU that could end connections.
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
