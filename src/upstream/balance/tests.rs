//! What balancers promise.

use proptest::prelude::*;

use super::*;
use crate::upstream::stable_hash::mix;

const PICKS: usize = 10_000;

/// Candidates as a test wants them to be.
#[derive(Clone)]
struct Fleet {
    shares: Vec<Share>,
    usable: Vec<bool>,
    in_flight: Vec<u64>,
    latency: Vec<Option<f32>>,
}

impl Candidates for Fleet {
    fn is_usable(&self, candidate: usize) -> bool {
        self.usable[candidate]
    }

    fn in_flight(&self, candidate: usize) -> u64 {
        self.in_flight[candidate]
    }

    fn latency(&self, candidate: usize) -> Option<f32> {
        self.latency[candidate]
    }
}

impl Fleet {
    fn idle(weights: &[f64]) -> Self {
        let shares =
            weights.iter().enumerate().map(|(n, &weight)| Share::new(&format!("backend-{n}"), weight));
        Self {
            shares: shares.collect(),
            usable: vec![true; weights.len()],
            in_flight: vec![0; weights.len()],
            latency: vec![None; weights.len()],
        }
    }

    /// The part of the work that the weights intend for each usable candidate.
    fn intended(&self) -> Vec<f64> {
        let weights = self.shares.iter().zip(&self.usable);
        let weights: Vec<f64> =
            weights.map(|(share, &usable)| if usable { share.weight } else { 0.0 }).collect();
        let total: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| if total > 0.0 { weight / total } else { 0.0 }).collect()
    }

    /// The fleet without its unusable candidates, as a transition publishes it, and whom the rest stand for.
    fn without_the_unusable(&self) -> (Self, Vec<usize>) {
        let left: Vec<usize> = (0..self.shares.len()).filter(|&n| self.usable[n]).collect();
        let shares = left.iter().map(|&n| self.shares[n]).collect();
        let usable = vec![true; left.len()];
        (Self { shares, usable, in_flight: vec![0; left.len()], latency: vec![None; left.len()] }, left)
    }
}

/// Picks with a seed, every pick with another key.
struct Picker {
    turn: Turn,
    rng: fastrand::Rng,
}

impl Picker {
    fn new(seed: u64) -> Self {
        Self { turn: Turn::default(), rng: fastrand::Rng::with_seed(seed) }
    }

    fn pick(&mut self, plan: &Plan, fleet: &Fleet) -> Option<usize> {
        let key = Some(mix(self.rng.u64(..)));
        plan.pick(fleet, Draw { turn: &self.turn, rng: &mut self.rng, key })
    }
}

/// Panics when a candidate's count differs from what was intended by more than 1 % of all picks.
fn assert_shares(counts: &[usize], intended: &[f64], context: &impl std::fmt::Debug) {
    let picks: usize = counts.iter().sum();
    for (n, (&count, &intended)) in counts.iter().zip(intended).enumerate() {
        let (share, intended) = (count as f64 / picks as f64, intended / picks as f64);
        assert!((share - intended).abs() <= 0.01, "{n} of {context:?}: {share} instead of {intended}");
    }
}

fn hash(load_bound: Option<f64>) -> Balancer {
    Balancer::ConsistentHash { key: HashKey::Source, load_bound }
}

fn all_balancers() -> Vec<Balancer> {
    use Balancer::{LeastRequests, PeakEwma, Random, RoundRobin};
    vec![RoundRobin, LeastRequests, PeakEwma, Random, hash(None), hash(Some(1.25))]
}

/// Balancers that share by turns while nobody is busy, with the picks over which their shares hold within 1 %; and
/// those that share by lot or by key, for which 1 % of 10⁴ picks would be two standard deviations.
fn sharing() -> impl Strategy<Value = (Balancer, usize)> {
    let all = all_balancers().into_iter().map(|balancer| {
        let by_turns =
            matches!(balancer, Balancer::RoundRobin | Balancer::LeastRequests | Balancer::PeakEwma);
        let picks = if by_turns { PICKS } else { PICKS * 10 };
        (balancer, picks)
    });
    proptest::sample::select(all.collect::<Vec<_>>())
}

fn weights() -> impl Strategy<Value = Vec<f64>> {
    let weight = prop_oneof![4 => (1_u16..10).prop_map(f64::from), 1 => Just(0.0), 1 => 0.1..1000.0_f64];
    proptest::collection::vec(weight, 1..12)
}

