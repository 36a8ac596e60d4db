//! Frontends of HAProxy as listeners and routes.

use std::collections::HashSet;

use super::backend::Backends;
use super::bind::{self, Bind};
use super::global::Global;
use super::headers;
use super::proxy::Proxy;
use super::rule::{Rule, What};
use crate::condition::{Condition, Test, matchers};
use crate::model::{Action, Config, Headers, Listener, Matcher, Response, Route};
use crate::name::Names;
use crate::note::{Notes, similar};
use crate::word::{Word, joined};

/// Puts the listeners and routes of all sections into the configuration.
pub(crate) fn build(
    config: &mut Config,
    proxies: &[Proxy],
    global: &Global,
    backends: &mut Backends,
    notes: &Notes,
) {
    let mut builder = Builder {
        config,
        proxies,
        global,
        backends,
        notes,
        listeners: Names::default(),
        routes: Names::default(),
    };
    for proxy in proxies.iter().filter(|proxy| proxy.takes_connections) {
        builder.proxy(proxy);
    }
}

struct Builder<'a> {
    config: &'a mut Config,
    proxies: &'a [Proxy],
    global: &'a Global,
    backends: &'a mut Backends,
    notes: &'a Notes,
    listeners: Names,
    routes: Names,
}

impl Builder<'_> {
    fn proxy(&mut self, proxy: &Proxy) {
        self.references(proxy);
        if proxy.is_stats_page() {
            for bind in &proxy.binds {
                self.notes
                    .not_needed(&bind.line, "the live page, /check and /metrics are at `admin.address`");
            }
            return;
        }
        let binds = bind::usable(&proxy.binds, &self.config.listeners, self.notes);
        if binds.is_empty() {
            self.notes.not_supported(
                &proxy.head,
                "no address is left that plimsoll could listen on: the section is left out",
            );
            return;
        }
        if proxy.settings.http {
            self.http(proxy, &binds);
        } else {
            self.tcp(proxy, &binds);
        }
    }

    /// Notes each name of a backend that the file does not define.
    fn references(&mut self, proxy: &Proxy) {
        let of_rules = proxy.rules.in_order().filter_map(|rule| match &rule.what {
            What::Backend(name) => Some(name),
            What::Answer(_) => None,
        });
        for name in of_rules.chain(proxy.settings.default_name()) {
            if self.backends.find(&name.text).is_some() {
                continue;
            }
            let meant = similar(&name.text, self.backends.names());
            let hint = match meant {
                Some(meant) => format!("is `{meant}` meant?"),
                None => format!("add a section `backend {}`, or take out what names it", name.text),
            };
            let what = format!("there is no backend `{}` in this file; {hint}", name.text);
            self.notes.error(std::slice::from_ref(name), what);
        }
    }

    fn listener(&mut self, proxy: &Proxy, bind: &Bind) -> Listener {
        let settings = &proxy.settings;
        let timeouts = &settings.timeouts;
        let most = [bind.maxconn, settings.maxconn, self.global.maxconn].into_iter().flatten().min();
        let wanted = bind.name.as_deref().unwrap_or(&proxy.name.text);
        let name = self.listeners.give(wanted);
        self.notes.mapped(&bind.line, format!("listeners.{name}"));
        if bind.accept_proxy {
            self.notes.mapped(
                &bind.line,
                format!(
                    "listeners.{name}.proxy_protocol: accept; name those who send it in `forwarded.trust`"
                ),
            );
        }
        let of_rules = proxy.rules.in_order().filter_map(|rule| match &rule.what {
            What::Backend(name) => Some(name),
            What::Answer(_) => None,
        });
        let names: HashSet<&str> =
            of_rules.chain(settings.default_name()).map(|name| name.text.as_str()).collect();
        let uses = |other: &&Proxy| other.has_servers && names.contains(other.name.text.as_str());
        let used: Vec<&Proxy> = self.proxies.iter().filter(uses).collect();
        let mut except = settings.except.clone();
        except.extend(used.iter().flat_map(|other| other.settings.except.iter().cloned()));
        except.sort();
        except.dedup();
        let clear = |span: Option<crate::span::Span>| span.filter(|_| settings.http);
        Listener {
            name,
            about: vec![format!(
                "{} {}, line {}",
                proxy.head[0].text, proxy.name.text, bind.line[0].place.line
            )],
            address: bind.address.clone(),
            accept_proxy: bind.accept_proxy,
            max_connections: most.filter(|most| (1..=10_000_000).contains(most)),
            trust: if bind.tls { vec!["127.0.0.1".to_owned()] } else { Vec::new() },
            except,
            x_forwarded: settings.forwardfor || used.iter().any(|other| other.settings.forwardfor),
            head: clear(timeouts.http_request.or(timeouts.client)),
            body: clear(timeouts.client),
            idle: clear(timeouts.http_keep_alive.or(timeouts.http_request).or(timeouts.client)),
            write: clear(timeouts.client),
            requests_per_connection: (settings.closes && settings.http).then_some(1),
            ..Listener::default()
        }
    }

    fn tcp(&mut self, proxy: &Proxy, binds: &[Bind]) {
        if proxy.rules.refuses() {
            let what = "a rule of it refuses connections, which plimsoll cannot tell apart; so that nothing is \
                opened, it is left out: take out the rule and import again when a firewall decides";
            return self.left_out(proxy, binds, what);
        }
        for rule in proxy.rules.in_order() {
            self.notes.not_supported(
                &rule.line,
                "in mode tcp a listener has one upstream; give it a listener of its own",
            );
        }
        for rule in &proxy.rules.request_headers {
            self.notes.not_needed(&rule.line, "in mode tcp no header is read");
        }
        let itself = Some(&proxy.name).filter(|_| !proxy.servers.is_empty());
        let target = proxy.settings.default_name().or(itself);
        let Some(upstream) = target.and_then(|name| self.backends.find(&name.text)).flatten() else {
            return self.left_out(proxy, binds, "it has no backend that could answer: it is left out");
        };
        let upstream = upstream.name.clone();
        let of_backend =
            |other: &&Proxy| target.is_some_and(|name| name.text == other.name.text && other.has_servers);
        let of_backend = self.proxies.iter().find(of_backend).map(|other| &other.settings.timeouts);
        for bind in binds {
            let timeouts = &proxy.settings.timeouts;
            let server = of_backend.and_then(|timeouts| timeouts.server);
            let idle = [timeouts.client, server].into_iter().flatten().min();
            let tunnel = of_backend.and_then(|timeouts| timeouts.tunnel).or(timeouts.tunnel);
            let mut listener = self.listener(proxy, bind);
            listener.tcp = Some(upstream.clone());
            listener.tunnel = tunnel.or(idle);
            self.config.listeners.push(listener);
        }
        if let Some(line) = &proxy.settings.default_backend {
            self.notes.mapped(line, "listeners.*.upstream");
        }
    }

    fn left_out(&self, proxy: &Proxy, binds: &[Bind], why: &str) {
        self.notes.not_supported(&proxy.head, why);
        let what = format!("it is of `{} {}` above, and goes with it", proxy.head[0].text, proxy.name.text);
        let rules = proxy.rules.in_order().map(|rule| &rule.line);
        for line in binds.iter().map(|bind| &bind.line).chain(rules).chain(&proxy.settings.default_backend) {
            self.notes.not_supported(line, what.clone());
        }
    }

    fn http(&mut self, proxy: &Proxy, binds: &[Bind]) {
        let listeners: Vec<Listener> = binds.iter().map(|bind| self.listener(proxy, bind)).collect();
        let names: Vec<String> = listeners.iter().map(|listener| listener.name.clone()).collect();
        self.sources(proxy, &listeners);
        headers::tell_late(&proxy.rules, self.notes);
        self.config.listeners.extend(listeners);
        let mut decided = false;
        for rule in proxy.rules.in_order() {
            if decided {
                self.notes.not_needed(&rule.line, "a rule above takes every request");
                continue;
            }
            decided = self.rule(proxy, &names, rule);
        }
        if decided {
            if let Some(line) = &proxy.settings.default_backend {
                self.notes.not_needed(line, "a rule above takes every request");
            }
            return;
        }
        let itself = Some(&proxy.name).filter(|_| !proxy.servers.is_empty());
        match proxy.settings.default_name().or(itself) {
            Some(name) => {
                let line = proxy.settings.default_backend.as_ref().unwrap_or(&proxy.head).clone();
                self.leads_to(proxy, &names, &line, &Condition::Always, name);
            }
            None => {
                let about = "HAProxy answers 503 where no backend is chosen".to_owned();
                let action = Action::Respond(Response::status(503));
                let wanted = format!("{}-none", proxy.name.text);
                let route = Route { listeners: names, about: vec![about], ..Route::to(action) };
                self.route(&wanted, Matcher::default(), route);
            }
        }
    }

    /// Notes the rules that ask for the client where somebody else may speak for it.
    fn sources(&self, proxy: &Proxy, listeners: &[Listener]) {
        let speaks =
            listeners.iter().any(|listener| !listener.except.is_empty() || !listener.trust.is_empty());
        let asks = |rule: &&Rule| rule.condition.has(&|test| matches!(test, Test::Source(_)));
        for rule in proxy.rules.in_order().filter(|_| speaks).filter(asks) {
            let what = "routes[].match.source; behind a proxy of `forwarded.except` or `forwarded.trust` it is whom \
                that forwards for, not the proxy";
            self.notes.mapped(&rule.line, what);
        }
    }

    /// Adds the routes of a rule. Returns whether it takes every request.
    fn rule(&mut self, proxy: &Proxy, listeners: &[String], rule: &Rule) -> bool {
        match &rule.what {
            What::Backend(name) => self.leads_to(proxy, listeners, &rule.line, &rule.condition, name),
            What::Answer(action) => {
                let kind = match action {
                    Action::Redirect { .. } => "redirect",
                    Action::Respond(response) if response.status >= 400 => "deny",
                    _ => "answer",
                };
                self.told(
                    listeners,
                    &rule.line,
                    &rule.condition,
                    &format!("{}-{kind}", proxy.name.text),
                    action,
                )
            }
        }
    }

    /// Adds the routes to a backend, behind those for the backend's own rules.
    fn leads_to(
        &mut self,
        proxy: &Proxy,
        listeners: &[String],
        line: &[Word],
        condition: &Condition,
        name: &Word,
    ) -> bool {
        let upstream = match self.backends.find(&name.text) {
            // It is an error already.
            None => return false,
            Some(None) => None,
            Some(Some(upstream)) => {
                if upstream.host_header.is_none() {
                    upstream.host_header.clone_from(&proxy.rules.host_header);
                }
                Some(upstream.name.clone())
            }
        };
        let proxies = self.proxies;
        let target = proxies.iter().find(|other| other.has_servers && other.name.text == name.text);
        if let Some(target) = target.filter(|target| target.name.place != proxy.name.place) {
            for rule in target.rules.in_order() {
                let What::Answer(action) = &rule.what else { continue };
                let both = Condition::all([condition.clone(), rule.condition.clone()]);
                self.told(
                    listeners,
                    &rule.line,
                    &both,
                    &format!("{}-{}-answer", proxy.name.text, name.text),
                    action,
                );
            }
        }
        let wanted = format!("{}-{}", proxy.name.text, name.text);
        let Some(upstream) = upstream else {
            return self.told(listeners, line, condition, &wanted, &Action::Respond(Response::status(503)));
        };
        let action = Action::Upstream(upstream);
        let of_backend =
            target.filter(|target| target.name.place != proxy.name.place).map(|target| &target.rules);
        headers::tell(&proxy.rules, of_backend, self.notes);
        for variant in headers::variants(condition, &proxy.rules, of_backend) {
            let headers = (&variant.request, &variant.response);
            self.told_with(listeners, line, &variant.condition, &wanted, &action, headers);
        }
        *condition == Condition::Always
    }

    /// Adds the routes of a condition, and notes when that cannot be done. Returns whether they take every request.
    fn told(
        &mut self,
        listeners: &[String],
        line: &[Word],
        condition: &Condition,
        wanted: &str,
        action: &Action,
    ) -> bool {
        let none = Headers::default();
        self.told_with(listeners, line, condition, wanted, action, (&none, &none))
    }

    fn told_with(
        &mut self,
        listeners: &[String],
        line: &[Word],
        condition: &Condition,
        wanted: &str,
        action: &Action,
        (request, response): (&Headers, &Headers),
    ) -> bool {
        let about =
            vec![format!("line {}: {}", line.first().map_or(0, |word| word.place.line), joined(line))];
        if *condition == Condition::Never {
            self.notes.not_needed(line, "its condition never holds here");
            return false;
        }
        match matchers(condition) {
            Ok(all) => {
                let what = match action {
                    Action::Upstream(name) => format!("a route to the upstream `{name}`"),
                    Action::Redirect { .. } => "a route that redirects".to_owned(),
                    Action::Respond(response) => format!("a route that answers {}", response.status),
                };
                self.notes.mapped(line, what);
                for matcher in all {
                    let (request_headers, response_headers) = (request.clone(), response.clone());
                    let (listeners, about) = (listeners.to_vec(), about.clone());
                    let route = Route::to(action.clone());
                    let route = Route { listeners, about, request_headers, response_headers, ..route };
                    self.route(wanted, matcher, route);
                }
            }
            Err(what) => {
                let what = format!("{what} cannot be asked of a request; the requests take the rules below");
                self.notes.not_supported(line, what);
            }
        }
        *condition == Condition::Always
    }

    fn route(&mut self, wanted: &str, matcher: Matcher, route: Route) {
        self.config.routes.push(Route { name: self.routes.give(wanted), matcher, ..route });
    }
}
