//! Reads a block `upstream`: servers, and how one is picked.

use std::collections::HashSet;

use super::super::tree::Directive;
use super::super::words;
use super::{Group, target};
use crate::lint;
use crate::model::{Backend, Balance, Check, HashKey, Health, HttpCheck, Outliers, Sticky};
use crate::name::Names;
use crate::note::Notes;
use crate::span::Span;
use crate::table;
use crate::word::Word;

/// Puts what the block says into the group.
pub(super) fn read(directive: &Directive, group: &mut Group, notes: &Notes) {
    let mut reader = Reader { group, addresses: HashSet::new(), names: Names::default(), notes };
    directive.inner().iter().for_each(|directive| reader.read(directive));
}

struct Reader<'a> {
    group: &'a mut Group,
    addresses: HashSet<String>,
    names: Names,
    notes: &'a Notes,
}

impl Reader<'_> {
    fn read(&mut self, directive: &Directive) {
        let (line, notes) = (&directive.words, self.notes);
        let base = &mut self.group.base;
        match directive.name() {
            "server" => self.server(directive),
            "least_conn" => {
                base.balance = Some(Balance::Word("least_requests"));
                notes.mapped(line, "upstreams.*.balance: least_requests");
            }
            "least_time" => {
                base.balance = Some(Balance::Word("peak_ewma"));
                notes.mapped(line, "upstreams.*.balance: peak_ewma");
            }
            "random" => {
                let two = directive.argument(0) == "two";
                let word = if two { "least_requests" } else { "random" };
                base.balance = Some(Balance::Word(word));
                notes.mapped(line, format!("upstreams.*.balance: {word}"));
            }
            "ip_hash" => {
                base.balance = Some(hashed(HashKey::Source));
                notes.mapped(line, "upstreams.*.balance.consistent_hash.key: source, the whole address");
            }
            "hash" => match hash_key(directive.argument(0)) {
                Some(key) => {
                    base.balance = Some(hashed(key));
                    notes.mapped(line, "upstreams.*.balance.consistent_hash.key");
                }
                None => notes.not_supported(
                    line,
                    "what can be hashed is source, path, a header, a cookie or a query parameter; requests \
                        are given out by turns",
                ),
            },
            "keepalive" => {
                base.idle_connections =
                    directive.argument(0).parse().ok().map(|count: u64| count.min(100_000));
                notes.mapped(line, "upstreams.*.limits.idle_connections, per thread and backend");
            }
            "keepalive_timeout" => {
                base.idle = Span::nginx(directive.argument(0)).filter(|span| !span.is_zero());
                notes.mapped(line, "upstreams.*.timeouts.idle");
            }
            "sticky" => self.sticky(directive),
            "check" => self.check(directive),
            "check_http_send" | "check_http_expect_alive" => self.check_http(directive),
            _ if table::tell(words::UPSTREAM, line, notes) => {}
            _ => {
                let more =
                    ["server", "least_conn", "random", "ip_hash", "hash", "keepalive", "sticky", "check"];
                notes.unknown(
                    line,
                    "word of upstream",
                    words::UPSTREAM.iter().map(|(word, ..)| *word).chain(more),
                );
            }
        }
    }

    fn server(&mut self, directive: &Directive) {
        let (line, notes) = (&directive.words, self.notes);
        let [place, words @ ..] = directive.arguments() else {
            return notes.error(line, "it needs an address");
        };
        let mut backend = Backend::default();
        self.parameters(words, &mut backend);
        match target(&place.text, 80) {
            Ok(address) => backend.address = address,
            Err(why) => {
                notes.not_supported(std::slice::from_ref(place), why);
                backend.address.clone_from(&place.text);
                backend.left_out = true;
            }
        }
        if !backend.left_out && !self.addresses.insert(backend.address.clone()) {
            let what = "another backend has this address; it is left out, give the other one more `weight`";
            notes.not_supported(line, what);
            backend.left_out = true;
        }
        if backend.weight.is_some() {
            backend.name = Some(self.names.give(&backend.address));
        }
        if !backend.left_out {
            notes.mapped(line, format!("upstreams.{}.backends", self.group.name));
        }
        self.group.base.backends.push(backend);
    }

    fn parameters(&mut self, words: &[Word], backend: &mut Backend) {
        let (base, notes) = (&mut self.group.base, self.notes);
        // nginx takes a server out after one failure, for ten seconds; said here only where the file says something.
        let (mut fails, mut ejection, mut says_passive) = (1, Span::seconds(10), false);
        for word in words {
            let (key, value) = word.text.split_once('=').unwrap_or((&word.text, ""));
            let only = std::slice::from_ref(word);
            let number: Option<u64> = value.parse().ok();
            let span = Span::nginx(value).filter(|span| !span.is_zero());
            match key {
                "weight" => backend.weight = number.map(|weight| weight.min(1000)).or(backend.weight),
                "max_fails" => (fails, says_passive) = (number.unwrap_or(fails), true),
                "fail_timeout" => (ejection, says_passive) = (span.unwrap_or(ejection), true),
                "max_conns" => {
                    let most = number.filter(|most| *most > 0);
                    base.in_flight = [base.in_flight, most].into_iter().flatten().min();
                }
                "slow_start" => base.slow_start = span,
                "backup" => {
                    backend.weight = Some(0);
                    backend.about = Some("backup: gets nothing while another one can take it".to_owned());
                }
                "down" => {
                    backend.left_out = true;
                    backend.about = Some("down".to_owned());
                    let what = "it is left out as a comment; `plimsoll ctl drain` takes one out at run time";
                    notes.not_supported(only, what);
                }
                _ => parameter(key, only, notes),
            }
        }
        if says_passive {
            base.outliers = Some(match fails {
                0 => Outliers::Off,
                _ => Outliers::Failures { consecutive: fails.min(1_000), ejection },
            });
        }
    }

    /// `sticky cookie NAME [expires=T] [path=P] [secure] [httponly] [samesite=S] [domain=D]`
    fn sticky(&mut self, directive: &Directive) {
        let (line, notes) = (&directive.words, self.notes);
        let [kind, name, words @ ..] = directive.arguments() else {
            return notes.error(line, "it needs a method and a name");
        };
        if !kind.is("cookie") || !lint::token(&name.text) {
            return notes.not_supported(line, "`upstreams.*.sticky` sets a cookie of its own");
        }
        let mut sticky = Sticky { cookie: name.text.clone(), ..Sticky::default() };
        for word in words {
            let (key, value) = word.text.split_once('=').unwrap_or((&word.text, ""));
            match (key, value) {
                ("expires", span) => sticky.max_age = Span::nginx(span).filter(|span| !span.is_zero()),
                ("path", path) if lint::cookie_path(path) => sticky.path = Some(path.to_owned()),
                ("secure", _) => sticky.secure = true,
                ("httponly", _) => sticky.http_only = Some(true),
                ("samesite", "strict") => sticky.same_site = Some("strict"),
                ("samesite", "lax") => sticky.same_site = Some("lax"),
                ("samesite", "none") => (sticky.same_site, sticky.secure) = (Some("none"), true),
                _ => notes.not_supported(
                    std::slice::from_ref(word),
                    "the attributes of the cookie are the keys of `upstreams.*.sticky`",
                ),
            }
        }
        notes.mapped(line, "upstreams.*.sticky; clients get a new cookie once");
        self.group.base.sticky = Some(sticky);
    }

    /// `check interval=3000 rise=2 fall=5 timeout=1000 type=http;` of Tengine's module.
    fn check(&mut self, directive: &Directive) {
        let health = self.group.health.get_or_insert_with(Health::default);
        for word in directive.arguments() {
            let (key, value) = word.text.split_once('=').unwrap_or((&word.text, ""));
            let number: Option<u64> = value.parse().ok().filter(|number| *number > 0);
            match key {
                "interval" => health.interval = number.map(Span::milliseconds),
                "timeout" => health.timeout = number.map(Span::milliseconds),
                "rise" => health.rise = number.map(|number| number.min(1000)),
                "fall" => health.fall = number.map(|number| number.min(1000)),
                "type" if value == "http" => health.check = Check::Http(HttpCheck::default()),
                "type" if value == "tcp" => health.check = Check::Tcp,
                _ => self.notes.not_supported(
                    std::slice::from_ref(word),
                    "a check connects or asks by HTTP, at the address of the traffic",
                ),
            }
        }
        health.timeout = health.timeout.min(health.interval.or(health.timeout));
        self.notes.mapped(&directive.words, "upstreams.*.health");
    }

    fn check_http(&mut self, directive: &Directive) {
        let health = self.group.health.get_or_insert_with(Health::default);
        let mut http = match std::mem::take(&mut health.check) {
            Check::Http(http) => http,
            _ => HttpCheck::default(),
        };
        if directive.name() == "check_http_send" {
            let mut words = directive.argument(0).split([' ', '\r', '\n']);
            http.method = words.next().filter(|method| lint::method(method)).map(str::to_owned);
            http.path = words.next().filter(|path| lint::check_path(path)).map(str::to_owned);
        } else {
            let classes = directive.arguments().iter().filter_map(|word| word.text.strip_prefix("http_"));
            let class = |class: &str| class.strip_suffix("xx").map(|digit| format!("{digit}00-{digit}99"));
            http.status = classes.filter(|class| !class.starts_with('1')).filter_map(class).collect();
        }
        health.check = Check::Http(http);
        self.notes.mapped(&directive.words, "upstreams.*.health.http");
    }
}

