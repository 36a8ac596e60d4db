//! The exchange as a line of the access log; and the connection on which none came.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{CLIENT_GONE, CUT, Record};
use crate::data_plane::balance::Words;
use crate::data_plane::snapshot::Listener;
use crate::data_plane::worker::Worker;
use crate::telemetry::{
    AttemptOutcome, Entry, Label as _, Load, LoggedTry, RefusalReason, TRIES_KEPT, Timings, TraceParent,
};

/// The status of a connection that does not begin as it must.
const BAD_REQUEST: u16 = 400;
/// The status of a head that took too long.
const HEAD_TIMEOUT: u16 = 408;

impl<'s> Record<'s> {
    /// Returns the exchange as it ended, with `status`, the time that was `added` and the rewritten `head`; with the load of
    /// the moment, if wanted.
    pub(super) fn entry<'e>(
        &'e self,
        (status, added): (u16, Duration),
        head: &'e [u8],
        now: Instant,
        with_load: bool,
    ) -> Entry<'e> {
        let total = now.duration_since(self.times.started);
        let headers = Headers::of(head);
        Entry {
            time: SystemTime::now() - total,
            request_id: headers.request_id.unwrap_or_default(),
            trace_id: headers.traceparent.and_then(trace_id),
            client: self.client,
            listener: &self.listener.name,
            route: self.route.map(|route| &*route.name),
            upstream: self.upstream.map(|upstream| &*upstream.name),
            backend: self.backend.map(|backend| &*backend.name),
            method: self.words.method_in(head),
            host: headers.host.unwrap_or_default(),
            path: self.words.path_in(head),
            version: match self.words {
                // Refused before anything could be read out of it.
                Words { method: 0, .. } => "",
                Words { minor: 0, .. } => "HTTP/1.0",
                _ => "HTTP/1.1",
            },
            status,
            reason: self.reason,
            attempts: self.attempts,
            tries: self.logged_tries(),
            request_bytes: self.received_bytes,
            response_bytes: self.sent_bytes,
            timings: self.timings(total),
            answer_started: self.times.head_sent.is_some(),
            added,
            user_agent: headers.user_agent,
            load: with_load.then(|| self.load()),
        }
    }

    /// Returns how long each stage took. Each moment is asked once how far it is from the start: what lies between two of
    /// them is cheaper to subtract from that than to ask for.
    fn timings(&self, total: Duration) -> Timings {
        let times = &self.times;
        let offset = |at: Instant| at.saturating_duration_since(times.started);
        let between = |(from, to): (Instant, Instant)| to.saturating_duration_since(from);
        let (head, planned) = (offset(times.head), offset(times.planned));
        let (sent, first_byte) = (times.sent.map(offset), times.first_byte.map(offset));
        let acquired = times.connected.or(times.queued).map_or(planned, |(_, at)| offset(at));
        Timings {
            head: Some(head),
            route: Some(planned.saturating_sub(head)),
            admission: times.queued.map(between),
            balance: None,
            connect: times.connected.map(between),
            send: sent.map(|sent| sent.saturating_sub(acquired)),
            wait: first_byte.and_then(|first| Some(first.saturating_sub(sent?))),
            relay: first_byte.map(|first| total.saturating_sub(first)),
            total: Some(total),
        }
    }

    /// Returns the tries with the names of their backends: looked up here, since few exchanges are logged.
    fn logged_tries(&self) -> [Option<LoggedTry<'s>>; TRIES_KEPT] {
        let backends = self.upstream.map(|upstream| &*upstream.backends).unwrap_or_default();
        let name = |id| backends.iter().find(|known| known.series.id == id).map(|known| &*known.name);
        let tries = self.trying.told(&self.times);
        let mut tries = tries.iter();
        std::array::from_fn(|_| {
            let one = tries.next()?;
            Some(LoggedTry {
                backend: name(one.backend)?,
                pick: one.reason.as_str(),
                outcome: one.outcome.map(AttemptOutcome::as_str),
                start: one.began.as_duration(),
                stages: one.stages(),
            })
        })
    }

    fn load(&self) -> Load {
        let backends = self.upstream.map(|upstream| &*upstream.backends).unwrap_or_default();
        Load {
            upstream: backends.iter().map(|backend| backend.in_flight()).sum(),
            backend: self.backend.map_or(0, |backend| backend.in_flight()),
            queue: u64::from(self.queue_place),
            ..connections(self.worker, self.listener)
        }
    }
}

