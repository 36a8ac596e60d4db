//! The tries of one exchange: whom it was given to and why, when each stage was over, and how it ended.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::telemetry::labels::{AttemptOutcome, PickReason};
use crate::telemetry::milliseconds::as_optional_milliseconds;
use crate::telemetry::series::SeriesId;

/// How many tries of one exchange are kept: the first ones, and the last.
pub const TRIES_KEPT: usize = 4;

/// The tries of one exchange, in the order in which they began.
///
/// ```
/// use plimsoll::telemetry::{AttemptOutcome, Ending, Offset, PickReason, Telemetry, Tries};
///
/// let telemetry = Telemetry::new(1);
/// let (first, second) = (telemetry.backend("app", "backend-1"), telemetry.backend("app", "backend-2"));
/// let (early, late) = (Offset::from_micros(120), Offset::from_micros(450));
/// let mut tries = Tries::default();
/// tries.began(first.id, PickReason::Balanced, 7, early);
/// tries.ended(first.id, AttemptOutcome::Reset, Ending::at(late));
/// tries.began(second.id, PickReason::Balanced, 2, late);
/// tries.ended(second.id, AttemptOutcome::Ok, Ending::at(Offset::from_micros(900)));
/// let outcomes: Vec<_> = tries.iter().map(|one| one.outcome).collect();
/// assert_eq!(outcomes, [Some(AttemptOutcome::Reset), Some(AttemptOutcome::Ok)]);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Tries {
    kept: [Option<Try>; TRIES_KEPT],
    count: u16,
}

/// One try: a backend that an exchange was given to. A stage that was not reached has no moment.
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
    /// Whether a new connection was asked for; else one from the pool was there at once.
    pub dialled: bool,
    /// When the backend had been picked.
    pub began: Offset,
    /// When the new connection was there.
    pub connected: Option<Offset>,
    /// When the whole request had been written; after the first byte of an answer that came early.
    pub sent: Option<Offset>,
    /// When the first byte of the answer came.
    pub first_byte: Option<Offset>,
    /// When it was over, the answer relayed if there was one.
    pub ended: Option<Offset>,
}

/// A moment of an exchange: the time since its first byte came, in whole microseconds. Those beyond 71 minutes are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offset(
    /// One more, so that no moment at all takes no more room.
    NonZeroU32,
);

/// When the last stages of a try were over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// As in [`Try::sent`].
    pub sent: Option<Offset>,
    /// As in [`Try::first_byte`].
    pub first_byte: Option<Offset>,
    /// As in [`Try::ended`].
    pub ended: Offset,
}

/// How long each stage of a try took. `None` for a stage that was not reached; the one that failed lasts until the end.
///
/// Serialises as fields in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Stages {
    /// Getting a new connection; `None` also when one from the pool was used.
    #[serde(rename = "connect_ms", serialize_with = "as_optional_milliseconds")]
    pub connect: Option<Duration>,
    /// Sending the request.
    #[serde(rename = "send_ms", serialize_with = "as_optional_milliseconds")]
    pub send: Option<Duration>,
    /// Waiting for the first byte of the answer once all was sent.
    #[serde(rename = "wait_ms", serialize_with = "as_optional_milliseconds")]
    pub wait: Option<Duration>,
    /// Relaying the answer.
    #[serde(rename = "relay_ms", serialize_with = "as_optional_milliseconds")]
    pub relay: Option<Duration>,
    /// All of it; `None` for a try that was cut.
    #[serde(rename = "total_ms", serialize_with = "as_optional_milliseconds")]
    pub total: Option<Duration>,
}

impl Tries {
    /// Notes that a backend is tried, why this one, how many exchanges were in flight on it, and when it was picked.
    pub fn began(&mut self, backend: SeriesId, reason: PickReason, in_flight: u64, began: Offset) {
        let in_flight = u16::try_from(in_flight).unwrap_or(u16::MAX);
        let place = usize::from(self.count).min(TRIES_KEPT - 1);
        let (outcome, connected, sent, first_byte, ended) = (None, None, None, None, None);
        let dialled = false;
        let one =
            Try { backend, in_flight, reason, outcome, dialled, began, connected, sent, first_byte, ended };
        self.kept[place] = Some(one);
        self.count = self.count.saturating_add(1);
    }

    /// Notes that the open try of a backend asks for a new connection.
    pub fn dialled(&mut self, backend: SeriesId) {
        if let Some(one) = self.open(backend) {
            one.dialled = true;
        }
    }

    /// Notes when the new connection for the open try of a backend was there.
    pub fn connected(&mut self, backend: SeriesId, at: Offset) {
        if let Some(one) = self.open(backend) {
            one.connected = Some(at);
        }
    }

