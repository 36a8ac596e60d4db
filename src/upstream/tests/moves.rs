//! What happens when the host name of a backend has another address, or none.

use super::*;

/// Backends of which the first is found by a host name that has this address, all with a slow start.
fn named(backends: usize, address: Option<u8>) -> UpstreamSettings {
    let mut settings =
        UpstreamSettings { slow_start: SlowStart { duration: SECOND * 2, floor: 0.1 }, ..settings(backends) };
    let address = address.map(|last| ([127, 0, 0, last], 8001).into());
    settings.backends[0] = BackendSettings { address, looked_up: true, ..settings.backends[0].clone() };
    settings
}

impl Traffic {
    fn told(&self) -> Vec<(usize, BackendState, BackendState, TransitionCause)> {
        let told = self.upstream.arrivals().iter();
        told.map(|(at, observed)| {
            let Transition { from, to, cause, .. } = observed.transition;
            (*at, from, to, cause)
        })
        .collect()
    }

    fn transitions(&self, to: BackendState) -> u64 {
        self.upstream.backends[0].series.transitions(to, TransitionCause::Lookup)
    }
}

#[test]
fn a_backend_whose_name_has_no_address_is_down_and_joins_once_it_has() {
    let mut traffic = Traffic::to(named(2, None));
    assert_eq!(traffic.told(), [(0, BackendState::Up, BackendState::Down, TransitionCause::Lookup)]);
    assert_eq!(traffic.indexes(4), [1; 4]);
    traffic.now += SECOND;
    traffic.reload(named(2, None));
    assert_eq!(traffic.told(), [], "nothing has changed");
    traffic.reload(named(2, Some(1)));
    assert_eq!(traffic.told(), [(0, BackendState::Down, BackendState::SlowStart, TransitionCause::Lookup)]);
    assert!((traffic.upstream.fleet().share(0) - 0.1 / 1.1).abs() < 1e-9, "it joins like a new one");
    assert_eq!([BackendState::Down, BackendState::SlowStart].map(|to| traffic.transitions(to)), [1, 1]);
}

#[test]
fn another_address_is_another_server_under_the_same_name_and_series() {
    let mut traffic = Traffic::to(named(2, Some(1)));
    traffic.observe(0, Event::Eject(crate::telemetry::EjectionReason::Latency));
    let before = traffic.upstream.backends.clone();
    before[0].series.shard(crate::telemetry::WorkerId(0)).requests.inc(200);
    traffic.reload(named(2, Some(2)));
    let after = &traffic.upstream.backends;
    assert!(Arc::ptr_eq(&before[1], &after[1]), "the others do not notice");
    assert!(before[0].is_retired() && Arc::ptr_eq(&before[0].series, &after[0].series));
    assert_eq!(after[0].address, Some(([127, 0, 0, 2], 8001).into()));
    assert_eq!(after[0].availability().ejections_lately(traffic.now), 0, "it has done nothing yet");
    assert_eq!(
        traffic.told(),
        [(0, BackendState::Ejected, BackendState::SlowStart, TransitionCause::Lookup)]
    );
}

#[test]
fn what_an_operator_drains_stays_drained_wherever_it_is() {
    let mut traffic = Traffic::to(named(2, Some(1)));
    for source in DrainSource::ALL {
        traffic.observe(0, Event::Drain(source));
    }
    for address in [Some(2), None, Some(3)] {
        traffic.reload(named(2, address));
        let availability = traffic.upstream.backends[0].availability();
        let by = DrainSource::ALL.map(|source| availability.is_drained_by(source));
        assert_eq!(by, [true, false, false], "{address:?}: others speak of the server, not of the name");
        assert!(!availability.is_available());
    }
    traffic.observe(0, Event::Ready(DrainSource::Operator));
    assert_eq!(traffic.upstream.backends[0].availability().state(), BackendState::SlowStart);
}

#[test]
fn what_has_no_address_is_not_tried_though_nobody_is_available() {
    let mut traffic = Traffic::to(named(2, None));
    traffic.observe(1, Event::CheckFailed);
    assert!(traffic.upstream.fleet().is_fail_open());
    assert_eq!(traffic.indexes(4), [1; 4]);
    let mut traffic = Traffic::to(named(1, None));
    assert!(!traffic.upstream.fleet().is_fail_open());
    assert_eq!(traffic.pick(&Tried::new()), None);
    let told = traffic.upstream.arrivals()[0].1;
    assert_eq!((told.available, told.none_available), (0, Some(WhenNoneAvailable::Refuse)));
    traffic.reload(named(1, Some(1)));
    assert!(traffic.upstream.arrivals()[0].1.regained);
    assert_eq!(traffic.indexes(1), [0]);
}

#[test]
fn an_address_that_the_file_changes_is_told_as_a_change_of_the_configuration() {
    let mut traffic = Traffic::to(named(2, None));
    traffic.reload(UpstreamSettings { slow_start: SlowStart::default(), ..settings(2) });
    let told = [(0, BackendState::Down, BackendState::SlowStart, TransitionCause::Configuration)];
    assert_eq!(traffic.told(), told);
}

#[test]
fn where_nobody_checks_the_move_of_a_backend_is_told_all_the_same() {
    let mut traffic = Traffic::to(UpstreamSettings { checks: None, ..named(2, None) });
    traffic.reload(UpstreamSettings { checks: None, outliers: None, ..named(2, Some(1)) });
    assert_eq!(traffic.told(), [(0, BackendState::Down, BackendState::SlowStart, TransitionCause::Lookup)]);
}
