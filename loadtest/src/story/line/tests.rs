use super::*;
use crate::story::tests::restart;

/// The value of a line at this time.
fn value(line: &Line, at: f64) -> Option<f64> {
    line.iter().rfind(|point| point.at <= at).and_then(|point| point.value)
}

#[test]
fn rates_and_shares_come_from_what_counters_grew_by() {
    let recording = restart();
    for (at, expected) in [(10.0, 50.0), (60.0, 0.0), (150.0, 50.0)] {
        assert!((value(&rps(&recording, 0), at).unwrap() - expected).abs() < 1e-6);
        assert!((value(&share(&recording, 0), at).unwrap() - expected / 150.0).abs() < 1e-6);
    }
    assert!((value(&class(&recording, 2), 60.0).unwrap() - 150.0).abs() < 1e-6);
}

#[test]
fn a_level_reaches_over_its_whole_slice() {
    let line = rps(&restart(), 0);
    assert_eq!((line[0].at, line[1].at, line[2].at), (0.0, 0.5, 0.5));
    assert_eq!(line.last().unwrap().at, 165.0);
}

#[test]
fn a_slice_that_the_load_began_or_ended_in_has_its_rate() {
    let mut recording = restart();
    recording.seconds = 20.3;
    for sample in recording.samples.iter_mut().filter(|sample| sample.at > 20.3) {
        sample.backends[0].answers = 20.3 * 50.0;
    }
    let line = rps(&recording, 0);
    assert_eq!(line.last().unwrap().at, 20.3);
    assert!((line.last().unwrap().value.unwrap() - 50.0).abs() < 1e-6);
}

#[test]
fn a_counter_that_began_anew_grew_by_what_it_shows() {
    let mut recording = restart();
    for sample in recording.samples.iter_mut().filter(|sample| sample.at >= 50.0) {
        sample.backends[1].answers -= 50.0 * 50.0 + 20.0 * 25.0 - 100.0;
    }
    assert!(rps(&recording, 1).iter().all(|point| point.value.unwrap() >= 0.0));
}

#[test]
fn without_answers_there_is_no_share() {
    let mut recording = restart();
    let first = recording.samples[1].clone();
    for sample in recording.samples.iter_mut().filter(|sample| sample.at < 5.0) {
        sample.backends.clone_from(&first.backends);
    }
    assert_eq!(value(&share(&recording, 0), 2.0), None);
}

#[test]
fn the_cpu_of_a_backend_that_is_away_is_a_gap() {
    let line = cpu(&restart(), 0);
    let breaks: Vec<f64> = line.iter().filter(|point| point.value.is_none()).map(|point| point.at).collect();
    assert_eq!(breaks, [29.0]);
    assert!(cpu(&restart(), 1).iter().all(|point| point.value.is_some()));
}

#[test]
fn a_thinned_line_keeps_what_its_merge_keeps() {
    let mut line: Line = (0..1000).map(|n| Point::new(f64::from(n), 1.0)).collect();
    line[700].value = Some(9.0);
    let thin = thinned(line, |values| values.iter().copied().fold(0.0, f64::max));
    assert!(thin.len() <= SLICES_MAX && thin.iter().any(|point| point.value == Some(9.0)));
}
