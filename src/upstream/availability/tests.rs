//! What the availability state machine promises.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::telemetry::EjectionReason;

fn rules(rise: u32, fall: u32, ramp: Duration) -> AvailabilityRules {
    AvailabilityRules {
        checks: Thresholds { rise, fall },
        slow_start: SlowStart { duration: ramp, floor: 0.1 },
        ejections: EjectionTimes::default(),
    }
}

fn after(rise: u32, fall: u32, events: &[Event]) -> (Availability, Vec<Transition>) {
    let start = Instant::now();
    let mut availability = Availability::new(rules(rise, fall, Duration::ZERO), start);
    let transitions = (1..)
        .zip(events)
        .filter_map(|(second, &event)| availability.apply(event, start + Duration::from_secs(second)))
        .collect();
    (availability, transitions)
}

const PASS: Event = Event::CheckPassed;
const FAIL: Event = Event::CheckFailed;

#[test]
fn the_first_check_decides_at_once() {
    let (backend, transitions) = after(5, 5, &[FAIL]);
    assert!(!backend.is_available());
    assert_eq!(transitions.len(), 1);
    assert!(after(5, 5, &[PASS]).1.is_empty(), "a backend that starts healthy does not become so");
}

#[test]
fn failures_must_come_in_a_row() {
    assert!(after(2, 3, &[PASS, FAIL, FAIL, PASS, FAIL, FAIL]).0.is_available());
    assert!(!after(2, 3, &[PASS, FAIL, FAIL, PASS, FAIL, FAIL, FAIL]).0.is_available());
}

#[test]
fn passes_must_come_in_a_row() {
    assert!(!after(2, 1, &[FAIL, PASS, FAIL, PASS]).0.is_available());
    assert!(after(2, 1, &[FAIL, PASS, FAIL, PASS, PASS]).0.is_available());
}

#[test]
fn a_backend_that_nobody_checks_any_more_is_available_again() {
    let (backend, transitions) = after(2, 1, &[FAIL, Event::ChecksEnded]);
    assert!(backend.is_available());
    assert_eq!(transitions[1].cause, TransitionCause::Configuration);
    let (backend, _) = after(2, 9, &[PASS, Event::ChecksEnded, FAIL]);
    assert!(!backend.is_available(), "the first check after that is a first check");
}

#[test]
fn a_state_knows_since_when_it_holds() {
    let start = Instant::now();
    let mut backend = Availability::new(rules(1, 1, Duration::ZERO), start);
    let later = start + Duration::from_secs(7);
    backend.apply(FAIL, later);
    backend.apply(FAIL, later + Duration::from_secs(1));
    assert_eq!(backend.since(), later);
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(PASS),
        4 => Just(FAIL),
        1 => Just(Event::ChecksEnded),
    ]
}

proptest! {
    #[test]
    fn transitions_alternate_and_end_in_the_state(
        (rise, fall) in (0_u32..5, 0_u32..5),
        events in proptest::collection::vec(event(), 0..60),
    ) {
        let (backend, transitions) = after(rise, fall, &events);
        let mut state = BackendState::Up;
        for transition in &transitions {
            prop_assert_eq!(transition.from, state);
            prop_assert_ne!(transition.to, state);
            state = transition.to;
        }
        prop_assert_eq!(backend.state(), state);
    }

    #[test]
    fn enough_checks_of_one_mind_always_win(
        (rise, fall) in (1_u32..6, 1_u32..6),
        history in proptest::collection::vec(event(), 0..40),
        healthy in any::<bool>(),
    ) {
        let (last, needed) = if healthy { (PASS, rise) } else { (FAIL, fall) };
        let events: Vec<_> = history.into_iter().chain(std::iter::repeat_n(last, needed as usize)).collect();
        prop_assert_eq!(after(rise, fall, &events).0.is_available(), healthy);
    }
}

const EJECT: Event = Event::Eject(EjectionReason::Stalled);
const SECOND: Duration = Duration::from_secs(1);

/// A backend on its own clock.
struct Life {
    backend: Availability,
    now: Instant,
}

impl Life {
    fn new(rules: AvailabilityRules) -> Self {
        let now = Instant::now();
        Self { backend: Availability::new(rules, now), now }
    }

    fn ramping_for(ramp: Duration) -> Self {
        Self::new(rules(1, 1, ramp))
    }

    fn tell(&mut self, event: Event) -> Option<(BackendState, TransitionCause)> {
        self.backend.apply(event, self.now).map(|transition| (transition.to, transition.cause))
    }

    /// Ejects, waits until the time is over and readmits. Returns how long that took.
    fn eject_and_readmit(&mut self) -> Duration {
        assert!(self.tell(EJECT).is_some());
        let ejection = self.backend.ejection().expect("it is ejected");
        self.now = ejection.until;
        assert!(self.tell(Event::Readmit).is_some());
        ejection.until - ejection.since
    }
}

