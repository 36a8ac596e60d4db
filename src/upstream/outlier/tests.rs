//! What the judge finds, and what it does not, in simulated traffic.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;
use crate::telemetry::{Histogram, HistogramTotal, Telemetry};
use crate::upstream::{BackendSettings, HashKey, UpstreamSettings};

const MS: u64 = 1_000;
const SECOND: u64 = 1_000_000;

/// When trouble begins.
const TROUBLE: u64 = 5 * SECOND;

/// What a backend does with a request that comes at this time, in microseconds: how long it takes, and whether it fails.
/// None never answers.
type Behaviour = Box<dyn Fn(&mut fastrand::Rng, u64) -> Option<(u64, bool)>>;

/// A backend that is well: about 5 ms, and now and then some more.
fn well() -> Behaviour {
    Box::new(|rng, _| Some((3 * MS + rng.u64(..4 * MS) + if rng.u8(..20) == 0 { 10 * MS } else { 0 }, false)))
}

/// A backend that is well and, after five seconds, does this.
fn after_a_while(then: impl Fn(&mut fastrand::Rng, u64) -> Option<(u64, bool)> + 'static) -> Behaviour {
    let before = well();
    Box::new(move |rng, at| if at < TROUBLE { before(rng, at) } else { then(rng, at) })
}

/// Backends under an even open load, and a judge who looks at them.
struct World {
    judge: Judge,
    backends: Vec<Simulated>,
    /// Requests a second.
    rate: f64,
    start: Instant,
    /// Microseconds since the start.
    now: u64,
    next_request: f64,
    turn: usize,
    rng: fastrand::Rng,
    found: Vec<(u64, usize, Finding)>,
}

struct Simulated {
    behaviour: Behaviour,
    available: bool,
    waiting: u64,
    answers: u64,
    failed: u64,
    waits: Histogram,
    /// When answers come, how long they took, and whether they are failures.
    due: BinaryHeap<Reverse<(u64, u64, bool)>>,
}

impl World {
    fn new(rate: f64, backends: Vec<Behaviour>) -> Self {
        Self::with(rate, backends, |settings| settings)
    }

    fn with(
        rate: f64,
        backends: Vec<Behaviour>,
        change: impl Fn(UpstreamSettings) -> UpstreamSettings,
    ) -> Self {
        let judge = Judge::new(&upstream(backends.len(), change));
        let simulated = |behaviour| Simulated {
            behaviour,
            available: true,
            waiting: 0,
            answers: 0,
            failed: 0,
            waits: Histogram::default(),
            due: BinaryHeap::new(),
        };
        Self {
            judge,
            backends: backends.into_iter().map(simulated).collect(),
            rate,
            start: Instant::now(),
            now: 0,
            next_request: 0.0,
            turn: 0,
            rng: fastrand::Rng::with_seed(7),
            found: Vec::new(),
        }
    }

    fn run_until(&mut self, end: u64) {
        while self.now < end {
            self.now += LOOK_EVERY.as_micros() as u64;
            while self.next_request < self.now as f64 {
                self.request(self.next_request as u64);
                let even = self.rng.f64().max(1e-9);
                self.next_request -= even.ln() / self.rate * 1e6;
            }
            self.backends.iter_mut().for_each(|backend| backend.answer_until(self.now));
            let mut found = self.judge.look(self.at(self.now), &self.samples());
            if self.now.is_multiple_of(COMPARE_EVERY.as_micros() as u64) {
                found.extend(self.judge.compare(&self.totals()));
            }
            self.found.extend(found.into_iter().map(|(backend, finding)| (self.now, backend, finding)));
        }
    }

    fn request(&mut self, at: u64) {
        let available = |backend: &Simulated| backend.available;
        if !self.backends.iter().any(available) {
            return;
        }
        while !self.backends[self.turn % self.backends.len()].available {
            self.turn += 1;
        }
        let number = self.turn % self.backends.len();
        self.turn += 1;
        self.send(number, at);
    }

    fn send(&mut self, number: usize, at: u64) {
        let backend = &mut self.backends[number];
        backend.waiting += 1;
        if let Some((takes, fails)) = (backend.behaviour)(&mut self.rng, at) {
            backend.due.push(Reverse((at + takes, takes, fails)));
        }
    }

    fn at(&self, micros: u64) -> Instant {
        self.start + Duration::from_micros(micros)
    }

    fn samples(&self) -> Vec<Sample> {
        let sample = |backend: &Simulated| Sample {
            available: backend.available,
            waiting: backend.waiting,
            answers: backend.answers,
        };
        self.backends.iter().map(sample).collect()
    }

