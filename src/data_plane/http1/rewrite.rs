//! Writes the head for the other side: hop-by-hop lines go (RFC 9110 §7.6.1), what the backend is told about the client
//! comes in.
//!
//! Lines that stay are copied as they came, whole runs at once: an untouched head costs one copy.

use std::fmt::Write as _;
use std::net::IpAddr;

use httparse::Header;

use super::head::{Lines, Name};
use super::request::RequestHead;
use super::response::ResponseHead;
use super::source::Network;
use crate::data_plane::route::{HeaderRules, RequestFacts};
use crate::telemetry::TraceContext;

/// Which lines about the client a listener adds, and whose own lines it believes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForwardPolicy {
    /// Clients (usually other proxies) whose own `X-Forwarded-*`, `Forwarded` and `X-Request-Id` are kept.
    pub trust: Vec<Network>,
    /// Clients for whom no forwarded-for entry is added; what they say themselves is kept (a TLS terminator on the same
    /// host, say, that has already named the client).
    pub except: Vec<Network>,
    /// Adds `X-Forwarded-For`, `-Proto` and `-Host`.
    pub x_forwarded: bool,
    /// Adds `Forwarded` (RFC 7239).
    pub forwarded: bool,
    /// Adds `Via` (RFC 9110 §7.6.3).
    pub via: bool,
    /// Adds `X-Request-Id`.
    pub request_id: bool,
}

/// What backends are told about one client connection; made once per connection.
#[derive(Debug)]
pub struct ClientLines {
    ip: IpAddr,
    address: String,
    trusted: bool,
    excepted: bool,
    x_forwarded: bool,
    forwarded: bool,
    /// The lines that are the same for every request of the connection that brings none of its own.
    fixed: Box<[u8]>,
    /// What stands in for a missing `Host` of an HTTP/1.0 request.
    local: Box<str>,
}

impl ClientLines {
    /// Prepares the lines for a client at `client` who connected to `local`.
    #[must_use]
    pub fn new(policy: &ForwardPolicy, client: IpAddr, local: std::net::SocketAddr) -> Self {
        let client = client.to_canonical();
        let listed = |networks: &[Network]| networks.iter().any(|network| network.contains(client));
        let excepted = listed(&policy.except);
        let trusted = excepted || listed(&policy.trust);
        let address = client.to_string();
        let mut fixed = String::new();
        if policy.via {
            fixed.push_str("via: 1.1 plimsoll\r\n");
        }
        if policy.x_forwarded && !trusted {
            let _ = write!(fixed, "x-forwarded-proto: http\r\nx-forwarded-for: {address}\r\n");
        }
        Self {
            ip: client,
            address,
            trusted,
            excepted,
            x_forwarded: policy.x_forwarded,
            forwarded: policy.forwarded,
            fixed: fixed.into_bytes().into(),
            local: local.to_string().into(),
        }
    }

    /// Prepares the lines for a client whom a proxy in front did not name: `proxy` stands for it, but what it says of others
    /// is not believed, since anybody behind the proxy may have written it.
    #[must_use]
    pub fn unnamed(policy: &ForwardPolicy, proxy: IpAddr, local: std::net::SocketAddr) -> Self {
        let ForwardPolicy { x_forwarded, forwarded, via, request_id, .. } = *policy;
        let nobody =
            ForwardPolicy { trust: Vec::new(), except: Vec::new(), x_forwarded, forwarded, via, request_id };
        Self::new(&nobody, proxy, local)
    }

    /// Returns the other end of the connection. An IPv4-mapped IPv6 address is its IPv4 address.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Returns whether this client's own forwarding lines and request id are believed.
    #[must_use]
    pub fn trusted(&self) -> bool {
        self.trusted
    }
}

