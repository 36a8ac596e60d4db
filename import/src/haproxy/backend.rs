//! Backends of HAProxy as upstreams.

use std::collections::{HashMap, HashSet};

use super::balance::Way;
use super::global::Global;
use super::proxy::Proxy;
use super::server::Server;
use crate::model::{Backend, Balance, Check, Health, Retries, Upstream};
use crate::name::Names;
use crate::note::Notes;
use crate::span::Span;

/// The most tries that plimsoll makes.
const ATTEMPTS_MAX: u64 = 10;

/// HAProxy's defaults for checks.
const INTER: Span = Span(2_000_000);
const RISE: u64 = 2;
const FALL: u64 = 3;

/// All upstreams, by the names that HAProxy knows them by.
#[derive(Debug, Default)]
pub(crate) struct Backends {
    upstreams: Vec<Upstream>,
    /// None where a backend has no server that could answer.
    by_name: HashMap<String, Option<usize>>,
}

impl Backends {
    pub(crate) fn build(proxies: &[Proxy], global: &Global, notes: &Notes) -> Self {
        let (mut all, mut names) = (Self::default(), Names::default());
        for proxy in proxies.iter().filter(|proxy| proxy.has_servers) {
            if proxy.takes_connections && proxy.servers.is_empty() {
                continue;
            }
            if all.by_name.contains_key(&proxy.name.text) {
                notes
                    .error(&proxy.head, format!("there are two sections `{}` with servers", proxy.name.text));
                continue;
            }
            let upstream = upstream(proxy, global, &mut names, notes);
            let index =
                upstream.backends.iter().any(|backend| !backend.left_out).then_some(all.upstreams.len());
            if index.is_some() {
                all.upstreams.push(upstream);
            } else {
                notes.not_supported(
                    &proxy.head,
                    "it has no server that could answer: routes to it answer 503",
                );
            }
            all.by_name.insert(proxy.name.text.clone(), index);
        }
        all
    }

    /// Whether the file defines the backend, and the upstream that it became.
    pub(crate) fn find(&mut self, name: &str) -> Option<Option<&mut Upstream>> {
        let index = *self.by_name.get(name)?;
        Some(index.and_then(|index| self.upstreams.get_mut(index)))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    pub(crate) fn into_upstreams(self) -> Vec<Upstream> {
        self.upstreams
    }
}

fn upstream(proxy: &Proxy, global: &Global, names: &mut Names, notes: &Notes) -> Upstream {
    let settings = &proxy.settings;
    let servers: Vec<&Server> = proxy.servers.iter().filter(|server| server.is_usable()).collect();
    let least = |of: fn(&Server) -> Option<u64>| servers.iter().filter_map(|server| of(server)).min();
    let in_flight = least(|server| server.settings.maxconn);
    if let Some(server) = servers.iter().find(|server| server.settings.maxconn != servers[0].settings.maxconn)
    {
        notes.not_supported(
            &server.line,
            "servers differ in `maxconn`; limits.in_flight is one for all, the smallest",
        );
    }
    let health = health(proxy, &servers, global, notes);
    let checked = health.check != Check::Off;
    Upstream {
        name: names.give(&proxy.name.text),
        about: vec![format!("{} {}, line {}", proxy.head[0].text, proxy.name.text, proxy.name.place.line)],
        balance: balance(proxy, notes),
        sticky: settings.sticky.clone().filter(|_| settings.http),
        backends: backends(proxy, notes),
        proxy_protocol: proxy_protocol(&servers, notes),
        health: Some(health),
        slow_start: servers.iter().filter_map(|server| server.settings.slowstart).max(),
        retries: Some(retries(proxy)),
        connect: settings.timeouts.connect,
        response: settings.timeouts.server.filter(|_| settings.http),
        in_flight,
        queue: in_flight.and(least(|server| server.settings.maxqueue)),
        queue_timeout: in_flight.and(settings.timeouts.queue.or(settings.timeouts.connect)),
        // HAProxy answers 503 while no server is up.
        refuse: checked,
        host_header: proxy.rules.host_header.clone(),
        ..Upstream::default()
    }
}

/// The PROXY header that every server wants. None, with a note, where they differ: one that is not waited for, or that
/// is waited for and does not come, breaks each connection.
fn proxy_protocol(servers: &[&Server], notes: &Notes) -> Option<&'static str> {
    let first = servers.first()?;
    let Some(other) = servers.iter().find(|server| server.settings.proxy != first.settings.proxy) else {
        return first.settings.proxy;
    };
    let wants = |server: &&Server| match server.settings.proxy {
        None => format!("`{}` wants none", server.name),
        Some(version) => format!("`{}` wants {version}", server.name),
    };
    let all: Vec<String> = servers.iter().map(wants).collect();
    notes.not_supported(
        &other.line,
        format!(
            "upstreams.*.proxy_protocol is one for all servers, and these differ ({}): it is left off, so nobody \
            gets a PROXY header; split the backend into one for each kind",
            all.join(", ")
        ),
    );
    None
}

