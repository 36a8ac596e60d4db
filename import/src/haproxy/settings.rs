//! What a proxy may inherit from `defaults`: mode, timeouts, options, balance, checks.

use super::balance;
use super::check::CheckSettings;
use super::server::ServerSettings;
use super::words;
use crate::address;
use crate::model::{HashKey, Sticky};
use crate::note::Notes;
use crate::span::Span;
use crate::table;
use crate::word::Word;

/// What a section says of itself, over what its defaults say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// HAProxy's default is tcp.
    pub(crate) http: bool,
    pub(crate) timeouts: Timeouts,
    pub(crate) maxconn: Option<u64>,
    pub(crate) retries: Option<u64>,
    pub(crate) retry_on: Option<RetryOn>,
    pub(crate) forwardfor: bool,
    pub(crate) except: Vec<String>,
    pub(crate) balance: Option<balance::Way>,
    pub(crate) hash_balance_factor: Option<u64>,
    pub(crate) sticky: Option<Sticky>,
    pub(crate) check: CheckSettings,
    pub(crate) default_server: ServerSettings,
    pub(crate) logs_requests: bool,
    pub(crate) shows_stats: bool,
    pub(crate) closes: bool,
    /// The line `default_backend NAME`.
    pub(crate) default_backend: Option<Vec<Word>>,
    pub(crate) disabled: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Timeouts {
    pub(crate) client: Option<Span>,
    pub(crate) server: Option<Span>,
    pub(crate) connect: Option<Span>,
    pub(crate) check: Option<Span>,
    pub(crate) queue: Option<Span>,
    pub(crate) tunnel: Option<Span>,
    pub(crate) http_request: Option<Span>,
    pub(crate) http_keep_alive: Option<Span>,
}

/// The failures after which another server is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct RetryOn {
    pub(crate) on: Vec<&'static str>,
    pub(crate) status: Vec<String>,
}

const TIMEOUTS: [&str; 8] =
    ["client", "server", "connect", "check", "queue", "tunnel", "http-request", "http-keep-alive"];

/// Words that `Settings::read` knows, for "is … meant?".
pub(crate) const KNOWN: [&str; 26] = [
    "mode",
    "timeout",
    "maxconn",
    "retries",
    "retry-on",
    "option",
    "balance",
    "hash-type",
    "hash-balance-factor",
    "cookie",
    "http-check",
    "default-server",
    "log",
    "stats",
    "default_backend",
    "disabled",
    "bind",
    "acl",
    "server",
    "server-template",
    "use_backend",
    "http-request",
    "http-response",
    "redirect",
    "dispatch",
    "monitor-uri",
];

impl Settings {
    /// Reads a line that may stand in `defaults` as well as in a proxy. False when it is none.
    pub(crate) fn read(&mut self, line: &[Word], notes: &Notes) -> bool {
        let (off, words) = match line {
            [no, rest @ ..] if no.is("no") && !rest.is_empty() => (true, rest),
            _ => (false, line),
        };
        let [keyword, rest @ ..] = words else { return false };
        match keyword.text.as_str() {
            "mode" => self.mode(line, rest, notes),
            "timeout" => return self.timeout(line, rest, notes),
            "contimeout" | "clitimeout" | "srvtimeout" => self.old_timeout(line, words, notes),
            "maxconn" => {
                self.maxconn = number(line, rest, notes);
                let beyond = "connections beyond it are closed rather than kept waiting";
                notes.mapped(line, format!("listeners.*.max_connections; {beyond}"));
            }
            "retries" => {
                self.retries = number(line, rest, notes);
                notes.mapped(line, "upstreams.*.retries.attempts, which counts the first try too");
            }
            "retry-on" => self.retry_on(line, rest, notes),
            "option" => return self.option(line, rest, off, notes),
            "balance" => self.balance = balance::read(line, rest, notes).or(self.balance.take()),
            "hash-type" => balance::hash_type(line, rest, notes),
            "hash-balance-factor" => {
                self.hash_balance_factor = number(line, rest, notes);
                notes.mapped(line, "upstreams.*.balance.consistent_hash.load_bound");
            }
            "cookie" if off => self.sticky = None,
            "cookie" => self.sticky = balance::cookie(line, rest, notes).or(self.sticky.take()),
            "http-check" => self.check.http_check(line, rest, notes),
            "default-server" => self.default_server.read(rest, notes, Some(line)),
            "log" => log(line, notes),
            "log-format" if table::tell(words::PROXY, words, notes) => self.logs_requests = true,
            "default_backend" if rest.is_empty() => notes.error(line, "it needs the name of a backend"),
            "default_backend" => self.default_backend = Some(words[..2].to_vec()),
            "disabled" => self.disabled = true,
            "stats" => {
                self.shows_stats |= !off;
                table::tell(words::PROXY, words, notes);
            }
            _ => return table::tell(words::PROXY, words, notes),
        }
        true
    }

