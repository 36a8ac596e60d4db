//! What the watch does about one upstream.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::probe::{Probed, Probes};
use super::sample::{self, waits};
use super::seen::{Looked, Seen};
use crate::control_plane::health::Board;
use crate::control_plane::now::Now;
use crate::control_plane::push::LoadOfBackend;
use crate::telemetry::{EjectionReason, Label as _};
use crate::upstream::{
    Backend, COMPARE_EVERY, Event, Finding, Hedge, InFlightLimit, Judge, LoadChange, Observed, Period,
    Totals, Upstream,
};

/// From one time to the next that shares are brought up to date and budgets are filled.
const REFRESH: Duration = Duration::from_millis(250);

/// The period of what is averaged: adaptive limits, and what counts as overdue.
const PERIOD: Duration = Duration::from_secs(1);

/// One upstream that is watched, and what is known from earlier looks.
pub(super) struct Station {
    upstream: Arc<Upstream>,
    board: Arc<Board>,
    load: LoadOfBackend,
    probes: Probes,
    judge: Judge,
    seen: Vec<Seen>,
    compared: Instant,
    refreshed: Instant,
    /// When the present period began.
    period: Instant,
    requests: u64,
}

impl Station {
    pub(super) fn new(
        upstream: Arc<Upstream>,
        probes: Probes,
        board: Arc<Board>,
        load: LoadOfBackend,
    ) -> Self {
        let now = Instant::now();
        let seen: Vec<Seen> = upstream.backends.iter().map(|backend| Seen::first(backend, now)).collect();
        let requests = requests(&upstream);
        let mut judge = Judge::new(&upstream);
        // What it counts from: nothing can be found yet.
        let _ = judge.compare(&totals(&upstream));
        let (compared, refreshed, period) = (now, now, now);
        Self { upstream, board, load, probes, judge, seen, compared, refreshed, period, requests }
    }

