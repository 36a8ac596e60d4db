//! Upstreams: named groups of interchangeable backends, and how work is spread over them.

use std::time::Duration;

use super::read::{boolean, duration, integer, one_of, or_word, text};
use super::report::Problems;
use super::section::Section;
use super::tree::{Content, Node};
use super::value::Invalid;
use super::value::address::BackendAddress;
use super::value::http::HeaderValue;
use super::value::text::Name;
use balance::{Balance, StickyConfig};
use health::HealthConfig;
use limits::UpstreamLimits;
use load_aware::LoadAwareConfig;
use outliers::OutlierConfig;
use retries::RetryConfig;
use slow_start::SlowStartConfig;

use crate::upstream::ProxyVersion;

pub mod balance;
pub mod health;
pub mod limits;
pub mod load_aware;
pub mod outliers;
pub mod retries;
pub mod slow_start;

/// One upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamConfig {
    /// The upstream's name: its key in the file, and the `upstream` label in metrics.
    pub name: Name,
    /// The backends, at least one, in file order.
    pub backends: Vec<BackendConfig>,
    /// From one look-up of the backends' host names to the next. None looks a name up only until it has an address.
    pub lookup_interval: Option<Duration>,
    /// How a backend is picked.
    pub balance: Balance,
    /// Whether a client stays with the backend that answered it first. None does not.
    pub sticky: Option<StickyConfig>,
    /// How backends are checked.
    pub health: HealthConfig,
    /// When live traffic takes a backend out. None leaves it to the checks.
    pub outliers: Option<OutlierConfig>,
    /// How a backend comes back.
    pub slow_start: SlowStartConfig,
    /// When a backend gets less because its CPU is busy. None looks at no CPU.
    pub load_aware: Option<LoadAwareConfig>,
    /// When a failed attempt is tried elsewhere.
    pub retries: RetryConfig,
    /// How long a backend may take.
    pub timeouts: UpstreamTimeouts,
    /// How much is given to backends, and held on their behalf.
    pub limits: UpstreamLimits,
    /// What happens while no backend is available.
    pub when_none_available: WhenNoneAvailable,
    /// Whether answers carry `x-plimsoll-backend: NAME`. Off by default, since it tells clients about the inside.
    pub response_header: bool,
    /// Whether answers carry `x-plimsoll-attempts: N`, the number of tries that it took.
    pub attempts_header: bool,
    /// What backends read in `Host`.
    pub host_header: HostHeader,
    /// The header of the PROXY protocol that each connection to a backend begins with. None sends none.
    pub proxy_protocol: Option<ProxyVersion>,
}

/// One backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendConfig {
    /// The backend's name: the `backend` label. Unnamed backends are called `backend-1`, `backend-2` … by position.
    pub name: Name,
    /// Where it answers.
    pub address: BackendAddress,
    /// Its share of the work relative to the others, 0 to 1000. 0 gets none while another one can take it, except by
    /// a sticky cookie.
    pub weight: u16,
}

/// How long a backend may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// To accept a connection.
    pub connect: Duration,
    /// How long a connect is waited for, at most, before another backend is tried in parallel. As long as `connect`
    /// never tries two.
    pub connect_patience: Duration,
    /// From the end of the request to the end of the answer's head, and between two reads of its body.
    pub response: Duration,
    /// How long an unused connection is kept. Shorter than the backend's own keep-alive, or it closes first and a
    /// request meets a closed connection.
    pub idle: Duration,
    /// How long a backend that drains may take to finish what it has.
    pub drain: Duration,
}

/// What happens while no backend is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenNoneAvailable {
    /// Every backend is tried as if it were available (fail open): checks may be wrong, and nothing is lost.
    TryAll,
    /// The request is answered 503 at once.
    Refuse,
}

/// What backends read in `Host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostHeader {
    /// What the client sent.
    Preserve,
    /// The backend's own address.
    Backend,
    /// This text.
    Fixed(HeaderValue),
}

