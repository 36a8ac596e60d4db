//! What a change of one backend means to its upstream.

use super::*;
use crate::telemetry::EjectionReason;

const EJECT: Event = Event::Eject(EjectionReason::Latency);

/// Backends that come back over two seconds, and of which this share may be ejected.
fn ramping(backends: usize, max_ejected: f64) -> UpstreamSettings {
    UpstreamSettings {
        outliers: Some(OutlierRules { max_ejected, ..OutlierRules::default() }),
        slow_start: SlowStart { duration: SECOND * 2, floor: 0.1 },
        ..settings(backends)
    }
}

impl Traffic {
    fn observed(&self, backend: usize, event: Event) -> Option<Observed> {
        self.upstream.observe(&self.upstream.backends[backend], event, self.now)
    }

    fn states(&self) -> Vec<BackendState> {
        self.upstream.backends.iter().map(|backend| backend.availability().state()).collect()
    }
}

#[test]
fn no_more_than_the_share_is_ejected_but_one_may_be() {
    for (backends, max_ejected, most) in
        [(1, 1.0, 0), (2, 0.5, 1), (3, 0.1, 1), (3, 0.5, 1), (4, 0.5, 2), (5, 1.0, 4), (6, 0.0, 1)]
    {
        let traffic = Traffic::to(ramping(backends, max_ejected));
        let ejected = (0..backends).filter(|&n| traffic.observed(n, EJECT).is_some()).count();
        assert_eq!(ejected, most, "{backends} backends, {max_ejected} of them");
        let refused = traffic.upstream.series.ejections_refused.get(EjectionReason::Latency);
        assert_eq!(refused as usize, backends - most);
        let counted =
            traffic.upstream.backends.iter().map(|b| b.series.ejections.get(EjectionReason::Latency));
        assert_eq!(counted.sum::<u64>() as usize, most);
    }
}

#[test]
fn the_last_one_that_takes_work_is_not_ejected() {
    let mut unequal = ramping(3, 1.0);
    unequal.backends[2].weight = 0;
    let traffic = Traffic::to(unequal);
    traffic.observed(0, Event::CheckFailed);
    assert_eq!(traffic.observed(1, EJECT), None, "nobody else has a weight");
    assert!(traffic.observed(2, EJECT).is_some());
    assert_eq!(traffic.observed(0, EJECT), None);
    let refused = traffic.upstream.series.ejections_refused.get(EjectionReason::Latency);
    assert_eq!(refused, 1, "that of a backend which is down is not asked for");
}

#[test]
fn an_ejection_that_a_stronger_state_hides_still_counts() {
    let traffic = Traffic::to(ramping(4, 0.25));
    traffic.observed(0, EJECT);
    traffic.observed(0, Event::CheckFailed);
    assert_eq!(traffic.observed(1, EJECT), None);
}

#[test]
fn nobody_is_ejected_where_nobody_looks_for_outliers() {
    let mut traffic = Traffic::to(ramping(3, 0.5));
    traffic.observed(1, EJECT);
    traffic.reload(UpstreamSettings { outliers: None, ..ramping(3, 0.5) });
    assert!(traffic.upstream.backends[1].availability().is_available(), "an ejection ends with its rules");
    assert_eq!(traffic.observed(1, EJECT), None);
}

#[test]
fn losing_everybody_and_regaining_somebody_are_told_once_each() {
    for choice in [WhenNoneAvailable::TryAll, WhenNoneAvailable::Refuse] {
        let mut traffic = Traffic::to(UpstreamSettings { when_none_available: choice, ..ramping(2, 0.5) });
        let mut told = |backend, event| {
            traffic.now += SECOND;
            let observed = traffic.observed(backend, event).expect("a change");
            (observed.available, observed.none_available, observed.regained)
        };
        assert_eq!(told(0, EJECT), (1, None, false));
        assert_eq!(told(1, Event::CheckFailed), (0, Some(choice), false));
        assert_eq!(told(0, Event::CheckFailed), (0, None, false));
        assert_eq!(told(1, Event::CheckPassed), (1, None, true));
        assert_eq!(told(0, Event::CheckPassed), (1, None, false), "it is ejected still");
        assert_eq!(told(0, Event::Readmit), (2, None, false));
    }
}

