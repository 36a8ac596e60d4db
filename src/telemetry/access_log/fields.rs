//! The fields of an entry, once for all formats that name them.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use super::entry::{
    Entry, HOST_MAX, LoggedTry, METHOD_MAX, PATH_MAX, REQUEST_ID_MAX, TRACE_ID_MAX, Timings, USER_AGENT_MAX,
};
use super::text::Bounded;

/// The name of a field, with what stands around it in each format: one copy instead of three.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) json: &'static str,
    pub(super) logfmt: &'static str,
}

macro_rules! key {
    ($name:literal) => {
        Key { json: concat!(",\"", $name, "\":"), logfmt: concat!(" ", $name, "=") }
    };
}

/// A format whose fields have names. Its functions are inlined, so that a key is copied by a few instructions instead of a
/// call, and there are dozens of them. An absent value is one of the format's own ways to say so.
pub(super) trait Fields {
    /// Writes text from the network.
    fn text(&mut self, key: Key, text: Option<Bounded<'_>>);
    /// Writes a name of the configuration or a word of this program, which need no escape.
    fn word(&mut self, key: Key, word: Option<&str>);
    /// Writes an address.
    fn address(&mut self, key: Key, address: SocketAddr);
    /// Writes a number.
    fn number(&mut self, key: Key, number: u64);
    /// Writes a duration in milliseconds.
    fn milliseconds(&mut self, key: Key, duration: Duration);
    /// Writes whom it was given to.
    fn tries(&mut self, key: Key, tries: &[Option<LoggedTry<'_>>]);
    /// Begins the times of the stages.
    fn begin_stages(&mut self);
    /// Writes the time of a stage, in milliseconds.
    fn stage(&mut self, stage: Stage, duration: Option<Duration>);
    /// Ends the times of the stages.
    fn end_stages(&mut self);
}

/// The name of a stage in each format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stage {
    pub(super) json: &'static str,
    pub(super) logfmt: &'static str,
}

macro_rules! stage {
    ($before:literal, $name:literal) => {
        Stage { json: concat!($before, "\"", $name, "\":"), logfmt: concat!(" ", $name, "_ms=") }
    };
}

/// Writes all fields but the time, which a line begins with, in their order.
pub(super) fn visit(entry: &Entry<'_>, out: &mut impl Fields) {
    let cut = Bounded::new;
    out.text(key!("request_id"), Some(cut(entry.request_id, REQUEST_ID_MAX)));
    out.text(key!("trace_id"), entry.trace_id.map(|id| cut(id, TRACE_ID_MAX)));
    out.address(key!("client"), entry.client);
    out.word(key!("listener"), Some(entry.listener));
    out.word(key!("route"), entry.route);
    out.word(key!("upstream"), entry.upstream);
    out.word(key!("backend"), entry.backend);
    out.text(key!("method"), Some(cut(entry.method, METHOD_MAX)));
    out.text(key!("host"), Some(cut(entry.host, HOST_MAX)));
    out.text(key!("path"), Some(cut(entry.path, PATH_MAX)));
    out.word(key!("version"), Some(entry.version));
    out.number(key!("status"), entry.status.into());
    out.word(key!("reason"), entry.reason);
    out.number(key!("attempts"), entry.attempts.into());
    out.tries(key!("tries"), &entry.tries);
    out.number(key!("request_bytes"), entry.request_bytes);
    out.number(key!("response_bytes"), entry.response_bytes);
    stages(&entry.timings, out);
    out.milliseconds(key!("added_ms"), entry.added);
    out.text(key!("user_agent"), entry.user_agent.map(|agent| cut(agent, USER_AGENT_MAX)));
}

fn stages(timings: &Timings, out: &mut impl Fields) {
    let Timings { head, route, admission, balance, connect, send, wait, relay, total } = *timings;
    out.begin_stages();
    out.stage(stage!("", "head"), head);
    out.stage(stage!(",", "route"), route);
    out.stage(stage!(",", "admission"), admission);
    out.stage(stage!(",", "balance"), balance);
    out.stage(stage!(",", "connect"), connect);
    out.stage(stage!(",", "send"), send);
    out.stage(stage!(",", "wait"), wait);
    out.stage(stage!(",", "relay"), relay);
    out.stage(stage!(",", "total"), total);
    out.end_stages();
}

/// Appends a number.
pub(super) fn number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends milliseconds with the precision of a microsecond.
pub(super) fn milliseconds(duration: Duration, out: &mut Vec<u8>) {
    let (millis, micros) = (duration.subsec_millis(), duration.subsec_micros() % 1000);
    let [d, e, f] = THREE_DIGITS[micros as usize];
    if duration.as_secs() > 0 {
        number(duration.as_secs().saturating_mul(1000).saturating_add(millis.into()), out);
        return out.extend_from_slice(&[b'.', d, e, f]);
    }
    let [a, b, c] = THREE_DIGITS[millis as usize];
    match millis {
        0..10 => out.extend_from_slice(&[c, b'.', d, e, f]),
        10..100 => out.extend_from_slice(&[b, c, b'.', d, e, f]),
        _ => out.extend_from_slice(&[a, b, c, b'.', d, e, f]),
    }
}

/// The numbers below 1000: a line has a dozen durations, and divisions for each digit would be most of their cost.
static THREE_DIGITS: [[u8; 3]; 1000] = {
    let mut all = [[0; 3]; 1000];
    let mut number = 0;
    while number < 1000 {
        all[number] =
            [b'0' + (number / 100) as u8, b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    all
};

/// Appends an address and a port: `192.0.2.7:4711`, `[2001:db8::1]:4711`.
pub(super) fn address(address: SocketAddr, out: &mut Vec<u8>) {
    let SocketAddr::V4(v4) = address else {
        let _ = write!(out, "{address}");
        return;
    };
    // By hand: the general way costs as much as all other numbers of a line.
    for (octet, end) in v4.ip().octets().into_iter().zip(b"...:") {
        number(octet.into(), out);
        out.push(*end);
    }
    number(v4.port().into(), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_milliseconds_to_the_microsecond() {
        for (micros, shown) in [
            (0, "0.000"),
            (7, "0.007"),
            (1_034, "1.034"),
            (10_000, "10.000"),
            (99_999, "99.999"),
            (100_000, "100.000"),
            (999_999, "999.999"),
            (1_000_001, "1000.001"),
            (61_234_567, "61234.567"),
        ] {
            let mut out = Vec::new();
            milliseconds(Duration::from_micros(micros) + Duration::from_nanos(999), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), shown);
        }
        let mut out = Vec::new();
        milliseconds(Duration::MAX, &mut out);
        assert!(out.ends_with(b".999"), "bounded");
    }

    #[test]
    fn addresses_are_written_as_everywhere() {
        for text in ["192.0.2.7:4711", "0.0.0.0:0", "255.255.255.255:65535", "[2001:db8::1]:4711"] {
            let mut out = Vec::new();
            address(text.parse().expect("an address"), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
    }
}