const WHEN_NONE_AVAILABLE: [(&str, WhenNoneAvailable); 2] =
    [("try_all", WhenNoneAvailable::TryAll), ("refuse", WhenNoneAvailable::Refuse)];

const PROXY_VERSIONS: [(&str, Option<ProxyVersion>); 3] =
    [("off", None), ("v1", Some(ProxyVersion::V1)), ("v2", Some(ProxyVersion::V2))];

impl UpstreamConfig {
    /// Decodes the section of one upstream. What is wrong is noted, and replaced so that decoding can go on.
    pub(super) fn decode(name: Name, section: &Section<'_>) -> Self {
        Self {
            name,
            backends: BackendConfig::decode_all(section),
            lookup_interval: section.value("lookup_interval", or_word("off", duration)),
            balance: Balance::decode(section),
            sticky: section.has("sticky").then(|| StickyConfig::decode(&section.section("sticky"))),
            health: HealthConfig::decode(section),
            outliers: OutlierConfig::decode(section),
            slow_start: SlowStartConfig::decode(section),
            load_aware: LoadAwareConfig::decode(section),
            retries: RetryConfig::decode(&section.section("retries")),
            timeouts: UpstreamTimeouts::decode(&section.section("timeouts")),
            limits: UpstreamLimits::decode(&section.section("limits")),
            when_none_available: section.value("when_none_available", one_of(&WHEN_NONE_AVAILABLE)),
            response_header: section.value("response_header", boolean),
            attempts_header: section.value("attempts_header", boolean),
            host_header: section.value("host_header", text(HostHeader::parse)),
            proxy_protocol: section.value("proxy_protocol", one_of(&PROXY_VERSIONS)),
        }
    }
}

impl BackendConfig {
    fn decode_all(upstream: &Section<'_>) -> Vec<Self> {
        let whole = |node: &Node, _: &_| Some(node.clone());
        let Some(node) = upstream.required("backends", whole) else { return Vec::new() };
        if node.items().is_empty() {
            let hint = "add an address, for example `backends: [127.0.0.1:5001]`";
            upstream.problems.error(
                node.place,
                "an upstream needs at least one backend",
                Some(hint.to_owned()),
            );
        }
        let numbered = node.items().iter().enumerate();
        numbered.filter_map(|(index, item)| Self::decode(index + 1, item, upstream)).collect()
    }

    /// Decodes one backend. None when it has no usable address.
    fn decode(position: usize, node: &Node, upstream: &Section<'_>) -> Option<Self> {
        let unnamed = Name::parse(&format!("backend-{position}")).expect("invariant: this is a name");
        let path = format!("{}[]", upstream.path_of("backends"));
        if let Content::Scalar(_) = node.content {
            let section = Section::empty(path, node.place, upstream.problems);
            let address = text(BackendAddress::parse)(node, upstream.problems)?;
            return Some(Self { name: unnamed, address, weight: section.value("weight", weight) });
        }
        let section = Section::open(&path, node, upstream.problems);
        let name = section.optional("name", text(Name::parse)).unwrap_or(unnamed);
        let weight = section.value("weight", weight);
        Some(Self { name, address: section.required("address", text(BackendAddress::parse))?, weight })
    }
}

fn weight(node: &Node, problems: &Problems) -> Option<u16> {
    integer(0..=1000)(node, problems)
}

impl UpstreamTimeouts {
    fn decode(section: &Section<'_>) -> Self {
        Self {
            connect: section.value("connect", duration),
            connect_patience: section.value("connect_patience", duration),
            response: section.value("response", duration),
            idle: section.value("idle", duration),
            drain: section.value("drain", duration),
        }
    }
}

impl HostHeader {
    fn parse(text: &str) -> Result<Self, Invalid> {
        match text {
            "preserve" => Ok(Self::Preserve),
            "backend" => Ok(Self::Backend),
            host => HeaderValue::parse(host).map(Self::Fixed),
        }
    }
}
