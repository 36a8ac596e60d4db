//! What blocks hand down to those within them: timeouts, headers, retries, access.

use super::access::Access;
use super::headers::{self, Added};
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
    /// What `proxy_set_header`, `add_header` and `proxy_hide_header` say.
    pub(crate) headers: Vec<(String, Word)>,
    pub(crate) added: Vec<Added>,
    pub(crate) hidden: Vec<String>,
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
    /// Who is let in.
    pub(crate) access: Access,
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
pub(crate) const KNOWN: [&str; 26] = [
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
    "add_header",
    "proxy_hide_header",
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
        if has("add_header") {
            settings.added.clear();
        }
        if has("proxy_hide_header") {
            settings.hidden.clear();
        }
        if has("allow") || has("deny") {
            settings.access = Access::default();
        }
        for directive in block {
            settings.read(directive, notes);
        }
        settings
    }

    /// Whether the directive is one of those that are read here.
    pub(crate) fn knows(name: &str) -> bool {
        KNOWN[..21].contains(&name)
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
            "proxy_set_header" => self.headers.extend(headers::set(directive, notes)),
            "add_header" => self.added.extend(headers::add(directive, notes)),
            "proxy_hide_header" => {
                self.hidden.push(value.to_ascii_lowercase());
                notes.mapped(line, "routes[].response_headers.remove");
            }
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
            "allow" | "deny" => {
                let lets_in = directive.name() == "allow";
                if self.access.add(lets_in, value) {
                    notes.mapped(line, "routes[].match.source of a route that answers 403");
                } else {
                    let effect = if lets_in { "nobody is let in by it" } else { "nobody is refused by it" };
                    notes.not_supported(
                        line,
                        format!(
                            "a client is known by its address; {effect}: name the range of its addresses"
                        ),
                    );
                }
            }
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

    /// The value that a header is set to.
    pub(crate) fn header_value(&self, name: &str) -> Option<&str> {
        self.headers.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.text.as_str())
    }

    /// Whether the list of who forwarded is continued.
    pub(crate) fn tells_client(&self) -> bool {
        let continues = |value: &Word| value.text.contains("$proxy_add_x_forwarded_for");
        self.headers.iter().any(|(name, value)| name == "x-forwarded-for" && continues(value))
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
