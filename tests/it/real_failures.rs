//! Backends that really fail, as processes and as hosts do, while clients ask at a steady pace: the clients do not notice.
//!
//! Everything is as plimsoll has it by default. What is asserted holds on a machine of any speed; `loadtest`'s `faults`
//! measures how quickly it comes about.

mod clients;
mod hosts;
pub(crate) mod process;

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use crate::harness::balancer::Balancer;
use crate::harness::setup::Setup;
use crate::harness::{eventually, eventually_ok, free_address, pause};
use clients::{Clients, Exchange, POSTERS};
use hosts::Host;
use process::{Mode, Process};

const NAMES: [&str; 3] = ["backend-1", "backend-2", "backend-3"];
/// The backend that fails when one does.
const VICTIM: usize = 0;

/// Three backends behind a balancer, and its clients.
struct Run {
    clients: Clients,
    balancer: Balancer,
    backends: Vec<Process>,
}

/// What came of a run.
struct Record {
    exchanges: Vec<Exchange>,
    /// By which backends each POST was read, as often as it was.
    executed: HashMap<u64, Vec<&'static str>>,
}

impl Run {
    /// Starts everything; returns once it is known what is usual.
    fn start() -> Self {
        Self::of(NAMES.map(|name| Process::start(name, free_address(), &[])).into())
    }

    fn of(backends: Vec<Process>) -> Self {
        let setup = Setup::at(backends.iter().map(|backend| backend.address));
        let balancer = setup.upstream("health: tcp").top("workers: 2").start();
        let run = Self { clients: Clients::start(balancer.address), balancer, backends };
        eventually("every backend answers", || NAMES.iter().all(|name| run.answers(name, |_| true) >= 50));
        run
    }

    fn victim(&mut self) -> &mut Process {
        &mut self.backends[VICTIM]
    }

    /// How many exchanges the backend answered well that are as wanted.
    fn answers(&self, name: &str, wanted: impl Fn(&Exchange) -> bool) -> usize {
        let exchanges = self.clients.exchanges();
        exchanges.iter().filter(|one| one.server == name && one.status == 200 && wanted(one)).count()
    }

    /// The sum of a metric over the samples of one backend with this label.
    fn of_backend(&self, backend: usize, metric: &str, label: &str) -> f64 {
        let backend = format!("backend=\"{}\"", NAMES[backend]);
        self.balancer.metrics().sum(metric, &[&backend, label])
    }

    /// Waits until the backend is taken out in one of these states; returns when that was seen.
    #[track_caller]
    fn expect_out(&self, states: &[&str]) -> Instant {
        let into = |state: &&str| {
            let state = format!("state=\"{state}\"");
            self.of_backend(VICTIM, "plimsoll_backend_transitions_total", &state) >= 1.0
        };
        eventually(&format!("it is taken out: {states:?}"), || states.iter().any(into));
        Instant::now()
    }

    /// Waits until it was ejected for this reason.
    #[track_caller]
    fn expect_ejected(&self, reason: &str) -> Instant {
        let reason = format!("reason=\"{reason}\"");
        eventually_ok(|| {
            let page = self.balancer.metrics();
            let ejections = page.sum("plimsoll_ejections_total", &["backend=\"backend-1\"", &reason]);
            let lines = page
                .text
                .lines()
                .filter(|line| line.starts_with("plimsoll_ejections") && !line.ends_with(" 0"));
            let why = || format!("ejected for {reason}: {:?}", lines.collect::<Vec<_>>());
            (ejections >= 1.0).then_some(()).ok_or_else(why)
        });
        Instant::now()
    }

    /// Waits until no client's request goes to the backend for a while.
    #[track_caller]
    fn expect_left_alone(&self) {
        let sent = || {
            let opened = self.of_backend(VICTIM, "plimsoll_backend_connections_opened_total", "");
            let reused = self.of_backend(VICTIM, "plimsoll_backend_connections_reused_total", "");
            opened + reused + self.of_backend(VICTIM, "plimsoll_attempts_total", "outcome=\"connect_")
        };
        eventually("it is left alone", || {
            let before = sent();
            pause(Duration::from_millis(600));
            (sent() - before).abs() < 0.5
        });
    }

    /// Waits until the backend is in service and answers clients again.
    #[track_caller]
    fn expect_back(&self, backend: usize, since: Instant) {
        eventually("it is back", || {
            let state = self.of_backend(backend, "plimsoll_backend_state", "");
            (state - 1.0).abs() < 0.5 || (state - 3.0).abs() < 0.5
        });
        eventually("it answers again", || self.answers(NAMES[backend], |one| one.sent > since) >= 3);
    }

