//! nginx's configuration, with the health checks of lua-resty-upstream-healthcheck.

mod access;
mod action;
mod headers;
mod http;
mod lexer;
mod listen;
mod location;
mod lua;
mod server;
mod settings;
mod stream;
mod tree;
mod upstream;
mod variable;
mod words;

use crate::Import;
use crate::model::Config;
use crate::name::Names;
use crate::note::{Kind, Notes};
use crate::table::{self, Row};
use crate::word::Place;
use crate::write::write;
use tree::Directive;
use upstream::Groups;

/// What the head of the file says about keys that are not in it.
const DEFAULTS: &str = "What nginx has no word for is as plimsoll does it by default: backends are checked by \
    connecting to them (`health`), a backend that comes back gets its share by and by (`slow_start`), a backend that \
    falls silent has its request asked elsewhere (`retries.hedge`), requests get Via and x-request-id (`forwarded`). \
    Paths are compared as they stand in a request, which nginx decodes before it compares them.";

/// Imports the text of a configuration; `file` is what its notes and the head of the result call it.
#[must_use]
pub fn import(file: &str, text: &str) -> Import {
    let notes = Notes::default();
    let directives = tree::parse(lexer::tokens(text), &notes);
    let config = config(&directives, &notes);
    if config.listeners.is_empty() {
        let what = "nothing is left to listen on: add a `server` with a `listen` that plimsoll can have";
        notes.add_at(Place::default(), Kind::Error, file, what);
    }
    let notes = notes.into_sorted();
    let failed = notes.iter().any(|note| note.kind == Kind::Error);
    let yaml = (!failed).then(|| write(&config, "nginx", file, DEFAULTS, &notes));
    Import { yaml, notes }
}

fn config(directives: &[Directive], notes: &Notes) -> Config {
    let mut config = Config::default();
    let mut groups = Groups::default();
    // A file of conf.d has what stands in `http` without the word.
    let inner = ["server", "upstream"];
    let is_part = directives.iter().any(|directive| inner.contains(&directive.name()));
    if is_part {
        let block = tree::Block::Directives(directives.to_vec());
        http::build(&Directive { words: Vec::new(), block }, &mut config, &mut groups, notes);
    } else {
        for directive in directives {
            match directive.name() {
                "http" => http::build(directive, &mut config, &mut groups, notes),
                "stream" => {}
                _ => main(directive, &mut config, notes),
            }
        }
    }
    let (upstreams, names) = groups.into_upstreams();
    config.upstreams = upstreams;
    let mut groups = Groups::after(names);
    let mut listeners = Names::default();
    for listener in &config.listeners {
        listeners.give(&listener.name);
    }
    for directive in directives.iter().filter(|directive| directive.name() == "stream") {
        stream::build(directive, &mut config, &mut groups, &mut listeners, notes);
    }
    config.upstreams.extend(groups.into_upstreams().0);
    config
}

fn main(directive: &Directive, config: &mut Config, notes: &Notes) {
    let (line, value) = (&directive.words, directive.argument(0));
    match directive.name() {
        "worker_processes" => {
            config.workers = value.parse().ok().filter(|workers| (1..=256).contains(workers));
            notes.mapped(line, "workers");
        }
        "worker_shutdown_timeout" => {
            config.drain = crate::span::Span::nginx(value).filter(|span| !span.is_zero());
            notes.mapped(line, "drain.timeout");
        }
        "events" => directive.inner().iter().for_each(|inner| other(words::MAIN, inner, notes)),
        _ => other(words::MAIN, directive, notes),
    }
}

/// Notes a directive that nothing else reads, with all that stands in it.
fn other(rows: &'static [Row], directive: &Directive, notes: &Notes) {
    let line = &directive.words;
    let name = directive.name();
    if name == "include" {
        let file = directive.argument(0);
        if ["mime.types", "fastcgi_params", "fastcgi.conf", "uwsgi_params"]
            .iter()
            .any(|known| file.ends_with(known))
        {
            notes.not_needed(line, "answers are passed on with the type that the backend gives");
        } else {
            notes.not_supported(line, "no other file is read: put its text here and import again");
        }
    } else if let tree::Block::Lua(_) = directive.block {
        notes.not_supported(line, "there are no scripts; do it in the application");
    } else if !table::tell(rows, line, notes) {
        let known = rows.iter().map(|(word, ..)| word.trim_end_matches('*'));
        notes.unknown(line, "directive", known.chain(settings::KNOWN));
    }
    server::inside(directive, notes);
}
