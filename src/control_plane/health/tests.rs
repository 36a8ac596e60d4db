//! What the checks of a whole configuration promise, in paused time, with scripted results.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep, timeout};

use super::check::Outcome;
use super::*;
use crate::telemetry::{BackendState, CheckResult, PageForm, Telemetry, TransitionCause};
use crate::upstream::{BackendSettings, Sign, SlowStart, Thresholds, UpstreamSettings};

const MS: Duration = Duration::from_millis(1);
const INTERVAL: Duration = Duration::from_secs(1);

/// One upstream, whose backends are checked by a script.
struct Stage {
    telemetry: Arc<Telemetry>,
    upstream: Arc<Upstream>,
    board: Arc<Board>,
    checks: Checks,
    script: Arc<Script>,
    /// The checks that were begun: of whom, and when.
    begun: UnboundedReceiver<(SocketAddr, Instant)>,
}

/// Who is in which trouble.
#[derive(Default)]
struct Script {
    failing: Mutex<HashSet<SocketAddr>>,
    hanging: Mutex<HashSet<SocketAddr>>,
    impossible: Mutex<HashSet<SocketAddr>>,
    draining: Mutex<HashSet<SocketAddr>>,
}

impl Script {
    async fn play(&self, address: SocketAddr) -> Outcome {
        let is_in = |set: &Mutex<HashSet<SocketAddr>>| set.lock().expect("no panic").contains(&address);
        if is_in(&self.hanging) {
            std::future::pending::<()>().await;
        }
        if is_in(&self.impossible) {
            return Outcome { result: None, words: "too many open files".to_owned() };
        }
        if is_in(&self.draining) {
            return Outcome::new(CheckResult::Drain, "status 503 with Retry-After");
        }
        match is_in(&self.failing) {
            true => Outcome::new(CheckResult::FailConnect, "connection refused"),
            false => Outcome::new(CheckResult::Pass, "status 200"),
        }
    }
}

fn settings(backends: u16, thresholds: Thresholds) -> UpstreamSettings {
    let backends = (1..=backends).map(|n| BackendSettings::at(&format!("backend-{n}"), address(n), 1));
    UpstreamSettings {
        checks: Some(thresholds),
        slow_start: SlowStart { duration: Duration::ZERO, floor: 1.0 },
        ..UpstreamSettings::new("web", backends.collect())
    }
}

fn address(backend: u16) -> SocketAddr {
    ([127, 0, 0, 1], 8000 + backend).into()
}

fn checks() -> CheckSettings {
    CheckSettings {
        kind: CheckKind::Tcp,
        interval: INTERVAL,
        timeout: INTERVAL / 2,
        jitter: 0.0,
        proxy_protocol: None,
    }
}

impl Stage {
    /// Two failures and three passes in a row are needed.
    fn with(backends: u16) -> Self {
        Self::of(settings(backends, Thresholds { rise: 3, fall: 2 }))
    }

    fn of(settings: UpstreamSettings) -> Self {
        let (telemetry, board) = (Telemetry::new(1), Arc::new(Board::default()));
        let upstream = Arc::new(Upstream::new(settings, None, &telemetry, Instant::now()));
        let (sender, begun) = unbounded_channel();
        let script = Arc::new(Script::default());
        let played = Arc::clone(&script);
        let check_one: CheckOne = Arc::new(move |address, _| {
            let (script, sender) = (Arc::clone(&played), sender.clone());
            Box::pin(async move {
                let _ = sender.send((address, Instant::now()));
                script.play(address).await
            })
        });
        let checks = Checks::with(Arc::clone(&board), check_one, agent::nobody());
        Self { telemetry, upstream, board, checks, script, begun }
    }

    fn fails(&self, backend: u16, fails: bool) {
        let mut failing = self.script.failing.lock().expect("no panic");
        if fails {
            failing.insert(address(backend))
        } else {
            failing.remove(&address(backend))
        };
    }

    fn apply(&mut self, checks: Option<CheckSettings>) {
        self.checks.apply(&[Watched { upstream: Arc::clone(&self.upstream), checks, agents: None }]);
    }

    /// Puts another configuration into force.
    fn reload(&mut self, settings: UpstreamSettings, checks: Option<CheckSettings>) {
        self.upstream =
            Arc::new(Upstream::new(settings, Some(&self.upstream), &self.telemetry, Instant::now()));
        self.apply(checks);
    }

