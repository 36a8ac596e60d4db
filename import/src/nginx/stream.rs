//! `stream`: connections relayed at level 4.

use super::listen;
use super::tree::Directive;
use super::upstream::{Groups, Use, target};
use super::words;
use crate::address;
use crate::model::{Config, Listener, Retries};
use crate::name::{Names, usable};
use crate::note::Notes;
use crate::span::Span;
use crate::word::Word;

/// nginx's default for `proxy_timeout`.
const TIMEOUT: Span = Span(600_000_000);

/// What stands in `stream` counts for its servers.
#[derive(Debug, Clone, Default)]
struct Settings {
    connect: Option<Span>,
    timeout: Option<Span>,
    sends_proxy: bool,
    trust: Vec<String>,
    /// Whether all are refused, or all but some.
    is_closed: bool,
    target: Option<Vec<Word>>,
}

/// Puts the servers of a block `stream` into the configuration.
pub(crate) fn build(
    stream: &Directive,
    config: &mut Config,
    groups: &mut Groups,
    names: &mut Names,
    notes: &Notes,
) {
    for directive in stream.inner().iter().filter(|directive| directive.name() == "upstream") {
        groups.define(directive, notes);
    }
    let mut settings = Settings::default();
    for directive in
        stream.inner().iter().filter(|directive| !matches!(directive.name(), "upstream" | "server"))
    {
        settings.read(directive, notes);
    }
    for directive in stream.inner().iter().filter(|directive| directive.name() == "server") {
        server(directive, settings.clone(), config, groups, names, notes);
    }
}

impl Settings {
    fn read(&mut self, directive: &Directive, notes: &Notes) {
        let (line, value) = (&directive.words, directive.argument(0));
        let span = |key: &str| match Span::nginx(value).filter(|span| !span.is_zero()) {
            Some(span) => {
                notes.mapped(line, key);
                Some(span)
            }
            None => {
                notes.error(line, format!("`{value}` is no span of time"));
                None
            }
        };
        match directive.name() {
            "proxy_connect_timeout" => self.connect = span("upstreams.*.timeouts.connect"),
            "proxy_timeout" => self.timeout = span("listeners.*.timeouts.tunnel"),
            "proxy_protocol" => {
                self.sends_proxy = value == "on";
                notes.mapped(line, "upstreams.*.proxy_protocol: v1");
            }
            "set_real_ip_from" => match address::range(value) {
                Some(range) => {
                    self.trust.push(range);
                    notes.mapped(line, "listeners.*.forwarded.trust");
                }
                None => notes.not_supported(line, "write the range of addresses into `forwarded.trust`"),
            },
            "proxy_pass" => self.target = Some(line.clone()),
            "deny" if value == "all" => {
                self.is_closed = true;
                notes.not_supported(
                    line,
                    "addresses are not asked of a connection; so that nothing is opened, the listener is \
                        left out",
                );
            }
            "allow" => {
                notes.not_supported(line, "addresses are not asked of a connection: let a firewall do it");
            }
            "deny" => {
                notes.not_supported(
                    line,
                    "addresses are not asked of a connection: nobody is refused by it, let a firewall do it",
                );
            }
            _ => super::other(words::STREAM, directive, notes),
        }
    }
}

fn server(
    directive: &Directive,
    mut settings: Settings,
    config: &mut Config,
    groups: &mut Groups,
    names: &mut Names,
    notes: &Notes,
) {
    let mut listens = Vec::new();
    for inner in directive.inner() {
        match inner.name() {
            "listen" => listens.extend(listen::read(inner, notes)),
            _ => settings.read(inner, notes),
        }
    }
    if settings.is_closed {
        super::server::inside(directive, notes);
        return notes.not_supported(
            &directive.words,
            "it is left out; take out `deny all` and import again when a firewall decides",
        );
    }
    let Some(line) = &settings.target else {
        return notes.not_supported(&directive.words, "it has no `proxy_pass`: it is left out");
    };
    let Some(upstream) = upstream(directive, &settings, line, groups, notes) else { return };
    let already = config.listeners.len();
    for listen in listens {
        if listen.tls {
            let what = "plimsoll does not terminate TLS: it is left out, let a TLS terminator pass on to a \
                listener on loopback";
            notes.not_supported(&listen.line, what);
            continue;
        }
        let meets = |other: &&Listener| address::meet(&other.address, &listen.address);
        if let Some(taken) = config.listeners.iter().find(meets) {
            let what = format!("the listener `{}` has {} already: it is left out", taken.name, taken.address);
            notes.not_supported(&listen.line, what);
            continue;
        }
        let port = listen.address.rsplit(':').next().unwrap_or_default();
        let name = names.give(&usable(&format!("{upstream}-{port}")));
        notes.mapped(&listen.line, format!("listeners.{name}"));
        config.listeners.push(Listener {
            name,
            about: vec![format!("server, line {}", directive.place().line)],
            address: listen.address.clone(),
            tcp: Some(upstream.clone()),
            accept_proxy: listen.accept_proxy,
            trust: settings.trust.clone(),
            tunnel: Some(settings.timeout.unwrap_or(TIMEOUT)),
            ..Listener::default()
        });
    }
    if config.listeners.len() > already {
        notes.mapped(line, "listeners.*.upstream, with `protocol: tcp`");
    } else {
        notes.not_supported(line, "it is of a server that listens nowhere, and goes with it");
    }
}

/// The upstream that a server passes on to. None, with a note, when there is none that could answer.
fn upstream(
    directive: &Directive,
    settings: &Settings,
    line: &[Word],
    groups: &mut Groups,
    notes: &Notes,
) -> Option<String> {
    let text = line.get(1).map_or("", |word| word.text.as_str());
    if groups.find(text).is_none() {
        match target(text, 0) {
            Ok(address) => groups.define_single(text, address, directive.place().line),
            Err(_) if !text.contains([':', '/', '$']) => {
                notes.error(line, format!("there is no upstream `{text}` in this file"));
                return None;
            }
            Err(why) => {
                notes.not_supported(line, why);
                return None;
            }
        }
    }
    let wanted = Use {
        connect: settings.connect,
        proxy_protocol: settings.sends_proxy.then_some("v1"),
        retries: Some(Retries { on: vec!["connect"], ..Retries::default() }),
        ..Use::default()
    };
    let upstream = groups.upstream(text, &wanted);
    if upstream.is_none() {
        notes.not_supported(line, "it has no server that could answer: it is left out");
    }
    upstream
}
