//! How exchanges with the backends of an upstream are conducted: patience, limits, what the backend is told.
//!
//! The model only carries these settings from the configuration to the data plane, so that an exchange finds all that
//! it must know about its upstream in one place.

use std::time::Duration;

/// How exchanges with the backends of an upstream are conducted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeSettings {
    /// What backends read in `Host`.
    pub host: HostHeader,
    /// How long a connect may take.
    pub connect_timeout: Duration,
    /// How long a connect is waited for, at most, before another backend is tried in parallel.
    pub connect_patience: Duration,
    /// How long the head of an answer may take after the request, and each further part after the one before.
    pub response_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// Unused connections kept per worker and backend.
    pub idle_connections: usize,
    /// Bytes of a request's body that are kept so that it can be sent again.
    pub replay_buffer: usize,
    /// Whether answers name their backend in `x-plimsoll-backend`.
    pub response_header: bool,
    /// Whether answers tell the number of attempts in `x-plimsoll-attempts`.
    pub attempts_header: bool,
    /// The header of the PROXY protocol that each connection to a backend begins with. None sends none; with one, a
    /// connection is one client's and serves no other.
    pub proxy_protocol: Option<ProxyVersion>,
    /// Whether connections are relayed to its backends as they are, so that these may speak anything.
    pub relayed: bool,
}

/// A version of the PROXY protocol: text or binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// A binary header.
    V2,
}

/// What backends read in `Host`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HostHeader {
    /// What the client sent.
    #[default]
    Preserve,
    /// The backend's own address.
    Backend,
    /// This text.
    Literal(Box<str>),
}

impl Default for ExchangeSettings {
    fn default() -> Self {
        Self {
            host: HostHeader::Preserve,
            connect_timeout: Duration::from_secs(1),
            connect_patience: Duration::from_millis(250),
            response_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
            idle_connections: 128,
            replay_buffer: 64 * 1024,
            response_header: false,
            attempts_header: false,
            proxy_protocol: None,
            relayed: false,
        }
    }
}