    fn totals(&self) -> Vec<Totals> {
        let totals = |backend: &Simulated| {
            let mut waits = HistogramTotal::default();
            backend.waits.add_to(&mut waits);
            let attempts = backend.answers;
            Totals { available: backend.available, attempts, failed: backend.failed, waits }
        };
        self.backends.iter().map(totals).collect()
    }

    /// When this was first found, in milliseconds after the trouble began.
    fn first(&self, wanted: impl Fn(usize, Finding) -> bool) -> Option<u64> {
        self.found
            .iter()
            .find(|&&(_, backend, finding)| wanted(backend, finding))
            .map(|found| found.0 / MS - TROUBLE / MS)
    }

    fn ejected(&self, backend: usize, reason: EjectionReason) -> Option<u64> {
        self.first(|who, finding| who == backend && finding == Finding::Eject(reason))
    }

    fn silent(&self, backend: usize) -> Option<u64> {
        self.first(|who, finding| who == backend && matches!(finding, Finding::Silent { .. }))
    }

    fn nobody_is_ejected(&self) {
        let ejections = self.found.iter().filter(|(_, _, finding)| matches!(finding, Finding::Eject(_)));
        assert_eq!(ejections.collect::<Vec<_>>(), [] as [&(u64, usize, Finding); 0]);
    }

    fn nothing_is_found_but_of(&self, backend: usize) {
        let others = self.found.iter().filter(|(_, who, _)| *who != backend);
        assert_eq!(others.collect::<Vec<_>>(), [] as [&(u64, usize, Finding); 0]);
    }
}

impl Simulated {
    fn answer_until(&mut self, now: u64) {
        while let Some(&Reverse((at, takes, fails))) = self.due.peek() {
            if at > now {
                return;
            }
            self.due.pop();
            self.waiting -= 1;
            self.answers += 1;
            self.failed += u64::from(fails);
            self.waits.record(Duration::from_micros(takes));
        }
    }
}

fn upstream(backends: usize, change: impl Fn(UpstreamSettings) -> UpstreamSettings) -> Upstream {
    let backends = (1..=backends)
        .map(|n| BackendSettings::at(&format!("backend-{n}"), ([127, 0, 0, 1], 8000 + n as u16).into(), 1));
    let settings = change(UpstreamSettings::new("web", backends.collect()));
    Upstream::new(settings, None, &Telemetry::new(1), Instant::now())
}

#[test]
fn a_backend_that_hangs_is_silent_at_once_and_stalled_soon() {
    for (rate, silent_by) in [(1000.0, 110), (100.0, 200), (30.0, 350)] {
        let mut world = World::new(rate, vec![after_a_while(|_, _| None), well(), well()]);
        world.run_until(TROUBLE + 2 * SECOND);
        let silent = world.silent(0).expect("silent");
        assert!((50..=silent_by).contains(&silent), "{silent} ms at {rate} a second");
        let stalled = world.ejected(0, EjectionReason::Stalled).expect("stalled");
        assert!((500..=900).contains(&stalled), "{stalled} ms at {rate} a second");
        world.nothing_is_found_but_of(0);
    }
}

#[test]
fn a_pause_for_a_garbage_collection_ejects_nobody() {
    for (pause, silent) in [(40, false), (300, true)] {
        let paused = after_a_while(move |rng, at| {
            let left = (TROUBLE + pause * MS).saturating_sub(at);
            Some((left + 3 * MS + rng.u64(..4 * MS), false))
        });
        let mut world = World::new(1000.0, vec![paused, well(), well()]);
        world.run_until(TROUBLE + 2 * SECOND);
        world.nobody_is_ejected();
        assert_eq!(world.silent(0).is_some(), silent, "{pause} ms");
    }
}

#[test]
fn a_slow_report_on_a_quiet_backend_ejects_nobody() {
    let reports = |rng: &mut fastrand::Rng, _| {
        Some((if rng.u16(..200) == 0 { 3 * SECOND } else { 3 * MS + rng.u64(..4 * MS) }, false))
    };
    let mut world = World::new(20.0, vec![Box::new(reports), Box::new(reports), Box::new(reports)]);
    world.run_until(600 * SECOND);
    world.nobody_is_ejected();
    let told = world.found.len();
    assert!((1..=60).contains(&told), "about sixty reports, most of which were told of once at most: {told}");
}

#[test]
fn a_second_silence_before_any_answer_is_no_slow_report() {
    let mut world = World::new(60.0, vec![after_a_while(|_, _| None), well(), well()]);
    world.run_until(TROUBLE);
    // From now on others are preferred, and one request is tried on it now and then.
    world.backends[0].available = false;
    world.run_until(TROUBLE + SECOND);
    world.backends[0].available = true;
    world.rate = 1e-9;
    world.send(0, world.now);
    world.run_until(TROUBLE + 1500 * MS);
    assert!(world.silent(0).is_some(), "its peers have nothing to do");
    world.nobody_is_ejected();
    world.send(0, world.now);
    world.send(1, world.now + 100 * MS);
    world.run_until(TROUBLE + 2 * SECOND);
    assert!(world.ejected(0, EjectionReason::Stalled).is_some());
    world.nothing_is_found_but_of(0);
}

