//! What operators have changed at run time: the difference between the configuration file and what is in force.
//!
//! The file is the truth. A change holds beside it until it is taken back, or until the file says something else about the
//! same backend: an addition until the file names a backend so, a removal and a weight until the file has another
//! address or weight for the backend than when it was removed or weighed, a drain as long as there is such a backend.
//! Pure: whoever owns the configuration asks here what a change makes of it, and puts that in force.
//!
//! - [`Change`] (here): what is asked for, and why it may be [`Refused`]; [`Changes`]: what holds.
//! - `settle`: what remains of it beside a file that was read anew.
//! - [`Kept`]: the file that brings it through a restart.
//! - [`in_force`]: what of it concerns a backend that serves, told to that backend.

pub mod in_force;
mod kept;
mod settle;

use serde::{Deserialize, Serialize};

use super::config::Config;
use super::config::upstream::{BackendConfig, UpstreamConfig};
use super::config::value::address::BackendAddress;
use super::config::value::text::Name;
pub use kept::{Kept, KeptError};
pub use settle::Settled;

/// The most backends that may be there besides those of the file: each has series that Prometheus keeps.
const ADDED_MAX: usize = 1000;

/// A change that an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The name of the upstream.
    pub upstream: Box<str>,
    /// What is to happen.
    pub action: Action,
    /// Who asks, for the log.
    pub by: Box<str>,
}

/// What is to happen to an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Another backend joins.
    Add(Addition),
    /// This backend leaves: it finishes what it has, and gets nothing new.
    Remove(Box<str>),
    /// This backend finishes what it has, and gets nothing new.
    Drain(Box<str>),
    /// This backend takes new work again.
    Ready(Box<str>),
    /// This backend gets this weight, 0 to 1000.
    Weigh(Box<str>, u16),
}

/// A backend that is to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// Its name. None takes the first of `backend-N` that is free.
    pub name: Option<Name>,
    /// Where it answers.
    pub address: BackendAddress,
    /// Its weight. None is that of the file for one that the file names, and else 1.
    pub weight: Option<u16>,
}

/// Why a change is refused. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing is called so.
    #[error("there is no {what} of this name; there is {}", .names.join(", "))]
    Unknown {
        /// What: an upstream or a backend.
        what: &'static str,
        /// The names that there are.
        names: Vec<Box<str>>,
    },
    /// It contradicts what there is. The text says what to do.
    #[error("{0}")]
    Conflict(String),
}

/// What operators have changed, and what still holds of it; one entry for each backend, in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes(Vec<Entry>);

