//! Listens on the balancer's wire for what it sends to one backend, received or not.
//!
//! A backend that has vanished cannot tell what was sent to it, and a balancer tells it in words of its own. The
//! wire tells the same of all of them.

use anyhow::Context;
use serde::Serialize;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::collections::HashSet;
use std::io::{ErrorKind, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The path that clients ask for; checks ask for another.
pub(crate) const PATH: &str = "/work";

/// Something sent to the backend. What the kernel sends again for want of an acknowledgement is the same thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Sent {
    /// The first packet of a connection.
    Connect,
    /// A client's GET.
    Get,
    /// A client's POST with its number.
    Post(u64),
}

impl Sent {
    /// The number of the POST, if it is one.
    pub(crate) fn post(self) -> Option<u64> {
        match self {
            Sent::Post(number) => Some(number),
            Sent::Connect | Sent::Get => None,
        }
    }
}

/// The tap. Dropped, it stops listening.
pub(crate) struct Tap {
    caught: Arc<Mutex<Vec<(Instant, Sent)>>>,
    task: JoinHandle<()>,
}

impl Tap {
    #[expect(
        deprecated,
        reason = "its replacement is unsafe for types with an odd AsRawFd; a socket's is not"
    )]
    /// Starts listening on the host that the calling thread is in for what goes to `backend`.
    pub(crate) fn start(backend: SocketAddr) -> anyhow::Result<Tap> {
        let every_protocol = Protocol::from(i32::from(ETH_P_ALL.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(every_protocol));
        let socket = socket.context("cannot listen on the wire; this needs root")?;
        socket.attach_filter(&filter(backend)?)?;
        socket.set_nonblocking(true)?;
        let socket = AsyncFd::new(socket)?;
        let caught = Arc::default();
        let task = tokio::spawn(listen(socket, Arc::clone(&caught)));
        Ok(Tap { caught, task })
    }

    /// What was sent so far.
    pub(crate) fn caught(&self) -> Vec<(Instant, Sent)> {
        self.caught.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const ETH_P_ALL: u16 = 3;

async fn listen(socket: AsyncFd<Socket>, caught: Arc<Mutex<Vec<(Instant, Sent)>>>) {
    let mut known = HashSet::new();
    let mut packet = [0; 2048];
    while let Ok(mut ready) = socket.readable().await {
        let length = match socket.get_ref().read(&mut packet) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                ready.clear_ready();
                continue;
            }
            // The link went down or came up, which the next read does not mind.
            Err(_) => continue,
        };
        let Some((segment, sent)) = parse(&packet[..length]) else { continue };
        if known.insert(segment) {
            caught.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), sent));
        }
    }
}

/// Passes the first packets of connections to `backend` and those that begin a GET or a POST, in the kernel's packet
/// filter language (Linux: Documentation/networking/filter.rst). Offsets count from the IP header.
fn filter(backend: SocketAddr) -> anyhow::Result<[SockFilter; 20]> {
    let IpAddr::V4(ip) = backend.ip() else { anyhow::bail!("{backend} is not an IPv4 address") };
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_WORD: u16 = 0x20;
    const LOAD_BYTE_AT_X: u16 = 0x50;
    const LOAD_HALF_AT_X: u16 = 0x48;
    const LOAD_WORD_AT_X: u16 = 0x40;
    const X_FROM_IP_LENGTH: u16 = 0xb1;
    const EQUAL: u16 = 0x15;
    const AND: u16 = 0x54;
    const SHIFT_RIGHT: u16 = 0x74;
    const ADD_X: u16 = 0x0c;
    const X_FROM_A: u16 = 0x07;
    const RETURN: u16 = 0x06;
    let step = SockFilter::new;
    Ok([
        step(LOAD_BYTE, 0, 0, 9),
        step(EQUAL, 0, 16, 6), // TCP
        step(LOAD_WORD, 0, 0, 16),
        step(EQUAL, 0, 14, u32::from(ip)),
        step(X_FROM_IP_LENGTH, 0, 0, 0),
        step(LOAD_HALF_AT_X, 0, 0, 2),
        step(EQUAL, 0, 11, u32::from(backend.port())),
        step(LOAD_BYTE_AT_X, 0, 0, 13),
        step(AND, 0, 0, u32::from(SYN | ACK)),
        step(EQUAL, 9, 0, u32::from(SYN)),
        step(LOAD_BYTE_AT_X, 0, 0, 12),
        step(AND, 0, 0, 0xf0),
        step(SHIFT_RIGHT, 0, 0, 2),
        step(ADD_X, 0, 0, 0),
        step(X_FROM_A, 0, 0, 0),
        step(LOAD_WORD_AT_X, 0, 0, 0), // passes nothing when there is no payload
        step(EQUAL, 2, 0, u32::from_be_bytes(*b"GET ")),
        step(EQUAL, 1, 0, u32::from_be_bytes(*b"POST")),
        step(RETURN, 0, 0, 0),
        step(RETURN, 0, 0, 2048),
    ])
}

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// Reads an IPv4 packet; gives what it says and the port and sequence number by which it is known when sent again.
fn parse(packet: &[u8]) -> Option<((u16, u32), Sent)> {
    let ip_length = usize::from(packet.first()? & 0x0f) * 4;
    let tcp = packet.get(ip_length..)?;
    let port = u16::from_be_bytes(*tcp.first_chunk()?);
    let sequence = u32::from_be_bytes(*tcp.get(4..)?.first_chunk()?);
    let known_by = (port, sequence);
    if tcp.get(13)? & (SYN | ACK) == SYN {
        return Some((known_by, Sent::Connect));
    }
    let payload = tcp.get(usize::from(tcp.get(12)? >> 4) * 4..)?;
    let head = String::from_utf8_lossy(payload);
    let mut lines = head.lines();
    let (method, target) = lines.next()?.split_once(' ')?;
    if !target.starts_with(PATH) {
        return None;
    }
    if method == "GET" {
        return Some((known_by, Sent::Get));
    }
    let named = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(crate::backend::NUMBER.as_str()).then(|| value.trim().parse().ok())?
    };
    Some((known_by, Sent::Post(lines.find_map(named)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(flags: u8, payload: &str) -> Vec<u8> {
        let mut packet = vec![0; 20 + 32];
        packet[0] = 0x45;
        packet[20..22].copy_from_slice(&40_000u16.to_be_bytes());
        packet[24..28].copy_from_slice(&77u32.to_be_bytes());
        packet[32] = 0x80; // a TCP header with 12 bytes of options
        packet[33] = flags;
        packet.extend_from_slice(payload.as_bytes());
        packet
    }

    #[test]
    fn clients_requests_and_connects_are_read_from_packets() {
        let known_by = (40_000, 77);
        assert_eq!(parse(&packet(SYN, "")), Some((known_by, Sent::Connect)));
        assert_eq!(parse(&packet(ACK, "GET /work HTTP/1.1\r\n")), Some((known_by, Sent::Get)));
        let post = "POST /work HTTP/1.1\r\nHost: a\r\nX-Number: 41\r\n\r\nloadtest";
        assert_eq!(parse(&packet(ACK, post)), Some((known_by, Sent::Post(41))));
    }

    #[test]
    fn checks_answers_and_rubbish_are_nobodys_requests() {
        assert_eq!(parse(&packet(ACK, "GET /health HTTP/1.1\r\n")), None);
        assert_eq!(parse(&packet(ACK, "POST /work HTTP/1.1\r\n\r\n")), None, "a POST without a number");
        assert_eq!(parse(&packet(SYN | ACK, "")), None);
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&[0x4f; 30]), None);
    }
}
