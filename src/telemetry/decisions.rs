//! The ring of decisions: of each of the latest exchanges, whom it was given to and why, and how that ended.
//!
//! Metrics tell how often something happens, this tells why it did. A worker owns one and writes to it at the end of
//! every exchange, so an entry has a fixed size with everything in it: writing one takes no lock and no atomic, and
//! allocates nothing. Names are not copied; series have numbers ([`SeriesId`]), and who reads the ring knows the names.

use std::time::Duration;

use tokio::time::Instant;

use super::labels::{AttemptOutcome, PickReason};
use super::series::SeriesId;

/// How many exchanges of each kind, usual and notable, a worker remembers.
const REMEMBERED: usize = 128;

/// How many tries of one exchange are kept: the first ones, and the last.
pub const TRIES_KEPT: usize = 4;

/// How many bytes of a request line are kept.
const LINE_BYTES: usize = 64;

/// The latest exchanges of one worker.
///
/// Those from which something can be learned (a failure, a second try, a pick for want of a better) have a place of
/// their own: at full load the others push each other out within milliseconds.
#[derive(Debug, Default)]
pub struct Decisions {
    usual: Ring,
    notable: Ring,
}

impl Decisions {
    /// Remembers an exchange that has ended, and forgets the oldest of its kind.
    pub fn push(&mut self, exchange: PastExchange) {
        let ring = if exchange.is_notable() { &mut self.notable } else { &mut self.usual };
        ring.push(exchange);
    }

    /// Returns what is remembered, in no order. Copies some forty kilobytes.
    pub fn to_vec(&self) -> Vec<PastExchange> {
        [&*self.usual.kept, &*self.notable.kept].concat()
    }
}

#[derive(Debug)]
struct Ring {
    kept: Vec<PastExchange>,
    oldest: usize,
}

impl Default for Ring {
    fn default() -> Self {
        Self { kept: Vec::with_capacity(REMEMBERED), oldest: 0 }
    }
}

impl Ring {
    fn push(&mut self, exchange: PastExchange) {
        if self.kept.len() < REMEMBERED {
            // Within the capacity: does not allocate.
            self.kept.push(exchange);
            return;
        }
        self.kept[self.oldest] = exchange;
        self.oldest = (self.oldest + 1) % REMEMBERED;
    }
}

/// One exchange, as the ring remembers it.
#[derive(Debug, Clone, Copy)]
pub struct PastExchange {
    /// When its first byte came.
    pub began: Instant,
    /// How long it took.
    pub took: Duration,
    /// How long of that it waited because every backend was at its limit.
    pub queued: Duration,
    /// What was asked for.
    pub line: RequestLine,
    /// The upstream that its route leads to; `None` for what the balancer answers by itself.
    pub upstream: Option<SeriesId>,
    /// How that upstream picks backends, in the word of the configuration.
    pub balance: Option<&'static str>,
    /// The status of the answer.
    pub status: u16,
    /// Why it was refused or failed; `None` when all went well.
    pub reason: Option<&'static str>,
    /// Whom it was given to.
    pub tries: Tries,
}

impl PastExchange {
    /// Tells whether something can be learned from it: it did not get its answer from the first backend tried, or that
    /// one was not simply the balancer's choice.
    pub fn is_notable(&self) -> bool {
        self.upstream.is_some() && (self.reason.is_some() || self.status >= 500 || !self.tries.went_well())
    }
}

/// The tries of one exchange, in the order in which they began.
///
/// ```
/// use plimsoll::telemetry::{AttemptOutcome, PickReason, Telemetry, Tries};
///
/// let telemetry = Telemetry::new(1);
/// let (first, second) = (telemetry.backend("app", "backend-1"), telemetry.backend("app", "backend-2"));
/// let mut tries = Tries::default();
/// tries.began(first.id, PickReason::Balanced, 7);
/// tries.ended(first.id, AttemptOutcome::Reset);
/// tries.began(second.id, PickReason::Balanced, 2);
/// tries.ended(second.id, AttemptOutcome::Ok);
/// let outcomes: Vec<_> = tries.iter().map(|one| one.outcome).collect();
/// assert_eq!(outcomes, [Some(AttemptOutcome::Reset), Some(AttemptOutcome::Ok)]);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Tries {
    kept: [Option<Try>; TRIES_KEPT],
    count: u16,
}

/// One try: a backend that an exchange was given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Try {
    /// The backend.
    pub backend: SeriesId,
    /// Exchanges that were in flight on it, without this one; 65 535 stands for more as well.
    pub in_flight: u16,
    /// Why this backend.
    pub reason: PickReason,
    /// How it ended; `None` while it has not.
    pub outcome: Option<AttemptOutcome>,
}

