//! Clients of the virtual address: one request every ten milliseconds, each on a connection of its own as from a client that
//! was never here, whether the one before was answered or not.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::time::Instant;

use crate::pause;

/// The virtual address.
pub(crate) const ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(172, 30, 77, 100), 80));

/// From one request of all clients to the next.
const PACE: Duration = Duration::from_millis(10);

/// As many as it takes to keep the pace though each waits for [`CONNECT`].
const CLIENTS: u32 = 32;

/// How long is waited for a connection. Shorter than the second after which the kernel tries again, since the answer to that
/// would tell of its patience and not of the pair.
const CONNECT: Duration = Duration::from_millis(300);

/// How long is waited for the page.
const ANSWER: Duration = Duration::from_secs(1);

/// One request, and what came of it.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) sent: Instant,
    done: Instant,
    failure: Option<String>,
}

/// The clients. Dropped, they stop.
pub(crate) struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    exchanges: Mutex<Vec<Exchange>>,
}

impl Clients {
    /// Starts to ask from the calling thread's host.
    pub(crate) fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let begin = Instant::now();
        let client = |nth: u32| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.ask(begin + PACE * nth))
        };
        let threads = (0..CLIENTS).map(client).collect();
        Self { shared, threads }
    }

    /// What clients saw between two moments: the longest time without an answer, the number of requests that ended, and those
    /// of them that were lost.
    pub(crate) fn between(&self, from: Instant, until: Instant) -> (Duration, usize, Vec<Exchange>) {
        let mut ended = self.shared.exchanges.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ended.retain(|one| one.done >= from && one.done <= until);
        ended.sort_by_key(|one| one.done);
        let answers = ended.iter().filter(|one| one.failure.is_none()).map(|one| one.done);
        let moments: Vec<_> = [from].into_iter().chain(answers).chain([until]).collect();
        let gap = moments.windows(2).map(|two| two[1] - two[0]).max().unwrap_or_default();
        let asked = ended.len();
        ended.retain(|one| one.failure.is_some());
        (gap, asked, ended)
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn ask(&self, mut next: Instant) {
        while !self.stopped.load(Ordering::Acquire) {
            pause(next.saturating_duration_since(Instant::now()));
            let sent = Instant::now();
            // One that is late is not made up for.
            next = (next + PACE * CLIENTS).max(sent);
            let failure = page().err().map(|error| error.to_string());
            let exchange = Exchange { sent, done: Instant::now(), failure };
            self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
        }
    }
}

/// Gets the page once.
///
/// # Errors
/// When there is no connection, no answer in time, or one that is no page.
pub(crate) fn page() -> std::io::Result<String> {
    get(ADDRESS)
}

/// Gets `/` of another port as well.
///
/// # Errors
/// As with [`page`].
pub(crate) fn get(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECT)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: pair\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let page = answer.strip_prefix("HTTP/1.1 200 ").and_then(|rest| rest.split_once("\r\n\r\n"));
    let page = page.map(|(_, body)| body.to_owned());
    page.ok_or_else(|| std::io::Error::other(format!("no page: {answer:?}")))
}
