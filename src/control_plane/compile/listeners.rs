//! Compiles listeners.

use std::time::Duration;

use crate::control_plane::config::listener::ListenerConfig;
use crate::control_plane::config::value::address::Cidr;
use crate::data_plane::http1::request::Limits;
use crate::data_plane::http1::rewrite::ForwardPolicy;
use crate::data_plane::http1::source::Network;
use crate::data_plane::route::RouteTable;
use crate::data_plane::snapshot::{ClientTimeouts, Listener, Relay};
use crate::telemetry::{Sampling, Telemetry};

/// Compiles one listener.
pub(super) fn listener(
    config: &ListenerConfig,
    (slow, sampling): (Duration, Option<Sampling>),
    (routes, relay): (RouteTable, Option<Relay>),
    telemetry: &Telemetry,
) -> Listener {
    let name = config.name.to_string();
    Listener {
        series: telemetry.listener(&name),
        name: name.into(),
        address: config.address,
        limits: Limits {
            head: usize::try_from(config.limits.head).unwrap_or(usize::MAX),
            fields: config.limits.headers,
            target: usize::try_from(config.limits.target).unwrap_or(usize::MAX),
            body: config.limits.body.unwrap_or(u64::MAX),
        },
        slow,
        timeouts: ClientTimeouts {
            head: config.timeouts.head,
            body: config.timeouts.body,
            idle: config.timeouts.idle,
            write: config.timeouts.write,
            tunnel: config.timeouts.tunnel,
        },
        forward: ForwardPolicy {
            trust: networks(&config.forwarded.trust),
            except: networks(&config.forwarded.except),
            x_forwarded: config.forwarded.x_forwarded,
            forwarded: config.forwarded.forwarded,
            via: config.forwarded.via,
            request_id: config.forwarded.request_id,
        },
        sampling,
        connections_max: u64::from(config.max_connections),
        requests_per_connection: config.limits.requests_per_connection.unwrap_or(u64::MAX),
        proxy_protocol: config.proxy_protocol,
        routes,
        relay,
    }
}

/// Compiles ranges of addresses.
pub(super) fn networks(ranges: &[Cidr]) -> Vec<Network> {
    ranges.iter().map(|range| Network { address: range.network(), prefix: range.prefix_len() }).collect()
}
