//! The backends that have left the configuration and are not finished: given up when their time is over, and shown no more
//! once nothing is left of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::seen::Looked;
use super::station::Station;
use crate::control_plane::health::Watched;
use crate::upstream::Backend;

/// A backend that has had nothing in flight for so long is finished: a worker that picked it a moment before it left has
/// counted its exchange by then.
const SETTLED: Duration = Duration::from_secs(1);

/// Who is leaving.
#[derive(Debug, Default)]
pub(super) struct Leaving(Vec<Leaver>);

#[derive(Debug)]
struct Leaver {
    upstream: Box<str>,
    backend: Arc<Backend>,
    /// Since when nothing is in flight.
    idle: Option<Instant>,
    /// Whether another backend has taken its place under its name: the series are that one's now.
    replaced: bool,
}

impl Leaving {
    /// Takes in the backends of these stations that are not among those that are watched from now on.
    pub(super) fn follow(&mut self, before: &[Station], wanted: &[Watched]) {
        let present = || wanted.iter().flat_map(|watched| &watched.upstream.backends);
        for upstream in before.iter().map(Station::upstream) {
            let left = |known: &&Arc<Backend>| !present().any(|kept| Arc::ptr_eq(kept, known));
            self.0.extend(upstream.backends.iter().filter(left).map(|backend| Leaver {
                upstream: upstream.name.clone(),
                backend: Arc::clone(backend),
                idle: None,
                replaced: false,
            }));
        }
        for leaver in &mut self.0 {
            leaver.replaced |= present().any(|other| Arc::ptr_eq(&other.series, &leaver.backend.series));
        }
    }

    /// Looks once. Those that have finished are forgotten.
    pub(super) fn look(&mut self, now: Instant) -> Looked {
        let mut looked = Looked::default();
        self.0.retain_mut(|leaver| {
            looked.alarm |= leaver.backend.end_drain(now) && leaver.tell();
            !leaver.has_finished(now)
        });
        looked
    }
}

impl Leaver {
    /// Says what is given up. Always true.
    fn tell(&self) -> bool {
        let (upstream, backend, in_flight) = (&*self.upstream, &*self.backend.name, self.backend.in_flight());
        // What is in flight at its successor is counted with it.
        if in_flight > 0 && !self.replaced {
            let message = "drain deadline passed: giving up what is left on a backend that was removed";
            tracing::warn!(upstream, backend, in_flight, "{message}");
        }
        true
    }

    /// Tells whether nothing is left to wait for; ends the series then, unless they are another backend's.
    fn has_finished(&mut self, now: Instant) -> bool {
        if self.replaced {
            return self.backend.drain_deadline().is_none();
        }
        if self.backend.in_flight() > 0 {
            self.idle = None;
            return false;
        }
        let finished = now.duration_since(*self.idle.get_or_insert(now)) >= SETTLED;
        if finished {
            self.backend.series.end();
        }
        finished
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Telemetry;
    use crate::upstream::{BackendSettings, Upstream, UpstreamSettings};

    fn upstream(
        count: u16,
        previous: Option<&Upstream>,
        telemetry: &Telemetry,
        now: Instant,
    ) -> Arc<Upstream> {
        let backend = |port: u16| BackendSettings {
            name: format!("backend-{port}").into(),
            address: Some(([127, 0, 0, 1], port).into()),
            looked_up: false,
            weight: 1,
        };
        let settings = UpstreamSettings::new("app", (1..=count).map(backend).collect());
        Arc::new(Upstream::new(settings, previous, telemetry, now))
    }

    fn leaver(upstream: &Upstream, at: usize) -> Leaving {
        let backend = Arc::clone(&upstream.backends[at]);
        Leaving(vec![Leaver { upstream: upstream.name.clone(), backend, idle: None, replaced: false }])
    }

    fn shown(telemetry: &Telemetry) -> usize {
        telemetry.backends().len()
    }

    #[test]
    fn a_backend_that_was_removed_is_shown_until_it_has_finished_and_no_longer_though_it_is_held() {
        let (telemetry, now) = (Telemetry::new(1), Instant::now());
        let before = upstream(2, None, &telemetry, now);
        let _after = upstream(1, Some(&before), &telemetry, now);
        let mut leaving = leaver(&before, 1);
        before.backends[1].series.inflight.inc();
        assert!(!leaving.look(now + SETTLED * 3).alarm);
        assert_eq!((leaving.0.len(), shown(&telemetry)), (1, 2), "something is in flight");
        before.backends[1].series.inflight.dec();
        leaving.look(now + SETTLED * 4);
        assert_eq!(shown(&telemetry), 2, "a worker may have picked it a moment ago");
        leaving.look(now + SETTLED * 5);
        assert_eq!((leaving.0.len(), shown(&telemetry)), (0, 1));
    }

    #[test]
    fn what_it_has_not_finished_in_time_is_given_up_with_an_alarm() {
        let (telemetry, now) = (Telemetry::new(1), Instant::now());
        let before = upstream(2, None, &telemetry, now);
        let after = upstream(1, Some(&before), &telemetry, now);
        let mut leaving = leaver(&before, 1);
        before.backends[1].series.inflight.inc();
        assert!(!leaving.look(now).alarm);
        assert!(leaving.look(now + after.drain_timeout).alarm);
        assert_eq!(before.backends[1].drains_ended(), 1);
        assert_eq!(leaving.0.len(), 1, "it is still to end");
        assert!(!leaving.look(now + after.drain_timeout).alarm, "once");
    }

    #[test]
    fn the_series_of_one_whose_name_is_taken_again_go_on() {
        let (telemetry, now) = (Telemetry::new(1), Instant::now());
        let before = upstream(2, None, &telemetry, now);
        let between = upstream(1, Some(&before), &telemetry, now);
        let after = upstream(2, Some(&between), &telemetry, now);
        let mut leaving = leaver(&before, 1);
        let wanted = Watched { upstream: Arc::clone(&after), checks: None, agents: None };
        leaving.follow(&[], &[wanted]);
        leaving.look(now);
        leaving.look(now + SETTLED);
        assert_eq!((leaving.0.len(), shown(&telemetry)), (1, 2), "it may have something in flight");
        leaving.look(now + after.drain_timeout);
        assert_eq!((leaving.0.len(), shown(&telemetry)), (0, 2));
    }
}
