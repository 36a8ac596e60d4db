//! An entry as HAProxy logs it with `option httplog`, for the tools that read that (its configuration manual, "HTTP log
//! format"):
//!
//! ```text
//! CLIENT:PORT [DATE] LISTENER UPSTREAM/BACKEND TR/Tw/Tc/Tr/Ta STATUS BYTES - - STATE
//!     PROCESS/LISTENER/UPSTREAM/BACKEND/RETRIES 0/QUEUE {REQUEST_ID|TRACE_ID} "METHOD PATH VERSION"
//! ```
//!
//! - Before it HAProxy has `haproxy[PID]:`, as our lines have `plimsoll[PID]:` by syslog alone. Dates are in UTC.
//! - A request that no upstream gets has the listener's name instead; without a backend it is `<NOSRV>`.
//! - The timers are milliseconds, rounded down; -1 is a stage that was not reached. TR is the head, Tw the queue, Tc
//!   connecting (0 on a pooled connection), Tr from there to the first byte of the answer, Ta all of it.
//! - BYTES are those that went to the client, exactly; HAProxy counts a head as it keeps it, some bytes less.
//! - The two cookies that HAProxy may capture are always `-`.
//! - RETRIES has a `+` when the last try was on another backend than the first.
//! - There is no queue of a single backend, so the first of the two is 0; the other is the place in the upstream's queue.
//! - The braces are as with `capture request header` for `x-request-id` and `traceparent`, of which only the trace id is
//!   taken. They are there always, also where HAProxy leaves them out: before `<BADREQ>`.
//! - The path has no query, which may hold secrets.
//! - Statuses are those of this program: 502 where HAProxy says 503 of a backend that refuses, 499 where it says 400 or -1
//!   of a client that left.
//!
//! A connection of a listener with `protocol: tcp` has the line of HAProxy's `option tcplog`, in which Tw is the queue, Tc
//! connecting, Tt all of it, and BYTES those that went to the client:
//!
//! ```text
//! CLIENT:PORT [DATE] LISTENER UPSTREAM/BACKEND Tw/Tc/Tt BYTES STATE PROCESS/LISTENER/UPSTREAM/BACKEND/RETRIES 0/QUEUE
//! ```
//!
//! Bytes from the network that could end a field are encoded as in HAProxy, `#` and two digits; so are spaces.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use super::entry::{Entry, METHOD_MAX, PATH_MAX, REQUEST_ID_MAX, TRACE_ID_MAX};
use super::fields::{address, number};
use super::stamp::Stamp;
use super::termination;
use super::text::{Bounded, Bytes};

/// What stands for itself in the request line, and in a captured header.
static REQUEST: Bytes = Bytes::graphic_without(b"\"#");
static CAPTURED: Bytes = Bytes::graphic_without(b"\"#{|}");

/// Appends an entry, without a newline.
pub(super) fn line(entry: &Entry<'_>, stamp: &mut Stamp, out: &mut Vec<u8>) {
    match entry.client {
        SocketAddr::V4(_) => address(entry.client, out),
        // Without brackets, as in HAProxy.
        SocketAddr::V6(v6) => drop(write!(out, "{}:{}", v6.ip(), v6.port())),
    }
    out.extend_from_slice(b" [");
    stamp.haproxy(entry.time, out);
    out.extend_from_slice(b"] ");
    let (upstream, backend) = (entry.upstream.unwrap_or(entry.listener), entry.backend.unwrap_or("<NOSRV>"));
    for name in [entry.listener, " ", upstream, "/", backend, " "] {
        out.extend_from_slice(name.as_bytes());
    }
    if entry.is_relayed() {
        return relayed(entry, out);
    }
    timers(entry, out);
    number(entry.status.into(), out);
    out.push(b' ');
    number(entry.response_bytes, out);
    out.extend_from_slice(b" - - ");
    out.extend_from_slice(&termination::letters(entry));
    out.extend_from_slice(b"-- ");
    load(entry, out);
    request(entry, out);
}

/// Writes what follows the names of a connection that was relayed.
fn relayed(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let timings = &entry.timings;
    let queue = entry.upstream.and(Some(timings.admission.unwrap_or_default()));
    write_timers([queue, timings.connect, timings.total], b"// ", out);
    number(entry.response_bytes, out);
    out.push(b' ');
    out.extend_from_slice(&termination::letters(entry));
    out.push(b' ');
    load(entry, out);
}

fn timers(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let timings = &entry.timings;
    let was_read = !entry.method.is_empty();
    let was_connected = timings.send.is_some() || timings.wait.is_some() || entry.answer_started;
    let head = timings.head.filter(|_| was_read);
    let queue = entry.upstream.and(Some(timings.admission.unwrap_or_default()));
    let connect = was_connected.then(|| timings.connect.unwrap_or_default());
    let answer = timings.wait.map(|wait| wait + timings.send.unwrap_or_default());
    write_timers([head, queue, connect, answer, timings.total], b"//// ", out);
}

fn write_timers<const N: usize>(timers: [Option<Duration>; N], ends: &[u8; N], out: &mut Vec<u8>) {
    for (timer, end) in timers.into_iter().zip(ends) {
        match timer {
            Some(time) => number(whole_milliseconds(time), out),
            None => out.extend_from_slice(b"-1"),
        }
        out.push(*end);
    }
}

fn whole_milliseconds(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1000).saturating_add(time.subsec_millis().into())
}

fn load(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let load = entry.load.unwrap_or_default();
    for count in [load.process, load.listener, load.upstream, load.backend] {
        number(count, out);
        out.push(b'/');
    }
    let mut tried = entry.tries.iter().flatten().map(|one| one.backend);
    let first = tried.next();
    if tried.next_back().is_some_and(|last| Some(last) != first) {
        out.push(b'+');
    }
    number(entry.attempts.saturating_sub(1).into(), out);
    out.extend_from_slice(b" 0/");
    number(load.queue, out);
}

fn request(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let captured = |text, limit, out: &mut Vec<u8>| Bounded::new(text, limit).hash_encoded(&CAPTURED, out);
    out.extend_from_slice(b" {");
    captured(entry.request_id, REQUEST_ID_MAX, out);
    out.push(b'|');
    captured(entry.trace_id.unwrap_or_default(), TRACE_ID_MAX, out);
    if entry.method.is_empty() {
        return out.extend_from_slice(b"} \"<BADREQ>\"");
    }
    out.extend_from_slice(b"} \"");
    Bounded::new(entry.method, METHOD_MAX).hash_encoded(&REQUEST, out);
    out.push(b' ');
    Bounded::new(entry.path, PATH_MAX).hash_encoded(&REQUEST, out);
    out.push(b' ');
    out.extend_from_slice(entry.version.as_bytes());
    out.push(b'"');
}
