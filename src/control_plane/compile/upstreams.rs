//! Compiles upstreams.

use std::fmt::Write as _;
use std::sync::Arc;

use tokio::time::Instant;

use super::Addresses;
use crate::control_plane::config::Config;
use crate::control_plane::config::upstream::balance::{
    Balance, HashKey as HashKeyConfig, SameSite, StickyConfig,
};
use crate::control_plane::config::upstream::health::HealthCheck;
use crate::control_plane::config::upstream::{
    HostHeader as HostConfig, RetryOn, UpstreamConfig, WhenNoneAvailable as NoneConfig,
};
use crate::data_plane::snapshot::Snapshot;
use crate::telemetry::Telemetry;
use crate::upstream::{
    BackendSettings, Balancer, ExchangeSettings, HashKey, HostHeader, RetryRules, StickySettings, Thresholds,
    Upstream, UpstreamSettings, WhenNoneAvailable,
};

/// Compiles the settings of all upstreams.
pub(super) fn settings(config: &Config, addresses: &Addresses) -> impl Iterator<Item = UpstreamSettings> {
    config.upstreams.iter().map(|config| upstream(config, addresses))
}

/// Makes an upstream, with what the one of the same name before it had.
pub(super) fn adopt(
    settings: UpstreamSettings,
    previous: Option<&Snapshot>,
    telemetry: &Telemetry,
    now: Instant,
) -> Arc<Upstream> {
    let before =
        previous.and_then(|snapshot| snapshot.upstreams.iter().find(|known| known.name == settings.name));
    Arc::new(Upstream::new(settings, before.map(AsRef::as_ref), telemetry, now))
}

fn upstream(config: &UpstreamConfig, addresses: &Addresses) -> UpstreamSettings {
    let backends = config.backends.iter().map(|backend| BackendSettings {
        name: backend.name.to_string().into(),
        address: addresses.of(&backend.address),
        weight: u32::from(backend.weight),
    });
    let checked = config.health.check != HealthCheck::Off;
    UpstreamSettings {
        balancer: balancer(&config.balance),
        sticky: config.sticky.as_ref().map(sticky),
        checks: checked.then_some(Thresholds { rise: config.health.rise, fall: config.health.fall }),
        when_none_available: match config.when_none_available {
            NoneConfig::TryAll => WhenNoneAvailable::TryAll,
            NoneConfig::Refuse => WhenNoneAvailable::Refuse,
        },
        retries: RetryRules {
            attempts: config.retries.attempts,
            on_connect: config.retries.on.contains(&RetryOn::Connect),
            on_reset: config.retries.on.contains(&RetryOn::Reset),
            on_timeout: config.retries.on.contains(&RetryOn::Timeout),
            ..RetryRules::default()
        },
        exchange: exchange(config),
        ..UpstreamSettings::new(&config.name.to_string(), backends.collect())
    }
}

fn exchange(config: &UpstreamConfig) -> ExchangeSettings {
    ExchangeSettings {
        host: match &config.host_header {
            HostConfig::Preserve => HostHeader::Preserve,
            HostConfig::Backend => HostHeader::Backend,
            HostConfig::Fixed(host) => HostHeader::Literal(host.as_str().into()),
        },
        connect_timeout: config.timeouts.connect,
        response_timeout: config.timeouts.response,
        idle_timeout: config.timeouts.idle,
        idle_connections: config.limits.idle_connections as usize,
        replay_buffer: usize::try_from(config.limits.replay_buffer).unwrap_or(usize::MAX),
        response_header: config.response_header,
        ..ExchangeSettings::default()
    }
}

fn balancer(config: &Balance) -> Balancer {
    match config {
        Balance::RoundRobin => Balancer::RoundRobin,
        Balance::LeastRequests => Balancer::LeastRequests,
        Balance::PeakEwma => Balancer::PeakEwma,
        Balance::Random => Balancer::Random,
        Balance::ConsistentHash(hash) => Balancer::ConsistentHash {
            key: match &hash.key {
                HashKeyConfig::Source => HashKey::Source,
                HashKeyConfig::Path => HashKey::Path,
                HashKeyConfig::Header(name) => HashKey::Header(name.as_str().into()),
                HashKeyConfig::Cookie(name) => HashKey::Cookie(name.as_str().into()),
                HashKeyConfig::Query(name) => HashKey::Query(name.as_str().into()),
            },
            load_bound: hash.load_bound,
        },
    }
}

fn sticky(config: &StickyConfig) -> StickySettings {
    let mut attributes = format!("; Path={}", config.path);
    if let Some(age) = config.max_age {
        // Writing into a String cannot fail.
        let _ = write!(attributes, "; Max-Age={}", age.as_secs());
    }
    if config.secure {
        attributes.push_str("; Secure");
    }
    if config.http_only {
        attributes.push_str("; HttpOnly");
    }
    attributes.push_str(match config.same_site {
        SameSite::Lax => "; SameSite=Lax",
        SameSite::Strict => "; SameSite=Strict",
        SameSite::None => "; SameSite=None",
    });
    StickySettings { cookie: config.cookie.as_str().into(), attributes: attributes.into() }
}
