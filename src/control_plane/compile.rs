//! Turns a valid configuration into the snapshot that the data plane reads.
//!
//! It stands between the two so that neither knows the other: configuration types say what a user may write, snapshot
//! types what a worker needs at hand.

mod listeners;
mod names;
mod routes;
mod upstreams;

pub use names::{Addresses, ResolveError, resolve};

use std::sync::Arc;

use tokio::time::Instant;

use super::config::Config;
use crate::data_plane::snapshot::Snapshot;
use crate::telemetry::Telemetry;

/// Compiles `config`, with the `addresses` that its host names were [resolved](resolve) to. What `previous` has in
/// common with it (backends by name and address, series by name) is carried over with its state.
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
    before.filter(|gone| !upstreams.iter().any(|kept| kept.name == gone.name)).for_each(|gone| gone.retire());
    let listeners = config.listeners.iter().map(|listener| {
        let routes = routes::table(config, listener, &upstreams, telemetry);
        listeners::listener(listener, routes, telemetry)
    });
    Snapshot { listeners: listeners.collect(), upstreams: upstreams.iter().map(Arc::clone).collect() }
}
