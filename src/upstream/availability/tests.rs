//! What the availability state machine promises.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn after(rise: u32, fall: u32, events: &[Event]) -> (Availability, Vec<Transition>) {
    let start = Instant::now();
    let mut availability = Availability::new(Thresholds { rise, fall }, start);
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
    let mut backend = Availability::new(Thresholds { rise: 1, fall: 1 }, start);
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
