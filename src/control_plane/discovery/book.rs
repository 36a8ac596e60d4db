//! The book: what is known of each host name, and when it is looked up next.
//!
//! Pure: it asks nobody, and time and chance are arguments. A name keeps its address until another takes its place: one
//! that is gone from the name server, as that of a container which was killed, is still configured.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::PATIENCE;
use super::resolver::Found;
use crate::telemetry::LookupResult;

/// The most look-ups at a time: each holds a thread, and a name server that is slow must not make them pile up.
const AT_A_TIME: usize = 64;

/// No name is looked up more often than so, however short its interval.
const SOONEST: Duration = Duration::from_millis(100);

/// Where nothing is looked up again, a name without an address is, after this.
const UNTIL_RESOLVED: Duration = Duration::from_secs(5);

/// By which share an interval varies at random, in both directions.
const JITTER: f64 = 0.1;

/// A host name that is wanted, and how often it is looked up; None only until it has an address.
pub(super) type Wanted<'a> = (&'a str, Option<Duration>);

/// What a look-up has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The host name.
    pub host: Box<str>,
    /// The result, as it is counted.
    pub result: LookupResult,
    /// The address before it. None when there was none.
    pub before: Option<IpAddr>,
    /// The address from now on. None while there is none.
    pub address: Option<IpAddr>,
    /// Every address that was answered.
    pub addresses: Box<[IpAddr]>,
    /// Why none was, if so.
    pub error: Option<Box<str>>,
    /// Whether this look-up failed and the one before it, if any, did not, or the other way round.
    pub turned: bool,
}

/// What is known of all names.
#[derive(Debug, Default)]
pub(super) struct Book {
    names: HashMap<Box<str>, Name>,
    /// Since when each look-up is under way, also of names that nobody wants any more: one at a time for each name, so that
    /// an old answer cannot come after a new one.
    under_way: HashMap<Box<str>, Instant>,
}

/// What is known of one name.
#[derive(Debug)]
struct Name {
    interval: Option<Duration>,
    /// When it is to be looked up next. None for never.
    due: Option<Instant>,
    /// Whether somebody waits until a look-up ends or is given up.
    awaited: bool,
    /// Whether a look-up that has not ended was given up: if it fails, that is known already.
    given_up: bool,
    failing: bool,
    address: Option<IpAddr>,
}