/// Weights whose cycle is exact. Rounding is by a part of the whole, and may be a larger part of what is left when the
/// heaviest is suspect.
fn whole_weights() -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec((0_u16..300).prop_map(f64::from), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn shares_follow_the_weights((balancer, picks) in sharing(), weights in weights(), seed in any::<u64>()) {
        prop_assume!(weights.iter().any(|&weight| weight > 0.0));
        let (fleet, mut picker) = (Fleet::idle(&weights), Picker::new(seed));
        let plan = balancer.plan(&fleet.shares);
        let mut counts = vec![0; weights.len()];
        for _ in 0..picks {
            counts[picker.pick(&plan, &fleet).expect("somebody has a weight")] += 1;
        }
        let intended: Vec<f64> = fleet.intended().iter().map(|share| share * picks as f64).collect();
        assert_shares(&counts, &intended, &balancer);
    }

    #[test]
    fn shares_follow_the_weights_while_backends_come_and_go(
        (balancer, picks) in sharing(),
        weights in whole_weights(),
        history in proptest::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..20),
        seed in any::<u64>(),
    ) {
        let (mut fleet, mut picker) = (Fleet::idle(&weights), Picker::new(seed));
        let (mut counts, mut intended) = (vec![0; weights.len()], vec![0.0; weights.len()]);
        for (who, published) in &history {
            let who = who.index(weights.len());
            fleet.usable[who] = !fleet.usable[who];
            let now = fleet.intended();
            if now.iter().sum::<f64>() == 0.0 {
                continue; // nobody to share it
            }
            // Either as after a transition, with a plan of its own, or as while somebody is suspect or tried.
            let everybody = (0..weights.len()).collect();
            let (planned, stands_for) =
                if *published { fleet.without_the_unusable() } else { (fleet.clone(), everybody) };
            let plan = balancer.plan(&planned.shares);
            for _ in 0..picks / history.len() {
                counts[stands_for[picker.pick(&plan, &planned).expect("somebody is usable")]] += 1;
                now.iter().zip(&mut intended).for_each(|(share, intended)| *intended += share);
            }
        }
        if counts.iter().sum::<usize>() > picks / 2 {
            assert_shares(&counts, &intended, &(&balancer, &history));
        }
    }

    #[test]
    fn only_the_usable_with_a_weight_are_picked(
        weights in weights(),
        usable in proptest::collection::vec(any::<bool>(), 12),
        seed in any::<u64>(),
    ) {
        let mut fleet = Fleet::idle(&weights);
        fleet.usable.copy_from_slice(&usable[..weights.len()]);
        fleet.in_flight = (0..weights.len() as u64).collect();
        let anybody = fleet.intended().iter().any(|&share| share > 0.0);
        for balancer in all_balancers() {
            let (plan, mut picker) = (balancer.plan(&fleet.shares), Picker::new(seed));
            for _ in 0..100 {
                let picked = picker.pick(&plan, &fleet);
                prop_assert_eq!(picked.is_some(), anybody, "{:?}", &balancer);
                prop_assert!(picked.is_none_or(|n| fleet.usable[n] && weights[n] > 0.0), "{:?}", &balancer);
            }
        }
    }

    #[test]
    fn a_backend_that_leaves_moves_only_its_own_keys(weights in weights(), leaver in any::<prop::sample::Index>()) {
        let whole = Fleet::idle(&weights);
        let leaver = leaver.index(weights.len());
        let mut reduced = Fleet::idle(&weights);
        reduced.usable[leaver] = false;
        let (reduced, stands_for) = reduced.without_the_unusable();
        let (before, after) = (owners(&whole), owners(&reduced));
        for (before, after) in before.into_iter().zip(after) {
            let after = after.map(|n| stands_for[n]);
            // Read the other way round: a backend that comes takes keys, and none move between the others.
            prop_assert!(before == Some(leaver) || before == after);
        }
    }

    #[test]
    fn a_weight_that_grows_only_attracts_keys(weights in weights(), who in any::<prop::sample::Index>()) {
        let who = who.index(weights.len());
        let mut grown = weights.clone();
        grown[who] += 1.0;
        for (before, after) in owners(&Fleet::idle(&weights)).into_iter().zip(owners(&Fleet::idle(&grown))) {
            prop_assert!(before == after || after == Some(who));
        }
    }

    #[test]
    fn no_backend_exceeds_its_bound(
        weights in weights(),
        bound in 1.0..3.0_f64,
        keys in proptest::collection::vec(0_u64..5, 200),
        ends in proptest::collection::vec(any::<prop::sample::Index>(), 200),
    ) {
        let mut fleet = Fleet::idle(&weights);
        let (plan, turn, mut rng) = (hash(Some(bound)).plan(&fleet.shares), Turn::default(), fastrand::Rng::new());
        let intended = fleet.intended();
        prop_assume!(intended.iter().any(|&share| share > 0.0));
        let mut exchanges: Vec<usize> = Vec::new();
        for (key, end) in keys.into_iter().zip(ends) {
            let picked = plan.pick(&fleet, Draw { turn: &turn, rng: &mut rng, key: Some(key) });
            let picked = picked.expect("somebody has a weight");
            exchanges.push(picked);
            fleet.in_flight[picked] += 1;
            let most = (bound * exchanges.len() as f64 * intended[picked]).ceil();
            prop_assert!(fleet.in_flight[picked] as f64 <= most, "{} of {most}", fleet.in_flight[picked]);
            let end = end.index(exchanges.len() * 2);
            if end < exchanges.len() {
                fleet.in_flight[exchanges.swap_remove(end)] -= 1;
            }
        }
    }
}

