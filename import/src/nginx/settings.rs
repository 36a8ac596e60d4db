//! What blocks hand down to those within them: timeouts, headers, retries, access.

use super::tree::Directive;
use crate::address;
use crate::model::Retries;
use crate::note::Notes;
use crate::span::Span;
use crate::word::Word;

/// What is said in a block, over what is said around it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    pub(crate) connect: Option<Span>,
    pub(crate) read: Option<Span>,
    pub(crate) next: Option<Next>,
    pub(crate) tries: Option<u64>,
    pub(crate) headers: Vec<(String, Word)>,
    /// In bytes; 0 is no limit.
    pub(crate) body_size: Option<u64>,
    pub(crate) head_size: Option<u64>,
    pub(crate) head: Option<Span>,
    pub(crate) body: Option<Span>,
    pub(crate) idle: Option<Span>,
    pub(crate) write: Option<Span>,
    pub(crate) requests_per_connection: Option<u64>,
    pub(crate) trust: Vec<String>,
    pub(crate) logs_requests: bool,
    /// The status with which those are refused whom plimsoll cannot tell from others. None lets everybody in.
    pub(crate) closed: Option<u16>,
    /// Whether nobody is let in at all.
    pub(crate) denies_all: bool,
}

/// When another server is asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Next {
    on: Vec<&'static str>,
    status: Vec<String>,
    pub(crate) idempotent: bool,
}

/// The largest head of a request that plimsoll takes, in bytes.
const HEAD_MAX: u64 = 48 << 10;

/// Words that `Settings::read` knows, for "is … meant?".
pub(crate) const KNOWN: [&str; 24] = [
    "proxy_connect_timeout",
    "proxy_read_timeout",
    "proxy_next_upstream",
    "proxy_next_upstream_tries",
    "proxy_set_header",
    "client_max_body_size",
    "large_client_header_buffers",
    "client_header_timeout",
    "client_body_timeout",
    "keepalive_timeout",
    "send_timeout",
    "keepalive_requests",
    "set_real_ip_from",
    "real_ip_header",
    "access_log",
    "allow",
    "deny",
    "auth_basic",
    "auth_request",
    "proxy_pass",
    "location",
    "server_name",
    "listen",
    "return",
];

impl Settings {
    /// Reads what the directives of one block say, so that what is around it counts no more where one is repeated.
    pub(crate) fn within(&self, block: &[Directive], notes: &Notes) -> Self {
        let mut settings = self.clone();
        let has = |name: &str| block.iter().any(|directive| directive.name() == name);
        if has("proxy_set_header") {
            settings.headers.clear();
        }
        if has("allow") || has("deny") {
            (settings.closed, settings.denies_all) = (None, false);
        }
        for directive in block {
            settings.read(directive, notes);
        }
        // A list of who is let in lets nobody in here, but `deny all` alone means what it says.
        if has("allow") && settings.denies_all {
            settings.denies_all = false;
        }
        settings
    }

    /// Whether the directive is one of those that are read here.
    pub(crate) fn knows(name: &str) -> bool {
        KNOWN[..19].contains(&name)
    }

    fn read(&mut self, directive: &Directive, notes: &Notes) {
        let (line, value) = (&directive.words, directive.argument(0));
        match directive.name() {
            "proxy_connect_timeout" => self.connect = span(directive, "upstreams.*.timeouts.connect", notes),
            "proxy_read_timeout" => self.read = span(directive, "upstreams.*.timeouts.response", notes),
            "client_header_timeout" => self.head = span(directive, "listeners.*.timeouts.head", notes),
            "client_body_timeout" => self.body = span(directive, "listeners.*.timeouts.body", notes),
            "send_timeout" => self.write = span(directive, "listeners.*.timeouts.write", notes),
            "keepalive_timeout" if value == "0" => {
                self.requests_per_connection = Some(1);
                notes.mapped(line, "listeners.*.limits.requests_per_connection: 1");
            }
            "keepalive_timeout" => self.idle = span(directive, "listeners.*.timeouts.idle", notes),
            "keepalive_requests" => {
                self.requests_per_connection = value.parse().ok().filter(|count| *count > 0);
                notes.mapped(line, "listeners.*.limits.requests_per_connection");
            }
            "client_max_body_size" => {
                self.body_size = size(value).or(self.body_size);
                notes.mapped(line, "listeners.*.limits.body, the largest of those of the listener's blocks");
            }
            "large_client_header_buffers" => {
                let number: Option<u64> = value.parse().ok();
                let sizes = number.zip(size(directive.argument(1)));
                let whole = sizes.map(|(number, size)| number.saturating_mul(size));
                self.head_size = whole.map(|bytes| bytes.clamp(1024, HEAD_MAX));
                notes.mapped(line, "listeners.*.limits.head, 48KiB at most");
            }
            "proxy_set_header" => self.header(directive, notes),
            "proxy_next_upstream" => self.next = Some(next(directive, notes)),
            "proxy_next_upstream_tries" => {
                self.tries = value.parse().ok().filter(|tries| *tries > 0);
                notes.mapped(line, "upstreams.*.retries.attempts");
            }
            "set_real_ip_from" => match address::range(value) {
                Some(range) => {
                    self.trust.push(range);
                    notes.mapped(line, "listeners.*.forwarded.trust");
                }
                None => notes.not_supported(line, "write the range of addresses into `forwarded.trust`"),
            },
            "real_ip_header" if value.eq_ignore_ascii_case("X-Forwarded-For") => {
                notes.mapped(line, "listeners.*.forwarded: what `trust` names is believed");
            }
            "real_ip_header" => {
                notes.not_supported(line, "X-Forwarded-For and Forwarded tell the client's address")
            }
            "access_log" => {
                self.logs_requests = value != "off";
                notes.mapped(line, "telemetry.access_log, one for the whole process");
            }
            _ => self.access(directive, notes),
        }
    }

