//! Probes: whether a backend that was ejected answers again, asked by the balancer itself and not with a client's request.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::control_plane::health::{CheckKind, CheckSettings, HttpCheck, Outcome, over_the_network};
use crate::telemetry::CheckResult;
use crate::upstream::{Backend, ExchangeSettings};

/// From one probe of a backend to the next.
const BETWEEN: Duration = Duration::from_millis(500);

/// How long a probe may take where no check says it: as long as a check by default.
const PATIENCE: Duration = Duration::from_millis(500);

/// So many probes in a row that end in a closed connection are enough to doubt the question: not every server knows it.
const MISUNDERSTOOD: u32 = 8;

/// So many that are answered with an error are: half a minute.
const REFUSED: u32 = 60;

/// The probes of the backends of one upstream.
#[derive(Debug)]
pub(super) struct Probes {
    settings: CheckSettings,
    last: Vec<Last>,
    results: mpsc::UnboundedReceiver<Result>,
    /// What the probes send their results with.
    sender: mpsc::UnboundedSender<Result>,
}

/// What a probe of the backend at this position came to.
type Result = (usize, Outcome);

/// The probes of one backend.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    sent: Option<Instant>,
    under_way: bool,
    /// How many in a row were not answered as they should be.
    failed: u32,
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
    /// Whether the backend has been asked in vain for so long that the question may be wrong: it takes connections, and
    /// then says nothing that can be understood, or always the same error.
    pub(super) unknown: bool,
}

impl Probes {
    pub(super) fn new(backends: usize, settings: CheckSettings) -> Self {
        let (sender, results) = mpsc::unbounded_channel();
        Self { settings, last: vec![Last::default(); backends], results, sender }
    }

    /// Sends a probe to the backend at this position, unless one is under way or the last was sent a moment ago.
    pub(super) fn send(&mut self, at: usize, backend: &Backend, now: Instant) {
        let Some(address) = backend.address else { return };
        let last = &mut self.last[at];
        if last.under_way || last.sent.is_some_and(|sent| now.duration_since(sent) < BETWEEN) {
            return;
        }
        (last.sent, last.under_way) = (Some(now), true);
        let (settings, results) = (self.settings.clone(), self.sender.clone());
        tokio::spawn(async move {
            let outcome = over_the_network()(address, settings).await;
            // Nobody listens after a reload: it probes anew.
            let _ = results.send((at, outcome));
        });
    }

    /// Takes a result that has come.
    pub(super) fn take(&mut self) -> Option<Probed> {
        let (backend, Outcome { result, words }) = self.results.try_recv().ok()?;
        let last = &mut self.last[backend];
        let passed = result == Some(CheckResult::Pass);
        last.under_way = false;
        last.failed = if passed { 0 } else { last.failed.saturating_add(1) };
        let unknown = match result {
            Some(CheckResult::FailProtocol) => last.failed >= MISUNDERSTOOD,
            Some(CheckResult::FailStatus) => last.failed >= REFUSED,
            _ => false,
        };
        Some(Probed { backend, passed, words, unknown })
    }
}

/// Makes a probe of the way in which an upstream is checked.
///
/// A backend that hangs still accepts connections, so where nobody asks it anything, `OPTIONS *` does: the ping of HTTP
/// (RFC 9110 section 9.3.7). Any answer will do but one that tells of trouble; that it is not implemented is none.
///
/// Where connections are relayed the backends may speak anything: there nothing is asked that is not configured.
pub(super) fn settings(checks: Option<CheckSettings>, exchange: &ExchangeSettings) -> CheckSettings {
    match checks {
        Some(settings @ CheckSettings { kind: CheckKind::Http(_), .. }) => settings,
        other if exchange.relayed => CheckSettings {
            kind: CheckKind::Tcp,
            interval: BETWEEN,
            timeout: other.map_or(PATIENCE, |settings| settings.timeout),
            jitter: 0.0,
            proxy_protocol: exchange.proxy_protocol,
        },
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
            proxy_protocol: exchange.proxy_protocol,
        },
    }
}