    fn mode(&mut self, line: &[Word], rest: &[Word], notes: &Notes) {
        match rest.first().map(|word| word.text.as_str()) {
            Some("http") => {
                self.http = true;
                notes.mapped(line, "listeners.*.protocol: http, which is the default");
            }
            Some("tcp") => {
                self.http = false;
                notes.mapped(line, "listeners.*.protocol: tcp, with `upstream` instead of routes");
            }
            _ => notes.not_supported(line, "a listener speaks http or tcp"),
        }
    }

    fn timeout(&mut self, line: &[Word], rest: &[Word], notes: &Notes) -> bool {
        let [what, value, ..] = rest else {
            notes.error(line, "a timeout needs a name and a value");
            return true;
        };
        let timeouts = &mut self.timeouts;
        let (slot, key) = match what.text.as_str() {
            "client" => (&mut timeouts.client, "listeners.*.timeouts.body and .write; mode tcp: .tunnel"),
            "server" => {
                (&mut timeouts.server, "upstreams.*.timeouts.response; mode tcp: listeners.*.timeouts.tunnel")
            }
            "connect" => (&mut timeouts.connect, "upstreams.*.timeouts.connect"),
            "check" => {
                (&mut timeouts.check, "upstreams.*.health.timeout, where it is shorter than the interval")
            }
            "queue" => (
                &mut timeouts.queue,
                "upstreams.*.limits.queue_timeout, where servers have `maxconn`: else nothing waits",
            ),
            "tunnel" => (&mut timeouts.tunnel, "listeners.*.timeouts.tunnel, in mode tcp"),
            "http-request" => (&mut timeouts.http_request, "listeners.*.timeouts.head"),
            "http-keep-alive" => (&mut timeouts.http_keep_alive, "listeners.*.timeouts.idle"),
            _ => {
                if !table::tell(words::PROXY, line, notes) {
                    notes.unknown(rest, "timeout", TIMEOUTS);
                }
                return true;
            }
        };
        match Span::haproxy(&value.text) {
            None => notes.error(line, format!("`{}` is no span of time", value.text)),
            Some(span) if span.is_zero() => {
                *slot = None;
                notes.not_supported(
                    line,
                    "there is no timeout without an end: plimsoll's default stays; write a longer one",
                );
            }
            Some(span) => {
                *slot = Some(span);
                notes.mapped(line, key);
            }
        }
        true
    }

    /// The timeouts' names before HAProxy 1.5.
    fn old_timeout(&mut self, line: &[Word], words: &[Word], notes: &Notes) {
        let [keyword, rest @ ..] = words else { return };
        let new = match keyword.text.as_str() {
            "contimeout" => "connect",
            "clitimeout" => "client",
            _ => "server",
        };
        let name = Word { text: new.to_owned(), place: keyword.place };
        let rest: Vec<Word> = std::iter::once(name).chain(rest.iter().cloned()).collect();
        self.timeout(line, &rest, notes);
    }

    fn option(&mut self, line: &[Word], rest: &[Word], off: bool, notes: &Notes) -> bool {
        let Some(name) = rest.first() else { return false };
        match name.text.as_str() {
            "httplog" | "tcplog" | "httpslog" => {
                self.logs_requests = !off;
                notes.mapped(line, "telemetry.access_log, one for the whole process");
            }
            "forwardfor" if off => {
                self.forwardfor = false;
                notes.mapped(line, "listeners.*.forwarded.x_forwarded: false");
            }
            "forwardfor" => self.forwardfor(line, &rest[1..], notes),
            "httpclose" | "forceclose" if off => {
                self.closes = false;
                notes.not_needed(line, "connections are kept on both sides");
            }
            "httpclose" | "forceclose" => {
                self.closes = true;
                notes.mapped(line, "listeners.*.limits.requests_per_connection: 1");
            }
            "httpchk" | "tcp-check" | "ssl-hello-chk" | "mysql-check" | "pgsql-check" | "redis-check"
            | "smtpchk" | "ldap-check" | "spop-check" => self.check.option(line, rest, off, notes),
            _ => {
                let words: Vec<Word> = line.iter().skip(usize::from(off)).cloned().collect();
                if table::row(words::PROXY, &words).is_none() {
                    let known = words::PROXY.iter().filter_map(|(word, ..)| word.strip_prefix("option "));
                    let more = ["httplog", "tcplog", "forwardfor", "httpclose", "httpchk", "tcp-check"];
                    notes.unknown(rest, "option", known.chain(more));
                } else if off {
                    notes.not_needed(line, "it turns off what plimsoll has no key for");
                } else {
                    table::tell(words::PROXY, &words, notes);
                }
            }
        }
        true
    }

