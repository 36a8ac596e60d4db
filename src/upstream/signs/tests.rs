//! What the signs of live traffic promise.

use std::sync::Arc;

use super::*;
use crate::telemetry::{BackendState, Telemetry};
use crate::upstream::{BackendSettings, Event, UpstreamSettings};

const MS: Duration = Duration::from_millis(1);

/// An upstream of three backends, the first of which is talked about.
struct Stage {
    upstream: Upstream,
    now: Instant,
}

impl Stage {
    fn new() -> Self {
        Self::with(OutlierRules::default())
    }

    fn with(outliers: OutlierRules) -> Self {
        let backends = (1..=3)
            .map(|n| BackendSettings::at(&format!("backend-{n}"), ([127, 0, 0, 1], 8000 + n).into(), 1));
        let settings =
            UpstreamSettings { outliers: Some(outliers), ..UpstreamSettings::new("web", backends.collect()) };
        let now = Instant::now();
        Self { upstream: Upstream::new(settings, None, &Telemetry::new(1), now), now }
    }

    fn backend(&self) -> &Arc<Backend> {
        &self.upstream.backends[0]
    }

    fn note(&self, sign: Sign) {
        self.upstream.note(self.backend(), sign, self.now);
    }

    fn notes(&self, sign: Sign, times: u32) {
        (0..times).for_each(|_| self.note(sign));
    }

    fn observe(&self, event: Event) -> Option<BackendState> {
        Some(self.upstream.observe(self.backend(), event, self.now)?.transition.to)
    }

    fn is_suspect(&self) -> bool {
        self.backend().is_suspect(self.now)
    }
}

#[test]
fn a_backend_that_does_not_answer_is_doubted_for_a_second_whatever_the_checks_say() {
    for sign in [Sign::Broke, Sign::Overtaken] {
        let mut stage = Stage::new();
        stage.note(sign);
        stage.observe(Event::CheckPassed);
        assert!(stage.is_suspect(), "a port that is open says nothing about answers");
        stage.now += DOUBT_LASTS - MS;
        assert!(stage.is_suspect());
        stage.now += MS;
        assert!(!stage.is_suspect());
        stage.note(sign);
        stage.note(Sign::Answered);
        assert!(!stage.is_suspect());
    }
}

#[test]
fn a_single_5xx_makes_nobody_suspect() {
    let stage = Stage::new();
    stage.notes(Sign::ServerError, 4);
    assert!(!stage.is_suspect());
    stage.note(Sign::ServerError);
    assert!(stage.is_suspect(), "the fifth in a row");
}

#[test]
fn enough_in_a_row_become_a_wish_that_is_taken_once() {
    for (sign, reason) in [
        (Sign::ConnectFailed, EjectionReason::ConsecutiveFailures),
        (Sign::Broke, EjectionReason::ConsecutiveFailures),
        (Sign::ServerError, EjectionReason::ConsecutiveErrors),
    ] {
        let stage = Stage::new();
        stage.notes(sign, 4);
        stage.note(Sign::Answered);
        stage.notes(sign, 4);
        assert_eq!(stage.backend().take_wish(), None, "{sign:?} four in a row");
        stage.note(sign);
        assert_eq!(stage.backend().take_wish(), Some(reason));
        assert_eq!(stage.backend().take_wish(), None);
        stage.notes(sign, 5);
        assert_eq!(stage.backend().take_wish(), Some(reason), "it was not granted, and goes on");
    }
}

#[test]
fn an_answer_ends_a_row_but_not_the_wish_that_it_has_become() {
    let stage = Stage::new();
    stage.notes(Sign::Broke, 5);
    stage.note(Sign::Answered);
    assert!(!stage.is_suspect());
    assert!(stage.backend().take_wish().is_some());
    stage.notes(Sign::Broke, 4);
    assert!(stage.backend().take_wish().is_none());
}

#[test]
fn failures_and_errors_are_two_rows() {
    let stage = Stage::new();
    for _ in 0..4 {
        stage.note(Sign::ServerError);
        stage.note(Sign::Broke);
    }
    assert_eq!(stage.backend().take_wish(), None);
    stage.note(Sign::ServerError);
    assert_eq!(stage.backend().take_wish(), Some(EjectionReason::ConsecutiveErrors));
    stage.note(Sign::Broke);
    assert_eq!(stage.backend().take_wish(), Some(EjectionReason::ConsecutiveFailures));
}

#[test]
fn what_is_switched_off_is_never_wished_for() {
    let off = OutlierRules { consecutive_errors: 0, consecutive_failures: 0, ..OutlierRules::default() };
    let stage = Stage::with(off);
    stage.notes(Sign::ServerError, 100);
    assert!(!stage.is_suspect());
    stage.notes(Sign::Broke, 100);
    assert!(stage.is_suspect());
    assert_eq!(stage.backend().take_wish(), None);
}

#[test]
fn being_overtaken_is_no_failure() {
    let stage = Stage::new();
    stage.notes(Sign::Overtaken, 100);
    assert!(stage.is_suspect());
    assert_eq!(stage.backend().take_wish(), None);
    stage.notes(Sign::Broke, 5);
    assert!(stage.backend().take_wish().is_some());
}

#[test]
fn trouble_begins_with_the_first_sign_and_ends_with_an_answer() {
    let mut stage = Stage::new();
    assert_eq!(stage.backend().trouble_since(), None);
    stage.now += 50 * MS;
    let first = stage.now;
    for sign in [Sign::ServerError, Sign::Broke, Sign::ConnectFailed, Sign::Overtaken] {
        stage.note(sign);
        stage.now += MS;
        assert_eq!(stage.backend().trouble_since(), Some(first));
    }
    stage.note(Sign::Answered);
    assert_eq!(stage.backend().trouble_since(), None);
    let silent_since = stage.now - 20 * MS;
    stage.upstream.note_silence(stage.backend(), silent_since, stage.now);
    assert_eq!(stage.backend().trouble_since(), Some(silent_since));
    assert!(stage.is_suspect());
}

#[test]
fn what_took_a_backend_out_is_remembered_until_it_is_back() {
    let mut stage = Stage::new();
    stage.now += 50 * MS;
    let first = stage.now;
    stage.notes(Sign::Broke, 5);
    stage.now += 30 * MS;
    assert_eq!(stage.observe(Event::Eject(EjectionReason::ConsecutiveFailures)), Some(BackendState::Ejected));
    stage.note(Sign::Answered);
    stage.observe(Event::CheckPassed);
    assert_eq!(stage.backend().trouble_since(), Some(first));
    stage.notes(Sign::Broke, 5);
    stage.now += Duration::from_secs(1);
    assert_eq!(stage.observe(Event::Readmit), Some(BackendState::SlowStart));
    assert_eq!(stage.backend().trouble_since(), None);
    assert_eq!((stage.is_suspect(), stage.backend().take_wish()), (false, None), "it begins anew");
}

#[test]
fn a_failed_check_is_a_sign_of_trouble_too() {
    let mut stage = Stage::new();
    stage.now += MS;
    let first = stage.now;
    stage.observe(Event::CheckPassed);
    assert_eq!(stage.backend().trouble_since(), None);
    stage.observe(Event::CheckFailed);
    assert_eq!(stage.backend().trouble_since(), Some(first));
}

#[test]
fn each_alarm_is_another() {
    let stage = Stage::new();
    let before = stage.backend().alarm();
    stage.backend().raise_alarm();
    assert_ne!(stage.backend().alarm(), before);
}
