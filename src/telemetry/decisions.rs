//! The ring of decisions: of some of the latest exchanges, whom each was given to and why, and how that ended.
//!
//! Metrics tell how often something happens, this tells why it did. A worker owns one: writing to it takes no lock and
//! no atomic. Names are not copied; series have numbers ([`SeriesId`]), and who reads the ring knows the names.
//!
//! What is *notable* (a failure, a second try, a pick for want of a better, a slow answer) is always remembered, in a
//! place of its own. Of what went as usual a sample is: at full load it would push itself out within milliseconds, and
//! remembering has its price. See [`Decisions::samples`].

mod candidates;
mod request_id;
mod request_line;
mod ring;
mod tries;

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

pub use candidates::{CANDIDATES_SHOWN, Candidate, Candidates};
pub use request_id::{RequestId, TraceId};
pub use request_line::RequestLine;
pub use tries::{Ending, Offset, Stages, TRIES_KEPT, Tries, Try};

use super::series::{ListenerSeries, RouteSeries, SeriesId};
use ring::{REMEMBERED, Ring};

/// One usual exchange in so much time is remembered for certain, besides as many at once as were saved up while fewer
/// came, up to all that fit. So those that are remembered reach some seconds back, whatever the load.
const SAMPLED_EVERY: Duration = Duration::from_millis(50);

/// In which time a whole ring of samples is saved up.
const SAVED_UP: Duration = SAMPLED_EVERY.saturating_mul(REMEMBERED as u32 - 1);

/// The latest exchanges of one worker: all that are notable, and a sample of the usual ones.
#[derive(Debug, Default)]
pub struct Decisions {
    usual: Ring<Arc<PastExchange>>,
    notable: Ring<Arc<PastExchange>>,
    /// When the next sample is due, and where the span of time begins that this lies in; `None` before the first.
    due: Option<(Instant, Instant)>,
}

impl Decisions {
    /// Says whether a usual exchange that is decided about now is to be remembered; cheap. Asked once per exchange, before
    /// anything is picked, so that what was known then can be kept with it.
    ///
    /// The first hundred and some are, then 20 a second; every second without any gives 20 more. Of each 50 ms the first one
    /// after a moment by lot is: at regular moments, turns and clients that ask regularly would be in step with them.
    pub fn samples(&mut self, now: Instant) -> bool {
        if self.due.is_some_and(|(due, _)| now < due) {
            return false;
        }
        // As if nothing had been asked for since the beginning of the time in which they are saved up.
        let saved = now.checked_sub(SAVED_UP).unwrap_or(now);
        let span = self.due.map_or(saved, |(_, span)| span.max(saved)) + SAMPLED_EVERY;
        self.due = Some((span + SAMPLED_EVERY.mul_f32(fastrand::f32()), span));
        true
    }

    /// Remembers an exchange that has ended, and forgets the oldest of its kind.
    pub fn push(&mut self, exchange: PastExchange) {
        let ring = if exchange.is_notable() { &mut self.notable } else { &mut self.usual };
        // Not in place: few are remembered, and whoever asks gets them without a copy.
        ring.push(Arc::new(exchange));
    }

    /// Returns what is remembered, in no order.
    pub fn to_vec(&self) -> Vec<Arc<PastExchange>> {
        [&*self.usual.kept, &*self.notable.kept].concat()
    }
}

/// One exchange, as the ring remembers it.
#[derive(Debug, Clone)]
pub struct PastExchange {
    /// When its first byte came.
    pub began: Instant,
    /// How long it took.
    pub took: Duration,
    /// How long of that it waited because every backend was at its limit.
    pub queued: Duration,
    /// Its request id, ours or the client's.
    pub request_id: RequestId,
    /// The trace that it belongs to.
    pub trace_id: Option<TraceId>,
    /// What was asked for.
    pub line: RequestLine,
    /// Where it came in; gone with the listener, whose metrics are not to stay for this.
    pub listener: Weak<ListenerSeries>,
    /// The route that matched; gone likewise.
    pub route: Option<Weak<RouteSeries>>,
    /// The upstream that its route leads to; `None` for what the balancer answers by itself.
    pub upstream: Option<SeriesId>,
    /// How that upstream picks backends, in the word of the configuration.
    pub balance: Option<&'static str>,
    /// The status of the answer.
    pub status: u16,
    /// Why it was refused or failed; `None` when all went well.
    pub reason: Option<&'static str>,
    /// Whether its answer began later than it may.
    pub slow: bool,
    /// Whom it was given to.
    pub tries: Tries,
    /// Whom it could have been given to, at one moment or several.
    pub candidates: Vec<Candidates>,
}

impl PastExchange {
    /// Tells whether something can be learned from it; see [`is_notable`].
    pub fn is_notable(&self) -> bool {
        let failed = self.status >= 500 || self.reason.is_some();
        self.upstream.is_some() && is_notable(failed, self.slow, self.tries.went_well())
    }
}

/// Tells whether something can be learned from an exchange with an upstream: it failed, it was slow, or its tries did not go
/// [well](Tries::went_well).
pub fn is_notable(failed: bool, slow: bool, went_well: bool) -> bool {
    failed || slow || !went_well
}