    /// Waits for the next check to begin, and for its result to be told. Returns when it began.
    async fn next(&mut self) -> Instant {
        let (_, at) =
            timeout(INTERVAL * 5, self.begun.recv()).await.expect("a check begins").expect("checks");
        sleep(MS).await;
        at
    }

    fn is_up(&self, backend: usize) -> bool {
        self.upstream.backends[backend].availability().is_available()
    }

    fn count(&self, result: CheckResult) -> u64 {
        self.upstream.backends[0].series.checks.get(result)
    }

    async fn nothing_begins(&mut self) {
        while self.begun.try_recv().is_ok() {}
        let next = timeout(INTERVAL * 10, self.begun.recv()).await;
        assert!(!matches!(next, Ok(Some(_))), "no check begins");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_check_comes_and_decides_at_once() {
    let mut stage = Stage::with(1);
    let start = Instant::now();
    stage.fails(1, true);
    stage.apply(Some(checks()));
    assert!(stage.next().await - start <= MS);
    assert!(!stage.is_up(0));
    assert_eq!(stage.count(CheckResult::FailConnect), 1);
}

#[tokio::test(start_paused = true)]
async fn a_healthy_backend_is_checked_at_its_interval() {
    let mut stage = Stage::with(1);
    stage.apply(Some(checks()));
    let first = stage.next().await;
    for nth in 1..5 {
        let late = stage.next().await - (first + INTERVAL * nth);
        assert!(late <= MS * nth, "{late:?}");
    }
    assert_eq!(stage.count(CheckResult::Pass), 5);
    assert_eq!(stage.upstream.backends[0].series.checks.sum(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_first_checks_of_many_backends_are_spread_and_bounded() {
    let mut stage = Stage::with(1000);
    stage.script.hanging.lock().expect("no panic").extend((1..=1000).map(address));
    let start = Instant::now();
    stage.apply(Some(checks()));
    sleep(INTERVAL).await;
    let mut times = Vec::new();
    while let Ok((_, at)) = stage.begun.try_recv() {
        times.push(at - start);
    }
    assert_eq!(times.len(), AT_A_TIME, "as many hang as may be in progress");

    let mut stage = Stage::with(1000);
    let start = Instant::now();
    stage.apply(Some(checks()));
    sleep(INTERVAL / 2).await;
    let mut at_the_same_time = HashMap::<Duration, usize>::new();
    while let Ok((_, at)) = stage.begun.try_recv() {
        *at_the_same_time.entry(at - start).or_default() += 1;
    }
    assert_eq!(at_the_same_time.values().sum::<usize>(), 1000);
    assert!(at_the_same_time.keys().all(|at| *at <= MS * 25), "{at_the_same_time:?}");
    assert!(at_the_same_time.values().all(|together| *together <= 100), "{at_the_same_time:?}");
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_are_needed_and_come_faster() {
    let mut stage = Stage::with(1);
    stage.apply(Some(checks()));
    stage.next().await;
    stage.fails(1, true);
    let first_failure = stage.next().await;
    assert!(stage.is_up(0), "one failure of two");
    stage.fails(1, false);
    stage.next().await;
    stage.fails(1, true);
    stage.next().await;
    assert!(stage.is_up(0), "one failure in a row");
    let last_failure = stage.next().await;
    assert!(!stage.is_up(0));
    let took = last_failure - first_failure;
    assert!(took < INTERVAL * 2, "a quarter, a whole, and a quarter of the interval: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_comes_back_is_up_after_enough_passes_in_a_row() {
    let mut stage = Stage::with(1);
    stage.fails(1, true);
    stage.apply(Some(checks()));
    let down = stage.next().await;
    assert!(stage.next().await - down >= INTERVAL, "no haste while down is certain");
    stage.fails(1, false);
    let back = stage.next().await;
    stage.next().await;
    assert!(!stage.is_up(0), "two passes of three");
    let up = stage.next().await;
    assert!(stage.is_up(0));
    assert!(up - back < INTERVAL, "{:?}", up - back);
}

#[tokio::test(start_paused = true)]
async fn a_transition_is_announced_once_with_the_words_of_the_check() {
    let mut stage = Stage::with(2);
    stage.fails(2, true);
    stage.apply(Some(checks()));
    sleep(INTERVAL * 5).await;
    let transitions = stage.board.transitions();
    let [down] = &*transitions else { panic!("one transition, not {transitions:?}") };
    assert_eq!((&*down.upstream, &*down.backend), ("web", "backend-2"));
    assert_eq!(
        (down.from, down.to, down.cause),
        (BackendState::Up, BackendState::Down, TransitionCause::Check)
    );
    assert_eq!(&*down.words, "connection refused");
}

#[tokio::test(start_paused = true)]
async fn the_last_result_is_kept_in_words() {
    let mut stage = Stage::with(1);
    assert_eq!(stage.board.last_result("web", "backend-1"), None);
    stage.apply(Some(checks()));
    stage.next().await;
    let last = stage.board.last_result("web", "backend-1").expect("a result");
    assert_eq!((last.result, &*last.words), (CheckResult::Pass, "status 200"));
    stage.fails(1, true);
    stage.next().await;
    let last = stage.board.last_result("web", "backend-1").expect("a result");
    assert_eq!((last.result, &*last.words), (CheckResult::FailConnect, "connection refused"));
}

#[tokio::test(start_paused = true)]
async fn a_suspicion_brings_the_next_check_now() {
    let mut stage = Stage::with(1);
    stage.apply(Some(checks()));
    stage.next().await;
    stage.fails(1, true);
    sleep(MS * 300).await;
    let suspected = Instant::now();
    stage.upstream.note(&stage.upstream.backends[0], Sign::ConnectFailed, suspected);
    assert!(stage.next().await - suspected <= MS);
    let confirmed = stage.next().await;
    assert!(!stage.is_up(0));
    assert!(confirmed - suspected <= INTERVAL / 4 + MS * 2, "{:?}", confirmed - suspected);
}

#[tokio::test(start_paused = true)]
async fn suspicions_by_the_thousand_do_not_become_a_flood_of_checks() {
    let mut stage = Stage::with(1);
    stage.apply(Some(checks()));
    for _ in 0..1000 {
        stage.upstream.note(&stage.upstream.backends[0], Sign::ConnectFailed, Instant::now());
        sleep(MS).await;
    }
    let made = stage.count(CheckResult::Pass);
    assert!((10..=22).contains(&made), "{made} checks in about a second");
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_the_state_and_the_pace_and_tells_the_new_upstream() {
    let mut stage = Stage::with(2);
    stage.fails(1, true);
    stage.apply(Some(checks()));
    stage.next().await;
    let second = stage.next().await;
    sleep(INTERVAL / 2).await;
    let old = Arc::clone(&stage.upstream);
    stage.reload(settings(2, Thresholds { rise: 1, fall: 1 }), Some(checks()));
    assert!(!stage.is_up(0) && stage.is_up(1), "states are kept");
    assert!(stage.board.last_result("web", "backend-1").is_some(), "results are kept");
    let next = stage.next().await;
    assert!(next.duration_since(second) >= INTERVAL - MS, "the next check comes when it was due");
    assert_eq!(stage.upstream.fleet().len(), 1);
    stage.fails(1, false);
    sleep(INTERVAL * 2).await;
    assert_eq!(stage.upstream.fleet().len(), 2, "the upstream in force learns that it is back");
    assert_eq!(old.fleet().len(), 1, "the one before learns nothing more");
}

#[tokio::test(start_paused = true)]
async fn another_way_of_checking_is_used_at_once() {
    let mut stage = Stage::with(1);
    stage.apply(Some(checks()));
    stage.next().await;
    sleep(MS * 200).await;
    let changed = Instant::now();
    stage.apply(Some(CheckSettings { timeout: INTERVAL / 4, ..checks() }));
    assert!(stage.next().await - changed <= MS);
    let same = Instant::now();
    stage.apply(Some(CheckSettings { timeout: INTERVAL / 4, ..checks() }));
    assert!(stage.next().await - same > INTERVAL / 2, "what has not changed is no reason");
}

#[tokio::test(start_paused = true)]
async fn a_backend_at_another_address_is_a_new_one() {
    let mut stage = Stage::with(1);
    stage.apply(Some(checks()));
    stage.next().await;
    let mut moved = settings(1, Thresholds { rise: 3, fall: 2 });
    moved.backends[0].address = Some(address(9));
    stage.fails(9, true);
    stage.reload(moved, Some(checks()));
    let (whom, _) = stage.begun.recv().await.expect("a check");
    assert_eq!(whom, address(9));
    sleep(MS).await;
    assert!(!stage.is_up(0), "its first check decides");
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_when_its_backend_leaves() {
    let mut stage = Stage::with(2);
    stage.script.hanging.lock().expect("no panic").insert(address(2));
    stage.apply(Some(checks()));
    stage.next().await;
    stage.next().await;
    let gone = stage.upstream.backends.iter().map(Arc::downgrade).collect::<Vec<_>>();
    let none = settings(0, Thresholds { rise: 1, fall: 1 });
    stage.reload(none, Some(checks()));
    stage.nothing_begins().await;
    assert!(gone.iter().all(|backend| backend.upgrade().is_none()), "nobody holds them any more");
    assert_eq!(stage.board.last_result("web", "backend-1"), None);
    assert!(!stage.telemetry.render(PageForm::Classic).contains("backend-1"), "and so their series are gone");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_not_checked_any_more_is_available_whatever_was_found() {
    let mut stage = Stage::with(1);
    stage.fails(1, true);
    stage.apply(Some(checks()));
    stage.next().await;
    assert!(!stage.is_up(0));
    // The check that follows the model's own end of checks, and comes before ours.
    stage.upstream.observe(&stage.upstream.backends[0], Event::ChecksEnded, Instant::now());
    stage.next().await;
    assert!(!stage.is_up(0));
    stage.apply(None);
    assert!(stage.is_up(0));
    stage.nothing_begins().await;
    assert!(stage.is_up(0));
    assert_eq!(stage.board.last_result("web", "backend-1"), None);
    let last = stage.board.transitions().pop().expect("a transition");
    assert_eq!((last.to, last.cause), (BackendState::Up, TransitionCause::Configuration));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_we_could_not_make_teaches_nothing() {
    let mut stage = Stage::with(1);
    stage.script.impossible.lock().expect("no panic").insert(address(1));
    stage.apply(Some(checks()));
    for _ in 0..4 {
        stage.next().await;
    }
    assert!(stage.is_up(0));
    assert_eq!(stage.upstream.backends[0].series.checks.sum(), 0);
    assert!(!stage.upstream.backends[0].availability().is_checked());
}

#[tokio::test(start_paused = true)]
async fn a_check_that_asks_to_drain_is_no_failure_and_the_next_that_passes_ends_it() {
    let mut stage = Stage::with(2);
    stage.apply(Some(checks()));
    stage.next().await;
    stage.script.draining.lock().expect("no panic").insert(address(1));
    sleep(INTERVAL * 5).await;
    let drained = stage.upstream.backends[0].availability();
    assert_eq!(drained.state(), BackendState::Draining);
    assert!(stage.count(CheckResult::Drain) >= 4, "it goes on being checked");
    assert_eq!(stage.upstream.fleet().len(), 1);
    stage.script.draining.lock().expect("no panic").clear();
    sleep(INTERVAL * 2).await;
    assert!(stage.is_up(0), "one passed check is enough: it never failed");
    let told = stage.board.transitions();
    let [drained, back] = &*told else { panic!("two transitions, not {told:?}") };
    assert_eq!((drained.to, drained.cause), (BackendState::Draining, TransitionCause::Check));
    assert_eq!((back.from, back.cause), (BackendState::Draining, TransitionCause::Check));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_ends_after_it_drained_is_down_like_any_other() {
    let mut stage = Stage::with(1);
    stage.apply(Some(checks()));
    stage.next().await;
    stage.script.draining.lock().expect("no panic").insert(address(1));
    sleep(INTERVAL * 2).await;
    stage.script.draining.lock().expect("no panic").clear();
    stage.fails(1, true);
    sleep(INTERVAL * 3).await;
    assert_eq!(stage.upstream.backends[0].availability().state(), BackendState::Down);
    stage.fails(1, false);
    sleep(INTERVAL * 5).await;
    assert!(stage.is_up(0));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_checks_ends_them() {
    let mut stage = Stage::with(3);
    stage.apply(Some(checks()));
    stage.next().await;
    stage.checks = Checks::new(Arc::default());
    stage.nothing_begins().await;
}
