//! What is told of the backends at a pick.

use super::*;
use crate::telemetry::{CANDIDATES_SHOWN, Candidate, Candidates, Offset};

impl Traffic {
    fn seen(&self, picked: Option<usize>, tried: &Tried) -> Candidates {
        self.upstream.candidates(picked, tried, self.now, Offset::START)
    }

    /// The positions of the backends that are shown.
    fn shown(&self, seen: &Candidates) -> Vec<usize> {
        let at = |one: &Candidate| {
            self.upstream.backends.iter().position(|backend| backend.series.id == one.backend)
        };
        seen.shown.iter().filter_map(at).collect()
    }
}

#[test]
fn each_backend_is_told_as_it_stands() {
    let mut settings = settings(3);
    settings.backends[1].weight = 3;
    settings.balancer = Balancer::PeakEwma;
    settings.load_line.in_flight = InFlightLimit::Fixed(2);
    let traffic = Traffic::to(settings);
    traffic.observe(2, Event::CheckFailed);
    traffic.note(0, Sign::Broke);
    traffic.upstream.backends[1].latency.record(Duration::from_millis(8), traffic.now);
    let upstream = &traffic.upstream;
    let _busy = [(); 2].map(|()| upstream.begin_exchange(&upstream.backends[1]).expect("there is room"));
    let mut tried = Tried::new();
    tried.add(0);
    let seen = traffic.seen(Some(1), &tried);
    assert_eq!((traffic.shown(&seen), seen.others, seen.others_in), (vec![0, 1, 2], 0, 0));
    let [suspect, full, down] = seen.shown[..] else { panic!("{seen:?}") };
    assert!(suspect.suspect && suspect.tried && !suspect.picked && !suspect.is_full());
    assert_eq!((suspect.weight, suspect.share, suspect.latency), (1.0, 0.25, None));
    assert!(full.picked && !full.tried && !full.suspect && full.is_full());
    assert_eq!((full.weight, full.share, full.in_flight, full.limit), (3.0, 0.75, 2, 2));
    assert!(full.latency.is_some_and(|latency| (0.007..0.009).contains(&latency)), "{full:?}");
    assert_eq!((down.state, down.weight, down.share), (BackendState::Down, 0.0, 0.0));
}

#[test]
fn of_many_the_picked_the_tried_and_some_of_each_kind_are_shown() {
    let traffic = Traffic::to(settings(20));
    let all = traffic.seen(Some(15), &Tried::new());
    assert_eq!(traffic.shown(&all), [0, 1, 2, 3, 4, 5, 6, 15]);
    assert_eq!((all.others, all.others_in), (12, 12));
    let mut tried = Tried::new();
    tried.add(18);
    for down in [9, 11, 13] {
        traffic.observe(down, Event::CheckFailed);
    }
    let mixed = traffic.seen(Some(15), &tried);
    assert_eq!(traffic.shown(&mixed), [0, 1, 2, 3, 9, 11, 15, 18]);
    assert_eq!((mixed.others, mixed.others_in), (12, 11));
    for at in 0..20 {
        traffic.observe(at, Event::CheckFailed);
    }
    let none = traffic.seen(None, &Tried::new());
    assert_eq!(none.shown.len(), CANDIDATES_SHOWN);
    assert!(none.shown.iter().all(|one| !one.picked && one.state == BackendState::Down), "{none:?}");
    assert_eq!((none.others, none.others_in), (12, 12), "all are tried when nobody is available");
    (0..20).for_each(|at| tried.add(at));
    assert_eq!(traffic.seen(Some(3), &tried).shown.len(), CANDIDATES_SHOWN);
}
