//! Probes: whether a backend that was ejected answers again, asked by the balancer itself and not with a client's request.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::control_plane::health::{CheckKind, CheckSettings, HttpCheck, Outcome, over_the_network};
use crate::telemetry::CheckResult;
use crate::upstream::Backend;

/// From one probe of a backend to the next.
const BETWEEN: Duration = Duration::from_millis(500);

/// How long a probe may take where no check says it: as long as a check by default.
const PATIENCE: Duration = Duration::from_millis(500);

/// The probes of the backends of one upstream.
#[derive(Debug)]
pub(super) struct Probes {
    settings: CheckSettings,
    last: Vec<Option<Instant>>,
    results: (mpsc::UnboundedSender<Probed>, mpsc::UnboundedReceiver<Probed>),
}

/// What a probe found.
#[derive(Debug)]
pub(super) struct Probed {
    /// The backend's position.
    pub(super) backend: usize,
    /// Whether it answered as it should.
    pub(super) passed: bool,
    /// The result for people.
    pub(super) words: String,
    /// How long it took.
    pub(super) took: Duration,
}

impl Probes {
    pub(super) fn new(backends: usize, settings: CheckSettings) -> Self {
        Self { settings, last: vec![None; backends], results: mpsc::unbounded_channel() }
    }

    /// Sends a probe to the backend at this position, unless the last one was sent a moment ago.
    pub(super) fn send(&mut self, at: usize, backend: &Backend, now: Instant) {
        let last = &mut self.last[at];
        if last.is_some_and(|last| now.duration_since(last) < BETWEEN) {
            return;
        }
        *last = Some(now);
        let (address, settings, results) = (backend.address, self.settings.clone(), self.results.0.clone());
        tokio::spawn(async move {
            let begun = Instant::now();
            let Outcome { result, words } = over_the_network()(address, settings).await;
            let passed = result == Some(CheckResult::Pass);
            // Nobody listens after a reload: it probes anew.
            let _ = results.send(Probed { backend: at, passed, words, took: begun.elapsed() });
        });
    }

    /// Takes a result that has come.
    pub(super) fn take(&mut self) -> Option<Probed> {
        self.results.1.try_recv().ok()
    }
}

/// Makes a probe of the way in which an upstream is checked.
///
/// A backend that hangs still accepts connections, so where nobody asks it anything, `OPTIONS *` does: the ping of HTTP
/// (RFC 9110 section 9.3.7). Any answer will do but one that tells of trouble; that it is not implemented is none.
pub(super) fn settings(checks: Option<CheckSettings>) -> CheckSettings {
    match checks {
        Some(settings @ CheckSettings { kind: CheckKind::Http(_), .. }) => settings,
        other => CheckSettings {
            kind: CheckKind::Http(HttpCheck {
                method: "OPTIONS".into(),
                path: "*".into(),
                host: None,
                statuses: [200..=499, 501..=501].into(),
                body_contains: None,
            }),
            interval: BETWEEN,
            timeout: other.map_or(PATIENCE, |settings| settings.timeout),
            jitter: 0.0,
        },
    }
}
