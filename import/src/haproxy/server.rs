//! `server`, `default-server` and `server-template`.

use crate::address;
use crate::note::{Kind, Notes};
use crate::span::Span;
use crate::table::Row;
use crate::word::Word;

/// What is said of a server, by its own line or by `default-server`.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerSettings {
    pub(crate) check: Option<bool>,
    pub(crate) inter: Option<Span>,
    pub(crate) rise: Option<u64>,
    pub(crate) fall: Option<u64>,
    pub(crate) weight: Option<u64>,
    pub(crate) backup: Option<bool>,
    pub(crate) disabled: Option<bool>,
    pub(crate) maxconn: Option<u64>,
    pub(crate) maxqueue: Option<u64>,
    pub(crate) slowstart: Option<Span>,
    pub(crate) proxy: Option<&'static str>,
    pub(crate) agent_check: Option<bool>,
    pub(crate) agent_port: Option<u16>,
    pub(crate) agent_inter: Option<Span>,
    pub(crate) ssl: Option<bool>,
}

/// A server: where it is, and what is said of it.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) name: String,
    /// None when plimsoll cannot connect to what is written there.
    pub(crate) address: Option<String>,
    pub(crate) line: Vec<Word>,
    pub(crate) settings: ServerSettings,
}

impl Server {
    /// Whether plimsoll can send it anything.
    pub(crate) fn is_usable(&self) -> bool {
        self.address.is_some() && self.settings.ssl != Some(true) && self.settings.disabled != Some(true)
    }
}

const NOT_NEEDED: Kind = Kind::NotNeeded;
const NOT_SUPPORTED: Kind = Kind::NotSupported;

