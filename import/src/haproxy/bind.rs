//! `bind`: where clients connect.

use crate::address;
use crate::model::Listener;
use crate::note::{Kind, Notes};
use crate::table::Row;
use crate::word::Word;

/// The most ports of one range that become listeners.
const PORTS_MAX: u16 = 64;

/// An address to listen on.
#[derive(Debug, Clone)]
pub(crate) struct Bind {
    pub(crate) address: String,
    pub(crate) name: Option<String>,
    pub(crate) maxconn: Option<u64>,
    pub(crate) tls: bool,
    pub(crate) accept_proxy: bool,
    pub(crate) line: Vec<Word>,
}

const NOT_NEEDED: Kind = Kind::NotNeeded;
const NOT_SUPPORTED: Kind = Kind::NotSupported;

/// Words of a bind that plimsoll has none for, with the number of their values.
#[rustfmt::skip] // one line per word, so that it reads as the table it is
const WORDS: &[(Row, usize)] = &[
    (("accept-netscaler-cip", NOT_SUPPORTED, "the PROXY protocol tells who the client is"), 1),
    (("backlog", NOT_NEEDED, "the kernel's `net.core.somaxconn` is the bound"), 1),
    (("cc", NOT_NEEDED, "the kernel picks the congestion control"), 1),
    (("curves", NOT_NEEDED, "TLS ends before plimsoll"), 1),
    (("defer-accept", NOT_NEEDED, "a connection costs next to nothing until its first byte"), 0),
    (("expose-fd", NOT_NEEDED, "a reload keeps its sockets"), 1),
    (("gid", NOT_NEEDED, "it is about sockets of the file system"), 1),
    (("group", NOT_NEEDED, "it is about sockets of the file system"), 1),
    (("guid-prefix", NOT_NEEDED, "a listener is known by its name"), 1),
    (("id", NOT_NEEDED, "a listener is known by its name"), 1),
    (("idle-ping", NOT_NEEDED, "idle connections are closed by timeouts"), 1),
    (("interface", NOT_SUPPORTED, "listen on the interface's address"), 1),
    (("label", NOT_NEEDED, "a listener is known by its name"), 1),
    (("level", NOT_NEEDED, "it is about the stats socket"), 1),
    (("severity-output", NOT_NEEDED, "it is about the stats socket"), 1),
    (("mode", NOT_NEEDED, "it is about sockets of the file system"), 1),
    (("mss", NOT_SUPPORTED, "set it by a route of the host"), 1),
    (("namespace", NOT_SUPPORTED, "start plimsoll in the namespace"), 1),
    (("nbconn", NOT_NEEDED, "it is about tunnels from backends"), 1),
    (("nice", NOT_NEEDED, "exchanges are served in turn"), 1),
    (("process", NOT_NEEDED, "one process serves"), 1),
    (("proto", NOT_SUPPORTED, "clients speak HTTP/1.1"), 1),
    (("shards", NOT_NEEDED, "each thread has a socket of its own"), 1),
    (("tcp-md5sig", NOT_SUPPORTED, "segments are not signed"), 1),
    (("tcp-ut", NOT_NEEDED, "timeouts end what is not acknowledged"), 1),
    (("tfo", NOT_NEEDED, "connections are kept, so that few are opened"), 0),
    (("thread", NOT_NEEDED, "each thread has a socket of its own"), 1),
    (("transparent", NOT_SUPPORTED, "listen on an address of this host"), 0),
    (("uid", NOT_NEEDED, "it is about sockets of the file system"), 1),
    (("user", NOT_NEEDED, "it is about sockets of the file system"), 1),
    (("v4v6", NOT_NEEDED, "`[::]` takes both where the kernel does so by default"), 0),
    (("v6only", NOT_SUPPORTED, "`[::]` takes IPv4 too where the kernel does so by default: net.ipv6.bindv6only"), 0),
];

/// Words about TLS, with the number of their values.
#[rustfmt::skip] // one line per word, so that it reads as the table it is
const TLS: &[(&str, usize)] = &[
    ("ssl", 0), ("crt", 1), ("crt-list", 1), ("crt-ignore-err", 1), ("ca-file", 1), ("ca-verify-file", 1), ("ca-ignore-err", 1),
    ("ca-sign-file", 1), ("ca-sign-pass", 1), ("crl-file", 1), ("ciphers", 1), ("ciphersuites", 1), ("ecdhe", 1), ("alpn", 1),
    ("npn", 1), ("verify", 1), ("no-alpn", 0), ("no-ca-names", 0), ("generate-certificates", 0), ("prefer-client-ciphers", 0),
    ("strict-sni", 0), ("ssl-min-ver", 1), ("ssl-max-ver", 1), ("allow-0rtt", 0), ("tls-ticket-keys", 1), ("tls-tickets", 0),
    ("no-tls-tickets", 0), ("no-sslv3", 0), ("no-tlsv10", 0), ("no-tlsv11", 0), ("no-tlsv12", 0), ("no-tlsv13", 0),
    ("force-sslv3", 0), ("force-tlsv10", 0), ("force-tlsv11", 0), ("force-tlsv12", 0), ("force-tlsv13", 0), ("sigalgs", 1),
    ("client-sigalgs", 1), ("ocsp-update", 1), ("default-crt", 1), ("no-strict-sni", 0), ("ktls", 1), ("ech", 1),
];

