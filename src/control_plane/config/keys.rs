//! Every key that a configuration may have, with its default: the one table that decoding, "did you mean", the
//! reference file's test and the listing of keys all read.
//!
//! `*` in a path stands for a name that the file's writer chooses, `[]` for the items of a list.

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Where the key stands, such as `listeners.*.timeouts.head`.
    pub path: &'static str,
    /// Whether it must be there, and what stands in for it.
    pub presence: Presence,
    /// What it is for, in a few words, with its unit.
    pub about: &'static str,
}

/// Whether a key must be there. Texts are YAML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It must be there; for example like this.
    Required(&'static str),
    /// This stands in for it.
    Default(&'static str),
    /// Without it, this is so.
    Optional(&'static str),
    /// It holds other keys.
    Section,
}

impl Key {
    /// The key's own name, the last part of its path.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or_default()
    }

    /// The path of the section that holds the key. Empty for a key at the top of the file.
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(section, _)| section)
    }
}

/// The keys of one section, in the order of the table.
pub(super) fn within(section: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.section() == section)
}

const fn required(path: &'static str, example: &'static str, about: &'static str) -> Key {
    Key { path, presence: Presence::Required(example), about }
}

const fn default(path: &'static str, default: &'static str, about: &'static str) -> Key {
    Key { path, presence: Presence::Default(default), about }
}

const fn optional(path: &'static str, without: &'static str, about: &'static str) -> Key {
    Key { path, presence: Presence::Optional(without), about }
}

const fn section(path: &'static str, about: &'static str) -> Key {
    Key { path, presence: Presence::Section, about }
}