    fn access(&mut self, directive: &Directive, notes: &Notes) {
        let (line, value) = (&directive.words, directive.argument(0));
        let closes = "so that nothing is opened, everybody is refused: remove the route when a firewall or \
            the application decides";
        match directive.name() {
            "deny" if value == "all" => {
                (self.closed, self.denies_all) = (Some(403), true);
                notes.mapped(line, "a route that answers 403");
            }
            "deny" => {
                notes.not_supported(
                    line,
                    "addresses are not asked of a request: nobody is refused by it, let a firewall do it",
                );
            }
            "allow" => notes.not_supported(
                line,
                format!("addresses are not asked of a request; where `deny all` follows, {closes}"),
            ),
            "auth_basic" if value == "off" => self.closed = None,
            "auth_basic" => {
                self.closed = Some(401);
                notes.not_supported(line, format!("plimsoll asks nobody for a password; {closes}"));
            }
            "auth_request" if value == "off" => self.closed = None,
            "auth_request" | "auth_jwt" => {
                self.closed = Some(403);
                notes.not_supported(line, format!("nobody is asked whether a request may pass; {closes}"));
            }
            _ => {}
        }
    }

    fn header(&mut self, directive: &Directive, notes: &Notes) {
        let line = &directive.words;
        let [name, value, ..] = directive.arguments() else {
            return notes.error(line, "it needs a name and a value");
        };
        let lower = name.text.to_ascii_lowercase();
        match lower.as_str() {
            "host" => notes.mapped(line, "upstreams.*.host_header"),
            "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host" => notes.mapped(
                line,
                "listeners.*.forwarded.x_forwarded; a client's own are removed, unless the client is in `trust`",
            ),
            "connection" | "upgrade" => notes.not_needed(line, "connections are kept, and `Upgrade` becomes \
                a tunnel"),
            "x-request-id" => notes.not_needed(line, "each request gets an x-request-id"),
            "x-real-ip" | "x-client-ip" => notes.not_supported(line, "X-Forwarded-For tells the client's \
                address"),
            "accept-encoding" if value.text.is_empty() => {
                notes.not_supported(line, "headers are not rewritten; let the application compress nothing");
            }
            _ => notes.not_supported(line, "headers are not rewritten; let the application or its web \
                server do it"),
        }
        self.headers.push((lower, value.clone()));
    }

    /// The value that a header is set to.
    pub(crate) fn header_value(&self, name: &str) -> Option<&str> {
        self.headers.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.text.as_str())
    }

    /// Whether backends are told of the client.
    pub(crate) fn tells_client(&self) -> bool {
        self.headers.iter().any(|(name, _)| name.starts_with("x-forwarded-"))
    }

    /// When another server is asked. nginx does so after errors and timeouts, and asks each server once.
    pub(crate) fn retries(&self) -> Retries {
        match &self.next {
            Some(next) if next.on.is_empty() => Retries { attempts: Some(1), ..Retries::default() },
            Some(next) => Retries { attempts: self.tries, on: next.on.clone(), status: next.status.clone() },
            None => {
                Retries { attempts: self.tries, on: vec!["connect", "reset", "timeout"], status: Vec::new() }
            }
        }
    }
}

fn next(directive: &Directive, notes: &Notes) -> Next {
    let mut next = Next::default();
    for word in directive.arguments() {
        let only = std::slice::from_ref(word);
        let on: &[&'static str] = match word.text.as_str() {
            "off" => return Next::default(),
            "error" => &["connect", "reset"],
            "timeout" => &["timeout"],
            "invalid_header" => &["reset"],
            "non_idempotent" => {
                next.idempotent = true;
                &[]
            }
            "http_500" | "http_502" | "http_503" | "http_504" => {
                next.status.push(word.text.trim_start_matches("http_").to_owned());
                &["status"]
            }
            "http_403" | "http_404" | "http_429" => {
                notes.not_supported(only, "it is about the request: others would say the same");
                &[]
            }
            _ => {
                notes.unknown(
                    only,
                    "word of proxy_next_upstream",
                    ["error", "timeout", "invalid_header", "non_idempotent", "off"],
                );
                &[]
            }
        };
        let new: Vec<&'static str> = on.iter().filter(|on| !next.on.contains(on)).copied().collect();
        next.on.extend(new);
    }
    notes.mapped(&directive.words, "upstreams.*.retries.on and .status");
    next
}

fn span(directive: &Directive, key: &str, notes: &Notes) -> Option<Span> {
    match Span::nginx(directive.argument(0)) {
        Some(span) if !span.is_zero() => {
            notes.mapped(&directive.words, key);
            Some(span)
        }
        Some(_) => {
            notes.not_supported(
                &directive.words,
                "a timeout of zero would end everything at once: plimsoll's default stays",
            );
            None
        }
        None => {
            notes.error(&directive.words, format!("`{}` is no span of time", directive.argument(0)));
            None
        }
    }
}

/// A size in bytes: `512`, `8k`, `1m`, `1g`.
fn size(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (digits, shift) = match lower.strip_suffix(['k', 'm', 'g']) {
        Some(digits) if lower.ends_with('k') => (digits, 10),
        Some(digits) if lower.ends_with('m') => (digits, 20),
        Some(digits) => (digits, 30),
        None => (lower.as_str(), 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift).filter(|bytes| *bytes <= 1 << 60)
}

/// A size as plimsoll writes it.
pub(crate) fn shown_size(bytes: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}
