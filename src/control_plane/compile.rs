//! Turns a valid configuration into the snapshot that the data plane reads.
//!
//! It stands between the two so that neither knows the other: configuration types say what a user may write, snapshot
//! types what a worker needs at hand.

mod listeners;
mod routes;
mod upstreams;

use std::sync::Arc;

use tokio::time::Instant;

use super::config::Config;
use super::config::listener::{ListenerConfig, Protocol};
use super::discovery::Addresses;
use crate::data_plane::route::RouteTable;
use crate::data_plane::snapshot::{Relay, Snapshot};
use crate::telemetry::{Sampling, Telemetry};
use crate::upstream::Upstream;

/// Compiles `config`, with the `addresses` of its host names. What `previous` has in common with it (backends by name and
/// address, series by name) is carried over with its state.
///
/// Cannot fail, and is no rehearsal: what is carried over is configured anew at once.
pub fn compile(
    config: &Config,
    addresses: &Addresses,
    previous: Option<&Snapshot>,
    telemetry: &Telemetry,
    now: Instant,
) -> Snapshot {
    let settings = upstreams::settings(config, addresses);
    let upstreams: Vec<_> =
        settings.map(|settings| upstreams::adopt(settings, previous, telemetry, now)).collect();
    let before = previous.into_iter().flat_map(|snapshot| &snapshot.upstreams);
    before
        .filter(|gone| !upstreams.iter().any(|kept| kept.name == gone.name))
        .for_each(|gone| gone.retire(now));
    around(upstreams, config, telemetry)
}

/// Compiles the configuration of `current` again, with what has changed of the `addresses`. An upstream none of whose
/// backends has another address is the same one as before.
pub fn readdress(
    config: &Config,
    addresses: &Addresses,
    current: &Snapshot,
    telemetry: &Telemetry,
    now: Instant,
) -> Snapshot {
    let upstreams = upstreams::settings(config, addresses).map(|settings| {
        let same = current.upstreams.iter().find(|known| upstreams::is_where(known, &settings));
        same.map_or_else(|| upstreams::adopt(settings, Some(current), telemetry, now), Arc::clone)
    });
    around(upstreams.collect(), config, telemetry)
}

/// Compiles everything else around the upstreams.
fn around(upstreams: Vec<Arc<Upstream>>, config: &Config, telemetry: &Telemetry) -> Snapshot {
    let sampling = config.telemetry.traces.as_ref().map(|traces| Sampling::new(traces.sample.get()));
    let listeners = config.listeners.iter().map(|listener| {
        let ways = match listener.protocol {
            Protocol::Http => (routes::table(config, listener, &upstreams, telemetry), None),
            Protocol::Tcp => (RouteTable::default(), relay(listener, &upstreams, telemetry)),
        };
        listeners::listener(listener, (config.telemetry.slow, sampling), ways, telemetry)
    });
    Snapshot { listeners: listeners.collect(), upstreams }
}

/// None never happens in a valid configuration: its listeners name upstreams that exist.
fn relay(listener: &ListenerConfig, upstreams: &[Arc<Upstream>], telemetry: &Telemetry) -> Option<Relay> {
    let wanted = listener.upstream.as_ref()?.as_str();
    upstreams.iter().find(|known| *known.name == *wanted).map(|upstream| Relay::to(upstream, telemetry))
}

#[cfg(test)]
mod tests;