#[test]
fn a_probe_that_is_answered_ends_the_silence() {
    let mut world = World::new(1000.0, vec![after_a_while(|_, _| None), well(), well()]);
    world.run_until(TROUBLE + 200 * MS);
    assert!(world.silent(0).is_some());
    world.backends[0].behaviour = well();
    world.judge.probe_answered(0);
    world.run_until(TROUBLE + 2 * SECOND);
    world.nobody_is_ejected();
}

#[test]
fn when_all_are_silent_or_slow_it_is_nobodys_fault() {
    let changes: [fn() -> Behaviour; 3] = [
        || after_a_while(|_, _| None),
        || after_a_while(|_, at| Some(((at / MS % 1000 + 100) * MS, false))),
        || after_a_while(|rng, _| Some((rng.u64(50 * MS..500 * MS), rng.u8(..3) == 0))),
    ];
    for (nth, all) in changes.iter().enumerate() {
        for rate in [20.0, 1000.0] {
            let mut world = World::new(rate, (0..3).map(|_| all()).collect());
            world.run_until(20 * SECOND);
            world.nobody_is_ejected();
            assert!(nth > 0 || world.found.is_empty(), "asking elsewhere would not help: {:?}", world.found);
        }
    }
}

#[test]
fn a_backend_alone_has_nobody_to_be_worse_than() {
    let changes: [Behaviour; 3] = [
        after_a_while(|_, _| None),
        after_a_while(|_, _| Some((2 * SECOND, false))),
        after_a_while(|_, _| Some((5 * MS, true))),
    ];
    for change in changes {
        let mut world = World::new(300.0, vec![change]);
        world.run_until(10 * SECOND);
        assert_eq!(world.found, []);
    }
}

#[test]
fn a_backend_that_fails_far_more_than_its_peers_is_ejected() {
    for (rate, by) in [(1000.0, 1_500), (100.0, 6_000), (20.0, 25_000)] {
        let fails = after_a_while(|rng, _| Some((5 * MS, rng.u8(..100) < 30)));
        let mut world = World::new(rate, vec![well(), fails, well()]);
        world.run_until(60 * SECOND);
        let ejected = world.ejected(1, EjectionReason::SuccessRate).expect("ejected");
        assert!((1..=by).contains(&ejected), "{ejected} ms at {rate} a second");
        world.nothing_is_found_but_of(1);
    }
}

#[test]
fn failing_a_little_more_than_the_peers_is_no_reason() {
    let failing =
        |percent: u8| -> Behaviour { Box::new(move |rng, _| Some((5 * MS, rng.u8(..100) < percent))) };
    let mut world = World::new(1000.0, vec![failing(8), failing(0), failing(0)]);
    world.run_until(60 * SECOND);
    let mut all_fail = World::new(1000.0, vec![failing(30), failing(30), failing(36)]);
    all_fail.run_until(60 * SECOND);
    assert_eq!((world.found, all_fail.found), (vec![], vec![]));
}

#[test]
fn a_backend_that_becomes_far_slower_than_its_peers_is_ejected() {
    for (times, rate, by) in
        [(100, 1000.0, 1_500), (10, 1000.0, 1_000), (10, 100.0, 3_000), (10, 20.0, 6_000), (100, 20.0, 6_000)]
    {
        let slow = after_a_while(move |rng, _| Some((times * (4 * MS + rng.u64(..2 * MS)), false)));
        let mut world = World::new(rate, vec![well(), well(), slow]);
        world.run_until(20 * SECOND);
        let ejected = world.ejected(2, EjectionReason::Latency).expect("ejected");
        assert!((1..=by).contains(&ejected), "{ejected} ms, {times} times slower at {rate} a second");
        world.nothing_is_found_but_of(2);
    }
}

#[test]
fn a_backend_that_is_somewhat_slower_stays() {
    let slower =
        |takes: u64| -> Behaviour { Box::new(move |rng, _| Some((takes + rng.u64(..2 * MS), false))) };
    for (peers, own) in [(5 * MS, 18 * MS), (MS, 15 * MS), (200 * MS, 900 * MS)] {
        let mut world = World::new(500.0, vec![slower(peers), slower(peers), slower(own)]);
        world.run_until(30 * SECOND);
        world.nobody_is_ejected();
    }
}

