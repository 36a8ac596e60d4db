//! What remains of the changes beside a file that was read anew.

use std::mem;

use super::{Added, Changes, Entry};
use crate::control_plane::config::Config;
use crate::control_plane::config::upstream::{BackendConfig, UpstreamConfig};
use crate::control_plane::config::value::address::BackendAddress;

/// What was left out, each for people.
pub type Settled = Vec<String>;

impl Changes {
    /// Leaves out what the `file` overrules, or has no place for any more. Returns what that is.
    pub fn settle(&mut self, file: &Config) -> Settled {
        let mut left_out = Vec::new();
        let mut kept: Vec<Entry> = Vec::new();
        for mut entry in mem::take(&mut self.0) {
            let upstream = file.upstreams.iter().find(|upstream| upstream.name == entry.upstream);
            let words = match upstream {
                None => vec![format!("there is no upstream `{}`", entry.upstream)],
                Some(upstream) => entry.settle(upstream, &kept),
            };
            let (upstream, backend) = (&entry.upstream, &entry.backend);
            left_out.extend(words.iter().map(|words| {
                format!("a change of {upstream}/{backend} at run time is left out: {words} in the file")
            }));
            if file.upstreams.iter().any(|known| known.name == *upstream) && !entry.says_nothing() {
                kept.push(entry);
            }
        }
        self.0 = kept;
        for upstream in &file.upstreams {
            if !self.backends(upstream).is_empty() {
                continue;
            }
            self.0.retain(|entry| entry.upstream != upstream.name || entry.removed.is_none());
            let name = &upstream.name;
            left_out.push(format!(
                "all backends of `{name}` in the file were removed at run time: they are back"
            ));
        }
        left_out
    }
}

impl Entry {
    /// Leaves out what the file overrules. Returns what the file says instead.
    fn settle(&mut self, upstream: &UpstreamConfig, others: &[Self]) -> Vec<String> {
        let mut words = Vec::new();
        let named = upstream.backends.iter().find(|backend| backend.name == self.backend);
        match (&self.added, &self.removed, named) {
            (Some(_), _, Some(named)) => {
                words.push(format!("it is named, at {},", named.address));
                self.added = None;
            }
            (Some(added), _, None) => {
                if let Some(other) = self.place_taken(added, upstream, others) {
                    return self.forget(other);
                }
            }
            (None, Some(removed), Some(named)) if removed.address != named.address => {
                words.push(format!("it has another address, {},", named.address));
                self.removed = None;
            }
            // What was removed and is named no more was only ahead of the file.
            (None, Some(_), None) => self.removed = None,
            (None, None, None) => return self.forget("it is not named any more".to_owned()),
            (None, _, Some(_)) => {}
        }
        let configured = self.added.as_ref().map(|added| added.weight).or(named.map(|named| named.weight));
        if let (Some(weighed), Some(configured)) = (self.weight, configured)
            && weighed.configured != configured
        {
            words.push(format!("it has another weight, {configured},"));
            self.weight = None;
        }
        words
    }

    fn forget(&mut self, words: String) -> Vec<String> {
        (self.added, self.removed, self.weight, self.drained) = (None, None, None, false);
        vec![words]
    }

    /// Says who has the address of an added backend.
    fn place_taken(&self, added: &Added, upstream: &UpstreamConfig, others: &[Self]) -> Option<String> {
        let is_there = |address: &BackendAddress| *address == added.address;
        let in_file = upstream.backends.iter().find(|other| is_there(&other.address));
        let other = others.iter().find(|other| {
            other.upstream == self.upstream
                && other.added.as_ref().is_some_and(|added| is_there(&added.address))
        });
        let name = in_file.map(|BackendConfig { name, .. }| name).or(other.map(|other| &other.backend))?;
        Some(format!("`{name}` has its address {}", added.address))
    }
}
