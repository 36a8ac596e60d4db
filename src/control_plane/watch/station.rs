//! What the watch does about one upstream.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::probe::{Probed, Probes};
use super::sample::{Attempts, waits};
use super::seen::Seen;
use crate::control_plane::health::Board;
use crate::telemetry::{EjectionReason, HistogramTotal, Label as _};
use crate::upstream::{Event, Hedge, InFlightLimit, Observed, Period, Upstream};

/// From one time to the next that shares are brought up to date and budgets are filled.
const REFRESH: Duration = Duration::from_millis(250);

/// The period of what is averaged: adaptive limits, and what counts as overdue.
const PERIOD: Duration = Duration::from_secs(1);

/// One upstream that is watched, and what is known from earlier looks.
#[derive(Debug)]
pub(super) struct Station {
    upstream: Arc<Upstream>,
    board: Arc<Board>,
    probes: Probes,
    seen: Vec<Seen>,
    refreshed: Instant,
    /// When the present period began, and the waits of each backend until then.
    period: Instant,
    requests: u64,
}

impl Station {
    pub(super) fn new(upstream: Arc<Upstream>, probes: Probes, board: Arc<Board>) -> Self {
        let now = Instant::now();
        let seen: Vec<Seen> = upstream.backends.iter().map(|backend| Seen::first(backend, now)).collect();
        let requests = seen.iter().map(|seen| seen.attempts.all).sum();
        Self { upstream, board, probes, seen, refreshed: now, period: now, requests }
    }

    /// The same station, for the upstream as a reload has made it.
    pub(super) fn reassigned(self, upstream: Arc<Upstream>, probes: Probes) -> Self {
        let mut fresh = Self::new(upstream, probes, self.board);
        for seen in self.seen {
            if let Some(same) = fresh.seen.iter_mut().find(|fresh| fresh.is_of(&seen)) {
                *same = seen;
            }
        }
        fresh
    }

    pub(super) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Looks once; returns whether who waits for one of the backends must be woken.
    pub(super) fn look(&mut self, now: Instant) -> bool {
        let attempts = self.upstream.backends.iter().map(|backend| Attempts::of(&backend.series));
        let attempts: Vec<Attempts> = attempts.collect();
        self.grant_wishes(now);
        self.readmit(now);
        if now.duration_since(self.refreshed) >= REFRESH {
            self.refresh(&attempts, now);
        }
        if now.duration_since(self.period) >= PERIOD {
            self.end_period(now);
        }
        let mut alarm = false;
        for (seen, attempts) in self.seen.iter_mut().zip(attempts) {
            alarm |= seen.update(attempts, now);
        }
        alarm
    }

    /// Ejects whom live traffic wishes to be ejected.
    fn grant_wishes(&self, now: Instant) {
        for at in 0..self.seen.len() {
            if let Some(reason) = self.upstream.backends[at].take_wish() {
                self.eject(at, reason, now);
            }
        }
    }

    fn eject(&self, at: usize, reason: EjectionReason, now: Instant) {
        let backend = &self.upstream.backends[at];
        if let Some(observed) = self.upstream.observe(backend, Event::Eject(reason), now) {
            self.announce(at, observed, reason.meaning());
        }
    }

    /// Probes those whose ejection has lasted long enough, and takes back those that answer.
    fn readmit(&mut self, now: Instant) {
        while let Some(Probed { backend: at, passed, words, took }) = self.probes.take() {
            let backend = &self.upstream.backends[at];
            let slow = backend.availability().ejection().is_some_and(|ejection| {
                ejection.reason == EjectionReason::Latency && took > self.usual_wait() * 5
            });
            if !passed || slow {
                continue;
            }
            if let Some(observed) = self.upstream.observe(backend, Event::Readmit, now) {
                self.announce(at, observed, &words);
            }
        }
        for (at, backend) in self.upstream.backends.iter().enumerate() {
            if backend.availability().is_readmission_due(now) {
                self.probes.send(at, backend, now);
            }
        }
    }

    fn usual_wait(&self) -> Duration {
        Duration::from_millis(20)
    }

    /// Ends ramps, brings shares up to date, and fills the budget.
    fn refresh(&mut self, attempts: &[Attempts], now: Instant) {
        for (at, observed) in self.upstream.tick(now) {
            self.announce(at, observed, "the slow start is over");
        }
        let requests: u64 = attempts.iter().map(|attempts| attempts.all).sum();
        let elapsed = now.duration_since(self.refreshed);
        self.upstream.refill_budget(requests.saturating_sub(self.requests), elapsed);
        self.upstream.series.budget_left.set(self.upstream.budget.left() as f64);
        self.requests = requests;
        self.refreshed = now;
    }

    /// Learns from what was answered since the last period.
    fn end_period(&mut self, now: Instant) {
        self.period = now;
        let adaptive = self.upstream.load_line.in_flight == InFlightLimit::Adaptive;
        let mut all = HistogramTotal::default();
        for (seen, backend) in self.seen.iter_mut().zip(&self.upstream.backends) {
            let waits = seen.waits_since_last_period(waits(&backend.series));
            all.add(&waits);
            if adaptive {
                let in_flight = backend.in_flight();
                seen.limit.learn(Period { answers: waits.count(), wait: waits.mean(), in_flight });
                backend.set_in_flight_limit(seen.limit.get());
            }
            let limit = backend.in_flight_limit();
            let shown = if limit == 0 { f64::INFINITY } else { f64::from(limit) };
            backend.series.inflight_limit.set(shown);
        }
        if let Hedge::Quantile(quantile) = self.upstream.retries.hedge {
            // A quiet second tells nothing new.
            if let Some(seconds) = all.quantile(quantile) {
                self.upstream.set_overdue_after(Some(Duration::from_secs_f64(seconds)));
            }
        }
    }

    fn announce(&self, at: usize, observed: Observed, words: &str) {
        self.board.announce(&self.upstream.name, &self.upstream.backends[at].name, observed, words);
    }
}
