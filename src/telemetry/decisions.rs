//! The ring of decisions: of each of the latest exchanges, whom it was given to and why, and how that ended.
//!
//! Metrics tell how often something happens, this tells why it did. A worker owns one and writes to it at the end of
//! every exchange, so an entry has a fixed size with everything in it: writing one takes no lock and no atomic, and
//! allocates nothing. Names are not copied; series have numbers ([`SeriesId`]), and who reads the ring knows the names.

mod request_line;
mod tries;

use std::time::Duration;

use tokio::time::Instant;

pub use request_line::RequestLine;
pub use tries::{Ending, Offset, Stages, TRIES_KEPT, Tries, Try};

use super::series::SeriesId;

/// How many exchanges of each kind, usual and notable, a worker remembers.
const REMEMBERED: usize = 128;

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

    /// Returns what is remembered, in no order. Copies some seventy kilobytes.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{AttemptOutcome, PickReason, Telemetry};

    fn ids() -> [SeriesId; 2] {
        let telemetry = Telemetry::new(1);
        [1, 2].map(|n| telemetry.backend("app", &n.to_string()).id)
    }

    fn end() -> Ending {
        Ending::at(Offset::START)
    }

    /// An exchange on one backend that went so.
    fn exchange(status: u16, outcome: AttemptOutcome) -> PastExchange {
        let [backend, upstream] = ids();
        let mut tries = Tries::default();
        tries.began(backend, PickReason::Balanced, 0, Offset::START);
        tries.ended(backend, outcome, end());
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
        assert!(size_of::<PastExchange>() <= 288, "{} bytes", size_of::<PastExchange>());
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
        let [first, second] = ids();
        let well = exchange(200, AttemptOutcome::Ok);
        assert!(!well.is_notable());
        assert!(!PastExchange { upstream: None, reason: Some("no_route"), ..well }.is_notable());
        let mut sticky = well;
        sticky.tries = Tries::default();
        sticky.tries.began(first, PickReason::Sticky, 0, Offset::START);
        sticky.tries.ended(first, AttemptOutcome::Ok, end());
        assert!(!sticky.is_notable());
        let mut rescued = well;
        rescued.tries.began(second, PickReason::Balanced, 0, Offset::START);
        rescued.tries.ended(second, AttemptOutcome::Ok, end());
        let mut forced = well;
        forced.tries = Tries::default();
        forced.tries.began(first, PickReason::FailOpen, 0, Offset::START);
        forced.tries.ended(first, AttemptOutcome::Ok, end());
        let refused = PastExchange { tries: Tries::default(), reason: Some("none_available"), ..well };
        for notable in [rescued, forced, refused, exchange(500, AttemptOutcome::ServerError)] {
            assert!(notable.is_notable(), "{notable:?}");
        }
    }
}
