//! Host names of backends: tells what look-ups have found, and puts addresses that have changed in force.

use std::sync::Arc;

use tokio::time::Instant;

use super::App;
use super::watched::watched;
use crate::control_plane::changes::{Changes, in_force};
use crate::control_plane::compile::readdress;
use crate::control_plane::config::Config;
use crate::control_plane::discovery::{self, Discovery};
use crate::control_plane::health::Board;
use crate::data_plane::snapshot::Snapshot;
use crate::telemetry::{LookupResult, Telemetry};

impl App {
    /// Takes up what look-ups have found. Nothing is dropped: what is in flight at an old address goes on there, and an
    /// upstream whose backends are where they were does not notice.
    pub(super) fn follow_names(&mut self) {
        let (config, telemetry) = (&self.config, &self.shared.telemetry);
        if !tell(&mut self.discovery, config, telemetry, &self.board) {
            return;
        }
        let _operation = tracing::info_span!("follow_names").entered();
        let changes = self.operated.changes.clone();
        self.put_upstreams_into_force(&changes);
    }

    /// Puts upstreams in force whose backends are not who they were, or where they were. The others do not notice.
    pub(super) fn put_upstreams_into_force(&mut self, changes: &Changes) {
        let (config, telemetry) = (&self.config, &self.shared.telemetry);
        let current = self.shared.snapshot.load_full();
        let snapshot = readdress(config, &self.discovery.addresses(), &current, telemetry, Instant::now());
        in_force::hold(changes, &snapshot.upstreams, &self.board);
        announce_arrivals(&snapshot, Some(&current), &self.board);
        self.checks.apply(&watched(config, &snapshot));
        self.watch.apply(watched(config, &snapshot));
        self.shared.snapshot.store(Arc::new(snapshot));
    }
}

/// Tells what look-ups have found about the host names in `config`. Returns whether an address has changed.
pub(super) fn tell(discovery: &mut Discovery, config: &Config, telemetry: &Telemetry, board: &Board) -> bool {
    let news = discovery.take_news();
    discovery::tell(&news, config, telemetry, board);
    news.iter().any(|news| news.result == LookupResult::Changed)
}

/// Announces what changed when backends took the place of others: in the upstreams that are not in `previous` as they are.
pub(super) fn announce_arrivals(snapshot: &Snapshot, previous: Option<&Snapshot>, board: &Board) {
    let is_kept = |upstream| {
        previous.is_some_and(|previous| previous.upstreams.iter().any(|known| Arc::ptr_eq(known, upstream)))
    };
    for upstream in snapshot.upstreams.iter().filter(|upstream| !is_kept(upstream)) {
        for (at, observed) in upstream.arrivals() {
            let backend = &upstream.backends[*at].name;
            let lookup = board.last_lookup(&upstream.name, backend);
            let words = lookup.map_or_else(|| "it has another address".to_owned(), |lookup| lookup.words());
            board.announce(&upstream.name, backend, *observed, &words);
        }
    }
}