/// Words of a server that plimsoll has none for, with the number of their values.
#[rustfmt::skip] // one line per word, so that it reads as the table it is
const WORDS: &[(Row, usize)] = &[
    (("fastinter", NOT_SUPPORTED, "a failed check is repeated after the usual interval; `outliers` take a backend out sooner"), 1),
    (("downinter", NOT_SUPPORTED, "a backend that is down is checked at the usual interval"), 1),
    (("port", NOT_SUPPORTED, "checks go to the address of the traffic"), 1),
    (("addr", NOT_SUPPORTED, "checks go to the address of the traffic"), 1),
    (("agent-addr", NOT_SUPPORTED, "the agent is on the host of its backend"), 1),
    (("agent-send", NOT_SUPPORTED, "nothing is sent to the agent"), 1),
    (("cookie", NOT_NEEDED, "the cookie's values are made from the backends' names"), 1),
    (("id", NOT_NEEDED, "a backend is known by its name"), 1),
    (("guid", NOT_NEEDED, "a backend is known by its name"), 1),
    (("minconn", NOT_SUPPORTED, "a limit does not grow with load; `limits.in_flight: adaptive` finds one by itself"), 1),
    (("observe", NOT_NEEDED, "live traffic is watched always: `upstreams.*.outliers`"), 1),
    (("error-limit", NOT_NEEDED, "`upstreams.*.outliers.consecutive_errors` has a default"), 1),
    (("on-error", NOT_NEEDED, "`upstreams.*.outliers` decide what errors do"), 1),
    (("on-marked-down", NOT_SUPPORTED, "what a backend has begun it may finish"), 1),
    (("on-marked-up", NOT_SUPPORTED, "what a backend has begun it may finish"), 1),
    (("resolvers", NOT_NEEDED, "host names are looked up every `upstreams.*.lookup_interval`"), 1),
    (("resolve-prefer", NOT_NEEDED, "the system's resolver decides"), 1),
    (("resolve-net", NOT_NEEDED, "the system's resolver decides"), 1),
    (("resolve-opts", NOT_NEEDED, "the system's resolver decides"), 1),
    (("init-addr", NOT_NEEDED, "a name without an address is a backend that is down until it has one"), 1),
    (("init-state", NOT_NEEDED, "checks and live traffic decide"), 1),
    (("track", NOT_SUPPORTED, "each upstream checks its own backends"), 1),
    (("redir", NOT_SUPPORTED, "write a route with `redirect`"), 1),
    (("source", NOT_SUPPORTED, "the kernel picks the address; a route of the host may set it"), 1),
    (("usesrc", NOT_SUPPORTED, "backends see plimsoll's address; X-Forwarded-For tells the client's"), 1),
    (("interface", NOT_SUPPORTED, "the kernel picks the interface; a route of the host may set it"), 1),
    (("namespace", NOT_SUPPORTED, "connections are made in the namespace of the process"), 1),
    (("socks4", NOT_SUPPORTED, "connections are made directly"), 1),
    (("check-via-socks4", NOT_SUPPORTED, "connections are made directly"), 0),
    (("check-proto", NOT_NEEDED, "checks speak HTTP/1.1"), 1),
    (("check-alpn", NOT_NEEDED, "checks speak HTTP/1.1"), 1),
    (("check-sni", NOT_NEEDED, "TLS is not spoken to backends"), 1),
    (("check-ssl", NOT_SUPPORTED, "TLS is not spoken to backends"), 0),
    (("check-send-proxy", NOT_SUPPORTED, "checks connect without a PROXY header"), 0),
    (("no-check-ssl", NOT_NEEDED, "TLS is not spoken to backends"), 0),
    (("no-check-send-proxy", NOT_NEEDED, "checks connect without a PROXY header"), 0),
    (("proto", NOT_SUPPORTED, "HTTP/1.1 is spoken to backends"), 1),
    (("ws", NOT_NEEDED, "`Upgrade` becomes a tunnel"), 1),
    (("pool-low-conn", NOT_NEEDED, "`upstreams.*.limits.idle_connections` bounds what is kept"), 1),
    (("pool-max-conn", NOT_NEEDED, "`upstreams.*.limits.idle_connections` bounds what is kept"), 1),
    (("pool-purge-delay", NOT_NEEDED, "`upstreams.*.timeouts.idle` closes what is not used"), 1),
    (("pool-conn-name", NOT_NEEDED, "a connection is kept for its backend"), 1),
    (("max-reuse", NOT_NEEDED, "a connection is used as long as both sides keep it"), 1),
    (("hash-key", NOT_NEEDED, "a backend's place in the hash follows from its name"), 1),
    (("tcp-ut", NOT_NEEDED, "timeouts end what is not acknowledged"), 1),
    (("tcp-md5sig", NOT_SUPPORTED, "segments are not signed"), 1),
    (("cc", NOT_NEEDED, "the kernel picks the congestion control"), 1),
    (("tfo", NOT_NEEDED, "connections are kept, so that few are opened"), 0),
    (("non-stick", NOT_NEEDED, "there are no stick tables"), 0),
    (("stick", NOT_NEEDED, "there are no stick tables"), 0),
    (("enabled", NOT_NEEDED, "it is what is so anyway"), 0),
    (("log-proto", NOT_NEEDED, "log lines go to standard output"), 1),
    (("log-bufsize", NOT_NEEDED, "log lines go to standard output"), 1),
    (("set-proxy-v2-tlv-fmt", NOT_SUPPORTED, "a PROXY header tells the addresses alone"), 1),
    (("proxy-v2-options", NOT_SUPPORTED, "a PROXY header tells the addresses alone"), 1),
    (("send-proxy-v2-ssl", NOT_SUPPORTED, "TLS is not spoken to clients"), 0),
    (("send-proxy-v2-ssl-cn", NOT_SUPPORTED, "TLS is not spoken to clients"), 0),
    (("no-send-proxy-v2-ssl", NOT_NEEDED, "TLS is not spoken to clients"), 0),
    (("no-send-proxy-v2-ssl-cn", NOT_NEEDED, "TLS is not spoken to clients"), 0),
    (("no-tfo", NOT_NEEDED, "it is what is so anyway"), 0),
    (("verify", NOT_NEEDED, "it is about `ssl`"), 1),
    (("verifyhost", NOT_NEEDED, "it is about `ssl`"), 1),
    (("ca-file", NOT_NEEDED, "it is about `ssl`"), 1),
    (("ca-verify-file", NOT_NEEDED, "it is about `ssl`"), 1),
    (("crt", NOT_NEEDED, "it is about `ssl`"), 1),
    (("crl-file", NOT_NEEDED, "it is about `ssl`"), 1),
    (("sni", NOT_NEEDED, "it is about `ssl`"), 1),
    (("alpn", NOT_NEEDED, "it is about `ssl`"), 1),
    (("npn", NOT_NEEDED, "it is about `ssl`"), 1),
    (("ciphers", NOT_NEEDED, "it is about `ssl`"), 1),
    (("ciphersuites", NOT_NEEDED, "it is about `ssl`"), 1),
    (("curves", NOT_NEEDED, "it is about `ssl`"), 1),
    (("sigalgs", NOT_NEEDED, "it is about `ssl`"), 1),
    (("client-sigalgs", NOT_NEEDED, "it is about `ssl`"), 1),
    (("ssl-min-ver", NOT_NEEDED, "it is about `ssl`"), 1),
    (("ssl-max-ver", NOT_NEEDED, "it is about `ssl`"), 1),
    (("ssl-reuse", NOT_NEEDED, "it is about `ssl`"), 0),
    (("no-ssl-reuse", NOT_NEEDED, "it is about `ssl`"), 0),
    (("no-verifyhost", NOT_NEEDED, "it is about `ssl`"), 0),
    (("tls-tickets", NOT_NEEDED, "it is about `ssl`"), 0),
    (("no-tls-tickets", NOT_NEEDED, "it is about `ssl`"), 0),
    (("strict-sni", NOT_NEEDED, "it is about `ssl`"), 0),
    (("allow-0rtt", NOT_NEEDED, "it is about `ssl`"), 0),
    (("no-sslv3", NOT_NEEDED, "it is about `ssl`"), 0),
    (("no-tlsv10", NOT_NEEDED, "it is about `ssl`"), 0),
    (("no-tlsv11", NOT_NEEDED, "it is about `ssl`"), 0),
    (("no-tlsv12", NOT_NEEDED, "it is about `ssl`"), 0),
    (("no-tlsv13", NOT_NEEDED, "it is about `ssl`"), 0),
    (("force-sslv3", NOT_NEEDED, "it is about `ssl`"), 0),
    (("force-tlsv10", NOT_NEEDED, "it is about `ssl`"), 0),
    (("force-tlsv11", NOT_NEEDED, "it is about `ssl`"), 0),
    (("force-tlsv12", NOT_NEEDED, "it is about `ssl`"), 0),
    (("force-tlsv13", NOT_NEEDED, "it is about `ssl`"), 0),
    (("shard", NOT_NEEDED, "it is about peers"), 1),
    (("weight-send-proxy", NOT_NEEDED, "it is about PROXY headers"), 0),
];