/// How one request goes on.
#[derive(Clone, Copy)]
pub struct Onward<'a> {
    /// About the client.
    pub client: &'a ClientLines,
    /// Replaces the client's `Host`; `None` keeps it.
    pub host: Option<&'a str>,
    /// The id to add; `None` when the listener adds none or the trusted client brought one.
    pub request_id: Option<u64>,
    /// The trace to tell of; `None` leaves what the client says of one as it is.
    pub trace: Option<TraceContext>,
    /// What the route does to the lines, ours as well but for `Host`, `traceparent` and those about framing.
    pub rules: Option<(&'a HeaderRules, &'a RequestFacts<'a>)>,
}

/// Appends to `out` the head that the backend receives. Returns where in `out` the parent id of its `traceparent` stands, if
/// there is a trace to tell of: each attempt has its own.
pub fn request(head: &RequestHead<'_, '_>, onward: &Onward<'_>, out: &mut Vec<u8>) -> Option<usize> {
    let client = onward.client;
    out.extend_from_slice(head.method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let mut dropped = head.facts.dropped;
    let replacement = onward.host.or(if head.absolute_form { Some(head.authority) } else { None });
    let host = match (replacement, head.facts.host) {
        (None, None) => Some(&*client.local),
        (replacement, _) => replacement,
    };
    if let Some(host) = host {
        line(out, "host", host.as_bytes());
        if let Some(index) = head.facts.host {
            dropped.insert(index);
        }
    }
    if head.minor == 0 && head.facts.has(Name::Expect) {
        drop_expectation(head.fields, &mut dropped);
    }
    let lines_at = out.len();
    let own_lines = drop_client_lines(head, client, onward.request_id.is_some(), &mut dropped);
    if let Some(trace) = &onward.trace {
        drop_trace(head.fields, trace, &mut dropped);
    }
    copy_lines(head.bytes, head.fields, dropped, out);
    out.extend_from_slice(&client.fixed);
    client_lines(head, client, own_lines, out);
    if let Some(id) = onward.request_id {
        out.extend_from_slice(b"x-request-id: ");
        out.extend_from_slice(&hexadecimal(id));
        out.extend_from_slice(b"\r\n");
    }
    if let Some((rules, facts)) = onward.rules {
        rules.apply(facts, lines_at, out);
    }
    let parent_at = onward.trace.map(|trace| trace_line(&trace, out));
    if head.facts.chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    if let Some(protocol) = head.upgrade() {
        out.extend_from_slice(b"connection: upgrade\r\n");
        line(out, "upgrade", protocol);
    }
    out.extend_from_slice(b"\r\n");
    parent_at
}

/// Marks what the client says of a trace and does not go on: its own place in it, and what vendors keep there of a trace that
/// is not continued (W3C Trace Context §4.3).
fn drop_trace(fields: &[Header<'_>], trace: &TraceContext, dropped: &mut Lines) {
    for (index, field) in fields.iter().enumerate() {
        let ends_here = field.name.eq_ignore_ascii_case("traceparent")
            || !trace.is_continued() && field.name.eq_ignore_ascii_case("tracestate");
        if ends_here {
            dropped.insert(index);
        }
    }
}

/// Writes `traceparent` (W3C Trace Context §3.2) with the first attempt as the parent. Returns where that stands.
fn trace_line(trace: &TraceContext, out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(b"traceparent: 00-");
    out.extend_from_slice(&hexadecimal((trace.trace >> 64) as u64));
    out.extend_from_slice(&hexadecimal(trace.trace as u64));
    out.push(b'-');
    let parent_at = out.len();
    out.extend_from_slice(&hexadecimal(trace.span_of_try(1)));
    out.extend_from_slice(if trace.chosen { b"-01\r\n" } else { b"-00\r\n" });
    parent_at
}

/// Marks the expectation of an HTTP/1.0 client, which is to be ignored (RFC 9110 §10.1.1): the backend reads HTTP/1.1,
/// under which it would begin to mean something.
fn drop_expectation(fields: &[Header<'_>], dropped: &mut Lines) {
    for index in (0..fields.len()).filter(|index| Name::of(fields[*index].name) == Name::Expect) {
        dropped.insert(index);
    }
}

/// How one response goes back.
#[derive(Debug, Clone, Copy, Default)]
pub struct Back<'a> {
    /// Tells the client that the connection closes after this response.
    pub close: bool,
    /// Tells an HTTP/1.0 client that the connection stays open.
    pub keep_alive: bool,
    /// The body goes on in chunks.
    pub chunked: bool,
    /// The response hands the connection over to another protocol.
    pub upgrade: bool,
    /// What the route takes out of the backend's lines.
    pub rules: Option<&'a HeaderRules>,
    /// Complete lines to add.
    pub extra: &'a [u8],
}

/// Appends to `out` the head that the client receives.
pub fn response(head: &ResponseHead<'_, '_>, back: &Back<'_>, out: &mut Vec<u8>) {
    let digits = [(head.status / 100) as u8, (head.status / 10 % 10) as u8, (head.status % 10) as u8];
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend(digits.map(|digit| b'0' + digit));
    out.push(b' ');
    out.extend_from_slice(head.reason.as_bytes());
    out.extend_from_slice(b"\r\n");
    let mut dropped = head.facts.dropped;
    if let Some(rules) = back.rules {
        let removed =
            head.fields.iter().enumerate().filter(|(_, field)| rules.removes(field.name.as_bytes()));
        removed.for_each(|(index, _)| dropped.insert(index));
    }
    copy_lines(head.bytes, head.fields, dropped, out);
    out.extend_from_slice(back.extra);
    if back.chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    // A 426 must name what to upgrade to (RFC 9110 §15.5.22), so it keeps the line.
    if back.upgrade || head.status == 426 {
        let closing: &[u8] = if back.close && !back.upgrade { b", close" } else { b"" };
        out.extend_from_slice(b"connection: upgrade");
        out.extend_from_slice(closing);
        out.extend_from_slice(b"\r\n");
        for field in head.fields.iter().filter(|field| Name::of(field.name) == Name::Upgrade) {
            line(out, "upgrade", field.value);
        }
    } else if back.close {
        out.extend_from_slice(b"connection: close\r\n");
    } else if back.keep_alive {
        out.extend_from_slice(b"connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Returns `id` as sixteen hexadecimal digits, eight at a time: one is written into most requests, four where there are
/// traces.
#[must_use]
pub fn hexadecimal(id: u64) -> [u8; 16] {
    let mut text = [0; 16];
    text[..8].copy_from_slice(&eight_digits((id >> 32) as u32));
    text[8..].copy_from_slice(&eight_digits(id as u32));
    text
}

fn eight_digits(number: u32) -> [u8; 8] {
    // Each half byte moves to a byte of its own.
    let mut spread = u64::from(number);
    spread = (spread << 16 | spread) & 0x0000_ffff_0000_ffff;
    spread = (spread << 8 | spread) & 0x00ff_00ff_00ff_00ff;
    spread = (spread << 4 | spread) & 0x0f0f_0f0f_0f0f_0f0f;
    // One in those that are ten and more, which are letters.
    let letters = (spread + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    let to_letters = u64::from(b'a' - b'0' - 10);
    (spread + 0x3030_3030_3030_3030 + letters * to_letters).to_be_bytes()
}

/// Which of the client's own forwarding lines are merged into ours.
#[derive(Debug, Clone, Copy, Default)]
struct OwnLines {
    x_forwarded_for: bool,
    forwarded: bool,
}

/// Marks the forwarding lines that the client sent and that we replace: all of them for a client who is not trusted
/// (they are claims that anybody can make), the lists that we continue for one who is.
fn drop_client_lines(
    head: &RequestHead<'_, '_>,
    client: &ClientLines,
    new_id: bool,
    dropped: &mut Lines,
) -> OwnLines {
    let facts = &head.facts;
    let known =
        [Name::XForwardedFor, Name::XForwardedHost, Name::XForwardedProto, Name::Forwarded, Name::XRequestId];
    if !known.into_iter().any(|name| facts.has(name)) {
        return OwnLines::default();
    }
    let continued = client.trusted && !client.excepted;
    let own = OwnLines {
        x_forwarded_for: continued && client.x_forwarded && facts.has(Name::XForwardedFor),
        forwarded: continued && client.forwarded && facts.has(Name::Forwarded),
    };
    for (index, field) in head.fields.iter().enumerate() {
        let replaced = match Name::of(field.name) {
            Name::XForwardedFor => !client.trusted || own.x_forwarded_for,
            Name::Forwarded => !client.trusted || own.forwarded,
            Name::XForwardedHost | Name::XForwardedProto => !client.trusted,
            Name::XRequestId => new_id || !client.trusted,
            _ => false,
        };
        if replaced {
            dropped.insert(index);
        }
    }
    own
}

/// Writes the lines about the client that depend on the request.
fn client_lines(head: &RequestHead<'_, '_>, client: &ClientLines, own: OwnLines, out: &mut Vec<u8>) {
    if client.x_forwarded {
        let kept = client.trusted && head.facts.has(Name::XForwardedHost);
        if !kept && !head.authority.is_empty() {
            line(out, "x-forwarded-host", head.authority.as_bytes());
        }
        if client.trusted {
            if !head.facts.has(Name::XForwardedProto) {
                line(out, "x-forwarded-proto", b"http");
            }
            if !client.excepted {
                out.extend_from_slice(b"x-forwarded-for: ");
                continue_list(head, Name::XForwardedFor, own.x_forwarded_for, out);
                out.extend_from_slice(client.address.as_bytes());
                out.extend_from_slice(b"\r\n");
            }
        }
    }
    if client.forwarded && !client.excepted {
        out.extend_from_slice(b"forwarded: ");
        continue_list(head, Name::Forwarded, own.forwarded, out);
        forwarded_element(head, client, out);
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes one element of `Forwarded`; IPv6 addresses and hosts with a port are quoted (RFC 7239 §4, §6).
fn forwarded_element(head: &RequestHead<'_, '_>, client: &ClientLines, out: &mut Vec<u8>) {
    if client.address.contains(':') {
        out.extend_from_slice(b"for=\"[");
        out.extend_from_slice(client.address.as_bytes());
        out.extend_from_slice(b"]\"");
    } else {
        out.extend_from_slice(b"for=");
        out.extend_from_slice(client.address.as_bytes());
    }
    out.extend_from_slice(b";proto=http");
    if !head.authority.is_empty() {
        out.extend_from_slice(b";host=\"");
        out.extend_from_slice(head.authority.as_bytes());
        out.push(b'"');
    }
}

/// Writes the members that the client sent under `name`, each followed by a comma.
fn continue_list(head: &RequestHead<'_, '_>, name: Name, wanted: bool, out: &mut Vec<u8>) {
    if wanted {
        for value in head.values(name).filter(|value| !value.is_empty()) {
            out.extend_from_slice(value);
            out.extend_from_slice(b", ");
        }
    }
}

fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Copies the header lines that are not dropped, each run of neighbours at once.
fn copy_lines(bytes: &[u8], fields: &[Header<'_>], dropped: Lines, out: &mut Vec<u8>) {
    let end = bytes.len() - 2;
    let start_of = |index: usize| {
        fields.get(index).map_or(end, |field| field.name.as_ptr().addr() - bytes.as_ptr().addr())
    };
    if dropped == Lines::default() {
        out.extend_from_slice(&bytes[start_of(0)..end]);
        return;
    }
    let mut run = start_of(0);
    for index in (0..fields.len()).filter(|index| dropped.contains(*index)) {
        out.extend_from_slice(&bytes[run..start_of(index)]);
        run = start_of(index + 1);
    }
    out.extend_from_slice(&bytes[run..end]);
}

#[cfg(test)]
mod tests;
