//! The end of a connection that was relayed as it is.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::Record;
use crate::telemetry::{Entry, Label as _, RELAYED, TcpOutcome, TcpSeries, Timings};

impl<'s> Record<'s> {
    /// Returns how long the last connect took.
    pub fn connect_time(&self) -> Option<Duration> {
        self.times.connected.map(|(begun, at)| at.duration_since(begun))
    }

    /// Ends the record of a connection. Its bytes were counted as they moved; it has no answer, so nothing is counted that
    /// answers have.
    pub fn end_relayed(&mut self, outcome: TcpOutcome, now: Instant) {
        self.ended = true;
        if outcome != TcpOutcome::Ok {
            self.because(outcome.as_str());
        }
        self.count_relayed(outcome, now);
        let log = self.worker.access_log();
        let failed = self.reason.is_some();
        if log.wants(failed) {
            let entry = self.relayed_entry(now, log.tells_load());
            self.worker.log_batch.borrow_mut().write(&log, &entry);
        }
        // What makes it slow is that nobody took it.
        let slow = self.times.is_slow(self.listener.slow, now);
        if self.is_remembered(failed, slow) {
            self.words.method = RELAYED.len();
            self.remember(0, slow, RELAYED.as_bytes(), now);
        }
    }

    fn count_relayed(&self, outcome: TcpOutcome, now: Instant) {
        let id = self.worker.id;
        let lasted = now.duration_since(self.times.started);
        if matches!(outcome, TcpOutcome::ClientReset | TcpOutcome::ClientAbort) {
            self.listener.series.shard(id).client_aborts.inc();
        }
        if let Some(series) = self.tcp_series() {
            let shard = series.shard(id);
            shard.connections.inc(outcome);
            shard.duration.record(lasted);
        }
    }

    /// Returns where the connection is counted: at its backend, or the last one that was tried.
    fn tcp_series(&self) -> Option<&'s Arc<TcpSeries>> {
        let relay = self.listener.relay.as_ref()?;
        let Some(backend) = self.backend else { return Some(&relay.nobody) };
        let is_it = |known: &Arc<_>| std::ptr::eq(&**known, backend);
        relay.backends.get(relay.upstream.backends.iter().position(is_it)?)
    }

    fn relayed_entry(&self, now: Instant, with_load: bool) -> Entry<'_> {
        let total = now.duration_since(self.times.started);
        let between = |(from, to): (Instant, Instant)| to.saturating_duration_since(from);
        let talked = self.times.head_sent.map(|since| now.saturating_duration_since(since));
        Entry {
            time: SystemTime::now() - total,
            version: RELAYED,
            status: 0,
            timings: Timings {
                admission: self.times.queued.map(between),
                connect: self.times.connected.map(between),
                relay: talked,
                total: Some(total),
                ..Timings::default()
            },
            ..self.entry((0, Duration::ZERO), b"", now, with_load)
        }
    }
}