    /// The same station, for the upstream as a reload has made it.
    pub(super) fn reassigned(self, upstream: Arc<Upstream>, probes: Probes) -> Self {
        let mut fresh = Self::new(upstream, probes, self.board, self.load);
        let before = |seen: &Seen| self.seen.iter().position(|before| before.is_of(seen));
        let kept: Vec<Option<usize>> = fresh.seen.iter().map(before).collect();
        (fresh.compared, fresh.refreshed, fresh.period) = (self.compared, self.refreshed, self.period);
        fresh.judge = self.judge;
        fresh.judge.follow(&fresh.upstream, &kept);
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

    /// Looks once.
    pub(super) fn look(&mut self, now: Instant) -> Looked {
        self.grant_wishes(now);
        self.judge(now);
        self.readmit(now);
        if now.duration_since(self.refreshed) >= REFRESH {
            self.end_drains(now);
            self.refresh(now);
        }
        if now.duration_since(self.period) >= PERIOD {
            self.end_period(now);
        }
        self.seen.iter_mut().map(|seen| seen.update(now)).fold(Looked::default(), Looked::and)
    }

    /// Ejects whom live traffic wishes to be ejected.
    fn grant_wishes(&self, now: Instant) {
        for at in 0..self.seen.len() {
            if let Some(reason) = self.upstream.backends[at].take_wish() {
                self.eject(at, reason, now);
            }
        }
    }

    /// Looks for backends that are silent, and now and then for those that do worse than the others.
    fn judge(&mut self, now: Instant) {
        let samples: Vec<_> = self.upstream.backends.iter().map(|backend| sample::sample(backend)).collect();
        let mut findings = self.judge.look(now, &samples);
        if now.duration_since(self.compared) >= COMPARE_EVERY {
            self.compared = now;
            findings.extend(self.judge.compare(&totals(&self.upstream)));
        }
        for (at, finding) in findings {
            match finding {
                Finding::Eject(reason) => self.eject(at, reason, now),
                Finding::Silent { stuck, since } => self.silent(at, stuck, since, now),
            }
        }
    }

    /// Makes others preferred, has those who wait ask elsewhere, and asks the backend itself whether it lives.
    fn silent(&mut self, at: usize, stuck: u64, since: Instant, now: Instant) {
        let backend = &self.upstream.backends[at];
        let silent_ms = now.duration_since(since).as_millis() as u64;
        let (upstream, name) = (&*self.upstream.name, &*backend.name);
        tracing::debug!(upstream, backend = name, waiting = stuck, silent_ms, "backend is silent");
        self.upstream.note_silence(backend, since, now);
        backend.raise_alarm();
        self.probes.send(at, backend, now);
    }

    fn eject(&self, at: usize, reason: EjectionReason, now: Instant) {
        let backend = &self.upstream.backends[at];
        if let Some(observed) = self.upstream.observe(backend, Event::Eject(reason), now) {
            self.announce(at, observed, reason.meaning());
        }
    }

    /// Probes those whose ejection has lasted long enough, and takes back those that answer.
    fn readmit(&mut self, now: Instant) {
        while let Some(Probed { backend: at, passed, words, unknown }) = self.probes.take() {
            let backend = &self.upstream.backends[at];
            if passed {
                self.judge.probe_answered(at);
            }
            // Of one that was silent, only an answer tells that it no longer is. Any other comes back in the end, and is
            // ejected for longer if it was too early.
            let stalled = |reason| reason == EjectionReason::Stalled;
            let was_silent =
                backend.availability().ejection().is_some_and(|ejection| stalled(ejection.reason));
            if !passed && (was_silent || !unknown) {
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

    /// Gives up what is left on backends whose time to drain is over. Their alarm is seen like any other.
    fn end_drains(&self, now: Instant) {
        for backend in self.upstream.end_drains(now) {
            let (upstream, name, in_flight) = (&*self.upstream.name, &*backend.name, backend.in_flight());
            if in_flight > 0 {
                tracing::warn!(
                    upstream,
                    backend = name,
                    in_flight,
                    "drain deadline passed: giving up what is left"
                );
            }
        }
    }

    /// Ends ramps, brings shares up to date, and fills the budget.
    fn refresh(&mut self, now: Instant) {
        for (at, observed) in self.upstream.tick(now) {
            self.announce(at, observed, "the slow start is over");
        }
        let requests = requests(&self.upstream);
        let elapsed = now.duration_since(self.refreshed);
        self.upstream.refill_budget(requests.saturating_sub(self.requests), elapsed);
        self.requests = requests;
        self.refreshed = now;
    }

    /// Learns from what was answered since the last period.
    fn end_period(&mut self, now: Instant) {
        let elapsed = now.duration_since(std::mem::replace(&mut self.period, now));
        self.follow_load(elapsed, now);
        let adaptive = self.upstream.load_line.in_flight == InFlightLimit::Adaptive;
        for (seen, backend) in self.seen.iter_mut().zip(&self.upstream.backends) {
            let waits = seen.waits_since_last_period(waits(&backend.series));
            if adaptive {
                let in_flight = backend.in_flight();
                seen.limit.learn(Period { answers: waits.count(), wait: waits.mean(), in_flight });
                backend.set_in_flight_limit(seen.limit.get());
            }
        }
        if let Hedge::Quantile(quantile) = self.upstream.retries.hedge {
            self.upstream.set_overdue_after(self.judge.usual_wait(quantile));
        }
    }

    /// Gives less to those whose CPU is busy, and says so when that begins and when it is over.
    fn follow_load(&self, elapsed: Duration, now: Instant) {
        if self.upstream.load_aware.is_none() {
            return;
        }
        let (upstream, read) = (&*self.upstream.name, Now::read());
        let cpu = |backend: &Backend| Some((self.load)(upstream, &backend.name, read)?.cpu_percent / 100.0);
        for LoadChange { backend, from, to } in self.upstream.follow_load(cpu, elapsed, now) {
            let backend = &*self.upstream.backends[backend];
            let (name, cpu_percent) = (&*backend.name, cpu(backend).map(|cpu| (cpu * 100.0).round()));
            if from == 1.0 {
                tracing::info!(upstream, backend = name, cpu_percent, "backend gets less: its CPU is busy");
            } else if to == 1.0 {
                tracing::info!(upstream, backend = name, cpu_percent, "backend gets its whole share again");
            }
        }
    }

    fn announce(&self, at: usize, observed: Observed, words: &str) {
        self.board.announce(&self.upstream.name, &self.upstream.backends[at].name, observed, words);
    }
}

/// Returns how many requests were answered by its backends.
fn requests(upstream: &Upstream) -> u64 {
    upstream.backends.iter().map(|backend| sample::requests(&backend.series)).sum()
}

fn totals(upstream: &Upstream) -> Vec<Totals> {
    upstream.backends.iter().map(|backend| sample::totals(backend)).collect()
}
