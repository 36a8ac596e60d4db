//! Ten thousand random histories of a fleet, and what holds at every step of each.
//!
//! A history is made of its seed alone: the fleet, its rules, and what happens to it. One that breaks an invariant says
//! how to run it by itself, which also prints its steps:
//!
//! ```sh
//! HISTORY=1234 cargo test --lib upstream::tests::simulation -- --nocapture
//! ```
//!
//! - here: what may happen.
//! - `fate`: what ought to follow from it for one backend, by rules that are written down a second time.
//! - `invariants`: what must never be otherwise.

mod fate;
mod invariants;

use std::ops::Range;
use std::sync::LazyLock;

use super::*;
use crate::telemetry::EjectionReason;
use fate::Fate;

/// What may happen in a history.
#[derive(Debug, Clone, Copy)]
enum Step {
    Observe(usize, Event),
    Note(usize, Sign),
    Silence(usize, Duration),
    Wish(usize),
    AgentPercent(usize, u8),
    /// The CPU usage of each backend from the one at this position on, by turns, in percent; above 100 nothing is known.
    Load([u8; 3], Duration),
    Pass(Duration),
    Tick,
    EndDrains,
    /// The backends that were tried already, as bits.
    Pick(u8),
    End,
    Retry,
    Refill(u64),
    Reload,
    /// The backend's host name has another address, or none.
    Move(usize, Option<u16>),
}

/// A fleet, and what is known of it besides what it says itself.
struct World {
    rng: fastrand::Rng,
    upstream: Upstream,
    settings: UpstreamSettings,
    now: Instant,
    fates: Vec<Fate>,
    /// Exchanges in flight.
    exchanges: Vec<Arc<Backend>>,
    refilled: Instant,
    /// The most requests a second that any refill has seen, and the most that they may have earned.
    most_saved: f64,
    loud: bool,
}

/// Says which history was running when something panicked.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(seed) = self;
            eprintln!("history {seed}; to see it alone:");
            eprintln!("HISTORY={seed} cargo test --lib upstream::tests::simulation -- --nocapture");
        }
    }
}

static TELEMETRY: LazyLock<Arc<Telemetry>> = LazyLock::new(|| Telemetry::new(1));

fn run(histories: Range<u64>) {
    let wanted = std::env::var("HISTORY").ok().and_then(|seed| seed.parse::<u64>().ok());
    for seed in histories.filter(|&seed| wanted.is_none_or(|wanted| wanted == seed)) {
        let _named = Seed(seed);
        let mut world = World::new(seed, wanted.is_some());
        invariants::at_the_start(&world);
        for _ in 0..world.rng.usize(5..60) {
            world.live();
        }
    }
}

#[test]
fn the_first_quarter_of_the_histories_breaks_no_invariant() {
    run(0..2_500);
}

#[test]
fn the_second_quarter_of_the_histories_breaks_no_invariant() {
    run(2_500..5_000);
}

#[test]
fn the_third_quarter_of_the_histories_breaks_no_invariant() {
    run(5_000..7_500);
}

#[test]
fn the_last_quarter_of_the_histories_breaks_no_invariant() {
    run(7_500..10_000);
}

