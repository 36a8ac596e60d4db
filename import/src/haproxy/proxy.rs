//! Sections `frontend`, `backend` and `listen`, each with what its lines say.

use super::acl::Acls;
use super::bind::{self, Bind};
use super::rule::Rules;
use super::server::{self, Server};
use super::settings::{KNOWN, Settings};
use super::tree::Section;
use super::words;
use crate::note::Notes;
use crate::word::Word;

/// A section that takes connections, has servers, or both.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) head: Vec<Word>,
    pub(crate) name: Word,
    pub(crate) takes_connections: bool,
    pub(crate) has_servers: bool,
    pub(crate) settings: Settings,
    pub(crate) rules: Rules,
    pub(crate) binds: Vec<Bind>,
    pub(crate) servers: Vec<Server>,
}

impl Proxy {
    /// Reads a section. None, with a note, when it has no name or is disabled.
    pub(crate) fn read(section: &Section, inherited: Settings, notes: &Notes) -> Option<Self> {
        let Some(name) = section.name() else {
            notes.error(&section.head, "it needs a name");
            return None;
        };
        let kind = section.kind();
        let mut proxy = Self {
            head: section.head.clone(),
            name: name.clone(),
            takes_connections: kind != "backend",
            has_servers: kind != "frontend",
            settings: inherited,
            rules: Rules::default(),
            binds: Vec::new(),
            servers: Vec::new(),
        };
        proxy.address_of_head(section, notes);
        // Servers take what `default-server` says, and `mode` decides what rules mean: first what others rely on.
        let rest: Vec<&Vec<Word>> = section.lines.iter().filter(|line| !proxy.first(line, notes)).collect();
        let acls = proxy.acls(&rest, notes);
        rest.iter().for_each(|line| proxy.second(line, &acls, notes));
        if proxy.settings.disabled {
            notes.not_supported(
                &section.head,
                "a section that is `disabled` is left out, with all that is in it",
            );
            return None;
        }
        Some(proxy)
    }

    /// `frontend NAME ADDRESS`, as it was written before `bind`.
    fn address_of_head(&mut self, section: &Section, notes: &Notes) {
        if let [keyword, _, address, ..] = &section.head[..]
            && !address.is("from")
            && self.takes_connections
        {
            self.binds.extend(bind::read(&[keyword.clone(), address.clone()], notes));
        }
    }

    /// Reads lines that others rely on. False for all others.
    fn first(&mut self, line: &[Word], notes: &Notes) -> bool {
        let keyword = line.first().map_or("", |word| word.text.as_str());
        match keyword {
            "bind" if self.takes_connections => self.binds.extend(bind::read(line, notes)),
            "acl" | "server" | "server-template" | "dispatch" | "use_backend" | "http-request"
            | "http-response" | "redirect" | "block" | "monitor-uri" | "tcp-request" | "bind" => {
                return false;
            }
            _ => {
                if !self.settings.read(line, notes) {
                    notes.unknown(line, "word of a section", known());
                }
            }
        }
        true
    }

    fn acls(&self, lines: &[&Vec<Word>], notes: &Notes) -> Acls {
        let tls = !self.binds.is_empty() && self.binds.iter().all(|bind| bind.tls);
        let mut acls = Acls::new(tls);
        for line in lines.iter().filter(|line| line.first().is_some_and(|word| word.is("acl"))) {
            acls.define(line, notes);
        }
        acls
    }

    fn second(&mut self, line: &[Word], acls: &Acls, notes: &Notes) {
        let keyword = line.first().map_or("", |word| word.text.as_str());
        match keyword {
            "acl" => {}
            "server" if self.has_servers => {
                self.servers.extend(server::read(line, &self.settings.default_server, notes));
            }
            "server-template" if self.has_servers => {
                self.servers.extend(server::template(line, &self.settings.default_server, notes));
            }
            "dispatch" if self.has_servers => {
                let [keyword, address, ..] = line else { return notes.error(line, "it needs an address") };
                let words = [keyword.clone(), keyword.clone(), address.clone()];
                self.servers.extend(server::read(&words, &Default::default(), notes));
            }
            "use_backend" if self.takes_connections => self.rules.use_backend(line, acls, notes),
            "http-request" => self.rules.http_request(line, acls, notes),
            "block" => {
                let words = [Word { text: "deny".to_owned(), place: line[0].place }];
                let line: Vec<Word> = line[..1].iter().chain(&words).chain(&line[1..]).cloned().collect();
                self.rules.http_request(&line, acls, notes);
            }
            "http-response" if self.settings.http => self.rules.http_response(line, notes),
            "http-response" => notes.not_needed(line, "in mode tcp no header is read"),
            "tcp-request" => self.rules.tcp_request(line, acls, notes),
            "redirect" => self.rules.redirect(line, acls, notes),
            "monitor-uri" => self.rules.monitor_uri(line, notes),
            _ => misplaced(line, notes),
        }
    }

    /// Whether it is there only to show HAProxy's statistics or metrics.
    pub(crate) fn is_stats_page(&self) -> bool {
        let leads_on = !self.servers.is_empty()
            || self.settings.default_backend.is_some()
            || self.rules.in_order().next().is_some();
        self.takes_connections && (self.settings.shows_stats || self.rules.shows_metrics) && !leads_on
    }
}

/// Notes a line of a section that may not have it.
pub(crate) fn misplaced(line: &[Word], notes: &Notes) {
    let keyword = line.first().map_or("", |word| word.text.as_str());
    if KNOWN.contains(&keyword) {
        notes.error(line, format!("`{keyword}` has no place in this section"));
    } else {
        notes.unknown(line, "word of a section", known());
    }
}

fn known() -> impl Iterator<Item = &'static str> {
    let table = words::PROXY.iter().filter_map(|(word, ..)| word.split([' ', '*']).next());
    KNOWN.into_iter().chain(table)
}
