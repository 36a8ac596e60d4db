//! `http`: its servers as listeners and routes.

use super::listen::{Listen, Sockets};
use super::lua;
use super::server::{Rank, Rule, Server};
use super::settings::{Settings, shown_size};
use super::tree::{Block, Directive};
use super::upstream::Groups;
use super::words;
use crate::condition::{Condition, matchers};
use crate::model::{Config, Listener, Route};
use crate::name::Names;
use crate::note::Notes;

/// nginx's default for `client_max_body_size`, in bytes.
const BODY_SIZE: u64 = 1 << 20;

/// Puts the servers of a block `http` into the configuration.
pub(crate) fn build(http: &Directive, config: &mut Config, groups: &mut Groups, notes: &Notes) {
    let block = http.inner();
    let of = |name: &'static str| block.iter().filter(move |directive| directive.name() == name);
    of("upstream").for_each(|directive| groups.define(directive, notes));
    for directive in block {
        if let Block::Lua(lua) = &directive.block
            && lua::checks(lua, groups, notes)
        {
            notes.mapped(&directive.words, "upstreams.*.health; /check at `admin.address` reports");
        }
    }
    let settings = Settings::default().within(block, notes);
    for directive in block {
        let checks = matches!(&directive.block, Block::Lua(lua) if lua.text.contains("spawn_checker"));
        match directive.name() {
            "server" | "upstream" => {}
            name if Settings::knows(name) || checks => {}
            _ => super::other(words::HTTP, directive, notes),
        }
    }
    let mut servers: Vec<Server<'_>> =
        of("server").map(|directive| Server::read(directive, &settings, notes)).collect();
    servers.iter_mut().for_each(|server| server.decide(groups, notes));
    config.access_log |= settings.logs_requests || servers.iter().any(|server| server.settings.logs_requests);
    let mut sockets = Sockets::default();
    for listen in servers.iter().flat_map(|server| &server.listens) {
        sockets.add(listen, notes);
    }
    listeners(config, &servers, &sockets, notes);
    Routes { config, servers: &servers, sockets: &sockets, names: Names::default(), notes }.build();
}

/// The servers of a listener, by their positions, the default one first.
fn of_listener(name: &str, servers: &[Server<'_>], sockets: &Sockets) -> Vec<usize> {
    let listens = |server: &Server<'_>, wanted: fn(&Listen) -> bool| {
        server.listens.iter().any(|listen| wanted(listen) && sockets.find(listen) == Some(name))
    };
    let mut found: Vec<usize> =
        (0..servers.len()).filter(|index| listens(&servers[*index], |_| true)).collect();
    if let Some(default) =
        found.iter().position(|index| listens(&servers[*index], |listen| listen.is_default))
    {
        found[..=default].rotate_right(1);
    }
    found
}