impl World {
    fn new(seed: u64, loud: bool) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let now = Instant::now();
        let settings = random_settings(&mut rng, seed);
        let upstream = Upstream::new(settings.clone(), None, &TELEMETRY, now);
        let fates = upstream.backends.iter().map(|backend| Fate::at_the_start(backend, &settings)).collect();
        let mut world = Self {
            rng,
            upstream,
            settings,
            now,
            fates,
            exchanges: Vec::new(),
            refilled: now,
            most_saved: 0.0,
            loud,
        };
        world.most_saved = world.settings.retries.budget.per_second * 10.0;
        world
    }

    /// Lets one thing happen, and holds everybody to what follows from it.
    fn live(&mut self) {
        let step = self.random_step();
        if self.loud {
            eprintln!("{:?} {step:?}", self.states());
        }
        match step {
            Step::Observe(who, event) => self.observe(who, event),
            Step::Tick => self.tick(),
            Step::EndDrains => invariants::a_drain_ends_once_and_not_before_its_time(self),
            Step::Reload => self.reload(),
            Step::Move(who, port) => {
                let mut settings = self.settings.clone();
                settings.backends[who].address = port.map(|port| ([127, 0, 0, 2], port).into());
                settings.backends[who].looked_up = true;
                self.renew(settings);
            }
            Step::Pick(tried) => self.pick(tried),
            Step::Note(who, sign) => {
                self.upstream.note(&self.upstream.backends[who], sign, self.now);
                self.fates[who].hears(sign, self.settings.outliers.as_ref(), self.now);
            }
            Step::Silence(who, lasted) => {
                self.upstream.note_silence(&self.upstream.backends[who], self.now - lasted, self.now);
                self.fates[who].hears(Sign::Overtaken, None, self.now);
            }
            Step::Wish(who) => {
                let wish = self.upstream.backends[who].take_wish();
                invariants::a_wish_follows_a_row(&mut self.fates[who], wish);
            }
            Step::AgentPercent(who, percent) => {
                self.upstream.set_agent_percent(&self.upstream.backends[who], percent, self.now);
                self.fates[who].percent = percent.min(100);
            }
            Step::Load(percents, elapsed) => self.follow_load(percents, elapsed),
            Step::Pass(time) => self.now += time,
            Step::End => {
                if let Some(backend) = self.exchanges.pop() {
                    backend.series.inflight.dec();
                }
            }
            Step::Retry => {
                let left = self.upstream.budget.left();
                let taken = self.upstream.budget.take();
                invariants::a_retry_is_taken_only_while_one_is_left(left, taken, self.upstream.budget.left());
            }
            Step::Refill(requests) => self.refill(requests),
        }
        invariants::at_every_step(self);
    }

    fn observe(&mut self, who: usize, event: Event) {
        let before: Vec<Availability> = self.availabilities();
        let refused = self.upstream.series.ejections_refused.sum();
        let observed = self.upstream.observe(&self.upstream.backends[who], event, self.now);
        let was_refused = self.upstream.series.ejections_refused.sum() > refused;
        if let Event::Eject(_) = event {
            invariants::an_ejection_is_granted_or_refused(self, who, &before, observed, was_refused);
        }
        if !matches!(event, Event::Eject(_)) || observed.is_some() {
            self.fates[who].meets(event, self.now);
        }
        invariants::what_is_told_is_what_happened(self, who, &before, observed);
        if event == Event::Readmit {
            invariants::a_readmission_is_never_early(&before[who], observed, self.now);
        }
    }

    fn tick(&mut self) {
        let before = self.availabilities();
        let ended = self.upstream.tick(self.now);
        self.fates.iter_mut().for_each(|fate| fate.meets(Event::Tick, self.now));
        invariants::a_tick_ends_ramps_and_nothing_else(self, &before, &ended);
    }

    fn follow_load(&mut self, percents: [u8; 3], elapsed: Duration) {
        let known = |at: usize| (percents[at % 3] <= 100).then(|| f64::from(percents[at % 3]) / 100.0);
        let position = |backend: &Backend| {
            let at = self.upstream.backends.iter().position(|known| std::ptr::eq(&**known, backend));
            at.expect("it is one of them")
        };
        let before: Vec<f64> = self.upstream.backends.iter().map(|backend| backend.load_factor()).collect();
        let moved = self.upstream.follow_load(|backend| known(position(backend)), elapsed, self.now);
        invariants::a_load_factor_moves_towards_what_is_reported(self, &before, &moved, known);
    }

    fn pick(&mut self, tried_bits: u8) {
        let mut tried = Tried::new();
        let backends = self.upstream.backends.len();
        (0..backends).filter(|at| tried_bits & 1 << at != 0).for_each(|at| tried.add(at));
        let picked = self.upstream.pick(&CLIENT, &tried, &mut self.rng, self.now);
        let picked = picked.map(|pick| (pick.index, pick.reason));
        invariants::nobody_better_was_left(self, &tried, picked);
        if let Ok((index, _)) = picked {
            let backend = &self.upstream.backends[index];
            backend.series.inflight.inc();
            self.exchanges.push(Arc::clone(backend));
        }
    }

    fn refill(&mut self, requests: u64) {
        let elapsed = self.now - self.refilled;
        self.refilled = self.now;
        let budget = self.settings.retries.budget;
        if !elapsed.is_zero() {
            let rate = requests as f64 / elapsed.as_secs_f64();
            self.most_saved = self.most_saved.max((rate * budget.share + budget.per_second) * 10.0);
        }
        self.upstream.refill_budget(requests, elapsed);
    }

    fn reload(&mut self) {
        let mut settings = random_settings(&mut self.rng, 0);
        settings.name = self.settings.name.clone();
        self.renew(settings);
    }

    fn renew(&mut self, settings: UpstreamSettings) {
        let (before, budget) = (self.upstream.backends.clone(), self.upstream.budget.left());
        let was: Vec<Availability> = self.availabilities();
        self.upstream = Upstream::new(settings.clone(), Some(&self.upstream), &TELEMETRY, self.now);
        let fates = std::mem::take(&mut self.fates);
        let fate = |backend: &Arc<Backend>| {
            let known = before.iter().position(|known| known.name == backend.name);
            match known {
                Some(at) if Arc::ptr_eq(&before[at], backend) => {
                    fates[at].after_a_reload(&settings, self.now)
                }
                Some(at) => fates[at].succeeded(backend, &settings, self.now),
                None => Fate::joining(backend, &settings, self.now),
            }
        };
        self.fates = self.upstream.backends.iter().map(fate).collect();
        self.settings = settings;
        invariants::a_reload_leaves_alone_who_stays(self, &before, &was, budget);
        invariants::an_arrival_is_told(self, &before, &was);
    }

    fn availabilities(&self) -> Vec<Availability> {
        self.upstream.backends.iter().map(|backend| backend.availability()).collect()
    }

    fn states(&self) -> Vec<BackendState> {
        self.availabilities().iter().map(Availability::state).collect()
    }

    fn random_step(&mut self) -> Step {
        let who = self.rng.usize(..self.upstream.backends.len());
        match self.rng.u8(..100) {
            0..34 => Step::Observe(who, random_event(&mut self.rng)),
            34..50 => Step::Note(who, random_sign(&mut self.rng)),
            50..52 => Step::Silence(who, Duration::from_millis(self.rng.u64(..500))),
            52..55 => Step::Wish(who),
            55 => Step::AgentPercent(who, self.rng.u8(..)),
            56 => Step::Load([(); 3].map(|()| self.rng.u8(..150)), random_time(&mut self.rng)),
            57..68 => Step::Pass(random_time(&mut self.rng)),
            68..71 => Step::Tick,
            71 => Step::EndDrains,
            72..86 => Step::Pick(if self.rng.bool() { 0 } else { self.rng.u8(..) }),
            86..90 => Step::End,
            90..94 => Step::Retry,
            94..96 => Step::Refill(self.rng.u64(..500)),
            96..98 => Step::Move(who, self.rng.bool().then(|| self.rng.u16(8001..8004))),
            _ => Step::Reload,
        }
    }
}

