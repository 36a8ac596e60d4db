//! Discovery: the addresses of backends that are configured by a host name, looked up again while the process runs.
//!
//! Apart from compiling because it waits for others: a resolver may take seconds, in which checks, signals, reloads and
//! the admin server go on. One owner asks for all names and takes all answers, in the order in which they come, so that a
//! reload and a look-up can never put each other's past in force.
//!
//! - [`Discovery`] (here): asks, waits, and hands over what changed.
//! - `book`: what is known of each name, and when it is asked for next; pure.
//! - `resolver`: the system's resolver, on threads of its own.
//! - [`tell`]: what look-ups have found, for the metrics, the board and the log.

mod book;
mod resolver;
mod tell;

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::config::Config;
use super::config::value::address::BackendAddress;
pub use book::News;
use book::{Book, Wanted};
use resolver::{Answer, LookUp, Reply};
pub use tell::{forget_others, tell};

/// How long a look-up may take before the name counts as failed. An answer that comes later is taken nevertheless.
const PATIENCE: Duration = Duration::from_secs(5);

/// Changes are gathered for so long before they are handed over: whoever starts many containers again gets one change of
/// the fleet for many of them.
const GATHER: Duration = Duration::from_millis(50);

/// The addresses of host names.
#[derive(Debug, Clone, Default)]
pub struct Addresses(HashMap<Box<str>, IpAddr>);

impl Addresses {
    /// Returns where a backend answers. None when its host name has no address.
    #[must_use]
    pub fn of(&self, backend: &BackendAddress) -> Option<SocketAddr> {
        match backend {
            BackendAddress::Socket(address) => Some(*address),
            BackendAddress::Name { host, port } => {
                self.0.get(host.as_str()).map(|address| SocketAddr::new(*address, *port))
            }
        }
    }
}

impl FromIterator<(Box<str>, IpAddr)> for Addresses {
    fn from_iter<I: IntoIterator<Item = (Box<str>, IpAddr)>>(known: I) -> Self {
        Self(known.into_iter().collect())
    }
}

/// Looks host names up, again and again.
pub struct Discovery {
    book: Book,
    look_up: LookUp,
    answers: mpsc::UnboundedReceiver<Answer>,
    /// What look-ups answer with.
    reply: mpsc::UnboundedSender<Answer>,
    news: Vec<News>,
    /// When the news is handed over, once there is any.
    ready: Option<Instant>,
}

impl Discovery {
    /// Asks the system's resolver, for no name yet.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Arc::new(resolver::ask_the_system))
    }

    fn with(look_up: LookUp) -> Self {
        let (reply, answers) = mpsc::unbounded_channel();
        Self { book: Book::default(), look_up, answers, reply, news: Vec::new(), ready: None }
    }

    /// Looks up every host name in `config` now, besides those that are followed already, and waits until each has been
    /// answered or given up, five seconds at most. A name that has no address is news like any other.
    ///
    /// Cancel safe: answers that come later are taken by [`Discovery::news`].
    #[tracing::instrument(name = "look_up", skip_all)]
    pub async fn look_up_all(&mut self, config: &Config) {
        self.look_up(hosts(config).collect()).await;
    }

    /// Looks up the host name of one backend that is to join, in the same way. Nothing where its address
    /// needs none.
    pub async fn look_up_one(&mut self, address: &BackendAddress, interval: Option<Duration>) {
        if let BackendAddress::Name { host, .. } = address {
            self.look_up(vec![(host, interval)]).await;
        }
    }

    async fn look_up(&mut self, hosts: Vec<Wanted<'_>>) {
        let begun = Instant::now();
        self.book.add(hosts.iter().copied(), begun);
        hosts.iter().for_each(|(host, _)| self.book.ask_now(host, begun));
        let deadline = begun + PATIENCE;
        while hosts.iter().any(|(host, _)| self.book.is_awaited(host)) {
            self.step(Some(deadline)).await;
            let now = Instant::now();
            if now >= deadline {
                let awaited: Vec<_> = hosts.iter().filter(|(host, _)| self.book.is_awaited(host)).collect();
                let late: Vec<_> = awaited.iter().filter_map(|(host, _)| self.book.give_up(host)).collect();
                self.note(late, now);
            }
        }
    }

    /// Follows the host names in `config`, which is in force, and no others.
    pub fn follow(&mut self, config: &Config) {
        self.book.follow(hosts(config), Instant::now());
    }

    /// Waits until there is something to [tell](Discovery::take_news). Cancel safe.
    pub async fn news(&mut self) {
        while self.ready.is_none_or(|ready| Instant::now() < ready) {
            self.step(self.ready).await;
        }
    }

    /// Takes what look-ups have found since the last call, oldest first.
    pub fn take_news(&mut self) -> Vec<News> {
        self.ready = None;
        std::mem::take(&mut self.news)
    }

    /// Returns the addresses that are known now.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.book.addresses().map(|(host, address)| (host.into(), address)).collect()
    }

    /// Asks for what is due and waits for what comes next: an answer, or a moment, this one at the latest. Cancel safe.
    async fn step(&mut self, latest: Option<Instant>) {
        for host in self.book.ask(Instant::now()) {
            (self.look_up)(Reply::new(host, self.reply.clone()));
        }
        let moment = self.book.next().into_iter().chain(latest).min();
        let pause = async {
            match moment {
                Some(moment) => sleep_until(moment).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Never None: a sender is kept here.
            Some((host, found)) = self.answers.recv() => {
                let now = Instant::now();
                let news = self.book.answer(&host, found, now, fastrand::f64() * 2.0 - 1.0);
                self.note(news, now);
            }
            () = pause => {
                let now = Instant::now();
                let late = self.book.give_up_overdue(now);
                self.note(late, now);
            }
        }
    }

    fn note(&mut self, news: impl IntoIterator<Item = News>, now: Instant) {
        self.news.extend(news);
        if !self.news.is_empty() {
            self.ready.get_or_insert(now + GATHER);
        }
    }
}

impl Default for Discovery {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").field("book", &self.book).finish_non_exhaustive()
    }
}

/// Lists the host names of a configuration, and how often each is looked up; a name may come more than once.
pub fn hosts(config: &Config) -> impl Iterator<Item = (&str, Option<Duration>)> {
    config.upstreams.iter().flat_map(|upstream| {
        upstream.backends.iter().filter_map(|backend| match &backend.address {
            BackendAddress::Name { host, .. } => Some((host.as_str(), upstream.lookup_interval)),
            BackendAddress::Socket(_) => None,
        })
    })
}

#[cfg(test)]
mod tests;
