use super::*;
use crate::story::tests::{restart, steady};

const KILL: Deed = Deed::Killed;
const START: Deed = Deed::Started;

/// The outages of backend-1 to which these things happened.
fn outages(acts: &[(f64, Deed)], changes: &[(f64, State)]) -> Vec<Outage> {
    let mut recording = steady();
    recording.acts = acts.iter().map(|&(at, deed)| Act { at, backend: 0, deed }).collect();
    recording.changes = changes.iter().map(|&(at, to)| Change { at, backend: 0, to }).collect();
    find(&recording)
}

#[test]
fn a_restart_is_one_outage_with_all_its_moments() {
    let outages = find(&restart());
    assert_eq!(outages.len(), 1);
    let marks: Vec<(f64, &str)> = outages[0].marks().map(|mark| (mark.at, mark.kind.word())).collect();
    assert_eq!(
        marks,
        [(30.0, "killed"), (30.012, "detected"), (105.0, "started"), (106.2, "back"), (108.2, "up")]
    );
    // The first sign came 10 ms before the verdict, and the last attempt 13 ms after the sign.
    assert!((outages[0].redistributed.unwrap() - 30.015).abs() < 1e-9);
}

#[test]
fn a_kill_that_is_noticed_late_was_no_later_than_the_balancer_noticed() {
    let outages = outages(&[(10.1, KILL)], &[(10.0, State::Down)]);
    assert_eq!(outages.len(), 1);
    assert_eq!((outages[0].killed, outages[0].detected), (Some(10.0), Some(10.0)));
}

#[test]
fn a_backend_that_goes_again_on_its_way_back_has_a_second_outage() {
    let states = [(1.0, State::Down), (4.0, State::SlowStart), (5.0, State::Ejected), (8.0, State::Up)];
    let outages = outages(&[(1.0, KILL), (3.0, START)], &states);
    assert_eq!(outages.len(), 2, "{outages:?}");
    assert_eq!((outages[0].back, outages[0].up), (Some(4.0), None));
    assert_eq!((outages[1].killed, outages[1].detected, outages[1].up), (None, Some(5.0), Some(8.0)));
}

#[test]
fn a_second_kill_after_the_start_is_a_second_outage() {
    let outages = outages(&[(1.0, KILL), (3.0, START), (6.0, KILL)], &[(1.1, State::Down)]);
    assert_eq!(outages.len(), 2, "{outages:?}");
    assert_eq!(outages[1].killed, Some(6.0));
}

#[test]
fn an_outage_that_nobody_caused_begins_with_its_detection() {
    let outages = outages(&[], &[(7.0, State::Draining), (9.0, State::Up)]);
    assert_eq!(outages.len(), 1);
    assert_eq!((outages[0].began(), outages[0].killed, outages[0].up), (7.0, None, Some(9.0)));
}

#[test]
fn what_happened_before_the_load_is_no_outage() {
    assert_eq!(outages(&[(-2.0, KILL)], &[(-2.0, State::Down), (-1.0, State::Up)]), []);
}

#[test]
fn a_measure_of_a_later_outage_is_not_taken_for_an_earlier_ones() {
    let mut recording = restart();
    recording.acts.clear();
    recording.changes = [(10.0, State::Draining), (12.0, State::Up), (30.012, State::Down)]
        .map(|(at, to)| Change { at, backend: 0, to })
        .to_vec();
    let outages = find(&recording);
    assert_eq!(outages[0].redistributed, None);
    assert!(outages[1].redistributed.is_some());
}