#[test]
fn the_strongest_word_is_shown_and_none_is_lost() {
    let mut life = Life::ramping_for(SECOND);
    let drain = Event::Drain(DrainSource::Operator);
    assert_eq!(life.tell(EJECT), Some((BackendState::Ejected, TransitionCause::Traffic)));
    assert_eq!(life.tell(drain), Some((BackendState::Draining, TransitionCause::Operator)));
    assert_eq!(life.tell(FAIL), Some((BackendState::Down, TransitionCause::Check)));
    assert_eq!(life.tell(PASS), Some((BackendState::Draining, TransitionCause::Check)));
    let ready = Event::Ready(DrainSource::Operator);
    assert_eq!(life.tell(ready), Some((BackendState::Ejected, TransitionCause::Operator)));
    life.now += SECOND;
    assert_eq!(life.tell(Event::Readmit), Some((BackendState::SlowStart, TransitionCause::Readmission)));
    life.now += SECOND;
    assert_eq!(life.tell(Event::Tick), Some((BackendState::Up, TransitionCause::Ramp)));
}

#[test]
fn who_drains_is_who_ends_it() {
    let mut life = Life::ramping_for(Duration::ZERO);
    life.tell(Event::Drain(DrainSource::Operator));
    assert_eq!(life.tell(Event::Drain(DrainSource::Agent)), None);
    assert_eq!(life.tell(Event::Ready(DrainSource::Operator)), None);
    assert_eq!(life.backend.state(), BackendState::Draining);
    assert!(life.backend.is_drained_by(DrainSource::Agent));
    let ready = Event::Ready(DrainSource::Agent);
    assert_eq!(life.tell(ready), Some((BackendState::Up, TransitionCause::Agent)));
}

#[test]
fn a_check_that_passes_ends_what_a_check_said_about_draining() {
    let mut life = Life::ramping_for(Duration::ZERO);
    let drain = Event::Drain(DrainSource::Check);
    assert_eq!(life.tell(drain), Some((BackendState::Draining, TransitionCause::Check)));
    assert_eq!(life.tell(PASS), Some((BackendState::Up, TransitionCause::Check)));
    life.tell(drain);
    assert_eq!(life.tell(Event::ChecksEnded), Some((BackendState::Up, TransitionCause::Configuration)));
}

#[test]
fn the_agents_word_counts_beside_that_of_the_checks() {
    let mut life = Life::ramping_for(Duration::ZERO);
    assert_eq!(life.tell(Event::AgentDown), Some((BackendState::Down, TransitionCause::Agent)));
    assert_eq!(life.tell(PASS), None);
    assert_eq!(life.tell(Event::AgentUp), Some((BackendState::Up, TransitionCause::Agent)));
    life.tell(Event::AgentDown);
    life.tell(Event::Drain(DrainSource::Agent));
    life.backend.set_agent_percent(30);
    assert!((life.backend.share(life.now) - 0.3).abs() < 1e-9);
    assert_eq!(life.tell(Event::AgentEnded), Some((BackendState::Up, TransitionCause::Configuration)));
    assert_eq!(life.backend.share(life.now), 1.0);
}

#[test]
fn an_ejection_lasts_its_time_and_ends_by_a_probe() {
    let mut life = Life::ramping_for(Duration::ZERO);
    life.tell(EJECT);
    assert_eq!(life.tell(EJECT), None);
    life.now += SECOND - Duration::from_millis(1);
    assert!(!life.backend.is_readmission_due(life.now));
    assert_eq!(life.tell(Event::Readmit), None, "too early");
    life.now += SECOND;
    assert!(life.backend.is_readmission_due(life.now));
    assert_eq!(life.tell(Event::Tick), None, "time alone ends no ejection");
    assert_eq!(life.tell(Event::Readmit), Some((BackendState::Up, TransitionCause::Readmission)));
    assert_eq!(life.tell(Event::Readmit), None);
}

#[test]
fn whoever_is_out_already_is_not_ejected() {
    for out in [FAIL, Event::AgentDown, Event::Drain(DrainSource::Agent)] {
        let mut life = Life::ramping_for(Duration::ZERO);
        life.tell(out);
        assert_eq!(life.tell(EJECT), None);
        assert_eq!(life.backend.ejection(), None);
    }
}