/// Reads `bind ADDRESS[,ADDRESS]… WORD…`.
pub(crate) fn read(line: &[Word], notes: &Notes) -> Vec<Bind> {
    let [_, addresses, words @ ..] = line else {
        notes.error(line, "it needs an address");
        return Vec::new();
    };
    let blank = Bind {
        address: String::new(),
        name: None,
        maxconn: None,
        tls: false,
        accept_proxy: false,
        line: line.to_vec(),
    };
    let settings = settings(blank, words, notes);
    let mut binds = Vec::new();
    for text in addresses.text.split(',') {
        match ports(text) {
            Ok(found) => {
                binds.extend(found.into_iter().map(|address| Bind { address, ..settings.clone() }));
            }
            Err(why) => notes.not_supported(std::slice::from_ref(addresses), why),
        }
    }
    binds
}

fn settings(mut bind: Bind, words: &[Word], notes: &Notes) -> Bind {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        at += 1;
        let value = words.get(at);
        if let Some((_, values)) = TLS.iter().find(|(name, _)| word.is(name)) {
            bind.tls |= word.is("ssl");
            at += values;
            continue;
        }
        match word.text.as_str() {
            "name" => bind.name = value.map(|word| word.text.clone()),
            "maxconn" => {
                bind.maxconn =
                    super::settings::number(std::slice::from_ref(word), &words[at.min(words.len())..], notes)
            }
            "accept-proxy" => {
                bind.accept_proxy = true;
                continue;
            }
            _ => match WORDS.iter().find(|((name, ..), _)| word.is(name)) {
                Some(((_, kind, why), values)) => {
                    notes.add(*kind, &words[at - 1..(at + values).min(words.len())], *why);
                    at += values;
                    continue;
                }
                None => {
                    let more = ["name", "maxconn", "accept-proxy"];
                    let known =
                        WORDS.iter().map(|((name, ..), _)| *name).chain(TLS.iter().map(|(name, _)| *name));
                    notes.unknown(std::slice::from_ref(word), "word of bind", known.chain(more));
                    continue;
                }
            },
        }
        at += 1;
    }
    bind
}

/// The addresses that one text means: a range of ports is several.
fn ports(text: &str) -> Result<Vec<String>, &'static str> {
    if text.starts_with('/')
        || ["unix@", "abns@", "abnsz@", "fd@", "sockpair@", "rhttp@"]
            .iter()
            .any(|kind| text.starts_with(kind))
    {
        return Err("clients connect by TCP; listen on 127.0.0.1 and a port");
    }
    if ["quic4@", "quic6@", "udp@", "udp4@", "udp6@"].iter().any(|kind| text.starts_with(kind)) {
        return Err("clients connect by TCP and speak HTTP/1.1");
    }
    let is_v6 = ["ipv6@", "tcp6@"].iter().any(|kind| text.starts_with(kind));
    let bare = ["ipv4@", "ipv6@", "tcp@", "tcp4@", "tcp6@"]
        .iter()
        .find_map(|kind| text.strip_prefix(kind))
        .unwrap_or(text);
    if address::is_variable(bare) {
        return Ok(vec![bare.to_owned()]);
    }
    let (host, port) = bare.rsplit_once(':').ok_or("a listener has a port; add it")?;
    let host = match host {
        "" | "*" if is_v6 => "[::]".to_owned(),
        "" | "*" | "0.0.0.0" => String::new(),
        host => {
            listening(host).ok_or("a listener has an IP address of this host, or none for all of them")?
        }
    };
    if address::is_variable(port) {
        return Ok(vec![format!("{host}:{port}")]);
    }
    let (first, last) = port.split_once('-').unwrap_or((port, port));
    let (Some(first), Some(last)) = (address::port(first), address::port(last)) else {
        return Err("this is no port");
    };
    if last < first || last - first >= PORTS_MAX {
        return Err("a range of so many ports is not listened on; redirect them to one by nftables");
    }
    Ok((first..=last).map(|port| format!("{host}:{port}")).collect())
}

/// A host to listen on: an IP address, or `localhost`.
fn listening(host: &str) -> Option<String> {
    let found = address::host(host)?;
    let is_address = found.starts_with('[') || found.parse::<std::net::Ipv4Addr>().is_ok();
    (is_address || found.eq_ignore_ascii_case("localhost") || address::is_variable(&found)).then_some(found)
}

/// The addresses that are left when those that plimsoll cannot have are taken out.
pub(crate) fn usable(binds: &[Bind], listeners: &[Listener], notes: &Notes) -> Vec<Bind> {
    let only_tls = binds.iter().all(|bind| bind.tls);
    let mut usable: Vec<Bind> = Vec::new();
    for bind in binds {
        let mut bind = bind.clone();
        if bind.tls && !only_tls {
            let what = "plimsoll does not terminate TLS; it is left out: add a listener on loopback for \
                a TLS terminator, and name it in the routes that it shall have";
            notes.not_supported(&bind.line, what);
            continue;
        }
        if bind.tls {
            bind.address = address::behind_tls(&bind.address);
            let what = "plimsoll does not terminate TLS; it listens on loopback in clear text, for a \
                TLS terminator on this host that passes on to it";
            notes.not_supported(&bind.line, what);
        }
        if let Some(taken) = listeners.iter().find(|other| address::meet(&other.address, &bind.address)) {
            let what = format!(
                "the listener `{}` has {} already; it is left out: give it a port of its own",
                taken.name, taken.address
            );
            notes.not_supported(&bind.line, what);
            continue;
        }
        match usable.iter_mut().find(|other| address::meet(&other.address, &bind.address)) {
            None => usable.push(bind),
            Some(other) => match address::wider(&other.address, &bind.address) {
                Some(wider) => {
                    let what = format!("{wider} takes its connections too");
                    let narrow = if wider == other.address { &bind } else { &*other };
                    notes.not_needed(&narrow.line, what);
                    if wider != other.address {
                        *other = bind;
                    }
                }
                None => notes.not_supported(&bind.line, "write `[::]` and the port, which takes both"),
            },
        }
    }
    usable
}