    /// Ends the load and checks what holds after every failure.
    #[track_caller]
    fn finish(self) -> Record {
        let exchanges = self.clients.finish();
        let done = exchanges.iter().filter_map(|one| one.post.filter(|_| one.status == 200));
        let done: HashSet<u64> = done.collect();
        let mut executed: HashMap<u64, Vec<&'static str>> = HashMap::new();
        eventually("every backend has told of what it answered", || {
            executed.clear();
            for backend in &self.backends {
                backend
                    .posts()
                    .into_iter()
                    .for_each(|post| executed.entry(post).or_default().push(backend.name));
            }
            done.iter().all(|post| executed.contains_key(post))
        });
        let twice: Vec<_> = executed.iter().filter(|(_, by)| by.len() > 1).collect();
        assert!(twice.is_empty(), "no POST is executed twice: {twice:?}");
        let answers = exchanges.iter().filter(|one| one.status != 0).count();
        self.balancer.expect_metric("plimsoll_requests_total", &[], answers as f64);
        for gauge in ["plimsoll_backend_inflight_requests", "plimsoll_queued_requests"] {
            self.balancer.expect_metric(gauge, &[], 0.0);
        }
        let page = self.balancer.metrics();
        // A request's first attempt is no retry, nor is what follows on a fresh connection after a stale one; nothing
        // follows when the request was a POST, and that is lost.
        let attempts = page.sum("plimsoll_attempts_total", &[]) - page.sum("plimsoll_retries_total", &[]);
        let stale = page.sum("plimsoll_attempts_total", &["outcome=\"stale\""]);
        let lost = exchanges.iter().filter(|one| one.post.is_some() && one.status != 200).count() as f64;
        let requests = exchanges.len() as f64;
        assert!(
            (requests + stale - lost..=requests + stale).contains(&attempts),
            "{attempts} attempts but for retries, {stale} stale, for {requests} requests of which {lost} are lost"
        );
        Record { exchanges, executed }
    }
}

impl Record {
    fn failed(&self, is_post: bool) -> Vec<&Exchange> {
        let of_kind = self.exchanges.iter().filter(|one| one.post.is_some() == is_post);
        of_kind.filter(|one| one.status != 200).collect()
    }

    /// No GET failed.
    #[track_caller]
    fn expect_every_get(&self) -> &Self {
        assert!(self.failed(false).is_empty(), "no GET fails: {:#?}", self.failed(false));
        self
    }

    /// No POST failed but those under way within one of these times, of which no other backend has seen anything.
    #[track_caller]
    fn expect_posts_lost_only(&self, within: &[(Instant, Instant)]) {
        for lost in self.failed(true) {
            let excused = within.iter().any(|(from, to)| lost.sent <= *to && lost.done >= *from);
            assert!(excused, "only what was sent to it meanwhile is lost: {lost:?} not in {within:?}");
        }
    }

    /// No other backend than the one that failed has seen what was lost.
    #[track_caller]
    fn expect_lost_nowhere_else(&self) -> &Self {
        for lost in self.failed(true) {
            let by = lost.post.and_then(|post| self.executed.get(&post)).cloned().unwrap_or_default();
            assert!(by.iter().all(|name| *name == NAMES[VICTIM]), "{lost:?} was executed by {by:?}");
        }
        self
    }
}

#[test]
fn a_killed_process_is_not_noticed_and_comes_back() {
    let mut run = Run::start();
    let from = Instant::now();
    run.victim().kill();
    let to = Instant::now();
    run.expect_out(&["down"]);
    run.expect_left_alone();
    run.victim().revive();
    run.expect_back(VICTIM, to);
    let record = run.finish();
    record.expect_every_get().expect_lost_nowhere_else().expect_posts_lost_only(&[(from, to)]);
    assert!(record.failed(true).len() <= POSTERS, "no more are lost than were under way");
}

#[test]
fn a_stopped_process_keeps_no_get_waiting_and_finishes_what_it_has() {
    let run = Run::start();
    let from = Instant::now();
    run.backends[VICTIM].signal(Signal::STOP);
    let to = run.expect_ejected("stalled");
    run.expect_left_alone();
    let until = Instant::now();
    run.backends[VICTIM].signal(Signal::CONT);
    run.expect_back(VICTIM, until);
    let record = run.finish();
    record.expect_every_get().expect_lost_nowhere_else().expect_posts_lost_only(&[(from, to)]);
}

#[test]
fn a_process_that_takes_requests_and_never_answers_is_left_alone() {
    let mut run = Run::start();
    let from = Instant::now();
    run.victim().tell(Mode::Mute);
    let to = run.expect_ejected("stalled");
    run.expect_left_alone();
    let until = Instant::now();
    run.victim().tell(Mode::Well);
    run.expect_back(VICTIM, until);
    let record = run.finish();
    record.expect_every_get().expect_lost_nowhere_else().expect_posts_lost_only(&[(from, to)]);
}

#[test]
fn a_listener_that_is_gone_costs_nothing_while_the_old_connections_last() {
    let mut run = Run::start();
    run.victim().tell(Mode::Deaf);
    run.expect_out(&["down"]);
    run.expect_left_alone();
    let until = Instant::now();
    run.victim().tell(Mode::Well);
    run.expect_back(VICTIM, until);
    run.finish().expect_every_get().expect_posts_lost_only(&[]);
}

