//! Takes the header off the front of a connection.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{Endpoints, Header, parse};
use crate::data_plane::buffer::Buffer;
use crate::data_plane::deadline::Deadline;
use crate::data_plane::exchange::FAREWELL;
use crate::data_plane::record::log_null;
use crate::data_plane::snapshot::Listener;
use crate::data_plane::worker::Worker;
use crate::telemetry::RefusalReason;

/// How a connection begins.
#[derive(Debug)]
pub struct Opening {
    /// Who the client is: the peer, or whom the proxy names.
    pub client: SocketAddr,
    /// Both ends as the proxy told them; None without a header, or if it speaks for itself.
    pub told: Option<Endpoints>,
    /// What came after the header.
    pub ahead: Option<Buffer>,
}

/// Reads the header of a connection from `peer`, if the listener wants one. None when the connection is to be closed
/// without a word, which is all its other end could make of it; that is counted and logged.
pub async fn receive(
    worker: &Worker,
    listener: &Listener,
    (stream, peer): (&mut TcpStream, SocketAddr),
    deadline: &Deadline,
    began: Instant,
) -> Option<Opening> {
    if !listener.proxy_protocol {
        return Some(Opening { client: peer, told: None, ahead: None });
    }
    let mut held = None;
    let read = if is_trusted(listener, peer.ip()) {
        // Once for all of it, so that nothing is won by sending a byte at a time.
        deadline.arm(listener.timeouts.head);
        let mut hurried = false;
        poll_fn(|cx| {
            if worker.is_draining() && !hurried {
                // Accepted a moment ago: what it has to say is on the way.
                hurried = true;
                deadline.arm(FAREWELL.min(listener.timeouts.head));
            }
            poll_header(cx, worker, stream, &mut held, deadline)
        })
        .await
    } else {
        Err(RefusalReason::BadProxyHeader)
    };
    let ahead = held.and_then(|mut buffer: Buffer| {
        buffer.consume(read.map_or(usize::MAX, |(_, len)| len));
        if buffer.filled().is_empty() {
            worker.buffers.put(buffer);
            return None;
        }
        Some(buffer)
    });
    match read {
        Ok((Header::Local, _)) => Some(Opening { client: peer, told: None, ahead }),
        Ok((Header::Proxied(told), _)) => Some(Opening { client: told.source, told: Some(told), ahead }),
        Err(reason) => {
            listener.series.shard(worker.id).refused.inc(reason);
            log_null(worker, listener, peer, began, Some(reason));
            None
        }
    }
}

/// Is ready with the header and how long it is, or why there is none.
fn poll_header(
    cx: &mut Context<'_>,
    worker: &Worker,
    stream: &mut TcpStream,
    held: &mut Option<Buffer>,
    deadline: &Deadline,
) -> Poll<Result<(Header, usize), RefusalReason>> {
    loop {
        let read = match held {
            Some(buffer) => buffer.poll_read(cx, stream),
            None => worker.buffers.poll_read(cx, stream).map_ok(|(buffer, count)| {
                *held = Some(buffer);
                count
            }),
        };
        match read {
            Poll::Ready(Ok(1..)) => {}
            Poll::Ready(_) => return Poll::Ready(Err(RefusalReason::Incomplete)),
            Poll::Pending => return deadline.poll_passed(cx).map(|()| Err(RefusalReason::HeadTimeout)),
        }
        match parse(held.as_ref().map_or(b"", |buffer| buffer.filled())) {
            Ok(Some(parsed)) => return Poll::Ready(Ok(parsed)),
            Ok(None) => {}
            Err(_) => return Poll::Ready(Err(RefusalReason::BadProxyHeader)),
        }
    }
}

/// Tells whether the header of this peer counts: of those that the listener trusts, and of all where it names none.
fn is_trusted(listener: &Listener, peer: IpAddr) -> bool {
    let trust = &listener.forward.trust;
    trust.is_empty() || trust.iter().any(|network| network.contains(peer))
}