/// Who owns each of a thousand keys.
fn owners(fleet: &Fleet) -> Vec<Option<usize>> {
    let (plan, turn, mut rng) = (hash(None).plan(&fleet.shares), Turn::default(), fastrand::Rng::new());
    (0..1000).map(|key| plan.pick(fleet, Draw { turn: &turn, rng: &mut rng, key: Some(mix(key)) })).collect()
}

#[test]
fn sequential_requests_alternate_strictly_over_workers() {
    let fleet = Fleet::idle(&[1.0, 1.0, 1.0]);
    let plan = Balancer::RoundRobin.plan(&fleet.shares);
    let turn = Turn::default();
    let mut workers = [fastrand::Rng::with_seed(1), fastrand::Rng::with_seed(2)];
    let picked: Vec<_> = [0, 1, 1, 0, 0, 0, 1]
        .into_iter()
        .filter_map(|worker| plan.pick(&fleet, Draw { turn: &turn, rng: &mut workers[worker], key: None }))
        .collect();
    assert_eq!(picked, [0, 1, 2, 0, 1, 2, 0]);
}

#[test]
fn no_number_of_backends_is_too_few_or_too_many() {
    for number in [0, 1, 2, 1000] {
        for step in [0.0, 1.0] {
            let weights: Vec<f64> = (0..number).map(|n| 1.0 + f64::from(n % 7) * step).collect();
            let fleet = Fleet::idle(&weights);
            for balancer in all_balancers() {
                let (plan, mut picker) = (balancer.plan(&fleet.shares), Picker::new(7));
                for _ in 0..100 {
                    assert_eq!(picker.pick(&plan, &fleet).is_some(), number > 0, "{balancer:?}");
                }
            }
        }
    }
}

#[test]
fn one_usable_backend_among_many_is_found() {
    let mut fleet = Fleet::idle(&[1.0; 1000]);
    fleet.usable.fill(false);
    fleet.usable[777] = true;
    for balancer in all_balancers() {
        let (plan, mut picker) = (balancer.plan(&fleet.shares), Picker::new(7));
        assert!((0..10).all(|_| picker.pick(&plan, &fleet) == Some(777)), "{balancer:?}");
    }
}

#[test]
fn weights_that_are_no_numbers_count_for_nothing() {
    let fleet = Fleet::idle(&[f64::NAN, 1.0, f64::INFINITY, -1.0]);
    for balancer in all_balancers() {
        let (plan, mut picker) = (balancer.plan(&fleet.shares), Picker::new(7));
        assert!((0..100).all(|_| picker.pick(&plan, &fleet) == Some(1)), "{balancer:?}");
    }
}

#[test]
fn a_request_without_the_key_is_given_out_by_turns() {
    let fleet = Fleet::idle(&[1.0, 1.0]);
    let (plan, turn, mut rng) = (hash(None).plan(&fleet.shares), Turn::default(), fastrand::Rng::new());
    let picked: Vec<_> =
        (0..4).filter_map(|_| plan.pick(&fleet, Draw { turn: &turn, rng: &mut rng, key: None })).collect();
    assert_eq!(picked, [0, 1, 0, 1]);
}

/// Sends exchanges that end after a number of further picks that depends on the backend; returns the counts.
fn with_work(balancer: &Balancer, fleet: &mut Fleet, duration: impl Fn(usize) -> usize) -> Vec<usize> {
    let (plan, mut picker) = (balancer.plan(&fleet.shares), Picker::new(7));
    let mut counts = vec![0; fleet.shares.len()];
    let mut ends: Vec<Vec<usize>> = vec![Vec::new(); PICKS + 1000];
    for step in 0..PICKS {
        for ended in std::mem::take(&mut ends[step]) {
            fleet.in_flight[ended] -= 1;
        }
        let picked = picker.pick(&plan, fleet).expect("all are usable");
        counts[picked] += 1;
        fleet.in_flight[picked] += 1;
        ends[step + duration(picked)].push(picked);
    }
    counts
}