impl Drop for World {
    /// The series outlive the history, and the next one of the same name begins with nobody in flight.
    fn drop(&mut self) {
        for backend in self.exchanges.drain(..) {
            backend.series.inflight.dec();
        }
    }
}

fn random_event(rng: &mut fastrand::Rng) -> Event {
    let source = DrainSource::ALL[rng.usize(..3)];
    let reasons = [
        EjectionReason::ConsecutiveErrors,
        EjectionReason::ConsecutiveFailures,
        EjectionReason::Stalled,
        EjectionReason::SuccessRate,
        EjectionReason::Latency,
    ];
    match rng.u8(..26) {
        0..6 => Event::CheckPassed,
        6..10 => Event::CheckFailed,
        10 => Event::ChecksEnded,
        11 => Event::AgentDown,
        12..14 => Event::AgentUp,
        14 => Event::AgentEnded,
        15..20 => Event::Eject(reasons[rng.usize(..reasons.len())]),
        20..22 => Event::Readmit,
        22 => Event::EjectionsEnded,
        23 => Event::Drain(source),
        24 => Event::Ready(source),
        _ => Event::Tick,
    }
}

fn random_sign(rng: &mut fastrand::Rng) -> Sign {
    match rng.u8(..9) {
        0..2 => Sign::ConnectFailed,
        2..4 => Sign::Broke,
        4 => Sign::Overtaken,
        5..7 => Sign::ServerError,
        _ => Sign::Answered,
    }
}

