//! Groups of servers, and the upstreams that they become.

mod block;

use std::collections::HashMap;

use super::tree::Directive;
use crate::address;
use crate::model::{Backend, Health, Retries, Upstream};
use crate::name::Names;
use crate::note::Notes;
use crate::span::Span;
use crate::word::Word;

/// What a block says, whoever uses it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Group {
    pub(crate) health: Option<Health>,
    /// The upstream without what its users say.
    base: Upstream,
    name: String,
    used: bool,
}

/// What a location says about how it uses an upstream. Two that say different things need two upstreams.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Use {
    pub(crate) connect: Option<Span>,
    pub(crate) response: Option<Span>,
    pub(crate) host_header: Option<String>,
    pub(crate) retries: Option<Retries>,
    pub(crate) proxy_protocol: Option<&'static str>,
}

/// All blocks, and the upstreams that are made of them.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: Vec<Group>,
    by_name: HashMap<String, usize>,
    /// What was made of which group, for whom.
    made: Vec<(usize, Use)>,
    upstreams: Vec<Upstream>,
    names: Names,
}

impl Groups {
    pub(crate) fn find(&mut self, name: &str) -> Option<&mut Group> {
        self.by_name.get(name).and_then(|index| self.groups.get_mut(*index))
    }

    /// Reads a block `upstream NAME { … }`.
    pub(crate) fn define(&mut self, directive: &Directive, notes: &Notes) {
        let Some(name) = directive.arguments().first() else {
            return notes.error(&directive.words, "it needs a name");
        };
        if self.by_name.contains_key(&name.text) {
            return notes.error(&directive.words, format!("there are two upstreams `{}`", name.text));
        }
        let mut group = Group { name: name.text.clone(), ..Group::default() };
        group.base.about = vec![format!("upstream {}, line {}", name.text, directive.place().line)];
        block::read(directive, &mut group, notes);
        if group.base.backends.iter().all(|backend| backend.left_out) {
            notes.not_supported(
                &directive.words,
                "it has no server that could answer: routes to it answer 502",
            );
        }
        self.by_name.insert(name.text.clone(), self.groups.len());
        self.groups.push(group);
    }

    /// The upstream for a single address that a location names by itself.
    pub(crate) fn define_single(&mut self, text: &str, address: String, line: usize) {
        if self.by_name.contains_key(text) {
            return;
        }
        let mut group = Group { name: text.to_owned(), ..Group::default() };
        group.base.about = vec![format!("{text}, line {line}")];
        group.base.backends.push(Backend { address, ..Backend::default() });
        self.by_name.insert(text.to_owned(), self.groups.len());
        self.groups.push(group);
    }

    /// The name of the upstream for a use of a group. None when no server of it could answer, or there is no such group.
    pub(crate) fn upstream(&mut self, name: &str, wanted: &Use) -> Option<String> {
        let index = *self.by_name.get(name)?;
        let made = self.made.iter().position(|(group, how)| *group == index && how == wanted);
        if let Some(made) = made {
            return self.upstreams.get(made).map(|upstream| upstream.name.clone());
        }
        let group = self.groups.get_mut(index)?;
        if group.base.backends.iter().all(|backend| backend.left_out) {
            return None;
        }
        group.used = true;
        let name = self.names.give(&group.name);
        let usable = group.base.backends.iter().filter(|backend| !backend.left_out).count() as u64;
        let mut retries = wanted.retries.clone();
        if let Some(retries) = &mut retries {
            // Each server is asked once.
            let attempts = retries.attempts.unwrap_or(usable).min(usable);
            retries.attempts = Some(attempts.clamp(1, 10));
        }
        let upstream = Upstream {
            name: name.clone(),
            health: group.health.clone(),
            connect: wanted.connect,
            response: wanted.response,
            host_header: wanted.host_header.clone(),
            proxy_protocol: wanted.proxy_protocol,
            retries,
            ..group.base.clone()
        };
        self.upstreams.push(upstream);
        self.made.push((index, wanted.clone()));
        Some(name)
    }

    /// No groups yet, whose upstreams get none of these names.
    pub(crate) fn after(names: Names) -> Self {
        Self { names, ..Self::default() }
    }

    /// All upstreams, also those that nothing leads to, and the names that they have.
    pub(crate) fn into_upstreams(mut self) -> (Vec<Upstream>, Names) {
        let unused: Vec<String> =
            self.groups.iter().filter(|group| !group.used).map(|group| group.name.clone()).collect();
        for name in unused {
            self.upstream(&name, &Use::default());
        }
        (self.upstreams, self.names)
    }
}

/// The address of a server as plimsoll takes it; `usual` is the port where none is written.
///
/// # Errors
/// Why it is none, and what to do.
pub(crate) fn target(text: &str, usual: u16) -> Result<String, &'static str> {
    if text.starts_with("unix:") {
        return Err("backends are reached by TCP; let it listen on 127.0.0.1");
    }
    if text.contains('$') {
        return Err("an address is fixed; write a route for each value");
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.to_owned()),
        _ => (text, usual.to_string()),
    };
    let port = address::port(&port).ok_or("this is no port")?;
    let host = address::host(host).ok_or("this is neither an IP address nor a host name")?;
    Ok(format!("{host}:{port}"))
}

/// Whether a word is what nginx takes for the name of a group or of a host.
pub(crate) fn is_name(word: &Word) -> bool {
    !word.text.is_empty() && !word.text.contains(['/', '$'])
}