fn listeners(config: &mut Config, servers: &[Server<'_>], sockets: &Sockets, notes: &Notes) {
    for (name, address) in &sockets.all {
        let members = of_listener(name, servers, sockets);
        let Some(first) = members.first().map(|index| &servers[*index]) else { continue };
        let settings = &first.settings;
        let all = || members.iter().map(|index| &servers[*index]);
        let bodies = all().map(|server| largest_body(server.directive, &server.settings));
        // 0 is no limit, and the largest of all.
        let body = bodies.map(|bytes| if bytes == 0 { u64::MAX } else { bytes }).max().unwrap_or(BODY_SIZE);
        let listens =
            || all().flat_map(|server| &server.listens).filter(|listen| sockets.find(listen) == Some(name));
        for listen in listens() {
            notes.mapped(&listen.line, format!("listeners.{name}"));
            if listen.accept_proxy {
                notes.mapped(
                    &listen.line,
                    format!(
                        "listeners.{name}.proxy_protocol: accept; name those who send it in `forwarded.trust`"
                    ),
                );
            }
        }
        let terminated = listens().any(|listen| listen.tls).then(|| "127.0.0.1".to_owned());
        let lines: Vec<String> = all().map(|server| server.directive.place().line.to_string()).collect();
        let lines = if lines.len() > 20 {
            format!("{} servers", lines.len())
        } else {
            format!("server, line {}", lines.join(", "))
        };
        config.listeners.push(Listener {
            name: name.clone(),
            about: vec![lines],
            address: address.clone(),
            accept_proxy: listens().any(|listen| listen.accept_proxy),
            trust: settings.trust.iter().cloned().chain(terminated).collect(),
            x_forwarded: all().any(|server| server.tells_client),
            head: settings.head,
            body: settings.body,
            idle: settings.idle,
            write: settings.write,
            head_size: settings.head_size.map(shown_size),
            body_size: Some(if body == u64::MAX { "unlimited".to_owned() } else { shown_size(body) }),
            requests_per_connection: settings.requests_per_connection,
            ..Listener::default()
        });
    }
}

/// The largest body that a server takes in one of its locations.
fn largest_body(directive: &Directive, settings: &Settings) -> u64 {
    let silent = Notes::default();
    let own = settings.body_size.unwrap_or(BODY_SIZE);
    let inner = directive
        .inner()
        .iter()
        .filter(|directive| directive.name() == "location")
        .map(|location| largest_body(location, &settings.within(location.inner(), &silent)));
    inner.chain([own]).max_by_key(|bytes| if *bytes == 0 { u64::MAX } else { *bytes }).unwrap_or(own)
}

struct Routes<'a> {
    config: &'a mut Config,
    servers: &'a [Server<'a>],
    sockets: &'a Sockets,
    names: Names,
    notes: &'a Notes,
}

impl Routes<'_> {
    fn build(&mut self) {
        // Where a server is alone, or is the one for all other names, it needs no condition on the host.
        let mut alone: Vec<Vec<String>> = vec![Vec::new(); self.servers.len()];
        let mut named: Vec<Vec<String>> = vec![Vec::new(); self.servers.len()];
        for (listener, _) in &self.sockets.all {
            let members = of_listener(listener, self.servers, self.sockets);
            if let Some(first) = members.first() {
                alone[*first].push(listener.clone());
            }
            // The first one gets all other hosts anyway; its own need a rule only where a pattern could take them.
            let has_patterns = members
                .iter()
                .skip(1)
                .any(|index| self.servers[*index].hosts.iter().any(|(rank, _)| *rank != Rank::Exact));
            let from = usize::from(!has_patterns);
            members.iter().skip(from).for_each(|index| named[*index].push(listener.clone()));
        }
        let mut by_host: Vec<(Rank, usize, Condition)> = Vec::new();
        for (index, server) in self.servers.iter().enumerate().filter(|(index, _)| !named[*index].is_empty())
        {
            by_host.extend(server.hosts.iter().map(|(rank, condition)| (*rank, index, condition.clone())));
        }
        by_host.sort_by_key(|(rank, ..)| *rank);
        for (_, index, condition) in by_host {
            self.server(index, &condition, &named[index]);
        }
        for (index, listeners) in alone.iter().enumerate().filter(|(_, listeners)| !listeners.is_empty()) {
            self.server(index, &Condition::Always, listeners);
        }
    }

    fn server(&mut self, index: usize, host: &Condition, listeners: &[String]) {
        let servers = self.servers;
        for rule in &servers[index].rules {
            self.rule(rule, host, listeners);
            if rule.condition == Condition::Always {
                break;
            }
        }
    }

    fn rule(&mut self, rule: &Rule, host: &Condition, listeners: &[String]) {
        let condition = Condition::all([host.clone(), rule.condition.clone()]);
        let all = match matchers(&condition) {
            Ok(all) => all,
            Err(what) => {
                let place = self.servers.first().map(|server| server.directive.place()).unwrap_or_default();
                let text = format!("{what} cannot be asked of a request; the requests take the rules below");
                return self.notes.add_at(place, crate::note::Kind::NotSupported, rule.about.clone(), text);
            }
        };
        for matcher in all {
            self.config.routes.push(Route {
                name: self.names.give(&rule.wanted),
                about: vec![rule.about.clone()],
                listeners: listeners.to_vec(),
                matcher,
                idempotent: rule.idempotent,
                request_headers: rule.request_headers.clone(),
                response_headers: rule.response_headers.clone(),
                action: rule.action.clone(),
            });
        }
    }
}