#[test]
fn noise_ejects_nobody_in_an_hour() {
    for fails in [2, 10] {
        let noisy = || -> Behaviour {
            Box::new(move |rng, _| {
                // Log-normal: half of the answers within 20 ms, one in a hundred beyond 200 ms.
                let normal = (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
                Some(((20.0 * MS as f64 * normal.exp()) as u64, rng.u8(..100) < fails))
            })
        };
        let mut world = World::new(20.0, (0..3).map(|_| noisy()).collect());
        world.run_until(3600 * SECOND);
        assert_eq!(world.found, [], "and nobody is thought to be silent");
    }
}

#[test]
fn nobody_is_compared_with_peers_that_have_no_traffic() {
    let fails = after_a_while(|_, _| Some((SECOND, true)));
    let mut world = World::new(0.5, vec![fails, well(), well()]);
    for step in 0..2_000 {
        world.send(0, step * 10 * MS);
        world.run_until(step * 10 * MS);
    }
    world.nobody_is_ejected();
}

#[test]
fn what_belongs_to_one_backend_by_its_key_is_not_compared() {
    let by = |key| Balancer::ConsistentHash { key, load_bound: None };
    for (balancer, compared) in
        [(by(HashKey::Path), false), (by(HashKey::Source), false), (Balancer::LeastRequests, true)]
    {
        let change = |settings| UpstreamSettings { balancer: balancer.clone(), ..settings };
        let slow: Behaviour = Box::new(|_, _| Some((SECOND / 2, true)));
        let mut world = World::with(200.0, vec![well(), slow, well()], change);
        world.run_until(10 * SECOND);
        assert_eq!(!world.found.is_empty(), compared);
    }
}

#[test]
fn where_nobody_is_to_be_ejected_silence_is_still_heard() {
    let off: [fn(UpstreamSettings) -> UpstreamSettings; 2] = [
        |settings| UpstreamSettings { outliers: None, ..settings },
        |settings| {
            let rules = OutlierRules {
                stalls: false,
                failure_margin: 1.0,
                latency_factor: 0.0,
                ..OutlierRules::default()
            };
            UpstreamSettings { outliers: Some(rules), ..settings }
        },
    ];
    for change in off {
        let hangs = after_a_while(|_, _| None);
        let slow = after_a_while(|_, _| Some((300 * MS, true)));
        let mut world = World::with(1000.0, vec![hangs, slow, well(), well()], change);
        world.run_until(10 * SECOND);
        world.nobody_is_ejected();
        assert!(world.silent(0).is_some());
    }
}

#[test]
fn what_was_counted_while_a_backend_was_out_is_not_held_against_it() {
    let mut world = World::new(300.0, vec![well(), well(), well()]);
    world.run_until(SECOND);
    world.backends[1].available = false;
    for step in 0..500 {
        world.backends[1].due.push(Reverse((SECOND + step * MS, SECOND, true)));
        world.backends[1].waiting += 1;
    }
    world.run_until(3 * SECOND);
    world.backends[1].available = true;
    world.run_until(10 * SECOND);
    assert_eq!(world.found, []);
}

#[test]
fn a_reload_forgets_nothing_of_those_that_stay() {
    let hangs = Box::new(|_: &mut fastrand::Rng, at| (at < TROUBLE).then_some((5 * MS, false)));
    let mut world = World::new(300.0, vec![well(), well(), hangs]);
    world.run_until(TROUBLE);
    let usual = world.judge.usual_wait(0.5);
    assert!(usual.is_some());
    // The first leaves, and a new one comes before the others.
    world.judge.follow(&upstream(3, |settings| settings), &[None, Some(1), Some(2)]);
    world.backends[0] = Simulated {
        behaviour: well(),
        available: true,
        waiting: 0,
        answers: 0,
        failed: 0,
        waits: Histogram::default(),
        due: BinaryHeap::new(),
    };
    assert_eq!(world.judge.usual_wait(0.5), usual);
    world.run_until(TROUBLE + SECOND);
    assert!(world.silent(2).is_some_and(|at| at < 300));
    world.nothing_is_found_but_of(2);
}

#[test]
fn the_usual_wait_is_known_after_fifty_answers_and_believed_for_a_minute() {
    let mut world = World::new(40.0, vec![well(), well()]);
    world.run_until(SECOND);
    assert_eq!(world.judge.usual_wait(0.99), None);
    world.run_until(3 * SECOND);
    let usual = world.judge.usual_wait(0.5).expect("known");
    assert!((Duration::from_millis(2)..Duration::from_millis(8)).contains(&usual), "{usual:?}");
    assert!(world.judge.usual_wait(0.99) > Some(usual));
    world.rate = 1e-9;
    world.next_request = f64::MAX;
    world.run_until(60 * SECOND);
    assert!(world.judge.usual_wait(0.5).is_some());
    world.run_until(80 * SECOND);
    assert_eq!(world.judge.usual_wait(0.5), None);
}