/// What operators have changed of one backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(with = "kept::name")]
    upstream: Name,
    #[serde(with = "kept::name")]
    backend: Name,
    /// The file does not name it, it was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    added: Option<Added>,
    /// The file names it, it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    removed: Option<Removed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight: Option<Weighed>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    drained: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Added {
    #[serde(with = "kept::address")]
    address: BackendAddress,
    weight: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Removed {
    /// What the file said then.
    #[serde(with = "kept::address")]
    address: BackendAddress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Weighed {
    now: u16,
    /// What the file said then, or who added it.
    configured: u16,
}

impl Action {
    /// The backend that is named. None for one that is to join.
    #[must_use]
    pub fn backend(&self) -> Option<&str> {
        match self {
            Self::Add(_) => None,
            Self::Remove(backend) | Self::Drain(backend) | Self::Ready(backend) | Self::Weigh(backend, _) => {
                Some(backend)
            }
        }
    }
}

impl Entry {
    fn about(upstream: &Name, backend: &Name) -> Self {
        let (upstream, backend) = (upstream.clone(), backend.clone());
        Self { upstream, backend, added: None, removed: None, weight: None, drained: false }
    }

    fn says_nothing(&self) -> bool {
        self.added.is_none() && self.removed.is_none() && self.weight.is_none() && !self.drained
    }

    fn is_about(&self, upstream: &str, backend: &str) -> bool {
        self.upstream.as_str() == upstream && self.backend.as_str() == backend
    }
}

impl Changes {
    /// Returns how many backends something is changed of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether everything is as the file says.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the configuration that the file and the changes make together, as far as it concerns who belongs to which
    /// upstream. Weights and drains belong to the backends themselves; see [`in_force::hold`].
    #[must_use]
    pub fn over(&self, file: &Config) -> Config {
        let mut config = file.clone();
        for upstream in &mut config.upstreams {
            upstream.backends = self.backends(upstream);
        }
        config
    }

    /// Takes note of a change, beside the `file`. Returns the name of the backend that it is about.
    ///
    /// # Errors
    /// When nothing has the name, or it contradicts what there is. Nothing has changed then.
    pub fn make(&mut self, change: &Change, file: &Config) -> Result<Name, Refused> {
        let known = file.upstreams.iter().find(|upstream| upstream.name.as_str() == &*change.upstream);
        let Some(upstream) = known else {
            return Err(unknown("upstream", file.upstreams.iter().map(|upstream| &upstream.name)));
        };
        let Some(name) = change.action.backend() else {
            let Action::Add(addition) = &change.action else { unreachable!("invariant: others name one") };
            return self.add(upstream, addition);
        };
        let present = self.backends(upstream);
        let Some(backend) = present.iter().find(|backend| backend.name.as_str() == name) else {
            return Err(unknown("backend", present.iter().map(|backend| &backend.name)));
        };
        match &change.action {
            Action::Remove(_) if present.len() == 1 => {
                let (upstream, name) = (&upstream.name, &backend.name);
                return Err(Refused::Conflict(format!(
                    "`{name}` is the last backend of `{upstream}`, which needs one; add another first, or drain it"
                )));
            }
            Action::Remove(_) => self.remove(&upstream.name, backend),
            Action::Drain(_) => self.of(upstream, backend, |entry| entry.drained = true),
            Action::Ready(_) => self.of(upstream, backend, |entry| entry.drained = false),
            Action::Weigh(_, now) => {
                let (now, configured) = (*now, backend.weight);
                let weighed = (now != configured).then_some(Weighed { now, configured });
                self.of(upstream, backend, |entry| entry.weight = weighed);
            }
            Action::Add(_) => {}
        }
        Ok(backend.name.clone())
    }

    /// The backends of an upstream, as they are in force: those of the file in its order, then those that were added.
    fn backends(&self, upstream: &UpstreamConfig) -> Vec<BackendConfig> {
        let stays = |backend: &&BackendConfig| {
            self.entry(&upstream.name, &backend.name).is_none_or(|entry| entry.removed.is_none())
        };
        let added = self.0.iter().filter(|entry| entry.upstream == upstream.name).filter_map(|entry| {
            let Added { address, weight } = entry.added.clone()?;
            Some(BackendConfig { name: entry.backend.clone(), address, weight })
        });
        upstream.backends.iter().filter(stays).cloned().chain(added).collect()
    }

    fn add(&mut self, upstream: &UpstreamConfig, addition: &Addition) -> Result<Name, Refused> {
        let present = self.backends(upstream);
        let of = &upstream.name;
        let Addition { name, address, weight } = addition;
        if let Some(other) = present.iter().find(|other| Some(&other.name) == name.as_ref()) {
            return Err(Refused::Conflict(format!(
                "`{of}` has a backend `{}` already, at {}; remove it first, or choose another name",
                other.name, other.address
            )));
        }
        if let Some(other) = present.iter().find(|other| other.address == *address) {
            return Err(Refused::Conflict(format!(
                "`{}` of `{of}` has the address {address} already; to send it more work, give it a weight",
                other.name
            )));
        }
        // What is left of the file was removed at run time.
        let in_file =
            |known: &&BackendConfig| Some(&known.name) == name.as_ref() || known.address == *address;
        if let Some(known) = upstream.backends.iter().find(in_file) {
            if known.address != *address || name.as_ref().is_some_and(|name| *name != known.name) {
                return Err(Refused::Conflict(format!(
                    "the file names `{}` of `{of}` at {}, and it was removed at run time; add it by this name and \
                     address, or take others",
                    known.name, known.address
                )));
            }
            let (configured, now) = (known.weight, weight.unwrap_or(known.weight));
            let weighed = (now != configured).then_some(Weighed { now, configured });
            self.of(upstream, known, |entry| (entry.removed, entry.weight) = (None, weighed));
            return Ok(known.name.clone());
        }
        if self.0.iter().filter(|entry| entry.added.is_some()).count() >= ADDED_MAX {
            let message = format!("{ADDED_MAX} backends were added at run time; write them into the file");
            return Err(Refused::Conflict(message));
        }
        let name = name.clone().unwrap_or_else(|| free_name(&upstream.backends, &present));
        let added = Added { address: address.clone(), weight: weight.unwrap_or(1) };
        self.0.push(Entry { added: Some(added), ..Entry::about(of, &name) });
        Ok(name)
    }

    fn remove(&mut self, upstream: &Name, backend: &BackendConfig) {
        let added = self.entry(upstream, &backend.name).is_some_and(|entry| entry.added.is_some());
        self.0.retain(|entry| !entry.is_about(upstream.as_str(), backend.name.as_str()));
        if !added {
            let removed = Some(Removed { address: backend.address.clone() });
            self.0.push(Entry { removed, ..Entry::about(upstream, &backend.name) });
        }
    }

    /// Changes the entry of a backend, which is made if need be, and dropped when it says nothing any more.
    fn of(&mut self, upstream: &UpstreamConfig, backend: &BackendConfig, change: impl FnOnce(&mut Entry)) {
        let known =
            self.0.iter().position(|entry| entry.is_about(upstream.name.as_str(), backend.name.as_str()));
        let at = known.unwrap_or_else(|| {
            self.0.push(Entry::about(&upstream.name, &backend.name));
            self.0.len() - 1
        });
        change(&mut self.0[at]);
        if self.0[at].says_nothing() {
            self.0.remove(at);
        }
    }

    fn entry(&self, upstream: &Name, backend: &Name) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.is_about(upstream.as_str(), backend.as_str()))
    }
}

fn unknown<'n>(what: &'static str, names: impl Iterator<Item = &'n Name>) -> Refused {
    Refused::Unknown { what, names: names.map(|name| name.as_str().into()).collect() }
}

/// The first of `backend-N` after the position of the file's last backend that neither the file nor anybody else has.
fn free_name(file: &[BackendConfig], present: &[BackendConfig]) -> Name {
    let is_taken = |name: &Name| file.iter().chain(present).any(|other| other.name == *name);
    let numbered =
        |number: usize| Name::parse(&format!("backend-{number}")).expect("invariant: this is a name");
    (file.len() + 1..).map(numbered).find(|name| !is_taken(name)).expect("invariant: numbers do not end")
}

#[cfg(test)]
mod tests;
