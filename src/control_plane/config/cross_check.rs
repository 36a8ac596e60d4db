//! Checks what concerns several sections: names that are referred to, addresses that meet, routes never reached.
//!
//! It works on what was decoded and looks up places in the tree, so that [`Config`](super::Config) itself stays
//! plain data.

use std::collections::HashSet;
use std::hash::Hash;
use std::net::SocketAddr;

use super::Config;
use super::listener::{ListenerConfig, Protocol};
use super::report::{Place, Problems};
use super::route::{RouteAction, RouteConfig};
use super::section::suggestion;
use super::tree::{Content, Node};
use super::value::text::Name;

mod relays;
mod upstreams;

/// The decoded configuration with its file, while it is checked.
pub(super) struct CrossCheck<'a> {
    pub(super) config: &'a Config,
    pub(super) root: &'a Node,
    pub(super) problems: &'a Problems,
}

impl CrossCheck<'_> {
    /// Notes everything that does not fit together. What is only doubtful is looked at when all else is well, since
    /// a mistake elsewhere would cast doubt on much that is right.
    pub(super) fn run(&self) {
        self.sections_exist();
        self.addresses_differ();
        self.config.upstreams.iter().for_each(|upstream| self.backends_differ(upstream));
        let routes = || self.config.routes.iter().enumerate();
        routes().for_each(|(index, route)| self.references_exist(index, route));
        self.route_names_differ();
        self.config.listeners.iter().for_each(|listener| self.relays_exist(listener));
        routes().for_each(|(index, route)| self.route_finds_requests(index, route));
        self.config.upstreams.iter().for_each(|upstream| self.relayed_upstream_is_possible(upstream));
        if !self.problems.has_errors() {
            self.nobody_is_let_in();
            self.config.listeners.iter().for_each(|listener| self.listener_can_work(listener));
            self.config.listeners.iter().for_each(|listener| self.relay_keys_have_effect(listener));
            self.config.upstreams.iter().for_each(|upstream| self.upstream_can_work(upstream));
            routes().for_each(|(index, route)| self.is_reached(index, route));
            routes().for_each(|(index, route)| self.is_repeated(index, route));
            routes().for_each(|(index, route)| self.is_read(index, route));
            self.everything_is_used();
        }
    }

    fn sections_exist(&self) {
        for (section, example) in [
            ("listeners", "listeners: {web: {address: 127.0.0.1:8080}}"),
            ("upstreams", "upstreams: {app: {backends: [127.0.0.1:5001]}}"),
        ] {
            let entry = self.root.entry(section);
            let none = match entry.map(|entry| &entry.value.content) {
                None | Some(Content::Null) => true,
                Some(Content::Map(entries)) => entries.is_empty(),
                Some(_) => false,
            };
            let others_answer = section == "upstreams" && self.root.get("routes").is_some();
            if none && !others_answer {
                let place = entry.map_or(Place::default(), |entry| entry.place);
                let one = section.trim_end_matches('s');
                self.error(place, format!("there is no {one}"), format!("add one, for example `{example}`"));
            }
        }
    }

    fn addresses_differ(&self) {
        let listeners = &self.config.listeners;
        for (index, listener) in listeners.iter().enumerate() {
            let place = self.value(&["listeners", listener.name.as_str(), "address"]);
            for earlier in &listeners[..index] {
                if meet(earlier.address, listener.address) {
                    let (name, address) = (&earlier.name, earlier.address);
                    let message = format!("the listener `{name}` already listens on {address}");
                    self.error(place, message, "give each listener a port of its own");
                }
            }
            let admin = self.config.admin.address;
            if meet(admin, listener.address) {
                let message = format!("the admin server already listens on {admin}");
                self.error(place, message, "admin never shares an address with traffic; move one of the two");
            }
        }
    }

    fn nobody_is_let_in(&self) {
        let address = self.config.admin.address;
        if !address.ip().is_loopback() {
            self.problems.warning(
                self.value(&["admin", "address"]),
                format!("the admin server on {address} can be reached from outside this machine"),
                "whoever reaches it sees all there is to see, and may push metrics; listen on 127.0.0.1, or keep others out by a firewall",
            );
        }
        for listener in &self.config.listeners {
            let everybody = listener.forwarded.trust.iter().find(|range| range.prefix_len() == 0);
            if let Some(range) = everybody {
                self.problems.warning(
                    self.value(&["listeners", listener.name.as_str(), "forwarded", "trust"]),
                    format!("{range} believes every client what it says about its own address"),
                    "name the ranges of the proxies in front of this one",
                );
            }
        }
    }

    fn listener_can_work(&self, listener: &ListenerConfig) {
        if listener.limits.target > listener.limits.head {
            self.problems.warning(
                self.value(&["listeners", listener.name.as_str(), "limits", "target"]),
                "the target may be longer than the whole head that it is a part of",
                "make `target` smaller than `head`",
            );
        }
    }

    /// A reference is held against the keys of the file, not against what could be decoded, so that a mistake within
    /// an upstream is not reported a second time at each route to it.
    fn references_exist(&self, index: usize, route: &RouteConfig) {
        let known = |section: &str| {
            self.root
                .get(section)
                .map(|node| node.entries().iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>())
        };
        let mut referred: Vec<_> =
            route.listeners.iter().map(|name| ("listener", "listeners", name)).collect();
        if let RouteAction::Upstream(name) = &route.action {
            referred.push(("upstream", "upstreams", name));
        }
        for (key, section, name) in referred {
            let known = known(section).unwrap_or_default();
            if !known.contains(&name.as_str()) {
                let place = self.route_value(index, key, name);
                self.error(place, format!("there is no {key} `{name}`"), suggestion(name.as_str(), &known));
            }
        }
    }

    fn is_reached(&self, index: usize, route: &RouteConfig) {
        let covers = |earlier: &&RouteConfig| {
            let listeners = earlier.listeners.is_empty()
                || (!route.listeners.is_empty()
                    && route.listeners.iter().all(|name| earlier.listeners.contains(name)));
            listeners && (earlier.matcher.is_catch_all() || earlier.matcher == route.matcher)
        };
        if let Some(earlier) = self.config.routes[..index].iter().find(covers) {
            let message = format!(
                "the route `{}` is never reached: `{}` above it takes its requests",
                route.name, earlier.name
            );
            self.problems.warning(
                self.route_value(index, "name", &route.name),
                message,
                "the first route that matches decides; move this one up",
            );
        }
    }

    fn is_repeated(&self, index: usize, route: &RouteConfig) {
        if route.idempotent && !matches!(route.action, RouteAction::Upstream(_)) {
            let place = self.route_node(index).and_then(|node| node.entry("idempotent"));
            self.problems.warning(
                place.map_or(self.route_place(index), |entry| entry.place),
                format!("`idempotent` has no effect: no backend answers for the route `{}`", route.name),
                "remove it, or move it to a route with an `upstream`",
            );
        }
    }

    /// A backend is who reads the header fields of a request.
    fn is_read(&self, index: usize, route: &RouteConfig) {
        if !route.request_headers.is_empty() && !matches!(route.action, RouteAction::Upstream(_)) {
            let place = self.route_node(index).and_then(|node| node.entry("request_headers"));
            self.problems.warning(
                place.map_or(self.route_place(index), |entry| entry.place),
                format!(
                    "`request_headers` has no effect: no backend reads them for the route `{}`",
                    route.name
                ),
                "remove it, or write `response_headers`",
            );
        }
    }

    fn route_names_differ(&self) {
        for (index, name) in repeats(self.config.routes.iter().map(|route| &route.name)) {
            let hint = "an unnamed route is called `route-N` by its position; rename one";
            self.error(
                self.route_value(index, "name", name),
                format!("two routes are called `{name}`"),
                hint,
            );
        }
    }

    fn everything_is_used(&self) {
        let routes = &self.config.routes;
        for upstream in &self.config.upstreams {
            let used =
                routes.iter().any(|route| route.action == RouteAction::Upstream(upstream.name.clone()));
            let by_default = self.root.get("routes").is_none() && !routes.is_empty();
            if !used && !by_default && !self.is_relayed(upstream) {
                let message = format!("no route leads to the upstream `{}`", upstream.name);
                self.problems.warning(
                    self.key(&["upstreams", upstream.name.as_str()]),
                    message,
                    "add a route, or remove it",
                );
            }
        }
        for listener in self.config.listeners.iter().filter(|one| one.protocol == Protocol::Http) {
            let used = routes.iter().any(|r| r.listeners.is_empty() || r.listeners.contains(&listener.name));
            if !used && !routes.is_empty() {
                let message = format!("no route takes requests of the listener `{}`", listener.name);
                self.problems.warning(
                    self.key(&["listeners", listener.name.as_str()]),
                    message,
                    "add a route, or remove it",
                );
            }
        }
    }

    fn error(&self, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.error(place, message, Some(hint.into()));
    }

    /// Where a value stands; where the deepest key above it stands if it is not given.
    fn value(&self, path: &[&str]) -> Place {
        let mut node = self.root;
        let mut place = Place::default();
        for key in path {
            let Some(entry) = node.entry(key) else { return place };
            place = entry.place;
            node = &entry.value;
        }
        node.place
    }

    /// Where a key stands.
    fn key(&self, path: &[&str]) -> Place {
        let Some((last, above)) = path.split_last() else { return Place::default() };
        let parent = above.iter().try_fold(self.root, |node, key| node.get(key));
        parent.and_then(|node| node.entry(last)).map_or(Place::default(), |entry| entry.place)
    }

    fn route_place(&self, index: usize) -> Place {
        self.route_node(index).map_or(Place::default(), |node| node.place)
    }

    /// Where a route names something: the very item, if the key holds a list.
    fn route_value(&self, index: usize, key: &str, name: &Name) -> Place {
        let Some(value) = self.route_node(index).and_then(|node| node.get(key)) else {
            return self.route_place(index);
        };
        let named = value.items().iter().find(|item| item.is(name.as_str()));
        named.unwrap_or(value).place
    }

    fn route_node(&self, index: usize) -> Option<&Node> {
        self.root.get("routes")?.items().get(index)
    }
}

/// Whether two servers cannot both have their address. A port of 0 is a free one and meets nobody.
fn meet(a: SocketAddr, b: SocketAddr) -> bool {
    let everywhere = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || everywhere)
}

/// The values that are equal to an earlier one, with their positions.
fn repeats<T: Eq + Hash + Copy>(values: impl Iterator<Item = T>) -> Vec<(usize, T)> {
    let mut seen = HashSet::new();
    values.enumerate().filter(|(_, value)| !seen.insert(*value)).collect()
}