/// Words that `ServerSettings::word` reads.
const READ: [&str; 24] = [
    "check",
    "no-check",
    "inter",
    "rise",
    "fall",
    "weight",
    "backup",
    "no-backup",
    "disabled",
    "maxconn",
    "maxqueue",
    "slowstart",
    "send-proxy",
    "send-proxy-v2",
    "no-send-proxy",
    "no-send-proxy-v2",
    "agent-check",
    "no-agent-check",
    "agent-port",
    "agent-inter",
    "ssl",
    "no-ssl",
    "check-ssl",
    "check-send-proxy",
];

impl ServerSettings {
    /// Reads the words after a server's address. `default_line` is the line of `default-server`, to note that it counts.
    pub(crate) fn read(&mut self, words: &[Word], notes: &Notes, default_line: Option<&[Word]>) {
        if let Some(line) = default_line {
            notes.mapped(line, "the upstreams and backends of the servers below it");
        }
        let mut at = 0;
        while let Some(word) = words.get(at) {
            at += 1;
            if let Some(taken) = self.word(word, words.get(at), notes) {
                at += taken;
                continue;
            }
            let only = std::slice::from_ref(word);
            match WORDS.iter().find(|((name, ..), _)| word.is(name)) {
                Some(((_, kind, why), values)) => {
                    notes.add(*kind, &words[at - 1..(at + values).min(words.len())], *why);
                    at += values;
                }
                None => {
                    let known = WORDS.iter().map(|((name, ..), _)| *name).chain(READ);
                    notes.unknown(only, "word of server", known);
                }
            }
        }
    }