/// Notes a word of a server that plimsoll has none for.
fn parameter(key: &str, only: &[Word], notes: &Notes) {
    match key {
        "resolve" => notes.not_needed(only, "host names are looked up every `upstreams.*.lookup_interval`"),
        "route" => notes.not_needed(only, "the cookie's values are made from the backends' names"),
        "service" => {
            notes.not_supported(only, "a backend has a port of its own; SRV records are not looked up")
        }
        "drain" => notes.not_supported(only, "`plimsoll ctl drain` drains a backend at run time"),
        _ => {
            let known = ["weight", "max_fails", "fail_timeout", "max_conns", "backup", "down", "slow_start"];
            notes.unknown(only, "word of server", known);
        }
    }
}

fn hashed(key: HashKey) -> Balance {
    Balance::Hash { key, load_bound: "unlimited".to_owned() }
}

fn hash_key(variable: &str) -> Option<HashKey> {
    let header = |name: &str| HashKey::Header(name.replace('_', "-"));
    let named = |prefix: &str| variable.strip_prefix(prefix).filter(|name| lint::token(name));
    match variable {
        "$remote_addr" | "$binary_remote_addr" => Some(HashKey::Source),
        "$request_uri" | "$uri" | "$document_uri" => Some(HashKey::Path),
        "$host" | "$http_host" => Some(header("host")),
        _ => named("$http_")
            .map(header)
            .or_else(|| named("$cookie_").map(|name| HashKey::Cookie(name.to_owned())))
            .or_else(|| named("$arg_").map(|name| HashKey::Query(name.to_owned()))),
    }
}
