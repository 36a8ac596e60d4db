//! What the checks of a backend, and the questions to its agent, do and when, without what the configuration allows to leave out.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::control_plane::config::upstream::UpstreamConfig;
use crate::control_plane::config::upstream::health::{AgentConfig, HealthCheck, HealthConfig};
use crate::upstream::ProxyVersion;

/// How a backend is checked. How many results change a verdict is the model's to know.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckSettings {
    /// What a check does.
    pub kind: CheckKind,
    /// From the begin of one check to the begin of the next.
    pub interval: Duration,
    /// How long a check may take, connecting included.
    pub timeout: Duration,
    /// By which share an interval varies at random, in both directions; 0 to 1.
    pub jitter: f64,
    /// The header of the PROXY protocol that backends expect first. It says that we speak for ourselves.
    pub proxy_protocol: Option<ProxyVersion>,
}

/// What a check does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// Connects and closes.
    Tcp,
    /// Sends a request and looks at its answer.
    Http(HttpCheck),
}

/// A check by an HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCheck {
    /// The method.
    pub method: Box<str>,
    /// The path and query.
    pub path: Box<str>,
    /// The `Host` header. None is the backend's address.
    pub host: Option<Box<str>>,
    /// The status codes that mean healthy.
    pub statuses: Box<[RangeInclusive<u16>]>,
    /// A text that the first 64 KiB of the body must contain. None looks at no body.
    pub body_contains: Option<Box<str>>,
}

/// How the agents beside backends are asked.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentSettings {
    /// The agent's port, on the host of the backend.
    pub port: u16,
    /// From the begin of one question to the begin of the next.
    pub interval: Duration,
    /// How long a question may take, connecting included.
    pub timeout: Duration,
    /// By which share an interval varies at random, in both directions; 0 to 1.
    pub jitter: f64,
}

impl AgentSettings {
    /// Takes over what a configuration says. None when it names no agent.
    #[must_use]
    pub fn of(config: &HealthConfig) -> Option<Self> {
        let AgentConfig { port, interval, timeout } = *config.agent.as_ref()?;
        Some(Self { port, interval, timeout, jitter: config.jitter.get() })
    }
}

impl CheckSettings {
    /// Takes over what a configuration says. None when it says that nobody checks.
    #[must_use]
    pub fn of(upstream: &UpstreamConfig) -> Option<Self> {
        let (config, proxy_protocol) = (&upstream.health, upstream.proxy_protocol);
        let kind = match &config.check {
            HealthCheck::Off => return None,
            HealthCheck::Tcp => CheckKind::Tcp,
            HealthCheck::Http(http) => CheckKind::Http(HttpCheck {
                method: http.method.as_str().into(),
                path: http.path.as_str().into(),
                host: http.host.as_deref().map(Into::into),
                statuses: http.status.as_slice().into(),
                body_contains: http.body.as_deref().map(Into::into),
            }),
        };
        let (interval, timeout, jitter) = (config.interval, config.timeout, config.jitter.get());
        Some(Self { kind, interval, timeout, jitter, proxy_protocol })
    }
}