#[test]
fn a_comparison_with_the_peers_is_another_cause_than_failures() {
    for (reason, cause) in [
        (EjectionReason::ConsecutiveErrors, TransitionCause::Traffic),
        (EjectionReason::ConsecutiveFailures, TransitionCause::Traffic),
        (EjectionReason::Stalled, TransitionCause::Traffic),
        (EjectionReason::SuccessRate, TransitionCause::Outlier),
        (EjectionReason::Latency, TransitionCause::Outlier),
    ] {
        let mut life = Life::ramping_for(Duration::ZERO);
        assert_eq!(life.tell(Event::Eject(reason)), Some((BackendState::Ejected, cause)));
        assert_eq!(
            life.tell(Event::EjectionsEnded),
            Some((BackendState::Up, TransitionCause::Configuration))
        );
    }
}

#[test]
fn each_ejection_lasts_twice_as_long_up_to_the_limit() {
    let mut life = Life::ramping_for(Duration::ZERO);
    for times in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        assert_eq!(life.eject_and_readmit(), SECOND * times);
    }
}

#[test]
fn good_behaviour_makes_up_for_one_ejection_after_the_other() {
    let mut life = Life::ramping_for(Duration::ZERO);
    for _ in 0..6 {
        life.eject_and_readmit();
    }
    assert_eq!(life.backend.ejections_lately(life.now), 6);
    life.now += SECOND * 31;
    assert_eq!(life.backend.ejections_lately(life.now), 6, "the last one took 32 seconds");
    life.now += SECOND;
    assert_eq!(life.backend.ejections_lately(life.now), 5);
    life.now += SECOND * 16;
    assert_eq!(life.backend.ejections_lately(life.now), 4);
    assert_eq!(life.eject_and_readmit(), SECOND * 16);
    life.now += SECOND * 3600;
    assert_eq!(life.backend.ejections_lately(life.now), 0);
    assert_eq!(life.eject_and_readmit(), SECOND);
    assert_eq!(life.backend.ejections_lately(life.now), 1, "an hour before it counts for nothing now");
    assert_eq!(life.eject_and_readmit(), SECOND * 2);
}

#[test]
fn time_out_of_service_is_no_good_behaviour() {
    let mut life = Life::ramping_for(Duration::ZERO);
    life.eject_and_readmit();
    life.now += SECOND * 9;
    life.tell(FAIL);
    life.now += SECOND * 3600;
    life.tell(PASS);
    life.now += SECOND * 9;
    assert_eq!(life.backend.ejections_lately(life.now), 1);
}

#[test]
fn every_way_back_into_service_is_a_slow_start() {
    let ways = [
        (FAIL, PASS, TransitionCause::Check),
        (FAIL, Event::ChecksEnded, TransitionCause::Configuration),
        (Event::AgentDown, Event::AgentUp, TransitionCause::Agent),
        (EJECT, Event::Readmit, TransitionCause::Readmission),
        (EJECT, Event::EjectionsEnded, TransitionCause::Configuration),
        (Event::Drain(DrainSource::Operator), Event::Ready(DrainSource::Operator), TransitionCause::Operator),
        (Event::Drain(DrainSource::Check), PASS, TransitionCause::Check),
    ];
    for (out, back, cause) in ways {
        let mut life = Life::ramping_for(SECOND);
        life.tell(out);
        life.now += SECOND;
        assert_eq!(life.tell(back), Some((BackendState::SlowStart, cause)), "{out:?} and {back:?}");
        life.now += SECOND / 2;
        assert_eq!(life.tell(Event::Tick), None, "half way");
        let left = life.tell(out).map(|(state, _)| state);
        assert!(left.is_some_and(|state| state != BackendState::Up), "it can leave from the ramp");
        assert!(!life.backend.is_ramping());
    }
}

#[test]
fn a_ramp_grows_evenly_from_the_floor_to_the_whole() {
    let mut life = Life::ramping_for(SECOND * 2);
    assert_eq!(life.backend.share(life.now), 1.0, "no ramp at the start");
    life.tell(FAIL);
    life.tell(PASS);
    for (milliseconds, share) in
        [(0, 0.1), (500, 0.325), (1000, 0.55), (1999, 0.999_55), (2000, 1.0), (9000, 1.0)]
    {
        let at = life.now + Duration::from_millis(milliseconds);
        assert!((life.backend.share(at) - share).abs() < 1e-9, "{milliseconds} ms");
    }
}

#[test]
fn a_backend_that_joins_others_begins_with_a_slow_start() {
    let start = Instant::now();
    let mut joining = Availability::joining(rules(2, 2, SECOND), start);
    assert_eq!((joining.state(), joining.is_available()), (BackendState::SlowStart, true));
    let first_check = joining.apply(FAIL, start).expect("it decides at once");
    assert_eq!((first_check.from, first_check.to), (BackendState::SlowStart, BackendState::Down));
    assert_eq!(Availability::joining(rules(2, 2, Duration::ZERO), start).state(), BackendState::Up);
}
