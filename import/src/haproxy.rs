//! HAProxy's configuration.

mod acl;
mod backend;
mod balance;
mod bind;
mod check;
mod global;
mod headers;
mod lexer;
mod proxy;
mod route;
mod rule;
mod server;
mod settings;
mod tree;
mod words;

use std::collections::HashMap;

use crate::Import;
use crate::model::Config;
use crate::note::{Kind, Notes};
use crate::table;
use crate::word::Place;
use crate::write::write;
use backend::Backends;
use global::Global;
use proxy::Proxy;
use settings::Settings;
use tree::Section;

/// What the head of the file says about keys that are not in it.
const DEFAULTS: &str = "What HAProxy has no word for is as plimsoll does it by default: live traffic takes \
    failing \
    backends out (`outliers`), a backend that comes back gets its share by and by (`slow_start`), a backend that falls \
    silent has its request asked elsewhere (`retries.hedge`), requests get Via and x-request-id (`forwarded`).";

/// Imports the text of a configuration; `file` is what its notes and the head of the result call it.
#[must_use]
pub fn import(file: &str, text: &str) -> Import {
    let notes = Notes::default();
    let sections = tree::sections(lexer::lines(text), &notes);
    let config = config(&sections, &notes);
    if config.listeners.is_empty() {
        let what =
            "nothing is left to listen on: add a `frontend` or `listen` with a `bind` that plimsoll can have";
        notes.add_at(Place::default(), Kind::Error, file, what);
    }
    let notes = notes.into_sorted();
    let failed = notes.iter().any(|note| note.kind == Kind::Error);
    let yaml = (!failed).then(|| write(&config, "haproxy", file, DEFAULTS, &notes));
    Import { yaml, notes }
}

fn config(sections: &[Section], notes: &Notes) -> Config {
    let mut global = Global::default();
    let mut defaults = Defaults::default();
    let mut proxies = Vec::new();
    for section in sections {
        match section.kind() {
            "global" => global.read(section, notes),
            "defaults" => defaults.read(section, notes),
            "frontend" | "backend" | "listen" => {
                let inherited = defaults.of(section, notes);
                proxies.extend(Proxy::read(section, inherited, notes));
            }
            _ => {
                table::tell(words::SECTIONS, &section.head, notes);
                for line in &section.lines {
                    let what = format!("it is of `{}` above, and goes with it", section.kind());
                    table::row(words::SECTIONS, &section.head)
                        .map(|(_, kind, _)| notes.add(*kind, line, what))
                        .unwrap_or_default();
                }
            }
        }
    }
    let mut config = Config {
        workers: global.threads,
        drain: global.hard_stop,
        access_log: proxies.iter().any(|proxy| proxy.settings.logs_requests),
        ..Config::default()
    };
    let mut backends = Backends::build(&proxies, &global, notes);
    route::build(&mut config, &proxies, &global, &mut backends, notes);
    config.upstreams = backends.into_upstreams();
    config
}

/// Sections `defaults`: the last one counts for what follows it, and one with a name for what asks for it.
#[derive(Debug, Default)]
struct Defaults {
    last: Settings,
    named: HashMap<String, Settings>,
}

impl Defaults {
    fn read(&mut self, section: &Section, notes: &Notes) {
        let mut settings = match section.from() {
            Some(_) => self.of(section, notes),
            None => Settings::default(),
        };
        for line in &section.lines {
            if !settings.read(line, notes) {
                proxy::misplaced(line, notes);
            }
        }
        if let Some(name) = section.name().filter(|name| !name.is("from")) {
            self.named.insert(name.text.clone(), settings.clone());
        }
        self.last = settings;
    }

    fn of(&self, section: &Section, notes: &Notes) -> Settings {
        match section.from() {
            None => self.last.clone(),
            Some(name) => self.named.get(&name.text).cloned().unwrap_or_else(|| {
                let what = format!("there is no section `defaults {}` above", name.text);
                notes.error(std::slice::from_ref(name), what);
                Settings::default()
            }),
        }
    }
}