    fn forwardfor(&mut self, line: &[Word], rest: &[Word], notes: &Notes) {
        self.forwardfor = true;
        notes.mapped(
            line,
            "listeners.*.forwarded; a client's own X-Forwarded-For is removed, unless the client is in `trust`",
        );
        let mut rest = rest.iter();
        while let Some(word) = rest.next() {
            match word.text.as_str() {
                "except" => match rest.next().map(|range| (address::range(&range.text), range)) {
                    Some((Some(range), _)) => self.except.push(range),
                    Some((None, range)) => {
                        notes.error(std::slice::from_ref(range), "this is no range of addresses");
                    }
                    None => notes.error(std::slice::from_ref(word), "it needs a range of addresses"),
                },
                "header" => {
                    let name: Vec<Word> = std::iter::once(word).chain(rest.next()).cloned().collect();
                    notes.not_supported(&name, "the header is X-Forwarded-For; let the application read it");
                }
                "if-none" => {
                    notes.not_supported(
                        std::slice::from_ref(word),
                        "name the proxies before plimsoll in `forwarded.trust`: what they say is kept",
                    );
                }
                _ => notes.unknown(
                    std::slice::from_ref(word),
                    "word of forwardfor",
                    ["except", "header", "if-none"],
                ),
            }
        }
    }

    fn retry_on(&mut self, line: &[Word], rest: &[Word], notes: &Notes) {
        let mut found = RetryOn::default();
        for word in rest {
            let on: &[&'static str] = match word.text.as_str() {
                "none" => &[],
                "conn-failure" => &["connect"],
                "empty-response" | "junk-response" => &["reset"],
                "response-timeout" => &["timeout"],
                "all-retryable-errors" => {
                    found.status.push("500-504".to_owned());
                    &["connect", "reset", "timeout", "status"]
                }
                "500" | "501" | "502" | "503" | "504" => {
                    found.status.push(word.text.clone());
                    &["status"]
                }
                _ => {
                    let why = "only failures of a backend are worth another try: codes from 500 on, \
                        conn-failure, empty-response, response-timeout";
                    notes.not_supported(std::slice::from_ref(word), why);
                    &[]
                }
            };
            let new = on.iter().filter(|on| !found.on.contains(on)).copied().collect::<Vec<_>>();
            found.on.extend(new);
        }
        notes.mapped(line, "upstreams.*.retries.on and .status");
        self.retry_on = Some(found);
    }
}

fn log(line: &[Word], notes: &Notes) {
    notes.mapped(
        line,
        "telemetry: the program's log goes to standard error and the access log to standard output, where \
            journald or a log collector takes them",
    );
}

/// A whole number after a keyword. What is none is noted.
pub(crate) fn number(line: &[Word], rest: &[Word], notes: &Notes) -> Option<u64> {
    let number = rest.first().and_then(|word| word.text.parse().ok());
    if number.is_none() {
        let found = rest.first().map_or("nothing", |word| word.text.as_str());
        notes.error(line, format!("a whole number is needed, and `{found}` is none"));
    }
    number
}

impl Settings {
    /// The name that `default_backend` gives.
    pub(crate) fn default_name(&self) -> Option<&Word> {
        self.default_backend.as_ref().and_then(|line| line.get(1))
    }

    /// What is hashed by the balancer, if it hashes.
    pub(crate) fn hash_key(&self) -> Option<&HashKey> {
        match &self.balance {
            Some(balance::Way::Hash(key)) => Some(key),
            _ => None,
        }
    }
}
