//! What holds at every step of any history of checks, failures, answers and picks.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Observe(prop::sample::Index, Event),
    Note(prop::sample::Index, Sign),
    Pass(Duration),
    Pick(Vec<prop::sample::Index>),
}

fn step() -> impl Strategy<Value = Step> {
    let event = prop_oneof![Just(Event::CheckPassed), Just(Event::CheckFailed)];
    let sign = prop_oneof![Just(Sign::ConnectFailed), Just(Sign::Answered)];
    prop_oneof![
        3 => (any::<prop::sample::Index>(), event).prop_map(|(who, event)| Step::Observe(who, event)),
        3 => (any::<prop::sample::Index>(), sign).prop_map(|(who, sign)| Step::Note(who, sign)),
        1 => (0_u64..6000).prop_map(|ms| Step::Pass(Duration::from_millis(ms))),
        3 => proptest::collection::vec(any::<prop::sample::Index>(), 0..4).prop_map(Step::Pick),
    ]
}

fn balancer() -> impl Strategy<Value = Balancer> {
    let hash = Balancer::ConsistentHash { key: HashKey::Source, load_bound: Some(1.5) };
    proptest::sample::select(vec![
        Balancer::RoundRobin,
        Balancer::LeastRequests,
        Balancer::PeakEwma,
        Balancer::Random,
        hash,
    ])
}

/// Panics when a better backend than the one that was picked could have been picked.
fn assert_best(traffic: &Traffic, tried: &Tried, picked: Option<(usize, PickReason)>) {
    let backends = &traffic.upstream.backends;
    let available = |n: usize| backends[n].availability().is_available();
    let suspect = |n: usize| backends[n].is_suspect(traffic.now);
    let all = 0..backends.len();
    let none_available = !all.clone().any(available);
    let Some((picked, reason)) = picked else {
        assert!(none_available, "somebody is available");
        return;
    };
    assert_eq!(reason == PickReason::FailOpen, none_available);
    assert!(available(picked) || none_available);
    let mut left = all.clone().filter(|&n| (available(n) || none_available) && !tried.contains(n)).peekable();
    if left.peek().is_some() {
        assert!(!tried.contains(picked), "somebody is left who was not tried");
        assert!(!suspect(picked) || left.all(suspect), "somebody is left who is not suspect");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn the_best_that_is_left_is_picked(
        number in 1_usize..6,
        balancer in balancer(),
        refuse in any::<bool>(),
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let when_none_available = if refuse { WhenNoneAvailable::Refuse } else { WhenNoneAvailable::TryAll };
        let mut traffic = Traffic::to(UpstreamSettings { balancer, when_none_available, ..settings(number) });
        for step in steps {
            match step {
                Step::Observe(who, event) => drop(traffic.observe(who.index(number), event)),
                Step::Note(who, sign) => traffic.note(who.index(number), sign),
                Step::Pass(time) => traffic.now += time,
                Step::Pick(who) => {
                    let mut tried = Tried::new();
                    who.iter().for_each(|who| tried.add(who.index(number)));
                    let picked = traffic.pick(&tried);
                    assert_best(&traffic, &tried, picked);
                }
            }
        }
    }

    #[test]
    fn shares_follow_what_the_fleet_intends_while_backends_come_and_go(
        weights in proptest::collection::vec(1_u32..20, 2..6),
        history in proptest::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..15),
    ) {
        let mut settings = settings(weights.len());
        settings.backends.iter_mut().zip(&weights).for_each(|(backend, &weight)| backend.weight = weight);
        let mut traffic = Traffic::to(settings);
        let (mut counts, mut intended) = (vec![0; weights.len()], vec![0.0; weights.len()]);
        let picks = 10_000 / history.len();
        for (who, passes) in &history {
            let event = if *passes { Event::CheckPassed } else { Event::CheckFailed };
            traffic.observe(who.index(weights.len()), event);
            let fleet = traffic.upstream.fleet();
            (0..weights.len()).for_each(|n| intended[n] += fleet.share(n) * picks as f64);
            traffic.indexes(picks).into_iter().for_each(|index| counts[index] += 1);
        }
        for (count, intended) in counts.into_iter().zip(intended) {
            prop_assert!((f64::from(count) - intended).abs() <= 100.0, "{count} instead of {intended}");
        }
    }
}
