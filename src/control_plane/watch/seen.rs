//! What earlier looks have seen of one backend.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::sample::{attempts, waits};
use crate::telemetry::{BackendState, HistogramTotal};
use crate::upstream::{AdaptiveLimit, Backend};

/// A backend that is out and has got no attempt for so long gets none any more.
const SETTLED: Duration = Duration::from_millis(500);

/// What a look has found out besides its findings.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Looked {
    /// A backend has raised its alarm since the last look.
    pub(super) alarm: bool,
    /// A backend has something to do, or had until now.
    pub(super) busy: bool,
}

impl Looked {
    pub(super) fn and(self, other: Self) -> Self {
        Self { alarm: self.alarm | other.alarm, busy: self.busy | other.busy }
    }
}

/// One backend as it was seen.
#[derive(Debug)]
pub(super) struct Seen {
    backend: Arc<Backend>,
    attempts: u64,
    /// What it learns of how much the backend takes.
    pub(super) limit: AdaptiveLimit,
    /// When the attempts were last seen to grow.
    grew: Instant,
    /// The waits until the present period began.
    waits: HistogramTotal,
    alarm: u32,
    /// When the trouble began that has taken it out, while it is not yet known when its last attempt was.
    moving: Option<Instant>,
    was_out: bool,
}

impl Seen {
    pub(super) fn first(backend: &Arc<Backend>, now: Instant) -> Self {
        Self {
            attempts: attempts(&backend.series),
            limit: AdaptiveLimit::default(),
            grew: now,
            waits: waits(&backend.series),
            alarm: backend.alarm(),
            moving: None,
            was_out: is_out(backend),
            backend: Arc::clone(backend),
        }
    }

    pub(super) fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.backend, &other.backend)
    }

    /// Returns the waits since it was last called.
    pub(super) fn waits_since_last_period(&mut self, now: HistogramTotal) -> HistogramTotal {
        let since = now.since(&self.waits);
        self.waits = now;
        since
    }

    /// Takes note of one look.
    pub(super) fn update(&mut self, now: Instant) -> Looked {
        let attempts = attempts(&self.backend.series);
        if attempts != self.attempts {
            self.grew = now;
        }
        self.attempts = attempts;
        self.measure_redistribution(now);
        let alarm = self.backend.alarm();
        Looked {
            alarm: std::mem::replace(&mut self.alarm, alarm) != alarm,
            busy: self.grew == now || self.backend.in_flight() > 0,
        }
    }

    /// Records how long it took until a backend that was taken out got nothing any more.
    fn measure_redistribution(&mut self, now: Instant) {
        let out = is_out(&self.backend);
        if out && !self.was_out {
            self.moving = self.backend.trouble_since();
        }
        self.was_out = out;
        let settled = now.duration_since(self.grew) >= SETTLED;
        if let Some(since) = self.moving.take_if(|_| settled || !out) {
            self.backend.series.redistribution.record(self.grew.saturating_duration_since(since));
        }
    }
}

fn is_out(backend: &Backend) -> bool {
    matches!(backend.series.state(), BackendState::Down | BackendState::Ejected)
}