#[cfg(test)]
impl PastExchange {
    /// A `GET /` that was answered 200 within 5 ms; tests change what they are about.
    pub(crate) fn example() -> Self {
        let telemetry = super::Telemetry::new(1);
        Self {
            began: Instant::now(),
            took: Duration::from_millis(5),
            queued: Duration::ZERO,
            request_id: RequestId::new(b"51ad4a55b5a1c3a7"),
            trace_id: None,
            line: RequestLine::new(b"GET / HTTP/1.1\r\n\r\n", 3, 1),
            listener: Arc::downgrade(&telemetry.listener("web")),
            route: Some(Arc::downgrade(&telemetry.route("all"))),
            upstream: Some(telemetry.upstream("app").id),
            balance: Some("round_robin"),
            status: 200,
            reason: None,
            slow: false,
            tries: Tries::default(),
            candidates: Vec::new(),
        }
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

    /// The tries of an exchange that was given to a backend for this reason, and ended so.
    fn one_try(reason: PickReason, outcome: AttemptOutcome) -> Tries {
        let mut tries = Tries::default();
        let [backend, _] = ids();
        tries.began(backend, reason, 0, Offset::START);
        tries.ended(backend, outcome, Ending::at(Offset::START));
        tries
    }

    /// An exchange on one backend that went so.
    fn exchange(status: u16, outcome: AttemptOutcome) -> PastExchange {
        PastExchange { status, tries: one_try(PickReason::Balanced, outcome), ..PastExchange::example() }
    }

    fn statuses(decisions: &Decisions) -> Vec<u16> {
        decisions.to_vec().iter().map(|past| past.status).collect()
    }

    #[test]
    fn an_entry_stays_small() {
        assert!(size_of::<PastExchange>() <= 448, "{} bytes", size_of::<PastExchange>());
        let candidates = size_of::<Candidates>() + CANDIDATES_SHOWN * size_of::<Candidate>();
        assert!(candidates <= 384, "{candidates} bytes");
    }

    #[test]
    fn the_latest_are_remembered() {
        let mut decisions = Decisions::default();
        for status in 0..200 {
            decisions.push(exchange(status, AttemptOutcome::Ok));
        }
        let mut kept = statuses(&decisions);
        kept.sort_unstable();
        assert_eq!(kept, (200 - REMEMBERED as u16..200).collect::<Vec<_>>());
    }

    #[test]
    fn a_failure_outlives_any_number_of_successes() {
        let mut decisions = Decisions::default();
        decisions.push(exchange(502, AttemptOutcome::Reset));
        (0..10 * REMEMBERED).for_each(|_| decisions.push(exchange(200, AttemptOutcome::Ok)));
        assert_eq!(statuses(&decisions).iter().filter(|status| **status == 502).count(), 1);
    }

    #[test]
    fn a_sample_is_taken_of_many_and_all_are_taken_of_few() {
        let (mut decisions, begin) = (Decisions::default(), Instant::now() + Duration::from_secs(60));
        let taken = |decisions: &mut Decisions, from: Duration, count: u32, every: Duration| {
            (0..count).filter(|n| decisions.samples(begin + from + every * *n)).count()
        };
        let second = Duration::from_secs(1);
        let whole_ring = REMEMBERED - 2..=REMEMBERED;
        assert!(whole_ring.contains(&taken(&mut decisions, Duration::ZERO, 1_000, Duration::ZERO)));
        assert!((19..=22).contains(&taken(
            &mut decisions,
            Duration::from_millis(1),
            10_000,
            second / 10_000
        )));
        assert_eq!(taken(&mut decisions, 2 * second, 600, second / 10), 600, "so few are all taken");
        assert!(
            whole_ring.contains(&taken(&mut decisions, 120 * second, 1_000, Duration::ZERO)),
            "saved up again"
        );
        assert!(
            (19..=22).contains(&taken(&mut decisions, 121 * second, 1_000, Duration::ZERO)),
            "after a second"
        );
    }

    #[test]
    fn a_sample_is_not_in_step_with_those_who_come_by_turns() {
        let (mut decisions, begin) = (Decisions::default(), Instant::now() + Duration::from_secs(60));
        let mut of_turn = [0; 12];
        // As many in 50 ms as divides the turns.
        for n in 0..12_000_u32 {
            let sampled = decisions.samples(begin + SAMPLED_EVERY / 3 * n);
            of_turn[n as usize % 12] += u32::from(sampled && n > 1_000);
        }
        assert!(of_turn.iter().all(|taken| (150..=500).contains(taken)), "of each about 300: {of_turn:?}");
    }

    #[test]
    fn what_went_well_at_once_is_not_notable_and_all_else_is() {
        let well = exchange(200, AttemptOutcome::Ok);
        assert!(!well.is_notable());
        assert!(!PastExchange { upstream: None, reason: Some("no_route"), ..well.clone() }.is_notable());
        let sticky = one_try(PickReason::Sticky, AttemptOutcome::Ok);
        assert!(!PastExchange { tries: sticky, ..well.clone() }.is_notable());
        let [_, second] = ids();
        let mut rescued = well.clone();
        rescued.tries.began(second, PickReason::Balanced, 0, Offset::START);
        rescued.tries.ended(second, AttemptOutcome::Ok, Ending::at(Offset::START));
        let forced =
            PastExchange { tries: one_try(PickReason::FailOpen, AttemptOutcome::Ok), ..well.clone() };
        let refused =
            PastExchange { tries: Tries::default(), reason: Some("none_available"), ..well.clone() };
        let slow = PastExchange { slow: true, ..well };
        for notable in [rescued, forced, refused, slow, exchange(500, AttemptOutcome::ServerError)] {
            assert!(notable.is_notable(), "{notable:?}");
        }
    }
}