fn random_time(rng: &mut fastrand::Rng) -> Duration {
    let most = [5, 50, 400, 2_000, 20_000, 600_000][rng.usize(..6)];
    Duration::from_millis(rng.u64(..most))
}

/// Two to six of the same eight backends, and any rules.
fn random_settings(rng: &mut fastrand::Rng, seed: u64) -> UpstreamSettings {
    let mut numbers: Vec<u16> = (1..=8).collect();
    rng.shuffle(&mut numbers);
    numbers.truncate(rng.usize(2..=6));
    let backends = numbers.into_iter().map(|n| {
        BackendSettings::at(
            &format!("backend-{n}"),
            ([127, 0, 0, 1], 8000 + n).into(),
            rng.u32(..4) * rng.u32(1..3),
        )
    });
    let backends = backends.collect();
    let limit = if rng.u8(..6) == 0 { InFlightLimit::Fixed(rng.u32(1..6)) } else { InFlightLimit::Unlimited };
    UpstreamSettings {
        balancer: random_balancer(rng),
        checks: (rng.u8(..12) > 0).then(|| Thresholds { rise: rng.u32(..4), fall: rng.u32(..4) }),
        when_none_available: [WhenNoneAvailable::TryAll, WhenNoneAvailable::Refuse][rng.usize(..2)],
        outliers: (rng.u8(..12) > 0).then(|| OutlierRules {
            consecutive_errors: rng.u32(..5),
            consecutive_failures: rng.u32(..5),
            ejection_time: Duration::from_millis([100, 1_000, 5_000][rng.usize(..3)]),
            max_ejection_time: Duration::from_millis([1_000, 20_000, 300_000][rng.usize(..3)]),
            max_ejected: [0.0, 0.34, 0.5, 1.0][rng.usize(..4)],
            ..OutlierRules::default()
        }),
        slow_start: SlowStart {
            duration: Duration::from_millis([0, 500, 2_000, 30_000][rng.usize(..4)]),
            floor: [0.0, 0.1, 0.5, 1.0][rng.usize(..4)],
        },
        drain_timeout: Duration::from_millis([0, 500, 30_000][rng.usize(..3)]),
        load_line: LoadLine { in_flight: limit, ..LoadLine::default() },
        load_aware: rng.bool().then(|| LoadAware {
            from: [0.0, 0.5, 0.95][rng.usize(..3)],
            floor: [0.01, 0.2, 1.0][rng.usize(..3)],
        }),
        ..UpstreamSettings::new(&format!("history-{seed}"), backends)
    }
}

/// Mostly the one whose plans cost nothing to make: what is looked at here is who may be picked, not how often.
fn random_balancer(rng: &mut fastrand::Rng) -> Balancer {
    match rng.u8(..) {
        0 => Balancer::RoundRobin,
        1 => Balancer::LeastRequests,
        2 => Balancer::PeakEwma,
        3..16 => Balancer::ConsistentHash { key: HashKey::Source, load_bound: Some(1.5) },
        _ => Balancer::Random,
    }
}