#[test]
fn what_an_operator_drained_is_not_tried_when_nobody_is_available() {
    let mut traffic = Traffic::to(settings(3));
    traffic.observed(0, Event::Drain(DrainSource::Operator));
    traffic.observed(1, Event::Drain(DrainSource::Agent));
    traffic.observed(2, Event::CheckFailed);
    assert_eq!(traffic.indexes(4), [1, 2, 1, 2]);
    traffic.observed(1, Event::Drain(DrainSource::Operator));
    let last = traffic.observed(2, Event::Drain(DrainSource::Operator));
    assert_eq!(last, None, "it is down, which says more");
    assert!(traffic.indexes(4).is_empty());
    assert_eq!(traffic.upstream.series.none_available.get(NoneAvailable::Refuse), 4);
    traffic.observed(2, Event::Ready(DrainSource::Operator));
    assert_eq!(traffic.indexes(2), [2, 2]);
}

#[test]
fn a_ramp_is_published_as_it_grows_and_ends_with_a_transition() {
    let mut traffic = Traffic::to(ramping(2, 0.5));
    assert!(traffic.upstream.tick(traffic.now).is_empty());
    traffic.observed(0, Event::CheckFailed);
    let back = traffic.observe(0, Event::CheckPassed).expect("it is back");
    assert_eq!((back.to, back.cause), (BackendState::SlowStart, TransitionCause::Check));
    let share = |traffic: &Traffic| traffic.upstream.fleet().share(0);
    assert!((share(&traffic) - 0.1 / 1.1).abs() < 1e-9);
    traffic.now += SECOND;
    assert!(traffic.upstream.tick(traffic.now).is_empty());
    assert!((share(&traffic) - 0.55 / 1.55).abs() < 1e-9);
    let gauge = traffic.upstream.backends[0].series.effective_weight.get();
    assert!((gauge - 0.55).abs() < 1e-9, "{gauge}");
    traffic.now += SECOND;
    let ended = traffic.upstream.tick(traffic.now);
    let [(0, Observed { transition, available: 2, none_available: None, regained: false })] = &*ended else {
        panic!("one ramp ended: {ended:?}")
    };
    assert_eq!((transition.to, transition.cause), (BackendState::Up, TransitionCause::Ramp));
    assert_eq!(share(&traffic), 0.5);
    assert_eq!(traffic.states(), [BackendState::Up; 2]);
    assert!(traffic.upstream.tick(traffic.now).is_empty());
}

#[test]
fn only_a_backend_that_a_reload_adds_begins_slowly() {
    let mut traffic = Traffic::to(ramping(2, 0.5));
    assert_eq!(traffic.states(), [BackendState::Up; 2], "not at the start");
    traffic.reload(ramping(3, 0.5));
    assert_eq!(traffic.states(), [BackendState::Up, BackendState::Up, BackendState::SlowStart]);
    assert!((traffic.upstream.fleet().share(2) - 0.1 / 2.1).abs() < 1e-9);
    traffic.now += SECOND;
    traffic.reload(ramping(3, 0.5));
    assert_eq!(traffic.states()[2], BackendState::SlowStart, "the ramp goes on");
    assert!((traffic.upstream.fleet().share(2) - 0.55 / 2.55).abs() < 1e-9);
}

#[test]
fn an_agent_asks_for_a_part_of_the_weight() {
    let traffic = Traffic::to(ramping(2, 0.5));
    traffic.upstream.set_agent_percent(&traffic.upstream.backends[0], 50, traffic.now);
    assert!((traffic.upstream.fleet().share(0) - 1.0 / 3.0).abs() < 1e-9);
    traffic.upstream.set_agent_percent(&traffic.upstream.backends[0], 0, traffic.now);
    assert_eq!((traffic.upstream.fleet().share(0), traffic.states()[0]), (0.0, BackendState::Up));
    traffic.upstream.set_agent_percent(&traffic.upstream.backends[0], 255, traffic.now);
    assert_eq!(traffic.upstream.fleet().share(0), 0.5);
}

#[test]
fn a_weight_that_an_operator_sets_lasts_until_the_file_says_another() {
    let weights = |first| {
        let mut settings = ramping(2, 0.5);
        settings.backends[0].weight = first;
        settings
    };
    let mut traffic = Traffic::to(weights(1));
    traffic.upstream.set_weight(&traffic.upstream.backends[0], 3, traffic.now);
    assert_eq!(traffic.upstream.fleet().share(0), 0.75, "at once");
    traffic.reload(weights(1));
    let backend = Arc::clone(&traffic.upstream.backends[0]);
    assert_eq!((backend.weight(), backend.configured_weight()), (3, 1));
    assert_eq!((traffic.upstream.fleet().share(0), backend.series.weight.get()), (0.75, 3.0));
    traffic.reload(weights(2));
    assert_eq!((backend.weight(), backend.configured_weight()), (2, 2));
    traffic.upstream.set_weight(&backend, 0, traffic.now);
    assert_eq!(traffic.upstream.fleet().share(0), 0.0, "no new work");
}