impl Tries {
    /// Notes that a backend is tried, why this one, and how many exchanges were in flight on it.
    pub fn began(&mut self, backend: SeriesId, reason: PickReason, in_flight: u64) {
        let in_flight = u16::try_from(in_flight).unwrap_or(u16::MAX);
        let place = usize::from(self.count).min(TRIES_KEPT - 1);
        self.kept[place] = Some(Try { backend, in_flight, reason, outcome: None });
        self.count = self.count.saturating_add(1);
    }

    /// Notes how the try of a backend ended: the latest that has not, where there were several. Does nothing for one
    /// that is not kept.
    pub fn ended(&mut self, backend: SeriesId, outcome: AttemptOutcome) {
        let mut open = self.kept.iter_mut().rev().flatten();
        if let Some(one) = open.find(|one| one.backend == backend && one.outcome.is_none()) {
            one.outcome = Some(outcome);
        }
    }

    /// Visits the tries that are kept.
    pub fn iter(&self) -> impl Iterator<Item = &Try> {
        self.kept.iter().flatten()
    }

    /// Returns how many tries are not kept; they lie before the last one.
    pub fn left_out(&self) -> usize {
        usize::from(self.count).saturating_sub(TRIES_KEPT)
    }

    /// Tells whether the first try was the only one, picked as wished, and gave the answer.
    fn went_well(&self) -> bool {
        let [Some(first), None, ..] = &self.kept else { return false };
        first.outcome == Some(AttemptOutcome::Ok)
            && matches!(first.reason, PickReason::Balanced | PickReason::Sticky)
    }
}

/// The beginning of a request line, in place: the method, a space and the target, as they came from the network.
#[derive(Debug, Clone, Copy)]
pub struct RequestLine {
    /// Of the line, and of what follows where it is short.
    bytes: [u8; LINE_BYTES],
    kept: u8,
    method: u8,
    is_cut: bool,
}

impl RequestLine {
    /// Keeps what fits of the line at the front of a head, where method and target have these lengths.
    pub fn new(head: &[u8], method: usize, target: usize) -> Self {
        let line = (method + 1 + target).min(head.len());
        let kept = line.min(LINE_BYTES);
        // Hardly a head is shorter, and a copy of constant length is two instructions.
        let bytes = head.first_chunk().copied().unwrap_or_else(|| padded(head));
        Self { bytes, kept: kept as u8, method: method.min(kept) as u8, is_cut: line > kept }
    }

    /// Returns the method; what is no UTF-8 becomes U+FFFD.
    pub fn method(&self) -> String {
        String::from_utf8_lossy(&self.bytes[..usize::from(self.method)]).into_owned()
    }

    /// Returns the path without the query, which may hold secrets; `…` stands for what was not kept of it.
    pub fn path(&self) -> String {
        let from = usize::from(self.method) + 1;
        let target = self.bytes[..usize::from(self.kept)].get(from..).unwrap_or_default();
        let query = target.iter().position(|byte| *byte == b'?');
        let mut path = String::from_utf8_lossy(&target[..query.unwrap_or(target.len())]).into_owned();
        if self.is_cut && query.is_none() {
            path.push('…');
        }
        path
    }
}