/// Writes the line of a connection that ended before a request came, and `because` of what if that is known, if the access log
/// wants such lines. It was no exchange:
/// nothing else counts it.
pub(crate) fn log_null(
    worker: &Worker,
    listener: &Listener,
    client: SocketAddr,
    began: Instant,
    because: Option<RefusalReason>,
) {
    let log = worker.access_log();
    if !log.wants_nulls() {
        return;
    }
    let lasted = began.elapsed();
    let (status, reason) = if let Some(known) = because {
        (if known == RefusalReason::HeadTimeout { HEAD_TIMEOUT } else { BAD_REQUEST }, known)
    } else if lasted >= listener.timeouts.head {
        (HEAD_TIMEOUT, RefusalReason::HeadTimeout)
    } else if worker.is_draining() {
        (CUT, RefusalReason::ShuttingDown)
    } else {
        (CLIENT_GONE, RefusalReason::Incomplete)
    };
    let entry = Entry {
        time: SystemTime::now() - lasted,
        request_id: b"",
        trace_id: None,
        client,
        listener: &listener.name,
        route: None,
        upstream: None,
        backend: None,
        method: b"",
        host: b"",
        path: b"",
        version: "",
        status,
        reason: Some(reason.as_str()),
        attempts: 0,
        tries: [None; TRIES_KEPT],
        request_bytes: 0,
        response_bytes: 0,
        timings: Timings { total: Some(lasted), ..Timings::default() },
        answer_started: false,
        added: Duration::ZERO,
        user_agent: None,
        load: log.tells_load().then(|| connections(worker, listener)),
    };
    worker.log_batch.borrow_mut().write(&log, &entry);
}

/// Counts the open connections of clients.
fn connections(worker: &Worker, listener: &Listener) -> Load {
    let open = |listener: &Listener| {
        let sum = listener.series.shards().sum(|shard| shard.connections_active.get());
        u64::try_from(sum).unwrap_or(0)
    };
    let process = worker.snapshot.load().listeners.iter().map(open).sum();
    Load { process, listener: open(listener), ..Load::default() }
}

/// The header fields that a line tells, each the first of its name.
#[derive(Default)]
struct Headers<'a> {
    host: Option<&'a [u8]>,
    user_agent: Option<&'a [u8]>,
    traceparent: Option<&'a [u8]>,
    request_id: Option<&'a [u8]>,
}

impl<'a> Headers<'a> {
    /// Finds them in a rewritten head, in one pass: most lines are dismissed by where their colon stands.
    fn of(head: &'a [u8]) -> Self {
        let mut found = Self::default();
        let mut from = memchr::memchr(b'\n', head).map_or(head.len(), |end| end + 1);
        while let Some(end) = memchr::memchr(b'\n', &head[from..]) {
            let line = &head[from..from + end];
            from += end + 1;
            if line == b"\r" {
                break;
            }
            let is_named =
                |name: &[u8]| line.get(..name.len()).is_some_and(|own| own.eq_ignore_ascii_case(name));
            let place = |length: usize| line.get(length) == Some(&b':');
            let (field, length) = match () {
                () if place(4) && is_named(b"host") => (&mut found.host, 4),
                () if place(10) && is_named(b"user-agent") => (&mut found.user_agent, 10),
                () if place(11) && is_named(b"traceparent") => (&mut found.traceparent, 11),
                () if place(12) && is_named(b"x-request-id") => (&mut found.request_id, 12),
                () => continue,
            };
            field.get_or_insert_with(|| line[length + 1..].trim_ascii());
        }
        found
    }
}

/// Returns the trace id of a W3C `traceparent`, if that has one.
fn trace_id(traceparent: &[u8]) -> Option<&[u8]> {
    // Where it is valid, it stands in one place.
    TraceParent::parse(traceparent).and_then(|_| traceparent.get(3..35))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_plane::balance::header;
    use proptest::prelude::*;

    #[test]
    fn fields_are_found_whatever_their_case_and_the_first_counts() {
        let head = b"GET / HTTP/1.1\r\nHOST: a \r\nx-host: b\r\nhost: c\r\nUser-Agent:d\r\n\
            traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nX-Request-Id:\t7\r\n\r\nuser-agent: of the body\r\n";
        let Headers { host, user_agent, traceparent, request_id } = Headers::of(head);
        assert_eq!((host, user_agent, request_id), (Some(&b"a"[..]), Some(&b"d"[..]), Some(&b"7"[..])));
        assert_eq!(traceparent.and_then(trace_id), Some(&b"4bf92f3577b34da6a3ce929d0e0e4736"[..]));
        assert_eq!(trace_id(b"00-no such id-00f067aa0ba902b7-01"), None);
        assert_eq!(trace_id(b"00-4bf92f3577b34da6a3ce929d0e0e4736-no-01"), None, "nobody else would take it");
    }

    proptest! {
        #[test]
        fn one_pass_finds_what_four_would(lines in prop::collection::vec(
            "((?i)host|user-agent|traceparent|x-request-id|accept|x-host|)[: ]{0,2}[ -~]{0,6}", 0..8,
        )) {
            let head = format!("GET / HTTP/1.1\r\n{}\r\n\r\nhost: x\r\n", lines.join("\r\n"));
            let found = Headers::of(head.as_bytes());
            let header = |name| header(head.as_bytes(), name);
            prop_assert_eq!(found.host, header("host"));
            prop_assert_eq!(found.user_agent, header("user-agent"));
            prop_assert_eq!(found.traceparent, header("traceparent"));
            prop_assert_eq!(found.request_id, header("x-request-id"));
        }
    }
}