#[test]
fn the_time_to_detect_runs_from_the_first_sign() {
    let mut traffic = Traffic::to(ramping(3, 0.5));
    let recorded = |traffic: &Traffic| {
        let mut total = crate::telemetry::HistogramTotal::default();
        traffic.upstream.backends[0].series.detection.add_to(&mut total);
        (total.count(), total.sum_seconds())
    };
    traffic.note(0, Sign::Broke);
    traffic.now += Duration::from_millis(70);
    traffic.observed(0, EJECT);
    assert_eq!(recorded(&traffic), (1, 0.07));
    traffic.now += SECOND;
    traffic.observed(0, Event::Readmit);
    traffic.observed(0, Event::Drain(DrainSource::Agent));
    assert_eq!(recorded(&traffic).0, 1, "draining is no trouble");
}

#[test]
fn a_reload_keeps_the_budget_and_the_ejections() {
    let mut traffic = Traffic::to(ramping(3, 0.5));
    traffic.observed(2, EJECT);
    let ejection = traffic.upstream.backends[2].availability().ejection();
    while traffic.upstream.budget.take() {}
    traffic.now += SECOND / 2;
    traffic.reload(ramping(3, 0.5));
    assert_eq!(traffic.upstream.backends[2].availability().ejection(), ejection);
    assert_eq!(traffic.upstream.budget.left(), 0);
    traffic.upstream.refill_budget(100, SECOND);
    assert_eq!(traffic.upstream.budget.left(), 30);
}

#[test]
fn what_is_left_of_the_budget_and_every_limit_are_shown() {
    let traffic = Traffic::to(ramping(2, 0.5));
    let Upstream { series, backends, .. } = &traffic.upstream;
    assert_eq!(series.budget_left.get(), 100.0, "from the start");
    while traffic.upstream.budget.take() {}
    traffic.upstream.refill_budget(0, SECOND);
    assert_eq!(series.budget_left.get(), 10.0);
    let limit = || backends[0].series.inflight_limit.get();
    assert_eq!(limit(), f64::INFINITY);
    backends[0].set_in_flight_limit(7);
    assert_eq!(limit(), 7.0);
    backends[0].set_in_flight_limit(0);
    assert_eq!(limit(), f64::INFINITY);
}

#[test]
fn a_drain_has_a_deadline_that_passes_once() {
    let mut traffic = Traffic::to(UpstreamSettings { drain_timeout: SECOND * 30, ..ramping(2, 0.5) });
    let ended = |traffic: &Traffic| traffic.upstream.end_drains(traffic.now).count();
    let backend = Arc::clone(&traffic.upstream.backends[0]);
    assert_eq!((backend.drain_deadline(), ended(&traffic)), (None, 0));
    let deadline = traffic.now + SECOND * 30;
    traffic.observed(0, Event::Drain(DrainSource::Operator));
    assert_eq!(backend.drain_deadline(), Some(deadline));
    traffic.now += SECOND * 10;
    traffic.observed(0, Event::Drain(DrainSource::Agent));
    traffic.observed(0, Event::CheckFailed);
    traffic.reload(ramping(2, 0.5));
    assert_eq!(backend.drain_deadline(), Some(deadline), "the first drain counts, whatever comes after it");
    assert_eq!(ended(&traffic), 0);
    traffic.now = deadline;
    let (alarm, drains) = (backend.alarm(), backend.drains_ended());
    assert_eq!([ended(&traffic), ended(&traffic)], [1, 0]);
    assert_eq!((backend.alarm(), backend.drains_ended()), (alarm + 1, drains + 1));
    assert_eq!(backend.drain_deadline(), None);
}

#[test]
fn a_drain_that_is_taken_back_in_time_gives_nothing_up() {
    let mut traffic = Traffic::to(UpstreamSettings { drain_timeout: SECOND, ..ramping(2, 0.5) });
    traffic.observed(0, Event::Drain(DrainSource::Check));
    traffic.observed(0, Event::CheckPassed);
    traffic.now += SECOND * 2;
    assert_eq!(traffic.upstream.end_drains(traffic.now).count(), 0);
    traffic.observed(0, Event::Drain(DrainSource::Check));
    let deadline = traffic.upstream.backends[0].drain_deadline().expect("it drains again");
    assert_eq!(deadline, traffic.now + SECOND, "with its whole time");
}
