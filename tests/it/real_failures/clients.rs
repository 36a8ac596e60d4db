//! The clients of a run: many that send at a steady pace, whatever happens, and one that asks as soon as it was answered.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::time::Instant;

use crate::harness::pause;
use crate::harness::wire::Wire;

/// Clients that send POSTs: so many can be under way at a time.
pub(super) const POSTERS: usize = 4;

const GETTERS: usize = 12;
/// From one request of a client to its next, if it was answered by then.
const PACE: Duration = Duration::from_millis(120);
/// What the one client waits in turn, so that it is not the whole load.
const IN_TURN: Duration = Duration::from_millis(20);

/// What a client sent, and what came of it.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    /// The number of a POST.
    pub(super) post: Option<u64>,
    pub(super) sent: Instant,
    pub(super) done: Instant,
    /// 0 when the connection ended without an answer.
    pub(super) status: u16,
    /// The backend that answered.
    pub(super) server: String,
}

/// The clients. Dropped, they stop.
pub(super) struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    numbers: AtomicU64,
    exchanges: Mutex<Vec<Exchange>>,
}

impl Clients {
    /// Starts to ask the balancer at `address`.
    pub(super) fn start(address: SocketAddr) -> Self {
        let shared = Arc::<Shared>::default();
        let client = |pace: Duration, posts: bool, wait: Duration| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                pause(wait);
                shared.ask(address, pace, posts);
            })
        };
        let all = (GETTERS + POSTERS) as u32;
        let paced = (0..all).map(|nth| client(PACE, nth % 4 == 0, PACE * nth / all));
        let threads = paced.chain([client(Duration::ZERO, false, Duration::ZERO)]).collect();
        Self { shared, threads }
    }

    /// What was answered so far.
    pub(super) fn exchanges(&self) -> Vec<Exchange> {
        self.shared.exchanges.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops; returns all that was asked, in the order of the answers.
    #[track_caller]
    pub(super) fn finish(mut self) -> Vec<Exchange> {
        self.shared.stopped.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            thread.join().expect("every client is answered in time");
        }
        self.exchanges()
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
    }
}

impl Shared {
    /// Asks until it is stopped.
    fn ask(&self, address: SocketAddr, pace: Duration, posts: bool) {
        let mut connection = None;
        while !self.stopped.load(Ordering::Acquire) {
            let sent = Instant::now();
            let mut wire = connection.take().unwrap_or_else(|| Wire::connect(address));
            let post = posts.then(|| self.numbers.fetch_add(1, Ordering::Relaxed));
            let answer = wire.try_exchange(match post {
                Some(number) => format!(
                    "POST / HTTP/1.1\r\nhost: a\r\nx-number: {number}\r\ncontent-length: 4\r\n\r\ndata"
                ),
                None => "GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
            });
            let head = answer.map(|answer| answer.head).unwrap_or_default();
            if head.status() != 0 && head.field("connection") != Some("close") {
                connection = Some(wire);
            }
            let server = head.field("x-server").unwrap_or_default().to_owned();
            let exchange = Exchange { post, sent, done: Instant::now(), status: head.status(), server };
            self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
            pause(if pace.is_zero() { IN_TURN } else { pace.saturating_sub(sent.elapsed()) });
        }
    }
}