#[cold]
fn padded(short: &[u8]) -> [u8; LINE_BYTES] {
    std::array::from_fn(|at| short.get(at).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Telemetry;

    fn ids() -> [SeriesId; 6] {
        let telemetry = Telemetry::new(1);
        [1, 2, 3, 4, 5, 6].map(|n| telemetry.backend("app", &n.to_string()).id)
    }

    /// An exchange on one backend that went so.
    fn exchange(status: u16, outcome: AttemptOutcome) -> PastExchange {
        let [backend, upstream, ..] = ids();
        let mut tries = Tries::default();
        tries.began(backend, PickReason::Balanced, 0);
        tries.ended(backend, outcome);
        PastExchange {
            began: Instant::now(),
            took: Duration::from_millis(5),
            queued: Duration::ZERO,
            line: RequestLine::new(b"GET / HTTP/1.1\r\n\r\n", 3, 1),
            upstream: Some(upstream),
            balance: Some("round_robin"),
            status,
            reason: None,
            tries,
        }
    }

    fn statuses(decisions: &Decisions) -> Vec<u16> {
        decisions.to_vec().iter().map(|past| past.status).collect()
    }

    #[test]
    fn an_entry_stays_small() {
        assert_eq!(size_of::<Option<Try>>(), 8);
        assert!(size_of::<PastExchange>() <= 192, "{} bytes", size_of::<PastExchange>());
    }

    #[test]
    fn the_latest_are_remembered_and_nothing_is_allocated_for_them() {
        let mut decisions = Decisions::default();
        let place = decisions.usual.kept.as_ptr();
        for status in 0..200 {
            decisions.push(exchange(status, AttemptOutcome::Ok));
        }
        let mut kept = statuses(&decisions);
        kept.sort_unstable();
        assert_eq!(kept, (200 - REMEMBERED as u16..200).collect::<Vec<_>>());
        assert_eq!(decisions.usual.kept.as_ptr(), place);
    }

    #[test]
    fn a_failure_outlives_any_number_of_successes() {
        let mut decisions = Decisions::default();
        decisions.push(exchange(502, AttemptOutcome::Reset));
        (0..10 * REMEMBERED).for_each(|_| decisions.push(exchange(200, AttemptOutcome::Ok)));
        assert_eq!(statuses(&decisions).iter().filter(|status| **status == 502).count(), 1);
    }

    #[test]
    fn what_went_well_at_once_is_not_notable_and_all_else_is() {
        let [first, second, ..] = ids();
        let well = exchange(200, AttemptOutcome::Ok);
        assert!(!well.is_notable());
        assert!(!PastExchange { upstream: None, reason: Some("no_route"), ..well }.is_notable());
        let mut sticky = well;
        sticky.tries = Tries::default();
        sticky.tries.began(first, PickReason::Sticky, 0);
        sticky.tries.ended(first, AttemptOutcome::Ok);
        assert!(!sticky.is_notable());
        let mut rescued = well;
        rescued.tries.began(second, PickReason::Balanced, 0);
        rescued.tries.ended(second, AttemptOutcome::Ok);
        let mut forced = well;
        forced.tries = Tries::default();
        forced.tries.began(first, PickReason::FailOpen, 0);
        forced.tries.ended(first, AttemptOutcome::Ok);
        let refused = PastExchange { tries: Tries::default(), reason: Some("none_available"), ..well };
        for notable in [rescued, forced, refused, exchange(500, AttemptOutcome::ServerError)] {
            assert!(notable.is_notable(), "{notable:?}");
        }
    }

    #[test]
    fn of_many_tries_the_first_and_the_last_are_kept() {
        let ids = ids();
        let mut tries = Tries::default();
        for id in ids {
            tries.began(id, PickReason::Balanced, 100_000);
            tries.ended(id, AttemptOutcome::ConnectRefused);
        }
        let kept: Vec<_> = tries.iter().map(|one| one.backend).collect();
        assert_eq!(kept, [ids[0], ids[1], ids[2], ids[5]]);
        assert_eq!(tries.left_out(), 2);
        assert!(tries.iter().all(|one| one.in_flight == u16::MAX));
    }

    #[test]
    fn an_end_belongs_to_the_latest_try_of_that_backend_that_is_open() {
        let [one, two, unknown, ..] = ids();
        let mut tries = Tries::default();
        tries.began(one, PickReason::Balanced, 0);
        tries.ended(one, AttemptOutcome::Stale);
        tries.began(one, PickReason::Balanced, 0);
        tries.began(two, PickReason::Balanced, 0);
        tries.ended(unknown, AttemptOutcome::Reset);
        tries.ended(two, AttemptOutcome::Ok);
        tries.ended(one, AttemptOutcome::Overtaken);
        let outcomes: Vec<_> = tries.iter().map(|one| one.outcome).collect();
        assert_eq!(
            outcomes,
            [AttemptOutcome::Stale, AttemptOutcome::Overtaken, AttemptOutcome::Ok].map(Some)
        );
    }

    #[test]
    fn a_line_is_shown_without_its_query_and_cut_where_it_was() {
        let shown = |method: &str, target: &str, rest: &str| {
            let head = format!("{method} {target}{rest}");
            let line = RequestLine::new(head.as_bytes(), method.len(), target.len());
            (line.method(), line.path())
        };
        for rest in [" HTTP/1.1\r\n\r\n".to_owned(), format!(" HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(100))] {
            assert_eq!(shown("GET", "/a?secret=1", &rest), ("GET".into(), "/a".into()));
            let whole = format!("/{}", "x".repeat(LINE_BYTES - 5));
            assert_eq!(shown("GET", &whole, &rest).1, whole);
            let long = format!("/{}", "x".repeat(100));
            assert_eq!(shown("GET", &long, &rest).1, format!("{whole}…"));
            let (method, path) = shown(&"M".repeat(200), "/", &rest);
            assert_eq!((method.len(), path), (LINE_BYTES, "…".into()));
        }
    }

    #[test]
    fn a_head_that_was_never_read_is_shown_as_nothing() {
        for head in [b"".as_slice(), b"\xff\x00"] {
            let line = RequestLine::new(head, 0, 0);
            assert_eq!((line.method(), line.path()), (String::new(), String::new()));
        }
        assert_eq!(RequestLine::new(b"GET /\xff\x00", 3, 3).path(), "/\u{fffd}\0");
    }
}
