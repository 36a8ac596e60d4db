//! Compiles upstreams.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::control_plane::config::Config;
use crate::control_plane::config::upstream::balance::{
    Balance, HashKey as HashKeyConfig, SameSite, StickyConfig,
};
use crate::control_plane::config::upstream::health::HealthCheck;
use crate::control_plane::config::upstream::limits::{InFlight, UpstreamLimits};
use crate::control_plane::config::upstream::outliers::OutlierConfig;
use crate::control_plane::config::upstream::retries::{Hedge as HedgeConfig, RetryConfig, RetryOn};
use crate::control_plane::config::upstream::{
    HostHeader as HostConfig, UpstreamConfig, WhenNoneAvailable as NoneConfig,
};
use crate::control_plane::config::value::address::BackendAddress;
use crate::control_plane::discovery::Addresses;
use crate::data_plane::snapshot::Snapshot;
use crate::telemetry::Telemetry;
use crate::upstream::{
    BackendSettings, Balancer, BudgetSettings, ExchangeSettings, HashKey, Hedge, HostHeader, InFlightLimit,
    LoadAware, LoadLine, OutlierRules, RetryRules, SlowStart, StatusSet, StickySettings, Thresholds,
    Upstream, UpstreamSettings, WhenNoneAvailable,
};

/// Compiles the settings of all upstreams.
pub(super) fn settings(config: &Config, addresses: &Addresses) -> impl Iterator<Item = UpstreamSettings> {
    config.upstreams.iter().map(|upstream| {
        let relayed =
            config.listeners.iter().any(|listener| listener.upstream.as_ref() == Some(&upstream.name));
        self::upstream(upstream, relayed, addresses)
    })
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

/// Tells whether an upstream is the one that these settings are for, and each of its backends where they say.
pub(super) fn is_where(known: &Upstream, settings: &UpstreamSettings) -> bool {
    let backends = known.backends.iter().map(|backend| (&backend.name, backend.address));
    known.name == settings.name
        && backends.eq(settings.backends.iter().map(|backend| (&backend.name, backend.address)))
}

fn upstream(config: &UpstreamConfig, relayed: bool, addresses: &Addresses) -> UpstreamSettings {
    let backends = config.backends.iter().map(|backend| BackendSettings {
        name: backend.name.to_string().into(),
        address: addresses.of(&backend.address),
        looked_up: matches!(backend.address, BackendAddress::Name { .. }),
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
        retries: retries(&config.retries),
        exchange: exchange(config, relayed),
        outliers: config.outliers.as_ref().map(outliers),
        slow_start: SlowStart { duration: config.slow_start.duration, floor: config.slow_start.floor.get() },
        load_line: load_line(&config.limits),
        load_aware: config
            .load_aware
            .as_ref()
            .map(|rules| LoadAware { from: rules.from.get(), floor: rules.floor.get() }),
        drain_timeout: config.timeouts.drain,
        ..UpstreamSettings::new(&config.name.to_string(), backends.collect())
    }
}

fn retries(config: &RetryConfig) -> RetryRules {
    let on = |reason| config.on.contains(&reason);
    let codes = config.status.iter().cloned().flatten().filter(|_| on(RetryOn::Status));
    RetryRules {
        attempts: config.attempts,
        on_connect: on(RetryOn::Connect),
        on_reset: on(RetryOn::Reset),
        on_timeout: on(RetryOn::Timeout),
        statuses: codes.fold(StatusSet::default(), StatusSet::with),
        per_try_timeout: config.per_try_timeout.unwrap_or(Duration::MAX),
        budget: BudgetSettings {
            share: config.budget.get(),
            per_second: f64::from(config.budget_per_second),
        },
        hedge: match config.hedge {
            HedgeConfig::Auto => Hedge::Silence,
            HedgeConfig::Off => Hedge::Off,
            HedgeConfig::Quantile(quantile) => Hedge::Quantile(quantile),
        },
    }
}

/// The rules know no "never": the numbers that mean it are said at their fields.
fn outliers(config: &OutlierConfig) -> OutlierRules {
    OutlierRules {
        consecutive_errors: config.consecutive_errors.unwrap_or(0),
        consecutive_failures: config.consecutive_failures.unwrap_or(0),
        stalls: config.stalls,
        failure_margin: config.failure_margin.get(),
        latency_factor: config.latency_factor.unwrap_or(0.0),
        ejection_time: config.ejection_time,
        max_ejection_time: config.max_ejection_time,
        max_ejected: config.max_ejected.get(),
    }
}

fn load_line(config: &UpstreamLimits) -> LoadLine {
    LoadLine {
        in_flight: match config.in_flight {
            InFlight::Unlimited => InFlightLimit::Unlimited,
            InFlight::Count(count) => InFlightLimit::Fixed(count.get()),
            InFlight::Adaptive => InFlightLimit::Adaptive,
        },
        queue: config.queue as usize,
        queue_timeout: config.queue_timeout,
    }
}

fn exchange(config: &UpstreamConfig, relayed: bool) -> ExchangeSettings {
    ExchangeSettings {
        host: match &config.host_header {
            HostConfig::Preserve => HostHeader::Preserve,
            HostConfig::Backend => HostHeader::Backend,
            HostConfig::Fixed(host) => HostHeader::Literal(host.as_str().into()),
        },
        connect_timeout: config.timeouts.connect,
        connect_patience: config.timeouts.connect_patience,
        response_timeout: config.timeouts.response,
        idle_timeout: config.timeouts.idle,
        idle_connections: config.limits.idle_connections as usize,
        replay_buffer: usize::try_from(config.limits.replay_buffer).unwrap_or(usize::MAX),
        response_header: config.response_header,
        attempts_header: config.attempts_header,
        proxy_protocol: config.proxy_protocol,
        relayed,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control_plane::config;

    fn settings_of(upstream: &str) -> UpstreamSettings {
        let yaml = format!(
            "listeners: {{web: {{address: '127.0.0.1:0'}}}}\nupstreams: {{app: {{backends: ['127.0.0.1:1'], {upstream}}}}}\n"
        );
        let (config, _) =
            config::parse("test.yaml", &yaml, &|_| None).unwrap_or_else(|report| panic!("{report}"));
        settings(&config, &Addresses::default()).next().expect("there is one upstream")
    }

    #[test]
    fn a_file_that_says_nothing_means_the_defaults_of_the_model() {
        let settings = settings_of("");
        assert_eq!(settings.retries, RetryRules::default());
        assert_eq!(settings.outliers, Some(OutlierRules::default()));
        assert_eq!(settings.slow_start, SlowStart::default());
        assert_eq!(settings.load_line, LoadLine::default());
        assert_eq!(settings.load_aware, None);
        assert_eq!(settings_of("load_aware: on").load_aware, Some(LoadAware::default()));
        let bare = UpstreamSettings::new("app", Vec::new());
        assert_eq!(settings.drain_timeout, bare.drain_timeout);
        assert_eq!(settings.exchange.connect_patience, bare.exchange.connect_patience);
    }

    #[test]
    fn what_is_switched_off_never_happens() {
        let off = "{consecutive_errors: off, consecutive_failures: off, latency_factor: off, stalls: false}";
        let rules = settings_of(&format!("outliers: {off}")).outliers.expect("the rest is on");
        let never = OutlierRules {
            consecutive_errors: 0,
            consecutive_failures: 0,
            latency_factor: 0.0,
            stalls: false,
            ..OutlierRules::default()
        };
        assert_eq!(rules, never);
        assert_eq!(settings_of("outliers: off").outliers, None);
        assert_eq!(settings_of("slow_start: off").slow_start.duration, Duration::ZERO);
        assert_eq!(settings_of("retries: {hedge: off}").retries.hedge, Hedge::Off);
        let without_status = settings_of("retries: {on: [connect], status: 500-599}").retries;
        assert_eq!(without_status.statuses, StatusSet::default());
    }

    #[test]
    fn what_is_written_is_what_holds() {
        let settings = settings_of(
            "retries: {status: [502, 503-504], per_try_timeout: 2s, budget: 0%, budget_per_second: 1, hedge: p99},
             limits: {in_flight: 20, queue: 0, queue_timeout: 3s}, slow_start: {duration: 1m, floor: 0%}",
        );
        let codes: Vec<_> = (200..700).filter(|code| settings.retries.statuses.contains(*code)).collect();
        assert_eq!(codes, [502, 503, 504]);
        assert_eq!(settings.retries.per_try_timeout, Duration::from_secs(2));
        assert_eq!(settings.retries.budget, BudgetSettings { share: 0.0, per_second: 1.0 });
        assert_eq!(settings.retries.hedge, Hedge::Quantile(0.99));
        let line =
            LoadLine { in_flight: InFlightLimit::Fixed(20), queue: 0, queue_timeout: Duration::from_secs(3) };
        assert_eq!(settings.load_line, line);
        assert_eq!(settings.slow_start, SlowStart { duration: Duration::from_secs(60), floor: 0.0 });
        let adaptive = settings_of("limits: {in_flight: adaptive}").load_line;
        assert_eq!(adaptive.in_flight, InFlightLimit::Adaptive);
    }
}
