//! Two balancers with one virtual address, as `deploy/keepalived/` has them: real keepalived, hosts of their own, and
//! clients that ask all the time while one of the two fails.
//!
//! It needs root, and programs that `./check test` installs; anywhere else it says why it is left out. A binary of its own,
//! since what is measured here is time: no other test runs beside it.

mod clients;
mod containers;
mod hosts;
mod nodes;

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use clients::Clients;
use nodes::{Pair, Variant};

/// How long anything that must happen may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long nothing is changed before and after a failure, so that what is usual can be told from what it did.
const QUIET: Duration = Duration::from_millis(300);

/// How long after the address has moved every client knows, though whoever announces it has to wait for a CPU.
const SETTLED: Duration = Duration::from_secs(1);

/// What an idle machine needs a fraction of: the address moves though nobody has failed, or who failed said so.
const MOVED: Duration = Duration::from_secs(2);

/// Silence is no proof, and is waited for.
const HANGS: Duration = Duration::from_secs(6);

/// One pair at a time: two would slow each other.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn the_fast_variant_moves_the_address_and_takes_it_back() {
    play(Variant::Fast, |pair, clients| {
        let killed = Duration::from_millis(1500);
        survive(pair, clients, killed);
        // Whoever keeps the file that keepalived follows may die first, and the file still says that all is well.
        pair.node(0).kill_watcher();
        pair.step(clients, "balancer killed, unwatched", Duration::from_secs(6), 1, |pair| {
            pair.node(0).kill()
        });
        pair.step(clients, "both started again", MOVED, 0, |pair| pair.node(0).start());
        pair.step(clients, "watcher stopped", MOVED, 1, |pair| pair.node(0).end_watcher());
        pair.step(clients, "watched again", MOVED, 0, |pair| pair.node(0).start());
    });
}

#[test]
fn checks_in_whole_seconds_move_the_address_and_take_it_back() {
    play(Variant::WholeSeconds, |pair, clients| survive(pair, clients, Duration::from_secs(3)));
}

/// Starts a pair and its clients, looks at the page, and plays what may happen.
fn play(variant: Variant, scenes: impl FnOnce(&mut Pair, &Clients) + Send) {
    if let Some(why) = hosts::impossible() {
        return say(&format!("left out, as no pair can be played here: {why}"));
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // A thread of its own, since it moves to another host.
    std::thread::scope(|scope| {
        let played = scope.spawn(|| {
            // Of this thread, and so of all that it starts: what is measured is the pair, and not who else uses the machine.
            rustix::process::setpriority_process(None, -15).expect("root may come first");
            let mut pair = Pair::start(variant);
            pair.expect_holder(0);
            pair.client().enter();
            each_refresh_shows_the_other_server();
            let clients = Clients::start();
            scenes(&mut pair, &clients);
        });
        played.join().expect("the pair serves its clients");
    });
}

fn each_refresh_shows_the_other_server() {
    eventually("both servers answer", || {
        let pages: Vec<_> = (0..4).filter_map(|_| clients::page().ok()).collect();
        pages.len() == 4 && pages[0] != pages[1] && pages[..2] == pages[2..]
    });
    let pages: Vec<_> = (0..8).map(|_| clients::page().expect("the page is there")).collect();
    for both in pages.windows(2) {
        let mut both = both.to_vec();
        both.sort();
        assert_eq!(both, ["Hello, World! \n Server 1", "Hello, World! \n Server 2"], "{pages:?}");
    }
}

/// What both variants survive.
fn survive(pair: &mut Pair, clients: &Clients, killed: Duration) {
    pair.step(clients, "balancer killed", killed, 1, |pair| pair.node(0).kill());
    pair.step(clients, "started again", MOVED, 0, |pair| pair.node(0).start());
    // It accepts connections, or its kernel does, and answers nothing.
    pair.step(clients, "balancer hangs", HANGS, 1, |pair| pair.node(0).signal(Signal::STOP));
    pair.step(clients, "it goes on", MOVED, 0, |pair| pair.node(0).signal(Signal::CONT));
    pair.step(clients, "link down", killed, 1, |pair| pair.link(0, "down"));
    // The kernel may take a second to tell of a link that is back.
    pair.step(clients, "link up", MOVED + Duration::from_secs(1), 0, |pair| pair.link(0, "up"));
    pair.step(clients, "planned end", MOVED, 1, |pair| pair.node(0).signal(Signal::TERM));
    pair.node(0).expect_end();
    pair.step(clients, "started again", MOVED, 0, |pair| pair.node(0).start());
}

impl Pair {
    /// Changes something; the address then goes to the node `holder`, and clients notice no more than `bound`.
    #[track_caller]
    fn step(
        &mut self,
        clients: &Clients,
        what: &str,
        bound: Duration,
        holder: usize,
        change: impl FnOnce(&mut Pair),
    ) {
        scene(clients, self.variant.name(), what, bound, || {
            change(self);
            self.expect_holder(holder);
        });
    }
}

/// Has something happen, which returns when the address has moved, and tells what clients noticed: no more than `bound`.
#[track_caller]
fn scene(clients: &Clients, set_up: &str, what: &str, bound: Duration, happen: impl FnOnce()) {
    pause(QUIET);
    let from = Instant::now();
    happen();
    let moved = Instant::now();
    pause(SETTLED + QUIET);
    let (gap, asked, lost) = clients.between(from, Instant::now());
    let (gap_ms, moved_ms) = (gap.as_millis(), (moved - from).as_millis());
    let count = lost.len();
    say(&format!(
        "{set_up}: {what}: no answer for {gap_ms} ms, {count} of {asked} requests lost; the address had moved after {moved_ms} ms"
    ));
    assert!(gap < bound, "{what}: clients get no answer for {gap:?}: {lost:?}");
    let late: Vec<_> = lost.iter().filter(|one| one.sent > moved + SETTLED).collect();
    assert!(late.is_empty(), "{what}: nobody answers though the address has moved: {late:?}");
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Waits until `condition` holds.
#[track_caller]
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        pause(Duration::from_millis(10));
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests' own threads; no worker is blocked")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