#[test]
fn a_process_that_closes_what_it_accepts_is_left_alone() {
    let mut run = Run::start();
    let from = Instant::now();
    run.victim().tell(Mode::Closing);
    let to = run.expect_out(&["ejected"]);
    run.expect_left_alone();
    let until = Instant::now();
    run.victim().tell(Mode::Well);
    run.expect_back(VICTIM, until);
    let record = run.finish();
    record.expect_every_get().expect_lost_nowhere_else().expect_posts_lost_only(&[(from, to)]);
}

#[test]
fn a_process_that_answers_garbage_is_left_alone() {
    let mut run = Run::start();
    let from = Instant::now();
    run.victim().tell(Mode::Garbage);
    let to = run.expect_out(&["ejected"]);
    run.expect_left_alone();
    let until = Instant::now();
    run.victim().tell(Mode::Well);
    run.expect_back(VICTIM, until);
    let record = run.finish();
    // Garbage is an answer: the request has run, and nobody else is asked.
    for lost in record.failed(false) {
        assert!(lost.sent <= to && lost.done >= from && lost.status == 502, "{lost:?} is lost meanwhile");
    }
    record.expect_lost_nowhere_else().expect_posts_lost_only(&[(from, to)]);
}

#[test]
fn a_process_that_fails_three_times_in_ten_is_found_by_its_share_of_failures() {
    let mut run = Run::start();
    let from = Instant::now();
    run.victim().tell(Mode::Failing);
    run.expect_ejected("success_rate");
    let until = Instant::now();
    run.victim().tell(Mode::Well);
    run.expect_back(VICTIM, until);
    let record = run.finish();
    record.expect_every_get().expect_lost_nowhere_else().expect_posts_lost_only(&[(from, Instant::now())]);
    let other = |one: &&&Exchange| one.status != 500 || one.server != NAMES[VICTIM];
    assert_eq!(record.failed(true).iter().filter(other).count(), 0, "what is lost is its own failures");
}

#[test]
fn a_process_that_becomes_ten_times_slower_is_found_by_its_latency() {
    let mut run = Run::start();
    run.victim().tell(Mode::Slow);
    run.expect_ejected("latency");
    run.expect_left_alone();
    let until = Instant::now();
    run.victim().tell(Mode::Well);
    run.expect_back(VICTIM, until);
    run.finish().expect_every_get().expect_posts_lost_only(&[]);
}

#[test]
fn a_process_that_restarts_again_and_again_is_not_noticed() {
    let mut run = Run::start();
    let mut moments = Vec::new();
    for _ in 0..4 {
        let from = Instant::now();
        run.victim().kill();
        moments.push((from, Instant::now()));
        run.victim().revive();
        pause(Duration::from_secs(1)); // restarts come at a pace of their own, whatever was noticed of the last
    }
    run.expect_back(VICTIM, Instant::now());
    let record = run.finish();
    record.expect_every_get().expect_lost_nowhere_else().expect_posts_lost_only(&moments);
    assert!(record.failed(true).len() <= POSTERS * moments.len(), "no more are lost than were under way");
}

#[test]
fn restarting_all_backends_in_turn_is_not_noticed() {
    let mut run = Run::start();
    let mut moments = Vec::new();
    for backend in 0..NAMES.len() {
        let from = Instant::now();
        run.backends[backend].terminate();
        let to = Instant::now();
        moments.push((from, to));
        run.backends[backend].revive();
        run.expect_back(backend, to);
    }
    run.finish().expect_every_get().expect_posts_lost_only(&moments);
}

#[test]
fn a_host_that_vanishes_keeps_no_get_waiting_and_comes_back() {
    if let Some(why) = Host::impossible() {
        let _ = writeln!(std::io::stderr(), "no host can vanish here, so that is not tested: {why}");
        return;
    }
    // A thread of its own, since it moves to another host.
    let tested = thread::spawn(|| {
        let (here, there) = (Host::new(), Host::new());
        let address = SocketAddr::from(([10, 77, 0, 2], 8080));
        here.link(&there, address);
        here.enter();
        let victim = Process::start(NAMES[VICTIM], address, &there.prefix());
        let others = NAMES.iter().skip(1).map(|name| Process::start(name, free_address(), &[]));
        let run = Run::of([victim].into_iter().chain(others).collect());
        let from = Instant::now();
        there.drop_all(true);
        let to = run.expect_out(&["down", "ejected"]);
        run.expect_left_alone();
        there.drop_all(false);
        let until = Instant::now();
        run.expect_back(VICTIM, until);
        let record = run.finish();
        record.expect_every_get().expect_lost_nowhere_else().expect_posts_lost_only(&[(from, to)]);
    });
    tested.join().expect("nobody notices");
}