    /// Reads one word. None when it is none of these, else how many values it took.
    fn word(&mut self, word: &Word, value: Option<&Word>, notes: &Notes) -> Option<usize> {
        let only = std::slice::from_ref(word);
        let span = |notes: &Notes| match value.and_then(|value| Span::haproxy(&value.text)) {
            Some(span) if !span.is_zero() => Some(span),
            _ => {
                notes.error(only, "it needs a span of time that is not zero");
                None
            }
        };
        let count =
            |notes: &Notes| super::settings::number(only, value.map_or(&[], std::slice::from_ref), notes);
        match word.text.as_str() {
            "check" => self.check = Some(true),
            "no-check" => self.check = Some(false),
            "backup" => self.backup = Some(true),
            "no-backup" => self.backup = Some(false),
            "disabled" => self.disabled = Some(true),
            "enabled" => self.disabled = Some(false),
            "ssl" => self.ssl = Some(true),
            "no-ssl" => self.ssl = Some(false),
            "send-proxy" | "send-proxy-v2" => {
                let version = if word.is("send-proxy") { "v1" } else { "v2" };
                self.proxy = Some(version);
                notes.mapped(only, format!("upstreams.*.proxy_protocol: {version}"));
            }
            "no-send-proxy" | "no-send-proxy-v2" => self.proxy = None,
            "agent-check" => self.agent_check = Some(true),
            "no-agent-check" => self.agent_check = Some(false),
            _ => {
                match word.text.as_str() {
                    "inter" => self.inter = span(notes),
                    "slowstart" => self.slowstart = span(notes),
                    "agent-inter" => self.agent_inter = span(notes),
                    "rise" => self.rise = count(notes),
                    "fall" => self.fall = count(notes),
                    "weight" => self.weight = count(notes),
                    "maxconn" => self.maxconn = count(notes).filter(|count| *count > 0),
                    "maxqueue" => self.maxqueue = count(notes).filter(|count| *count > 0),
                    "agent-port" => {
                        self.agent_port = value.and_then(|value| address::port(&value.text));
                        if self.agent_port.is_none() {
                            notes.error(only, "it needs a port");
                        }
                    }
                    _ => return None,
                }
                return Some(1);
            }
        }
        Some(0)
    }
}

/// Reads a line `server NAME ADDRESS …`. None, with a note, when there is no address at all.
pub(crate) fn read(line: &[Word], defaults: &ServerSettings, notes: &Notes) -> Option<Server> {
    let [_, name, place, words @ ..] = line else {
        notes.error(line, "a server needs a name and an address");
        return None;
    };
    let mut settings = defaults.clone();
    settings.read(words, notes, None);
    let server = |address| Server { name: name.text.clone(), address, line: line.to_vec(), settings };
    match target(&place.text) {
        Ok(address) => Some(server(Some(address))),
        Err(why) => {
            notes.not_supported(std::slice::from_ref(place), why);
            Some(server(None))
        }
    }
}

/// Reads a line `server-template PREFIX COUNT ADDRESS …` as one backend.
pub(crate) fn template(line: &[Word], defaults: &ServerSettings, notes: &Notes) -> Option<Server> {
    let [keyword, prefix, count, rest @ ..] = line else {
        notes.error(line, "a template needs a prefix, a number and an address");
        return None;
    };
    notes.not_supported(
        &[keyword.clone(), prefix.clone(), count.clone()],
        "a host name is one backend, at one of its addresses; write one backend for each name",
    );
    let words: Vec<Word> = [keyword, prefix].into_iter().chain(rest).cloned().collect();
    read(&words, defaults, notes)
}

/// The address of a server as plimsoll takes it.
///
/// # Errors
/// Why it is none, and what to do.
pub(crate) fn target(text: &str) -> Result<String, &'static str> {
    if text.starts_with('/')
        || ["unix@", "abns@", "abnsz@", "fd@", "sockpair@", "rhttp@"]
            .iter()
            .any(|kind| text.starts_with(kind))
    {
        return Err("backends are reached by TCP; let it listen on 127.0.0.1");
    }
    let bare = ["ipv4@", "ipv6@", "tcp@", "tcp4@", "tcp6@"]
        .iter()
        .find_map(|kind| text.strip_prefix(kind))
        .unwrap_or(text);
    if address::is_variable(bare) {
        return Ok(bare.to_owned());
    }
    // A default of a variable may have a colon: the port follows the last brace.
    let Some((host, port)) =
        bare.rsplit_once(':').filter(|(_, port)| !port.contains('}') || address::is_variable(port))
    else {
        return Err("a backend has a port of its own; add it");
    };
    if address::port(port).is_none() && !address::is_variable(port) {
        return Err("a backend has a port of its own; write the number");
    }
    match address::host(host) {
        Some(host) if !matches!(host.as_str(), "0.0.0.0" | "[::]") => Ok(format!("{host}:{port}")),
        _ => Err("this is neither an IP address nor a host name"),
    }
}