/// Every key, in the order in which the reference file shows them.
#[rustfmt::skip] // one line per key, so that it reads as the table it is
pub const KEYS: &[Key] = &[
    default("workers", "auto", "threads that serve traffic: `auto` is one per CPU"),

    section("listeners", "where clients connect, by name"),
    required("listeners.*.address", "127.0.0.1:8080", "where to listen; `:8080` is every IPv4 address"),
    default("listeners.*.protocol", "http", "what clients speak: http, or tcp, which relays connections as they are"),
    optional("listeners.*.upstream", "the only one, for tcp", "where the connections of a tcp listener go"),
    default("listeners.*.proxy_protocol", "off", "off, or accept: each connection begins with a header of the PROXY protocol"),
    default("listeners.*.max_connections", "20000", "connections open at once, over all workers"),
    section("listeners.*.forwarded", "what is told about the client and about this proxy"),
    default("listeners.*.forwarded.trust", "[]", "ranges of sources whose own X-Forwarded-*, Forwarded and x-request-id are believed"),
    default("listeners.*.forwarded.except", "[]", "ranges of clients for which no forwarded-for entry is added"),
    default("listeners.*.forwarded.x_forwarded", "true", "send X-Forwarded-For, -Proto and -Host"),
    default("listeners.*.forwarded.forwarded", "false", "send Forwarded (RFC 7239)"),
    default("listeners.*.forwarded.via", "true", "add Via to requests"),
    default("listeners.*.forwarded.request_id", "true", "give each request an x-request-id; a trusted source keeps its own"),
    section("listeners.*.timeouts", "how long a client may take"),
    default("listeners.*.timeouts.head", "10s", "from the first byte of a request to the end of its head"),
    default("listeners.*.timeouts.body", "30s", "between two reads of a body"),
    default("listeners.*.timeouts.idle", "60s", "between two requests on a connection"),
    default("listeners.*.timeouts.write", "30s", "between two writes that move an answer forward"),
    default("listeners.*.timeouts.tunnel", "1h", "how long nothing may move in a tcp connection, or after an upgrade"),
    section("listeners.*.limits", "how much a client may send"),
    default("listeners.*.limits.head", "32KiB", "size of a request's head"),
    default("listeners.*.limits.headers", "100", "header fields of a request"),
    default("listeners.*.limits.target", "8KiB", "size of a request's target"),
    default("listeners.*.limits.body", "unlimited", "size of a request's body"),
    default("listeners.*.limits.requests_per_connection", "unlimited", "requests after which a connection is closed"),

    section("routes", "which request goes where; the first that matches decides"),
    optional("routes[].name", "`route-1`, `route-2` … by position", "the route's name in metrics and logs"),
    optional("routes[].listener", "all listeners", "the listener, or a list of them, whose requests the route looks at"),
    section("routes[].match", "what a request must look like; without it every request matches"),
    optional("routes[].match.host", "any host", "a host, `*.example.org`, or a list; case is ignored"),
    section("routes[].match.path", "the path: a prefix, or a mapping of tests of which one must hold"),
    optional("routes[].match.path.exact", "no such test", "the path is this, or one of a list"),
    optional("routes[].match.path.prefix", "no such test", "the path begins with this"),
    optional("routes[].match.path.suffix", "no such test", "the path ends with this"),
    optional("routes[].match.path.regex", "no such test", "the expression is found in the path"),
    default("routes[].match.path.ignore_case", "false", "compare without regard to ASCII case"),
    optional("routes[].match.source", "any source", "a range of addresses such as 10.0.0.0/8, an address, or a list: who sent it"),
    optional("routes[].match.method", "any method", "a method, or a list"),
    section("routes[].match.headers", "headers by name: a value, or a mapping of tests of which one must hold"),
    optional("routes[].match.headers.*.exact", "no such test", "the value is this, or one of a list"),
    optional("routes[].match.headers.*.prefix", "no such test", "the value begins with this"),
    optional("routes[].match.headers.*.suffix", "no such test", "the value ends with this"),
    optional("routes[].match.headers.*.regex", "no such test", "the expression is found in the value"),
    optional("routes[].match.headers.*.present", "no such test", "whether the header is there"),
    default("routes[].match.headers.*.ignore_case", "false", "compare without regard to ASCII case"),
    section("routes[].match.query", "query parameters by name: a value, or a mapping of tests of which one must hold"),
    optional("routes[].match.query.*.exact", "no such test", "the value is this, or one of a list"),
    optional("routes[].match.query.*.prefix", "no such test", "the value begins with this"),
    optional("routes[].match.query.*.suffix", "no such test", "the value ends with this"),
    optional("routes[].match.query.*.regex", "no such test", "the expression is found in the value"),
    optional("routes[].match.query.*.present", "no such test", "whether the parameter is there"),
    default("routes[].match.query.*.ignore_case", "false", "compare without regard to ASCII case"),
    section("routes[].match.not", "what a request must not look like: the keys of `match`, or a list of such mappings"),
    default("routes[].idempotent", "false", "whatever their method, these requests may be sent to another backend again"),
    section("routes[].request_headers", "what happens to the header fields that backends read"),
    section("routes[].request_headers.set", "fields with their one value; {host}, {authority}, {path}, {query} and {client} are the request's"),
    section("routes[].request_headers.add", "fields that come in besides those that are there: a value, or a list"),
    optional("routes[].request_headers.remove", "none", "a field that is taken out, or a list"),
    section("routes[].response_headers", "what happens to the header fields of answers, of backends and of the route itself"),
    section("routes[].response_headers.set", "as for requests; {backend} is the name of the backend that answers"),
    section("routes[].response_headers.add", "as for requests"),
    optional("routes[].response_headers.remove", "none", "a field that is taken out, or a list"),
    optional("routes[].upstream", "`redirect` or `respond` is given", "the upstream that answers"),
    section("routes[].redirect", "sends the client elsewhere"),
    required("routes[].redirect.to", "\"https://{host}{path}{query}\"", "where to; {host}, {authority}, {path} and {query} are the request's"),
    default("routes[].redirect.status", "302", "301, 302, 303, 307 or 308"),
    section("routes[].respond", "answers without a backend"),
    default("routes[].respond.status", "200", "the status code"),
    optional("routes[].respond.body", "the body is empty", "the body"),
    section("routes[].respond.headers", "header fields by name"),

    section("upstreams", "groups of interchangeable backends, by name"),
    default("upstreams.*.balance", "round_robin", "round_robin, least_requests, peak_ewma, random, or consistent_hash with its keys"),
    section("upstreams.*.balance.consistent_hash", "picks by the hash of a key of the request"),
    default("upstreams.*.balance.consistent_hash.key", "source", "source, path, or {header: …}, {cookie: …}, {query: …}"),
    optional("upstreams.*.balance.consistent_hash.key.header", "another key is hashed", "the header to hash"),
    optional("upstreams.*.balance.consistent_hash.key.cookie", "another key is hashed", "the cookie to hash"),
    optional("upstreams.*.balance.consistent_hash.key.query", "another key is hashed", "the query parameter to hash"),
    default("upstreams.*.balance.consistent_hash.load_bound", "1.25", "the most load of a backend relative to the average, or `unlimited`"),
    section("upstreams.*.sticky", "a cookie by which a client stays with a backend; without it none is set"),
    default("upstreams.*.sticky.cookie", "plimsoll", "the cookie's name"),
    default("upstreams.*.sticky.path", "/", "its Path attribute"),
    default("upstreams.*.sticky.secure", "false", "its Secure attribute"),
    default("upstreams.*.sticky.http_only", "true", "its HttpOnly attribute"),
    default("upstreams.*.sticky.same_site", "lax", "its SameSite attribute: lax, strict or none"),
    default("upstreams.*.sticky.max_age", "session", "how long it lives; `session` ends with the browser"),
    required("upstreams.*.backends", "[127.0.0.1:5001, 127.0.0.1:5002]", "the servers: addresses, or mappings with the keys below"),
    optional("upstreams.*.backends[].name", "`backend-1`, `backend-2` … by position", "the backend's name in metrics and logs"),
    required("upstreams.*.backends[].address", "127.0.0.1:5001", "where it answers"),
    default("upstreams.*.backends[].weight", "1", "its share of the work relative to the others, 0 to 1000; 0 gets none while another one can take it"),
    default("upstreams.*.lookup_interval", "5s", "from one look-up of the backends' host names to the next, or `off` once each has an address"),
    section("upstreams.*.health", "how backends are checked; `off` does not, `tcp` only connects"),
    optional("upstreams.*.health.tcp", "so, unless `http` is given", "`true`: a check connects and closes"),
    section("upstreams.*.health.http", "a check sends a request: a path, or a mapping"),
    default("upstreams.*.health.http.method", "GET", "the request's method"),
    default("upstreams.*.health.http.path", "/", "the request's path"),
    optional("upstreams.*.health.http.host", "the backend's address", "the request's Host"),
    default("upstreams.*.health.http.status", "200-399", "codes that mean healthy: a range, a code, or a list"),
    optional("upstreams.*.health.http.body", "the body is not looked at", "a text that the body must contain"),
    default("upstreams.*.health.interval", "1s", "from one check to the next"),
    default("upstreams.*.health.timeout", "500ms", "how long a check may take, connecting included"),
    default("upstreams.*.health.rise", "2", "successes in a row until healthy"),
    default("upstreams.*.health.fall", "2", "failures in a row until unhealthy"),
    default("upstreams.*.health.jitter", "10%", "by how much an interval varies at random"),
    section("upstreams.*.health.agent", "an agent (HAProxy's agent-check) beside each backend: a port, or a mapping; without it none is asked"),
    required("upstreams.*.health.agent.port", "9777", "the port of the agent, on the host of the backend"),
    default("upstreams.*.health.agent.interval", "1s", "from one question to the next"),
    default("upstreams.*.health.agent.timeout", "500ms", "how long a question may take, connecting included"),
    section("upstreams.*.outliers", "when live traffic takes a backend out; `off` leaves it to checks"),
    default("upstreams.*.outliers.consecutive_errors", "5", "answers with a 5xx in a row that take it out, or `off`"),
    default("upstreams.*.outliers.consecutive_failures", "5", "failed attempts in a row that take it out, or `off`"),
    default("upstreams.*.outliers.failure_margin", "10%", "by how much the share of failures may exceed that of the others; 100% never takes it out"),
    default("upstreams.*.outliers.latency_factor", "5", "how many times slower than the others it may be, or `off`"),
    default("upstreams.*.outliers.stalls", "true", "take it out when it answers nobody for much longer than usual"),
    default("upstreams.*.outliers.ejection_time", "1s", "how long at least; each further time lasts twice as long"),
    default("upstreams.*.outliers.max_ejection_time", "5m", "how long at most"),
    default("upstreams.*.outliers.max_ejected", "50%", "the share of backends out at a time; one may be if another is left"),
    section("upstreams.*.slow_start", "how a backend comes back: a duration, a mapping, or `off`"),
    default("upstreams.*.slow_start.duration", "2s", "how long until it has its whole share; 0s is at once"),
    default("upstreams.*.slow_start.floor", "10%", "the part of its share that it begins with"),
    section("upstreams.*.load_aware", "less for a backend whose CPU is busy, as its agent pushes it: `on`, `off` (so without the key), or a mapping"),
    default("upstreams.*.load_aware.from", "70%", "the CPU usage from which on a backend gets less"),
    default("upstreams.*.load_aware.floor", "20%", "the part of its share that it still gets at full usage"),
    section("upstreams.*.retries", "when a failed attempt is tried elsewhere"),
    default("upstreams.*.retries.attempts", "3", "tries in total, the first included"),
    default("upstreams.*.retries.on", "[connect, reset, timeout, status]", "failures that are worth another try"),
    default("upstreams.*.retries.status", "[500, 502, 503, 504]", "codes of 500 to 599 that are worth another try: a code, a range, or a list"),
    default("upstreams.*.retries.per_try_timeout", "unlimited", "how long one try may take to the head of its answer, or `unlimited`"),
    default("upstreams.*.retries.budget", "20%", "retries for each request"),
    default("upstreams.*.retries.budget_per_second", "10", "retries for each second, besides"),
    default("upstreams.*.retries.hedge", "auto", "when another backend is asked in parallel: auto, off, or a percentile such as p95"),
    section("upstreams.*.timeouts", "how long a backend may take"),
    default("upstreams.*.timeouts.connect", "1s", "to accept a connection"),
    default("upstreams.*.timeouts.connect_patience", "250ms", "how long a connect is waited for before another backend is tried in parallel"),
    default("upstreams.*.timeouts.response", "30s", "to the head of its answer, and between two reads of the body"),
    default("upstreams.*.timeouts.idle", "60s", "how long an unused connection is kept"),
    default("upstreams.*.timeouts.drain", "30s", "how long a backend that drains may take to finish what it has"),
    section("upstreams.*.limits", "how much is given to backends, and held on their behalf"),
    default("upstreams.*.limits.in_flight", "unlimited", "requests that one backend has to answer at a time: a number, adaptive, or unlimited"),
    default("upstreams.*.limits.queue", "1000", "requests that wait while every backend is at its limit"),
    default("upstreams.*.limits.queue_timeout", "1s", "how long a request waits before it is answered 503"),
    default("upstreams.*.limits.idle_connections", "256", "unused connections kept per worker and backend"),
    default("upstreams.*.limits.replay_buffer", "64KiB", "size of a request's body that is kept to be sent again"),
    default("upstreams.*.when_none_available", "try_all", "while no backend is available: try_all, or refuse with 503"),
    default("upstreams.*.response_header", "false", "add `x-plimsoll-backend: NAME` to answers"),
    default("upstreams.*.attempts_header", "false", "add `x-plimsoll-attempts: N` to answers"),
    default("upstreams.*.host_header", "preserve", "the Host that backends read: preserve, backend, or a text"),
    default("upstreams.*.proxy_protocol", "off", "off, v1 or v2: the header of the PROXY protocol that backends read first"),

    section("admin", "the admin server: metrics, probes, API"),
    default("admin.address", "127.0.0.1:9900", "where it listens"),
    optional("admin.token", "changes are taken from this host alone", "who shows it may change what runs from other hosts too; 16 characters or more"),
    section("admin.socket", "a Unix socket on which it listens as well: a mapping, or its path"),
    optional("admin.socket.path", "it listens on no socket", "where its file is made; who may open it may change what runs"),
    default("admin.socket.mode", "0600", "the file's permissions, as chmod writes them"),
    optional("admin.changes", "a new process begins as the file says", "the file that keeps what operators change at run time for the next start"),
    section("admin.push", "metrics that agents push, as to a Pushgateway; `off` takes none"),
    default("admin.push.expiry", "30s", "how long they are kept if nobody renews them"),
    default("admin.push.groups", "1000", "the most groups at a time; a group is what one agent pushes"),
    default("admin.push.body", "1MiB", "the largest push; all groups together hold 64 times as much"),

    section("drain", "how the process ends"),
    default("drain.delay", "0s", "how long connections are still accepted after SIGTERM, while `/ready` says no"),
    default("drain.timeout", "30s", "how long exchanges in flight may take after SIGTERM"),

    section("telemetry", "what the process writes about itself"),
    section("telemetry.access_log", "one line per exchange"),
    default("telemetry.access_log.mode", "off", "off, sampled or on"),
    default("telemetry.access_log.sample", "1%", "share of exchanges in the mode `sampled`"),
    default("telemetry.access_log.format", "json", "json, logfmt, or httplog as HAProxy's"),
    default("telemetry.access_log.path", "stdout", "stdout, stderr, syslog or a file"),
    section("telemetry.access_log.syslog", "the syslog daemon: a mapping, or its address"),
    default("telemetry.access_log.syslog.address", "/dev/log", "its socket, or a host and a port of UDP"),
    default("telemetry.access_log.syslog.facility", "local0", "user, daemon, or local0 to local7"),
    default("telemetry.access_log.dontlognull", "true", "no line for a connection on which nothing came"),
    section("telemetry.traces", "a span for each exchange, attempt and stage, by OTLP: `on`, `off` (so without the key), or a mapping"),
    optional("telemetry.traces.collector", "one on this host, at port 4317 for grpc and 4318 for http", "its URL; an empty one means `off`"),
    default("telemetry.traces.protocol", "grpc", "grpc or http"),
    default("telemetry.traces.sample", "1%", "share of exchanges; those that fail, are retried or are slow always have a trace"),
    optional("telemetry.traces.headers", "none", "header fields for the collector, by name"),
    section("telemetry.log", "the program's own log, on standard error"),
    default("telemetry.log.level", "info", "error, warn, info, debug or trace"),
    default("telemetry.log.format", "human", "human or json"),
    default("telemetry.slow", "500ms", "an exchange whose answer begins later than this is slow"),
];
