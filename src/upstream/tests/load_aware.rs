//! What becomes of the shares when a CPU is busy.

use super::*;

const RULES: LoadAware = LoadAware { from: 0.5, floor: 0.2 };

/// Long enough for a factor to be where it ought to be.
const LONG: Duration = Duration::from_secs(600);

fn aware(backends: usize) -> UpstreamSettings {
    UpstreamSettings { load_aware: Some(RULES), ..settings(backends) }
}

impl Traffic {
    /// Lets time pass, in which the CPU of the first backend is so busy, and that of the others idle.
    fn with_cpu_of_first(&mut self, cpu: Option<f64>, elapsed: Duration) -> Vec<LoadChange> {
        self.now += elapsed;
        let first = Arc::clone(&self.upstream.backends[0]);
        let cpu = |backend: &Backend| if std::ptr::eq(backend, &*first) { cpu } else { Some(0.0) };
        self.upstream.follow_load(cpu, elapsed, self.now)
    }

    fn factors(&self) -> Vec<f64> {
        self.upstream.backends.iter().map(|backend| backend.load_factor()).collect()
    }
}

#[test]
fn a_backend_with_a_busy_cpu_gets_less_under_every_balancer_and_gets_it_back() {
    let hash = Balancer::ConsistentHash { key: HashKey::Source, load_bound: None };
    for balancer in
        [Balancer::RoundRobin, Balancer::LeastRequests, Balancer::PeakEwma, Balancer::Random, hash]
    {
        let mut traffic = Traffic::to(UpstreamSettings { balancer: balancer.clone(), ..aware(3) });
        let share = |traffic: &mut Traffic| {
            let picks = (0..9_000_u32).filter(|n| {
                let client = IpAddr::V4(Ipv4Addr::from_bits(n * 7919));
                traffic.pick_for(&client, &Tried::new()).is_some_and(|pick| pick.index == 0)
            });
            picks.count() as f64 / 9_000.0
        };
        assert!((share(&mut traffic) - 1.0 / 3.0).abs() < 0.03, "{balancer:?}");
        traffic.with_cpu_of_first(Some(1.0), LONG);
        let least = 0.2 / 2.2;
        assert!((share(&mut traffic) - least).abs() < 0.03, "{balancer:?}");
        assert!((traffic.upstream.fleet().share(0) - least).abs() < 1e-9, "it is intended so");
        traffic.with_cpu_of_first(Some(0.1), LONG);
        assert!((share(&mut traffic) - 1.0 / 3.0).abs() < 0.03, "{balancer:?}");
    }
}

#[test]
fn a_factor_is_shown_and_multiplies_what_else_makes_a_weight_less() {
    let mut traffic = Traffic::to(aware(3));
    let series = Arc::clone(&traffic.upstream.backends[0].series);
    assert_eq!((series.load_factor.get(), series.effective_weight.get()), (1.0, 1.0));
    traffic.with_cpu_of_first(Some(0.75), LONG);
    assert_eq!((series.load_factor.get(), series.effective_weight.get()), (0.6, 0.6));
    traffic.upstream.set_agent_percent(&traffic.upstream.backends[0], 50, traffic.now);
    assert_eq!(series.effective_weight.get(), 0.3);
    assert_eq!(series.weight.get(), 1.0, "the configured weight stays");
}

#[test]
fn a_report_that_is_missing_is_held_against_nobody() {
    let mut traffic = Traffic::to(aware(3));
    traffic.with_cpu_of_first(Some(1.0), LONG);
    assert_eq!(traffic.factors(), [0.2, 1.0, 1.0]);
    traffic.with_cpu_of_first(None, SECOND);
    assert!((0.2..0.5).contains(&traffic.factors()[0]), "smoothly");
    traffic.with_cpu_of_first(None, LONG);
    assert_eq!(traffic.factors(), [1.0, 1.0, 1.0]);
}

#[test]
fn where_all_are_busy_nobody_gets_less() {
    let mut traffic = Traffic::to(aware(3));
    traffic.now += LONG;
    traffic.upstream.follow_load(|_| Some(1.0), LONG, traffic.now);
    assert_eq!(traffic.factors(), [0.2, 0.2, 0.2]);
    assert!((0..3).all(|at| (traffic.upstream.fleet().share(at) - 1.0 / 3.0).abs() < 1e-9));
}

#[test]
fn another_fleet_is_made_only_when_a_factor_moves_by_a_step() {
    let mut traffic = Traffic::to(aware(3));
    let before = traffic.upstream.fleet();
    for cpu in [None, Some(0.0), Some(0.5), Some(0.505)] {
        assert_eq!(traffic.with_cpu_of_first(cpu, SECOND), []);
    }
    assert!(Arc::ptr_eq(&before, &traffic.upstream.fleet()), "nothing has changed");
    let mut fleets = 0;
    for _ in 0..600 {
        let before = traffic.upstream.fleet();
        let moved = traffic.with_cpu_of_first(Some(1.0), SECOND);
        assert_eq!(moved.is_empty(), Arc::ptr_eq(&before, &traffic.upstream.fleet()));
        fleets += usize::from(!moved.is_empty());
    }
    assert!((2..=40).contains(&fleets), "{fleets} fleets for forty steps");
}

#[test]
fn what_has_moved_is_told() {
    let mut traffic = Traffic::to(aware(2));
    let change = |from, to| LoadChange { backend: 0, from, to };
    assert_eq!(traffic.with_cpu_of_first(Some(1.0), LONG), [change(1.0, 0.2)]);
    assert_eq!(traffic.with_cpu_of_first(Some(1.0), LONG), []);
    assert_eq!(traffic.with_cpu_of_first(Some(0.0), LONG), [change(0.2, 1.0)]);
}

#[test]
fn a_reload_keeps_the_factor_and_one_without_the_rules_ends_it() {
    let mut traffic = Traffic::to(aware(2));
    traffic.with_cpu_of_first(Some(1.0), LONG);
    traffic.reload(aware(3));
    assert_eq!(traffic.factors(), [0.2, 1.0, 1.0]);
    let lenient = LoadAware { floor: 0.5, ..RULES };
    traffic.reload(UpstreamSettings { load_aware: Some(lenient), ..settings(3) });
    assert_eq!(traffic.factors(), [0.5, 1.0, 1.0], "within the bounds of the new rules at once");
    traffic.reload(settings(3));
    assert_eq!(traffic.factors(), [1.0, 1.0, 1.0]);
    assert_eq!(traffic.upstream.backends[0].series.effective_weight.get(), 1.0);
    assert_eq!(traffic.with_cpu_of_first(Some(1.0), LONG), [], "nobody looks at a CPU any more");
}
