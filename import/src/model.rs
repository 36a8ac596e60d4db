//! What plimsoll will be told: its file as plain data. None and empty mean that the key is left out.

use crate::span::Span;

/// A whole configuration.
#[derive(Debug, Default)]
pub(crate) struct Config {
    pub(crate) workers: Option<u64>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) routes: Vec<Route>,
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) drain: Option<Span>,
    /// Whether each exchange is logged.
    pub(crate) access_log: bool,
}

/// Where clients connect.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listener {
    pub(crate) name: String,
    /// Comments above it: where it comes from.
    pub(crate) about: Vec<String>,
    pub(crate) address: String,
    /// The upstream of a listener that relays bytes. None speaks HTTP.
    pub(crate) tcp: Option<String>,
    pub(crate) accept_proxy: bool,
    pub(crate) max_connections: Option<u64>,
    pub(crate) trust: Vec<String>,
    pub(crate) except: Vec<String>,
    /// Whether X-Forwarded-* are sent.
    pub(crate) x_forwarded: bool,
    pub(crate) head: Option<Span>,
    pub(crate) body: Option<Span>,
    pub(crate) idle: Option<Span>,
    pub(crate) write: Option<Span>,
    pub(crate) tunnel: Option<Span>,
    /// Sizes, as text with a unit.
    pub(crate) head_size: Option<String>,
    pub(crate) body_size: Option<String>,
    pub(crate) requests_per_connection: Option<u64>,
}

/// Which request goes where.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) about: Vec<String>,
    pub(crate) listeners: Vec<String>,
    pub(crate) matcher: Matcher,
    pub(crate) idempotent: bool,
    pub(crate) request_headers: Headers,
    pub(crate) response_headers: Headers,
    pub(crate) action: Action,
}

impl Route {
    /// A route for all requests that does nothing but this.
    pub(crate) fn to(action: Action) -> Self {
        Self {
            name: String::new(),
            about: Vec::new(),
            listeners: Vec::new(),
            matcher: Matcher::default(),
            idempotent: false,
            request_headers: Headers::default(),
            response_headers: Headers::default(),
            action,
        }
    }
}

/// What a route does to header fields, whose names are in lower case: first `remove`, then `set`, then `add`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Headers {
    pub(crate) set: Vec<(String, String)>,
    pub(crate) add: Vec<(String, String)>,
    pub(crate) remove: Vec<String>,
}

impl Headers {
    /// Has the field have this one value, whatever was done to it before.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.forget(name);
        self.set.push((name.to_owned(), value.to_owned()));
    }

    /// Takes the field out, whatever was done to it before.
    pub(crate) fn remove(&mut self, name: &str) {
        self.forget(name);
        self.remove.push(name.to_owned());
    }

    fn forget(&mut self, name: &str) {
        self.set.retain(|(other, _)| other != name);
        self.add.retain(|(other, _)| other != name);
        self.remove.retain(|other| other != name);
    }
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    Upstream(String),
    Redirect { to: String, status: u16 },
    Respond(Response),
}

/// A fixed answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<String>,
}

impl Response {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

/// What a request must look like: every field that is given must match.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Matcher {
    pub(crate) hosts: Vec<String>,
    pub(crate) path: Option<PathTests>,
    pub(crate) sources: Vec<String>,
    pub(crate) methods: Vec<String>,
    pub(crate) headers: Vec<(String, FieldTest)>,
    pub(crate) query: Vec<(String, FieldTest)>,
    /// What it must not look like: none of these.
    pub(crate) not: Vec<Matcher>,
}

impl Matcher {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Tests of a path, of which one must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PathTests {
    pub(crate) ignore_case: bool,
    pub(crate) tests: Tests,
}

/// Tests of a text, of which one must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Tests {
    pub(crate) exact: Vec<String>,
    pub(crate) prefix: Vec<String>,
    pub(crate) suffix: Vec<String>,
    pub(crate) regex: Vec<String>,
}

impl Tests {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let lists = [
            (&mut self.exact, &other.exact),
            (&mut self.prefix, &other.prefix),
            (&mut self.suffix, &other.suffix),
            (&mut self.regex, &other.regex),
        ];
        for (all, more) in lists {
            for text in more {
                if !all.contains(text) {
                    all.push(text.clone());
                }
            }
        }
    }
}

/// A test of a header or query parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FieldTest {
    Present,
    Absent,
    Any(Tests),
    /// The same without regard to case.
    Caseless(Tests),
}

/// A group of interchangeable backends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) about: Vec<String>,
    pub(crate) balance: Option<Balance>,
    pub(crate) sticky: Option<Sticky>,
    pub(crate) backends: Vec<Backend>,
    pub(crate) proxy_protocol: Option<&'static str>,
    pub(crate) health: Option<Health>,
    pub(crate) outliers: Option<Outliers>,
    pub(crate) slow_start: Option<Span>,
    pub(crate) retries: Option<Retries>,
    pub(crate) connect: Option<Span>,
    pub(crate) response: Option<Span>,
    pub(crate) idle: Option<Span>,
    pub(crate) in_flight: Option<u64>,
    pub(crate) queue: Option<u64>,
    pub(crate) queue_timeout: Option<Span>,
    pub(crate) idle_connections: Option<u64>,
    /// Whether requests are refused while no backend is available.
    pub(crate) refuse: bool,
    pub(crate) host_header: Option<String>,
}

/// How a backend is picked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Balance {
    /// A word of plimsoll.
    Word(&'static str),
    Hash {
        key: HashKey,
        load_bound: String,
    },
}

/// What of a request is hashed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum HashKey {
    Source,
    Path,
    Header(String),
    Cookie(String),
    Query(String),
}

/// A cookie by which a client stays with a backend.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sticky {
    pub(crate) cookie: String,
    pub(crate) path: Option<String>,
    pub(crate) secure: bool,
    /// None is plimsoll's default.
    pub(crate) http_only: Option<bool>,
    pub(crate) same_site: Option<&'static str>,
    pub(crate) max_age: Option<Span>,
}

/// One backend.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Backend {
    pub(crate) name: Option<String>,
    pub(crate) address: String,
    pub(crate) weight: Option<u64>,
    /// What its comment says.
    pub(crate) about: Option<String>,
    /// Whether it stands in the file as a comment only.
    pub(crate) left_out: bool,
}

/// How backends are checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Health {
    pub(crate) check: Check,
    pub(crate) interval: Option<Span>,
    pub(crate) timeout: Option<Span>,
    pub(crate) rise: Option<u64>,
    pub(crate) fall: Option<u64>,
    pub(crate) jitter: Option<u64>,
    pub(crate) agent: Option<(u16, Option<Span>)>,
}

/// What a check does.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Check {
    Off,
    #[default]
    Tcp,
    Http(HttpCheck),
}

/// A check by a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct HttpCheck {
    pub(crate) method: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) status: Vec<String>,
    pub(crate) body: Option<String>,
}

/// When live traffic takes a backend out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outliers {
    Off,
    Failures { consecutive: u64, ejection: Span },
}

/// When a failed attempt is tried elsewhere.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Retries {
    pub(crate) attempts: Option<u64>,
    pub(crate) on: Vec<&'static str>,
    pub(crate) status: Vec<String>,
}