    /// Notes how the open try of a backend ended, and when. Does nothing for one that is not kept.
    pub fn ended(&mut self, backend: SeriesId, outcome: AttemptOutcome, ending: Ending) {
        if let Some(one) = self.open(backend) {
            one.outcome = Some(outcome);
            one.sent = ending.sent;
            one.first_byte = ending.first_byte;
            one.ended = Some(ending.ended);
        }
    }

    /// Returns the try of a backend that has not ended: the latest, where there are several.
    fn open(&mut self, backend: SeriesId) -> Option<&mut Try> {
        let mut open = self.kept.iter_mut().rev().flatten();
        open.find(|one| one.backend == backend && one.outcome.is_none())
    }

    /// Returns the number of the open try of a backend, counted from 1 and without regard to how many are kept; None when
    /// there is none.
    pub fn number(&self, backend: SeriesId) -> Option<u16> {
        let is_it = |one: &Try| one.backend == backend && one.outcome.is_none();
        let place = self.kept.iter().rposition(|kept| kept.as_ref().is_some_and(is_it))?;
        Some(self.number_at(place))
    }

    /// Visits the tries that are kept, each with its number.
    pub fn numbered(&self) -> impl Iterator<Item = (u16, &Try)> {
        self.iter().enumerate().map(|(place, one)| (self.number_at(place), one))
    }

    fn number_at(&self, place: usize) -> u16 {
        if place == TRIES_KEPT - 1 { self.count } else { place as u16 + 1 }
    }

    /// Visits the tries that are kept.
    pub fn iter(&self) -> impl Iterator<Item = &Try> {
        self.kept.iter().flatten()
    }

    /// Returns how many there were, also those that are not kept.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Returns how many tries are not kept; they lie before the last one.
    pub fn left_out(&self) -> usize {
        usize::from(self.count).saturating_sub(TRIES_KEPT)
    }

    /// Tells whether the first try was the only one, picked as wished, and gave the answer.
    pub fn went_well(&self) -> bool {
        let [Some(first), None, ..] = &self.kept else { return false };
        first.outcome.is_some_and(|outcome| Self::is_usual(first.reason, outcome))
    }

    /// Tells whether this is how the only try of an exchange is picked and ends when nothing can be learned from it: the
    /// balancer chose freely, and the backend answered.
    pub fn is_usual(reason: PickReason, outcome: AttemptOutcome) -> bool {
        outcome == AttemptOutcome::Ok && matches!(reason, PickReason::Balanced | PickReason::Sticky)
    }
}

impl Try {
    /// Returns how long each stage took.
    pub fn stages(&self) -> Stages {
        let until = |from: Option<Offset>, to: Option<Offset>| Some(to?.since(from?));
        let began = Some(self.began);
        let ready = if self.dialled { self.connected } else { began };
        Stages {
            connect: until(began.filter(|_| self.dialled), self.connected.or(self.ended)),
            send: until(ready, self.sent.or(self.ended)),
            wait: until(self.sent, self.first_byte.or(self.ended)),
            relay: until(self.first_byte, self.ended),
            total: until(began, self.ended),
        }
    }
}

impl Offset {
    /// The moment at which the exchange began.
    pub const START: Self = Self(NonZeroU32::MIN);

    /// Returns the moment `at` in an exchange that began at `started`.
    pub fn between(started: Instant, at: Instant) -> Self {
        let since = at.saturating_duration_since(started);
        let seconds = u32::try_from(since.as_secs()).unwrap_or(u32::MAX);
        Self::from_micros(seconds.saturating_mul(1_000_000).saturating_add(since.subsec_micros()))
    }

    /// Returns the moment so many microseconds after the beginning.
    pub const fn from_micros(micros: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(micros))
    }

    /// Returns the microseconds since the beginning.
    pub const fn as_micros(self) -> u32 {
        self.0.get() - 1
    }

    /// Returns the time since the beginning.
    pub const fn as_duration(self) -> Duration {
        Duration::from_micros(self.as_micros() as u64)
    }

    /// Returns the time since an earlier moment, zero since a later one.
    pub fn since(self, earlier: Self) -> Duration {
        self.as_duration().saturating_sub(earlier.as_duration())
    }
}

