//! What happens when those that are available have no share of the work.

use super::*;

const CHOICES: [WhenNoneAvailable; 2] = [WhenNoneAvailable::TryAll, WhenNoneAvailable::Refuse];

fn weights(of: [u32; 3]) -> UpstreamSettings {
    let mut settings = settings(3);
    settings.backends.iter_mut().zip(of).for_each(|(backend, weight)| backend.weight = weight);
    settings
}

impl Traffic {
    /// Counts what each backend gets of some requests, and asserts that each was picked for this reason.
    #[track_caller]
    fn counts(&mut self, requests: usize, why: PickReason) -> [usize; 3] {
        let mut counts = [0; 3];
        for _ in 0..requests {
            let (index, reason) = self.pick(&Tried::new()).expect("somebody takes it");
            assert_eq!(reason, why);
            counts[index] += 1;
        }
        counts
    }

    fn shares(&self) -> [f64; 3] {
        std::array::from_fn(|at| self.upstream.fleet().share(at))
    }
}

#[test]
fn only_one_without_a_weight_is_available_and_gets_the_work_whatever_is_configured_for_nobody() {
    for choice in CHOICES {
        let mut traffic = Traffic::to(UpstreamSettings { when_none_available: choice, ..weights([1, 0, 2]) });
        assert_eq!(traffic.counts(9, PickReason::Balanced), [3, 0, 6]);
        traffic.observe(0, Event::CheckFailed);
        traffic.observe(2, Event::CheckFailed);
        assert_eq!(traffic.counts(9, PickReason::NoShare), [0, 9, 0]);
        assert_eq!(traffic.shares(), [0.0, 1.0, 0.0]);
        assert_eq!(traffic.upstream.series.none_available.sum(), 0, "somebody was available");
        assert_eq!(traffic.upstream.series.available.get(), 1);
        traffic.observe(2, Event::CheckPassed);
        assert_eq!(traffic.counts(9, PickReason::Balanced), [0, 0, 9], "it is spared again");
    }
}

#[test]
fn where_every_weight_is_zero_the_work_is_shared_evenly() {
    let mut traffic = Traffic::to(weights([0; 3]));
    assert_eq!(traffic.counts(9, PickReason::NoShare), [3; 3]);
    let effective = traffic.upstream.backends.iter().map(|backend| backend.series.effective_weight.get());
    assert_eq!(effective.collect::<Vec<_>>(), [1.0; 3], "what is shown is what the balancer works with");
    for at in 0..3 {
        traffic.observe(at, Event::CheckFailed);
    }
    assert_eq!(
        traffic.counts(9, PickReason::FailOpen),
        [3; 3],
        "also when nobody is available and all are tried"
    );
}

#[test]
fn agents_that_all_say_zero_leave_the_configured_weights() {
    let mut traffic = Traffic::to(weights([2, 1, 0]));
    for backend in &traffic.upstream.backends {
        traffic.upstream.set_agent_percent(backend, 0, traffic.now);
    }
    assert_eq!(traffic.counts(9, PickReason::NoShare), [6, 3, 0], "who has no weight is spared even so");
    traffic.upstream.set_agent_percent(&traffic.upstream.backends[1], 1, traffic.now);
    assert_eq!(traffic.counts(9, PickReason::Balanced), [0, 9, 0]);
}

#[test]
fn a_slow_start_from_nothing_answers_from_its_first_instant() {
    let slow_start = SlowStart { duration: SECOND * 2, floor: 0.0 };
    let mut traffic = Traffic::to(UpstreamSettings { slow_start, ..weights([1, 1, 2]) });
    for at in 0..3 {
        traffic.observe(at, Event::CheckFailed);
    }
    traffic.now += SECOND;
    traffic.observe(1, Event::CheckPassed);
    assert_eq!(traffic.counts(4, PickReason::NoShare), [0, 4, 0]);
    traffic.observe(2, Event::CheckPassed);
    assert_eq!(traffic.counts(9, PickReason::NoShare), [0, 3, 6]);
    traffic.now += SECOND / 4;
    traffic.upstream.tick(traffic.now);
    assert_eq!(traffic.counts(9, PickReason::Balanced), [0, 3, 6]);
    traffic.observe(0, Event::CheckPassed);
    assert_eq!(traffic.counts(9, PickReason::Balanced), [0, 3, 6], "others have a share by now");
}

#[test]
fn what_an_operator_drains_gets_nothing_even_then() {
    for choice in CHOICES {
        let mut traffic = Traffic::to(UpstreamSettings { when_none_available: choice, ..weights([1, 0, 0]) });
        traffic.observe(0, Event::Drain(DrainSource::Operator));
        traffic.observe(1, Event::Drain(DrainSource::Operator));
        assert_eq!(traffic.counts(4, PickReason::NoShare), [0, 0, 4]);
        traffic.observe(2, Event::Drain(DrainSource::Operator));
        assert_eq!(traffic.pick(&Tried::new()), None);
        assert!(!traffic.upstream.fleet().is_without_share(), "nobody is there to have none");
        assert_eq!(traffic.upstream.series.none_available.get(NoneAvailable::Refuse), 1);
    }
}

#[test]
fn under_every_balancer_somebody_is_picked() {
    let hash = Balancer::ConsistentHash { key: HashKey::Source, load_bound: Some(1.25) };
    let slow_start = SlowStart { duration: SECOND, floor: 0.0 };
    for balancer in
        [Balancer::RoundRobin, Balancer::LeastRequests, Balancer::PeakEwma, Balancer::Random, hash]
    {
        let mut traffic =
            Traffic::to(UpstreamSettings { balancer: balancer.clone(), slow_start, ..weights([0, 1, 1]) });
        for at in 0..3 {
            traffic.observe(at, Event::CheckFailed);
        }
        traffic.observe(1, Event::CheckPassed);
        traffic.observe(2, Event::CheckPassed);
        let [spared, ..] = traffic.counts(20, PickReason::NoShare);
        assert_eq!(spared, 0, "{balancer:?}");
    }
}
