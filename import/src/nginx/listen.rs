//! `listen`: the addresses of servers, and the listeners that they become.

use super::tree::Directive;
use crate::address;
use crate::name::{Names, usable};
use crate::note::Notes;
use crate::word::Word;

/// An address to listen on.
#[derive(Debug, Clone)]
pub(crate) struct Listen {
    pub(crate) address: String,
    pub(crate) tls: bool,
    pub(crate) udp: bool,
    pub(crate) is_default: bool,
    pub(crate) accept_proxy: bool,
    pub(crate) line: Vec<Word>,
}

/// Reads `listen ADDRESS WORD…`. None, with a note, when plimsoll cannot listen there.
pub(crate) fn read(directive: &Directive, notes: &Notes) -> Option<Listen> {
    let [place, words @ ..] = directive.arguments() else {
        notes.error(&directive.words, "it needs an address");
        return None;
    };
    let mut listen = Listen {
        address: String::new(),
        tls: false,
        udp: false,
        is_default: false,
        accept_proxy: false,
        line: directive.words.clone(),
    };
    for word in words {
        let only = std::slice::from_ref(word);
        match word.text.split('=').next().unwrap_or_default() {
            "ssl" => listen.tls = true,
            "udp" => listen.udp = true,
            "default_server" | "default" => listen.is_default = true,
            "proxy_protocol" => listen.accept_proxy = true,
            "http2" | "spdy" => notes.not_supported(only, "clients speak HTTP/1.1"),
            "quic" => {
                notes.not_supported(only, "clients connect by TCP and speak HTTP/1.1");
                listen.udp = true;
            }
            "ipv6only" => notes.not_needed(only, "`[::]` takes IPv4 too where the kernel does so by default"),
            "backlog" | "reuseport" | "deferred" | "bind" | "fastopen" | "so_keepalive" | "rcvbuf"
            | "sndbuf" | "setfib" | "accept_filter" | "multipath" => {
                notes.not_needed(only, "each thread has a socket of its own, with what the kernel gives it");
            }
            _ => notes.unknown(
                only,
                "word of listen",
                ["ssl", "default_server", "proxy_protocol", "reuseport"],
            ),
        }
    }
    if listen.udp {
        notes.not_supported(&directive.words, "clients connect by TCP; it is left out");
        return None;
    }
    match to_address(&place.text) {
        Ok(address) => {
            listen.address = address;
            Some(listen)
        }
        Err(why) => {
            notes.not_supported(&directive.words, why);
            None
        }
    }
}

/// Where a server without `listen` is.
pub(crate) fn usual(words: &[Word]) -> Listen {
    Listen {
        address: ":80".to_owned(),
        tls: false,
        udp: false,
        is_default: false,
        accept_proxy: false,
        line: words.to_vec(),
    }
}

fn to_address(text: &str) -> Result<String, &'static str> {
    if text.starts_with("unix:") {
        return Err("clients connect by TCP; listen on 127.0.0.1 and a port");
    }
    if text.contains('-') && text.rsplit_once(':').map_or(text, |(_, port)| port).contains('-') {
        return Err("a listener has one port; write one for each");
    }
    if let Some(port) = address::port(text) {
        return Ok(format!(":{port}"));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, address::port(port).ok_or("this is no port")?),
        _ => (text, 80),
    };
    let host = match host {
        "*" | "0.0.0.0" => String::new(),
        host => {
            let found = address::host(host).ok_or("a listener has an IP address of this host")?;
            let is_address = found.starts_with('[') || found.parse::<std::net::Ipv4Addr>().is_ok();
            if !is_address && !found.eq_ignore_ascii_case("localhost") {
                return Err("a listener has an IP address of this host, or none for all of them");
            }
            found
        }
    };
    Ok(format!("{host}:{port}"))
}

/// The addresses of all servers as listeners: those that meet are one.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// Each listener's name, address, and whether it is reached through TLS.
    pub(crate) all: Vec<(String, String)>,
    names: Names,
}

impl Sockets {
    /// Adds an address; returns nothing, since only when all are known it is clear which listener takes it.
    pub(crate) fn add(&mut self, listen: &Listen, notes: &Notes) {
        let known = |(_, address): &&mut (String, String)| address::meet(address, &listen.address);
        match self.all.iter_mut().find(known) {
            Some((_, address)) if *address == listen.address => {}
            Some((_, address)) => match address::wider(address, &listen.address) {
                Some(wider) => {
                    if wider == *address {
                        notes.not_needed(&listen.line, format!("{wider} takes its connections too"));
                    }
                    *address = wider.to_owned();
                }
                None => notes.not_supported(&listen.line, "write `[::]` and the port, which takes both"),
            },
            None => {
                let (host, port) = listen.address.rsplit_once(':').unwrap_or(("", "80"));
                let wanted = match host {
                    "" | "[::]" => format!("port-{port}"),
                    host => usable(&format!("{}-{port}", host.trim_matches(['[', ']']))),
                };
                self.all.push((self.names.give(&wanted), listen.address.clone()));
            }
        }
    }

    /// The listener that takes the connections of an address.
    pub(crate) fn find(&self, listen: &Listen) -> Option<&str> {
        self.all
            .iter()
            .find(|(_, address)| address::meet(address, &listen.address))
            .map(|(name, _)| name.as_str())
    }
}

/// The addresses without those that ask for TLS; if there are no others, these on loopback.
pub(crate) fn without_tls(listens: Vec<Listen>, notes: &Notes) -> Vec<Listen> {
    let only_tls = listens.iter().all(|listen| listen.tls);
    let mut kept = Vec::new();
    for mut listen in listens {
        if listen.tls && !only_tls {
            notes.not_supported(
                &listen.line,
                "plimsoll does not terminate TLS; it is left out: add a \
                listener on loopback for a TLS terminator, and name it in the routes that it shall have",
            );
            continue;
        }
        if listen.tls {
            listen.address = address::behind_tls(&listen.address);
            notes.not_supported(
                &listen.line,
                "plimsoll does not terminate TLS; it listens on loopback in \
                clear text, for a TLS terminator on this host that passes on to it",
            );
        }
        kept.push(listen);
    }
    kept
}
