//! Says whether one more connection may come in: the bound on what a listener holds at a time.

use crate::telemetry::{ListenerSeries, WorkerId};

/// Counts a connection on `series` for as long as it lives.
#[derive(Debug)]
pub struct Admitted {
    series: std::sync::Arc<ListenerSeries>,
    worker: WorkerId,
}

/// Admits a connection to a listener that may hold `max` over all workers; `None`, and a count, when it holds as many.
///
/// Two workers that admit at the same moment may exceed the bound by one each: it is there to protect memory and
/// descriptors, and a lock on every accept would cost more than the difference matters.
#[must_use]
pub fn admit(series: &std::sync::Arc<ListenerSeries>, worker: WorkerId, max: u64) -> Option<Admitted> {
    let shard = series.shard(worker);
    shard.connections.inc();
    let open: i64 = series.shards().iter().map(|shard| shard.connections_active.get()).sum();
    if u64::try_from(open).unwrap_or(0) >= max {
        shard.connections_refused.inc();
        return None;
    }
    shard.connections_active.inc();
    Some(Admitted { series: std::sync::Arc::clone(series), worker })
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.series.shard(self.worker).connections_active.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Telemetry;

    #[test]
    fn a_full_listener_admits_again_when_a_connection_ends() {
        let series = Telemetry::new(2).listener("web");
        let first = admit(&series, WorkerId(0), 1);
        assert!(first.is_some());
        assert!(admit(&series, WorkerId(1), 1).is_none());
        assert_eq!(series.shard(WorkerId(1)).connections_refused.get(), 1);
        drop(first);
        assert!(admit(&series, WorkerId(1), 1).is_some());
    }
}
