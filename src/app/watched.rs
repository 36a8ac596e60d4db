//! Which upstreams are watched, and by which checks.

use std::sync::Arc;

use crate::control_plane::config::Config;
use crate::control_plane::health::{AgentSettings, CheckSettings, Watched};
use crate::data_plane::snapshot::Snapshot;

/// Pairs each upstream with the checks that the configuration wants for it.
pub(super) fn watched(config: &Config, snapshot: &Snapshot) -> Vec<Watched> {
    // Both are in file order: the snapshot was compiled from this configuration.
    let pairs = snapshot.upstreams.iter().zip(&config.upstreams);
    pairs
        .map(|(upstream, config)| Watched {
            upstream: Arc::clone(upstream),
            checks: CheckSettings::of(config),
            agents: AgentSettings::of(&config.health),
        })
        .collect()
}

/// Pairs each upstream in force with its checks, without those that `next` does not check any more.
pub(super) fn still_watched(config: &Config, current: &Snapshot, next: &Config) -> Vec<Watched> {
    let mut watched = watched(config, current);
    for Watched { upstream, checks, agents } in &mut watched {
        let next = next.upstreams.iter().find(|next| next.name.as_str() == &*upstream.name);
        let Some(next) = next else { continue };
        if CheckSettings::of(next).is_none() {
            *checks = None;
        }
        if AgentSettings::of(&next.health).is_none() {
            *agents = None;
        }
    }
    watched
}
