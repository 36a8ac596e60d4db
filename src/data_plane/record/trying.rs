//! The tries of an exchange while it runs.
//!
//! Nearly all exchanges have one, and of few is it told when its stages were over: so moments are kept as they were read,
//! and become offsets when another try begins or somebody wants to know.

use tokio::time::Instant;

use super::Times;
use crate::telemetry::{AttemptOutcome, Ending, PickReason, SeriesId, Tries};

/// The tries so far.
#[derive(Debug, Default)]
pub(super) struct Trying {
    last: Option<Latest>,
    /// All but the last one. Boxed, because it is rare.
    before: Option<Box<Tries>>,
}

/// The try that began last.
#[derive(Debug)]
struct Latest {
    backend: SeriesId,
    reason: PickReason,
    others: u64,
    began: Instant,
    dialled: bool,
    connected: Option<Instant>,
    ended: Option<End>,
}

/// How a try ended, and when its last stages were over.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) outcome: AttemptOutcome,
    pub(super) sent: Option<Instant>,
    pub(super) first_byte: Option<Instant>,
    pub(super) ended: Instant,
}

impl Trying {
    /// Notes that a backend is tried at `at`, why, and how many other exchanges it has.
    pub(super) fn began(
        &mut self,
        (backend, reason): (SeriesId, PickReason),
        others: u64,
        at: Instant,
        times: &Times,
    ) {
        if self.last.is_some() {
            self.before = Some(Box::new(self.told(times)));
        }
        let (dialled, connected, ended) = (false, None, None);
        self.last = Some(Latest { backend, reason, others, began: at, dialled, connected, ended });
    }

    /// Notes that a new connection is asked for.
    pub(super) fn dialled(&mut self, backend: SeriesId) {
        match self.open(backend) {
            Some(last) => last.dialled = true,
            None => self.before.iter_mut().for_each(|before| before.dialled(backend)),
        }
    }

    /// Notes that a new connection is there.
    pub(super) fn connected(&mut self, backend: SeriesId, at: Instant, times: &Times) {
        match self.open(backend) {
            Some(last) => last.connected = Some(at),
            None => self.before.iter_mut().for_each(|before| before.connected(backend, times.offset(at))),
        }
    }

    /// Notes how the try of a backend ended: the latest that has not, where there are several.
    pub(super) fn ended(&mut self, backend: SeriesId, end: End, times: &Times) {
        match self.open(backend) {
            Some(last) => last.ended = Some(end),
            None => {
                let tell = |before: &mut Box<Tries>| before.ended(backend, end.outcome, end.offsets(times));
                self.before.iter_mut().for_each(tell);
            }
        }
    }

    /// Returns the try that began last, if it is one of this backend and has not ended.
    fn open(&mut self, backend: SeriesId) -> Option<&mut Latest> {
        self.last.as_mut().filter(|last| last.backend == backend && last.ended.is_none())
    }

    /// Returns the number of the open try of a backend, counted from 1: the latest, where there are several.
    pub(super) fn number(&self, backend: SeriesId) -> Option<u16> {
        match &self.last {
            Some(last) if last.backend == backend && last.ended.is_none() => Some(self.count()),
            _ => self.before.as_ref()?.number(backend),
        }
    }

    /// Returns how many there were.
    pub(super) fn count(&self) -> u16 {
        self.before.as_ref().map_or(0, |before| before.count()).saturating_add(u16::from(self.last.is_some()))
    }

    /// Tells whether the first try was the only one, picked as wished, and gave the answer.
    pub(super) fn went_well(&self) -> bool {
        let Some(last) = &self.last else { return false };
        let end = last.ended.map(|end| end.outcome);
        self.before.is_none() && end.is_some_and(|outcome| Tries::is_usual(last.reason, outcome))
    }

    /// Returns all of them, as far as they are kept.
    pub(super) fn told(&self, times: &Times) -> Tries {
        let mut tries = self.before.as_ref().map_or_else(Tries::default, |before| **before);
        if let Some(last) = &self.last {
            tries.began(last.backend, last.reason, last.others, times.offset(last.began));
            if last.dialled {
                tries.dialled(last.backend);
            }
            if let Some(at) = last.connected {
                tries.connected(last.backend, times.offset(at));
            }
            if let Some(end) = last.ended {
                tries.ended(last.backend, end.outcome, end.offsets(times));
            }
        }
        tries
    }
}

impl End {
    fn offsets(&self, times: &Times) -> Ending {
        let offset = |at| times.offset(at);
        Ending {
            sent: self.sent.map(offset),
            first_byte: self.first_byte.map(offset),
            ended: offset(self.ended),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::{Offset, Telemetry, Try};

    #[test]
    fn tries_are_told_in_order_with_what_belongs_to_each() {
        let telemetry = Telemetry::new(1);
        let [one, two] = ["1", "2"].map(|name| telemetry.backend("app", name).id);
        let start = Instant::now();
        let times = Times::since(start);
        let at = |micros| start + Duration::from_micros(micros);
        let end = |outcome, micros| End { outcome, sent: None, first_byte: Some(at(5)), ended: at(micros) };
        let mut trying = Trying::default();
        assert_eq!((trying.count(), trying.went_well(), trying.told(&times).count()), (0, false, 0));
        trying.began((one, PickReason::Balanced), 3, at(10), &times);
        trying.dialled(one);
        assert_eq!((trying.number(one), trying.number(two)), (Some(1), None));
        trying.began((two, PickReason::OnlySuspects), 4, at(20), &times);
        assert_eq!((trying.number(one), trying.number(two)), (Some(1), Some(2)));
        trying.connected(one, at(30), &times);
        trying.ended(two, end(AttemptOutcome::Ok, 40), &times);
        trying.ended(one, end(AttemptOutcome::Overtaken, 50), &times);
        assert_eq!((trying.count(), trying.went_well()), (2, false));
        assert_eq!((trying.number(one), trying.number(two)), (None, None));
        let told = trying.told(&times);
        let [first, second] = told.iter().copied().collect::<Vec<Try>>()[..] else { panic!("{told:?}") };
        let micros = |at: Option<Offset>| at.map(Offset::as_micros);
        assert_eq!((first.backend, first.in_flight, first.dialled), (one, 3, true));
        assert_eq!((micros(first.connected), micros(first.ended)), (Some(30), Some(50)));
        assert_eq!((second.backend, second.reason, second.dialled), (two, PickReason::OnlySuspects, false));
        assert_eq!((second.began.as_micros(), micros(second.first_byte)), (20, Some(5)));
        assert_eq!((second.outcome, micros(second.ended)), (Some(AttemptOutcome::Ok), Some(40)));
    }

    #[test]
    fn only_one_try_that_was_the_balancers_choice_and_answered_went_well() {
        let backend = Telemetry::new(1).backend("app", "1").id;
        let start = Instant::now();
        let times = Times::since(start);
        for (reason, outcome, well) in [
            (PickReason::Balanced, AttemptOutcome::Ok, true),
            (PickReason::Sticky, AttemptOutcome::Ok, true),
            (PickReason::FailOpen, AttemptOutcome::Ok, false),
            (PickReason::Balanced, AttemptOutcome::ServerError, false),
        ] {
            let mut trying = Trying::default();
            trying.began((backend, reason), 0, start, &times);
            assert!(!trying.went_well(), "not yet");
            trying.ended(backend, End { outcome, sent: None, first_byte: None, ended: start }, &times);
            assert_eq!(trying.went_well(), well, "{reason} {outcome}");
            assert_eq!(trying.told(&times).went_well(), well, "{reason} {outcome}");
        }
    }
}