fn balance(proxy: &Proxy, notes: &Notes) -> Option<Balance> {
    let settings = &proxy.settings;
    if let Some(key) = settings.hash_key() {
        if !settings.http && *key != crate::model::HashKey::Source {
            notes.not_supported(
                &proxy.head,
                "in mode tcp the client's address alone can be hashed; clients are given out by turns",
            );
            return None;
        }
        let load_bound = match settings.hash_balance_factor {
            Some(percent) if percent >= 100 => format!("{}", percent.min(10_000) as f64 / 100.0),
            // A key goes to its server whatever the load is, as without hash-balance-factor.
            _ => "unlimited".to_owned(),
        };
        return Some(Balance::Hash { key: key.clone(), load_bound });
    }
    match settings.balance {
        Some(Way::Word(word)) => Some(Balance::Word(word)),
        _ => None,
    }
}

fn backends(proxy: &Proxy, notes: &Notes) -> Vec<Backend> {
    let (mut names, mut addresses) = (Names::default(), HashSet::new());
    let mut backends = Vec::with_capacity(proxy.servers.len());
    for server in &proxy.servers {
        let settings = &server.settings;
        let mut backend = Backend { name: Some(names.give(&server.name)), ..Backend::default() };
        let left_out = |backend: &mut Backend, why: &str| {
            backend.left_out = true;
            backend.about = Some(why.to_owned());
        };
        match &server.address {
            Some(address) => backend.address.clone_from(address),
            None => {
                backend.address = server.line.get(2).map(|word| word.text.clone()).unwrap_or_default();
                left_out(&mut backend, "not an address that plimsoll connects to");
            }
        }
        if settings.backup == Some(true) {
            backend.weight = Some(0);
            backend.about = Some("backup: gets nothing while another one can take it".to_owned());
        } else {
            backend.weight = settings.weight.map(|weight| weight.min(1000));
        }
        if settings.ssl == Some(true) {
            let what = "TLS is not spoken to backends, and what was encrypted shall not go in clear: the \
                backend is left out; give it a port without TLS, or a proxy beside it";
            notes.not_supported(&server.line, what);
            left_out(&mut backend, "TLS is not spoken to backends");
        } else if settings.disabled == Some(true) {
            notes.not_supported(
                &server.line,
                "a disabled server is left out as a comment; `plimsoll ctl drain` takes one out at run time",
            );
            left_out(&mut backend, "disabled");
        } else if !backend.left_out && !addresses.insert(backend.address.clone()) {
            notes.not_supported(
                &server.line,
                "another backend has this address; it is left out, give the other one more `weight`",
            );
            left_out(&mut backend, "another backend has this address");
        } else if !backend.left_out {
            let name = backend.name.clone().unwrap_or_default();
            notes.mapped(&server.line, format!("upstreams.{}.backends, `{name}`", proxy.name.text));
        }
        backends.push(backend);
    }
    backends
}

fn health(proxy: &Proxy, servers: &[&Server], global: &Global, notes: &Notes) -> Health {
    let settings = &proxy.settings;
    let checked: Vec<&Server> =
        servers.iter().filter(|server| server.settings.check == Some(true)).copied().collect();
    let agent = servers.iter().find_map(|server| {
        let asked = server.settings.agent_check == Some(true);
        server.settings.agent_port.filter(|_| asked).map(|port| (port, server.settings.agent_inter))
    });
    let Some(first) = checked.first() else {
        return Health { check: Check::Off, agent, ..Health::default() };
    };
    if let Some(unchecked) = servers.iter().find(|server| server.settings.check != Some(true)) {
        notes.not_supported(
            &unchecked.line,
            "all backends of an upstream are checked, since another one has `check`",
        );
    }
    let of = |server: &Server| (server.settings.inter, server.settings.rise, server.settings.fall);
    if let Some(other) = checked.iter().find(|server| of(server) != of(first)) {
        notes.not_supported(
            &other.line,
            "inter, rise and fall are one for all backends of an upstream: \
            those of the first server with `check`",
        );
    }
    let interval = first.settings.inter.unwrap_or(INTER);
    let connect = settings.timeouts.connect.unwrap_or(interval).min(interval);
    // HAProxy counts connecting and answering apart; here a check has one timeout, no longer than its interval.
    let answer = settings.timeouts.check.filter(|_| settings.check.is_http());
    let timeout = Span(answer.map_or(connect.0, |answer| connect.0.saturating_add(answer.0))).min(interval);
    Health {
        check: settings.check.check(),
        interval: Some(interval),
        timeout: Some(timeout),
        rise: Some(first.settings.rise.unwrap_or(RISE).clamp(1, 1000)),
        fall: Some(first.settings.fall.unwrap_or(FALL).clamp(1, 1000)),
        jitter: global.spread_checks,
        agent,
    }
}

fn retries(proxy: &Proxy) -> Retries {
    let settings = &proxy.settings;
    let attempts = settings.retries.unwrap_or(3).saturating_add(1).min(ATTEMPTS_MAX);
    match &settings.retry_on {
        Some(retry) if retry.on.is_empty() => Retries { attempts: Some(1), ..Retries::default() },
        Some(retry) => {
            Retries { attempts: Some(attempts), on: retry.on.clone(), status: retry.status.clone() }
        }
        None => Retries { attempts: Some(attempts), on: vec!["connect"], status: Vec::new() },
    }
}
