//! Listeners: where clients connect, and what a client may ask of us.

use std::net::SocketAddr;
use std::time::Duration;

use super::read::{boolean, duration, integer, list_of, one_of, or_word, size, text};
use super::section::Section;
use super::value::address::{Cidr, listen_address};
use super::value::text::Name;
use crate::data_plane::http1::head::{FIELDS_MAX, HEAD_MAX};

/// One listener.
#[derive(Debug, Clone, PartialEq)]
pub struct ListenerConfig {
    /// The listener's name: its key in the file, and the `listener` label in metrics.
    pub name: Name,
    /// Where to listen. The only key of the file without a default, besides the backends. Port 0 takes a free one.
    pub address: SocketAddr,
    /// What clients speak.
    pub protocol: Protocol,
    /// Where connections go with [`Protocol::Tcp`], and there alone: the only upstream of the file if none is given.
    pub upstream: Option<Name>,
    /// Whether each connection begins with a header of the PROXY protocol, versions 1 or 2.
    pub proxy_protocol: bool,
    /// The most connections open at once, over all workers. Above it a new connection is closed at once and
    /// counted, so that the memory of this process has a bound.
    pub max_connections: u32,
    /// What is told to backends about the client.
    pub forwarded: ForwardedConfig,
    /// How long a client may take.
    pub timeouts: ListenerTimeouts,
    /// How much a client may send.
    pub limits: ListenerLimits,
}

/// What clients of a listener speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 and HTTP/1.1 in clear text.
    Http,
    /// Anything: connections are relayed as they are.
    Tcp,
}

/// The policy for `X-Forwarded-*`, `Forwarded`, `Via` and `x-request-id`.
#[derive(Debug, Clone, PartialEq)]
pub struct ForwardedConfig {
    /// Sources whose own `X-Forwarded-*`, `Forwarded` and `x-request-id` are believed and appended to. From anybody
    /// else they are removed, since any client can write them. Empty by default: nobody is believed.
    pub trust: Vec<Cidr>,
    /// Clients for which no forwarded-for entry is added, as in HAProxy's `option forwardfor except`.
    pub except: Vec<Cidr>,
    /// Whether `X-Forwarded-For`, `-Proto` and `-Host` are sent, which most applications read.
    pub x_forwarded: bool,
    /// Whether `Forwarded` (RFC 7239) is sent. Off by default, since few applications read it.
    pub forwarded: bool,
    /// Whether `Via` (RFC 9110 section 7.6.3) is added to requests, by which loops are found.
    pub via: bool,
    /// Whether each request gets an `x-request-id`, by which logs of several programs are joined. One that a trusted
    /// source sent is kept.
    pub request_id: bool,
}

/// How long a client may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTimeouts {
    /// From the first byte of a request to the end of its head: a bound on clients that drip a head.
    pub head: Duration,
    /// Between two reads of a request's body.
    pub body: Duration,
    /// Between two requests on a connection, and before the first.
    pub idle: Duration,
    /// Between two writes that move an answer forward: a bound on clients that do not read.
    pub write: Duration,
    /// How long nothing may move in either direction of a tunnel: of a connection with [`Protocol::Tcp`], and after an
    /// upgrade of HTTP.
    pub tunnel: Duration,
}

/// How much a client may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Bytes of a request's head. More is answered 431.
    pub head: u64,
    /// Header fields of a request, at most what the codec has room for. More is answered 431.
    pub headers: usize,
    /// Bytes of the request target. More is answered 414.
    pub target: u64,
    /// Bytes of a request's body; more is answered 413. None is no limit: a body is relayed, never stored.
    pub body: Option<u64>,
    /// Requests on one connection, after which it is closed. None is no limit.
    pub requests_per_connection: Option<u64>,
}

/// The address that stands in for one that could not be read, while decoding goes on.
const NO_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

impl ListenerConfig {
    /// Decodes the section of one listener. What is wrong is noted, and replaced so that decoding can go on.
    pub(super) fn decode(name: Name, section: &Section<'_>) -> Self {
        Self {
            name,
            address: section.required("address", text(listen_address)).unwrap_or(NO_ADDRESS),
            protocol: section.value("protocol", one_of(&[("http", Protocol::Http), ("tcp", Protocol::Tcp)])),
            upstream: section.optional("upstream", text(Name::parse)),
            proxy_protocol: section.value("proxy_protocol", one_of(&[("off", false), ("accept", true)])),
            max_connections: section.value("max_connections", integer(1..=10_000_000)),
            forwarded: ForwardedConfig::decode(&section.section("forwarded")),
            timeouts: ListenerTimeouts::decode(&section.section("timeouts")),
            limits: ListenerLimits::decode(&section.section("limits")),
        }
    }
}

impl ForwardedConfig {
    fn decode(section: &Section<'_>) -> Self {
        Self {
            trust: section.value("trust", list_of(text(Cidr::parse))),
            except: section.value("except", list_of(text(Cidr::parse))),
            x_forwarded: section.value("x_forwarded", boolean),
            forwarded: section.value("forwarded", boolean),
            via: section.value("via", boolean),
            request_id: section.value("request_id", boolean),
        }
    }
}

impl ListenerTimeouts {
    fn decode(section: &Section<'_>) -> Self {
        Self {
            head: section.value("head", duration),
            body: section.value("body", duration),
            idle: section.value("idle", duration),
            write: section.value("write", duration),
            tunnel: section.value("tunnel", duration),
        }
    }
}

impl ListenerLimits {
    fn decode(section: &Section<'_>) -> Self {
        Self {
            head: section.value("head", size(1024..=HEAD_MAX as u64)),
            headers: section.value("headers", integer(1..=FIELDS_MAX)),
            target: section.value("target", size(64..=HEAD_MAX as u64)),
            body: section.value("body", or_word("unlimited", size(0..=1 << 60))),
            requests_per_connection: section
                .value("requests_per_connection", or_word("unlimited", integer(1..=1_000_000_000))),
        }
    }
}
