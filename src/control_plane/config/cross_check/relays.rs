//! Checks that listeners which relay connections know where to, and that nobody asks there for what only HTTP has.

use super::super::listener::{ListenerConfig, Protocol};
use super::super::report::Place;
use super::super::route::RouteConfig;
use super::super::section::suggestion;
use super::super::tree::Node;
use super::super::upstream::UpstreamConfig;
use super::super::upstream::balance::{Balance, HashKey};
use super::super::upstream::limits::InFlight;
use super::CrossCheck;

impl CrossCheck<'_> {
    /// Notes a listener that does not know where its connections go, or knows what routes decide.
    pub(super) fn relays_exist(&self, listener: &ListenerConfig) {
        let path = ["listeners", listener.name.as_str(), "upstream"];
        match (listener.protocol, &listener.upstream) {
            (Protocol::Http, Some(_)) => {
                let message = "`upstream` has no effect: the requests of this listener go where routes lead";
                let hint = "add a route with this `listener` and `upstream`, or write `protocol: tcp`";
                self.error(self.value(&path), message, hint);
            }
            (Protocol::Http, None) => {}
            (Protocol::Tcp, None) if self.is_written(&path) => {} // noted when it was read
            (Protocol::Tcp, None) => {
                let message = format!("`{}` relays connections, and does not say where to", listener.name);
                let hint = "add `upstream: NAME`; without it the only upstream of the file is meant";
                self.error(self.key(&path[..2]), message, hint);
            }
            (Protocol::Tcp, Some(name)) => {
                let node = self.root.get("upstreams");
                let known: Vec<_> = node
                    .map(Node::entries)
                    .unwrap_or_default()
                    .iter()
                    .map(|entry| entry.key.as_str())
                    .collect();
                if !known.contains(&name.as_str()) {
                    let hint = suggestion(name.as_str(), &known);
                    self.error(self.value(&path), format!("there is no upstream `{name}`"), hint);
                }
            }
        }
    }

    /// Notes a route that is to look at requests where there are none.
    pub(super) fn route_finds_requests(&self, index: usize, route: &RouteConfig) {
        for name in &route.listeners {
            let relays =
                |listener: &&ListenerConfig| listener.name == *name && listener.protocol == Protocol::Tcp;
            if self.config.listeners.iter().any(|listener| relays(&listener)) {
                let message = format!("`{name}` has `protocol: tcp`: no route looks at what it carries");
                let hint = "remove it here; its connections go to its own `upstream`";
                self.error(self.route_value(index, "listener", name), message, hint);
            }
        }
    }

    /// Notes what cannot be asked of a connection that nobody looks into.
    pub(super) fn relayed_upstream_is_possible(&self, upstream: &UpstreamConfig) {
        if !self.is_relayed(upstream) {
            return;
        }
        let name = upstream.name.as_str();
        let at = |path: &[&str]| self.value(&[&["upstreams", name], path].concat());
        let impossible = |place: Place, what: &str, hint: &str| {
            let message = format!("{what}, and a listener with `protocol: tcp` leads to `{name}`");
            self.error(place, message, hint);
        };
        if let Balance::ConsistentHash(hash) = &upstream.balance
            && hash.key != HashKey::Source
        {
            let place = at(&["balance", "consistent_hash", "key"]);
            impossible(
                place,
                "this key is one of HTTP requests",
                "hash by `source`, or give it an upstream of its own",
            );
        }
        if upstream.sticky.is_some() {
            let hint = "`balance: {consistent_hash: {key: source}}` keeps a client with its backend";
            impossible(at(&["sticky"]), "cookies are of HTTP", hint);
        }
        if upstream.limits.in_flight == InFlight::Adaptive {
            let hint = "write a number of connections";
            impossible(
                at(&["limits", "in_flight"]),
                "`adaptive` learns from how fast requests are answered",
                hint,
            );
        }
    }

    /// Notes keys of a listener that have no effect, since what they bound is of HTTP or of the PROXY protocol.
    pub(super) fn relay_keys_have_effect(&self, listener: &ListenerConfig) {
        if listener.protocol != Protocol::Tcp {
            return;
        }
        let of_http: [&[&str]; 5] = [
            &["limits"],
            &["timeouts", "body"],
            &["timeouts", "idle"],
            &["timeouts", "write"],
            &["forwarded", "x_forwarded"],
        ];
        for keys in of_http {
            let path = [&["listeners", listener.name.as_str()], keys].concat();
            if self.is_written(&path) {
                let message = format!("`{}` has no effect with `protocol: tcp`", keys.join("."));
                self.problems.warning(self.value(&path), message, "remove it");
            }
        }
    }

    /// Whether a listener relays connections to an upstream.
    pub(super) fn is_relayed(&self, upstream: &UpstreamConfig) -> bool {
        let relays = |listener: &ListenerConfig| {
            listener.protocol == Protocol::Tcp && listener.upstream.as_ref() == Some(&upstream.name)
        };
        self.config.listeners.iter().any(relays)
    }

    fn is_written(&self, path: &[&str]) -> bool {
        path.iter().try_fold(self.root, |node, key| node.get(key)).is_some()
    }
}