impl Ending {
    /// The end of a try that was not answered, nor even sent.
    pub fn at(ended: Offset) -> Self {
        Self { sent: None, first_byte: None, ended }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Telemetry;

    fn ids() -> [SeriesId; 6] {
        let telemetry = Telemetry::new(1);
        [1, 2, 3, 4, 5, 6].map(|n| telemetry.backend("app", &n.to_string()).id)
    }

    fn end() -> Ending {
        Ending::at(Offset::from_micros(50))
    }

    #[test]
    fn no_moment_takes_no_more_room_than_one() {
        assert_eq!(size_of::<Option<Offset>>(), 4);
        assert_eq!(size_of::<Option<Try>>(), 32);
    }

    #[test]
    fn tries_are_numbered_in_their_order_whichever_are_kept() {
        let ids = ids();
        let mut tries = Tries::default();
        for id in ids {
            assert_eq!(tries.number(id), None);
            tries.began(id, PickReason::Balanced, 0, Offset::START);
            assert_eq!(tries.number(id), Some(tries.count()));
        }
        assert_eq!(tries.number(ids[1]), Some(2), "it goes on beside the others");
        tries.ended(ids[1], AttemptOutcome::Ok, end());
        assert_eq!(tries.number(ids[1]), None);
        assert_eq!(tries.numbered().map(|(number, _)| number).collect::<Vec<_>>(), [1, 2, 3, 6]);
    }

    #[test]
    fn of_many_tries_the_first_and_the_last_are_kept() {
        let ids = ids();
        let mut tries = Tries::default();
        for id in ids {
            tries.began(id, PickReason::Balanced, 100_000, Offset::START);
            tries.ended(id, AttemptOutcome::ConnectRefused, end());
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
        tries.began(one, PickReason::Balanced, 0, Offset::START);
        tries.ended(one, AttemptOutcome::Stale, end());
        tries.began(one, PickReason::Balanced, 0, Offset::START);
        tries.dialled(one);
        tries.connected(one, Offset::from_micros(7));
        tries.began(two, PickReason::Balanced, 0, Offset::START);
        tries.ended(unknown, AttemptOutcome::Reset, end());
        tries.ended(two, AttemptOutcome::Ok, end());
        tries.ended(one, AttemptOutcome::Overtaken, end());
        tries.connected(one, Offset::from_micros(9));
        let outcomes: Vec<_> = tries.iter().map(|one| one.outcome).collect();
        assert_eq!(
            outcomes,
            [AttemptOutcome::Stale, AttemptOutcome::Overtaken, AttemptOutcome::Ok].map(Some)
        );
        let connected: Vec<_> = tries.iter().map(|one| one.connected.map(Offset::as_micros)).collect();
        assert_eq!(connected, [None, Some(7), None]);
    }

    /// The stages of a try that began after 10 µs, in microseconds: connect, send, wait, relay, total.
    fn stages(connected: Option<u32>, more: [Option<u32>; 3], dialled: bool) -> [Option<u128>; 5] {
        let [sent, first_byte, ended] = more.map(|micros| micros.map(Offset::from_micros));
        let id = ids()[0];
        let mut tries = Tries::default();
        tries.began(id, PickReason::Balanced, 0, Offset::from_micros(10));
        if dialled {
            tries.dialled(id);
        }
        connected.into_iter().for_each(|at| tries.connected(id, Offset::from_micros(at)));
        if let Some(ended) = ended {
            tries.ended(id, AttemptOutcome::Ok, Ending { sent, first_byte, ended });
        }
        let Stages { connect, send, wait, relay, total } =
            tries.iter().next().expect("there is one").stages();
        [connect, send, wait, relay, total].map(|stage| stage.map(|stage| stage.as_micros()))
    }

    #[test]
    fn the_stage_in_which_a_try_ends_lasts_until_its_end() {
        let answered = [Some(40), Some(90), Some(100)];
        assert_eq!(stages(Some(30), answered, true), [Some(20), Some(10), Some(50), Some(10), Some(90)]);
        assert_eq!(stages(None, answered, false), [None, Some(30), Some(50), Some(10), Some(90)]);
        assert_eq!(stages(None, [None, None, Some(60)], true), [Some(50), None, None, None, Some(50)]);
        assert_eq!(
            stages(Some(30), [None, None, Some(60)], true),
            [Some(20), Some(30), None, None, Some(50)]
        );
        let silent = [Some(40), None, Some(60)];
        assert_eq!(stages(None, silent, false), [None, Some(30), Some(20), None, Some(50)]);
        let early = [Some(50), Some(40), Some(60)];
        assert_eq!(stages(None, early, false), [None, Some(40), Some(0), Some(20), Some(50)]);
        assert_eq!(stages(Some(30), [None; 3], true), [Some(20), None, None, None, None], "it was cut");
    }

    #[test]
    fn a_moment_beyond_what_fits_is_the_last_one() {
        let start = Instant::now();
        let offset = |after: Duration| Offset::between(start, start + after).as_micros();
        assert_eq!(offset(Duration::ZERO), 0);
        assert_eq!(offset(Duration::from_nanos(2_000_001_999)), 2_000_001);
        assert_eq!(offset(Duration::from_secs(4_294)), 4_294_000_000);
        for hours in [2, 24 * 365] {
            assert_eq!(offset(Duration::from_secs(3_600 * hours)), u32::MAX - 1);
        }
        assert_eq!(Offset::between(start + Duration::from_secs(1), start), Offset::START);
    }
}