#[test]
fn least_requests_give_a_slow_backend_less() {
    let mut fleet = Fleet::idle(&[1.0, 1.0, 1.0]);
    let counts = with_work(&Balancer::LeastRequests, &mut fleet, |n| if n == 0 { 100 } else { 10 });
    assert!(counts[0] * 3 < counts[1], "{counts:?}");
}

#[test]
fn least_requests_keep_a_heavier_backend_busier() {
    let mut fleet = Fleet::idle(&[1.0, 3.0]);
    let counts = with_work(&Balancer::LeastRequests, &mut fleet, |_| 40);
    let share = counts[1] as f64 / PICKS as f64;
    assert!((share - 0.75).abs() < 0.02, "{share}");
}

#[test]
fn peak_ewma_gives_a_slow_backend_less() {
    let mut fleet = Fleet::idle(&[1.0, 1.0, 1.0]);
    fleet.latency = vec![Some(0.1), Some(0.01), Some(0.01)];
    let counts = with_work(&Balancer::PeakEwma, &mut fleet, |n| if n == 0 { 100 } else { 10 });
    assert!(counts[0] * 5 < counts[1], "{counts:?}");
}

#[test]
fn peak_ewma_neither_floods_nor_starves_a_backend_without_answers() {
    for known in [0.000_1, 10.0] {
        let mut fleet = Fleet::idle(&[1.0, 1.0]);
        fleet.latency = vec![Some(known), None];
        let share = with_work(&Balancer::PeakEwma, &mut fleet, |_| 20)[1] as f64 / PICKS as f64;
        assert!((share - 0.5).abs() < 0.05, "{share}");
    }
}

#[test]
fn rendezvous_owners_never_change_between_versions() {
    let owners = owners(&Fleet::idle(&[1.0, 2.0, 3.0]));
    let first: Vec<_> = owners.into_iter().take(12).flatten().collect();
    assert_eq!(first, [1, 2, 2, 2, 1, 2, 0, 1, 1, 1, 2, 2]);
}

/// A backend on its ramp, with this weight beside three of weight 1; and the share that is intended for it.
fn ramping(weight: f64) -> (Fleet, f64) {
    let mut fleet = Fleet::idle(&[weight, 1.0, 1.0, 1.0]);
    fleet.shares[0] = fleet.shares[0].ramping(true);
    (fleet, weight / (weight + 3.0))
}

#[test]
fn a_backend_on_its_ramp_gets_its_share_however_busy_the_others_are() {
    // How long an exchange takes, in picks: on the one that ramps up, and on the others.
    let loads = [(1, 1), (40, 40), (10, 100), (1, 400)];
    // A bound on the load of others moves their keys to whoever has room: that is what it is for.
    let unbounded = all_balancers().into_iter().filter(|balancer| *balancer != hash(Some(1.25)));
    let cases = unbounded.flat_map(|balancer| match balancer {
        Balancer::PeakEwma => vec![(Balancer::PeakEwma, Some(0.000_1)), (Balancer::PeakEwma, None)],
        other => vec![(other, None)],
    });
    for (balancer, latency) in cases {
        for (weight, (own, others)) in [0.1, 0.5, 0.8].into_iter().flat_map(|w| loads.map(|load| (w, load))) {
            let (mut fleet, intended) = ramping(weight);
            fleet.latency = vec![latency, Some(0.01), Some(0.01), Some(0.01)];
            let counts = with_work(&balancer, &mut fleet, |n| if n == 0 { own } else { others });
            let part = counts[0] as f64 / PICKS as f64 / intended;
            let what = format!("{balancer:?}, weight {weight}, load {own} and {others}, {latency:?}");
            assert!((0.7..=1.05).contains(&part), "{part} of its share: {what}");
        }
    }
}

#[test]
fn a_backend_that_is_slow_on_its_ramp_gets_less_where_load_counts() {
    for balancer in [Balancer::LeastRequests, Balancer::PeakEwma] {
        let (mut fleet, intended) = ramping(0.5);
        let counts = with_work(&balancer, &mut fleet, |n| if n == 0 { 100 } else { 10 });
        assert!((counts[0] as f64) < 0.5 * intended * PICKS as f64, "{counts:?}");
    }
}

#[test]
fn backends_that_all_ramp_up_are_compared_as_ever() {
    let mut fleet = Fleet::idle(&[0.5, 0.5, 0.5]);
    fleet.shares.iter_mut().for_each(|share| *share = share.ramping(true));
    let counts = with_work(&Balancer::LeastRequests, &mut fleet, |n| if n == 0 { 100 } else { 10 });
    assert!(counts[0] * 3 < counts[1], "{counts:?}");
}