impl Book {
    /// Adds names to those that are followed, due at once. One that comes several times is looked up at the shortest of its
    /// intervals.
    pub(super) fn add<'a>(&mut self, wanted: impl Iterator<Item = Wanted<'a>>, now: Instant) {
        for (host, interval) in wanted {
            match self.names.get_mut(host) {
                Some(name) => name.interval = shorter(name.interval, interval),
                None => drop(self.names.insert(host.into(), Name::new(interval, now))),
            }
        }
    }

    /// Follows these names and no others. What is known of those that stay is kept.
    pub(super) fn follow<'a>(&mut self, wanted: impl Iterator<Item = Wanted<'a>>, now: Instant) {
        let mut before = std::mem::take(&mut self.names);
        self.add(wanted, now);
        for (host, name) in &mut self.names {
            let Some(known) = before.remove(host) else { continue };
            let same = known.interval == name.interval;
            *name = Name { interval: name.interval, ..known };
            if !same {
                name.due = name.next_due(now, 0.0);
            }
        }
    }

    /// Makes a name due now, for somebody who waits for what comes of it.
    pub(super) fn ask_now(&mut self, host: &str, now: Instant) {
        if let Some(name) = self.names.get_mut(host) {
            (name.due, name.awaited) = (Some(now), true);
        }
    }

    /// Tells whether a look-up that was wanted at once is still to end or to be given up.
    pub(super) fn is_awaited(&self, host: &str) -> bool {
        self.names.get(host).is_some_and(|name| name.awaited)
    }

    /// Returns the names whose look-up begins now: those that are due, longest first, as many as there is room for.
    pub(super) fn ask(&mut self, now: Instant) -> Vec<Box<str>> {
        let mut due: Vec<_> = self.waiting().filter(|(due, _)| *due <= now).collect();
        due.sort_unstable();
        due.truncate(self.room());
        let hosts: Vec<Box<str>> = due.into_iter().map(|(_, host)| host.into()).collect();
        self.under_way.extend(hosts.iter().map(|host| (host.clone(), now)));
        hosts
    }

    /// Takes the answer to a look-up. `roll`, from -1 to 1, varies when the next one is due. None when it is no news: nobody
    /// wants the name any more, or the look-up was given up and has failed indeed.
    pub(super) fn answer(&mut self, host: &str, found: Found, now: Instant, roll: f64) -> Option<News> {
        self.under_way.remove(host);
        let name = self.names.get_mut(host)?;
        let given_up = std::mem::take(&mut name.given_up);
        name.awaited = false;
        let news = match found {
            Ok(addresses) if !addresses.is_empty() => Some(name.found(host, addresses)),
            Ok(_) if given_up => None,
            Err(_) if given_up => None,
            Ok(_) => Some(name.failed(host, "the name has no address")),
            Err(error) => Some(name.failed(host, &error.to_string())),
        };
        name.due = name.next_due(now, roll);
        news
    }

    /// Gives up the look-ups that have taken too long. Their answers are taken nevertheless when they come.
    pub(super) fn give_up_overdue(&mut self, now: Instant) -> Vec<News> {
        let late: Vec<Box<str>> =
            self.overdue().filter(|(at, _)| *at <= now).map(|(_, host)| host.into()).collect();
        late.iter().filter_map(|host| self.give_up(host)).collect()
    }

    /// Gives up waiting for a name.
    pub(super) fn give_up(&mut self, host: &str) -> Option<News> {
        let name = self.names.get_mut(host)?;
        (name.given_up, name.awaited) = (true, false);
        Some(name.failed(host, &format!("the resolver did not answer within {PATIENCE:?}")))
    }

    /// Returns when there is next something to do without an answer. None when only answers are waited for.
    pub(super) fn next(&self) -> Option<Instant> {
        let due = self.waiting().map(|(due, _)| due).filter(|_| self.room() > 0);
        due.chain(self.overdue().map(|(at, _)| at)).min()
    }

    /// Returns the names that have an address, each with it.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (&str, IpAddr)> {
        self.names.iter().filter_map(|(host, name)| Some((&**host, name.address?)))
    }

    /// How many more look-ups may be under way.
    fn room(&self) -> usize {
        AT_A_TIME.saturating_sub(self.under_way.len())
    }

    /// The names that wait for their next look-up, each with when it is due.
    fn waiting(&self) -> impl Iterator<Item = (Instant, &str)> {
        let idle = self.names.iter().filter(|(host, _)| !self.under_way.contains_key(*host));
        idle.filter_map(|(host, name)| Some((name.due?, &**host)))
    }

    /// The look-ups that are waited for, each with when it will have taken too long.
    fn overdue(&self) -> impl Iterator<Item = (Instant, &str)> {
        let wanted = |host: &str| self.names.get(host).is_some_and(|name| !name.given_up);
        let under_way = self.under_way.iter().filter(move |(host, _)| wanted(host));
        under_way.map(|(host, since)| (*since + PATIENCE, &**host))
    }
}

impl Name {
    fn new(interval: Option<Duration>, now: Instant) -> Self {
        Self { interval, due: Some(now), awaited: false, given_up: false, failing: false, address: None }
    }

    fn found(&mut self, host: &str, addresses: Vec<IpAddr>) -> News {
        let before = self.address;
        self.address = Some(choose(before, &addresses));
        let result = if self.address == before { LookupResult::Ok } else { LookupResult::Changed };
        let turned = std::mem::replace(&mut self.failing, false);
        News {
            host: host.into(),
            result,
            before,
            address: self.address,
            addresses: addresses.into(),
            error: None,
            turned,
        }
    }

    fn failed(&mut self, host: &str, error: &str) -> News {
        let turned = !std::mem::replace(&mut self.failing, true);
        News {
            host: host.into(),
            result: LookupResult::Failed,
            before: self.address,
            address: self.address,
            addresses: Box::default(),
            error: Some(error.into()),
            turned,
        }
    }

    fn next_due(&self, now: Instant, roll: f64) -> Option<Instant> {
        let unresolved = || self.address.is_none().then_some(UNTIL_RESOLVED);
        let pause = self.interval.or_else(unresolved)?.mul_f64(1.0 + JITTER * roll.clamp(-1.0, 1.0));
        Some(now + pause.max(SOONEST))
    }
}

/// Of several addresses takes the present one if it is still among them: a name server that turns their order must not move
/// the backend each time. Else an IPv4 one, which is what most servers listen on.
fn choose(present: Option<IpAddr>, addresses: &[IpAddr]) -> IpAddr {
    let kept = present.filter(|present| addresses.contains(present));
    let first = || addresses.iter().find(|address| address.is_ipv4()).copied();
    kept.or_else(first).unwrap_or(addresses[0])
}

/// The shorter of two intervals, where none is the longest.
fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    [one, other].into_iter().flatten().min()
}

#[cfg(test)]
mod tests;
