//! Whether a push fits: to itself, to what other groups hold, to this program's own metrics, and into the room that is left.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::{Family, Part, Store};
use crate::control_plane::push::key::GroupKey;
use crate::control_plane::push::series::Pushed;
use crate::control_plane::push::text::Kind;
use crate::control_plane::push::{Mode, Refusal};
use crate::telemetry::{PushResult, catalogue};

/// A push that is not yet taken.
pub(super) struct Incoming<'a> {
    key: &'a GroupKey,
    families: &'a [Pushed],
    kinds: HashMap<&'a str, Kind>,
    mode: Mode,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(key: &'a GroupKey, families: &'a [Pushed], mode: Mode) -> Self {
        let kinds = families.iter().map(|family| (&*family.name, family.kind)).collect();
        Self { key, families, kinds, mode }
    }

    /// Tells whether the family of this name that the group has is replaced.
    pub(super) fn replaces(&self, name: &str) -> bool {
        self.mode == Mode::Replace || self.kinds.contains_key(name)
    }
}

impl Store {
    /// Checks that metrics fit to each other, to those of other groups, and to those of this program.
    pub(super) fn check(&self, incoming: &Incoming<'_>) -> Result<(), Refusal> {
        if self.has_twin_of(incoming.key) {
            let what = format!("the group {} differs from another by an empty instance alone", incoming.key);
            return Err(Refusal::inconsistent(what));
        }
        for family in incoming.families {
            let (name, kind) = (&*family.name, family.kind);
            if is_own(name, kind) {
                let what = format!("{name} is a metric of plimsoll itself; push it under another name");
                return Err(Refusal::inconsistent(what));
            }
            if is_of_prometheus(name) {
                let what = format!("{name} is a metric of Prometheus itself; push it under another name");
                return Err(Refusal::inconsistent(what));
            }
            let known = self.families.get(name);
            if let Some(known) = known.filter(|known| known.kind != kind && known.is_of_others(incoming.key))
            {
                let (is, other) = (kind.as_str(), known.kind.as_str());
                return Err(Refusal::inconsistent(format!(
                    "{name} is of type {is} here and of type {other} in another group"
                )));
            }
            if let Some(other) = self.collision(name, kind, incoming) {
                let what = format!("{name}, of type {}, collides with {other}", kind.as_str());
                return Err(Refusal::inconsistent(what));
            }
            let others = self.shapes.keys().any(|names| **names != *incoming.key.names());
            if let Some(twice) =
                known.filter(|_| others).and_then(|known| known.series_of(family, incoming.key))
            {
                return Err(Refusal::inconsistent(twice));
            }
        }
        Ok(())
    }

    /// Finds a family that would have samples of the same name: the count of the histogram `h` is called `h_count`.
    fn collision(&self, name: &str, kind: Kind, incoming: &Incoming<'_>) -> Option<String> {
        let mut parts = kind.suffixes().iter().map(|suffix| format!("{name}{suffix}"));
        let part = parts.find(|part| self.kind_after(part, incoming).is_some());
        let whole = || {
            Kind::Histogram.suffixes().iter().find_map(|suffix| {
                let base = name.strip_suffix(suffix)?;
                let kind = self.kind_after(base, incoming)?;
                kind.suffixes().contains(suffix).then(|| format!("{base}, of type {}", kind.as_str()))
            })
        };
        part.or_else(whole)
    }

    /// Returns what a family would be after a push.
    fn kind_after(&self, name: &str, incoming: &Incoming<'_>) -> Option<Kind> {
        incoming.kinds.get(name).copied().or_else(|| {
            let known = self.families.get(name)?;
            let stays = known.is_of_others(incoming.key) || !incoming.replaces(name);
            stays.then_some(known.kind)
        })
    }

    pub(super) fn has_room(&self, incoming: &Incoming<'_>) -> Result<(), Refusal> {
        let full = |words: String| Err(Refusal::new(PushResult::Full, words));
        let group = self.groups.get(incoming.key);
        if group.is_none() && self.groups.len() >= self.groups_max {
            let most = self.groups_max;
            return full(format!(
                "there are {most} groups already, as many as `admin.push.groups` allows; one more has room when one expires"
            ));
        }
        let names = group.into_iter().flat_map(|group| &group.families);
        let freed: usize = names
            .filter(|name| incoming.replaces(name))
            .filter_map(|name| Some(self.families.get(name)?.parts.get(incoming.key)?.size))
            .sum();
        let added: usize = incoming.families.iter().map(Pushed::size).sum();
        if self.bytes - freed + added > self.bytes_max {
            let most = self.bytes_max;
            return full(format!("all groups hold {most} bytes already, 64 times `admin.push.body`"));
        }
        Ok(())
    }
}

impl Family {
    fn is_of_others(&self, key: &GroupKey) -> bool {
        self.parts.keys().any(|known| **known != *key)
    }

    /// Finds a series of `pushed` that another group has. Groups whose labels have the same names differ in a value.
    fn series_of(&self, pushed: &Pushed, key: &GroupKey) -> Option<String> {
        let others = self.parts.iter().filter(|(known, _)| known.names() != key.names());
        let is_known = |(_, part): (_, &Part)| {
            let mut series = pushed.series.iter();
            series.find(|(hash, _)| part.series.binary_search(hash).is_ok())
        };
        others.filter_map(is_known).map(|twice| pushed.was_there(twice)).next()
    }
}

/// What the samples of this program's own metrics are called, and their families.
static OWN: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let names = catalogue::ALL.iter().flat_map(|metric| {
        let suffixes =
            if metric.kind == catalogue::Kind::Histogram { Kind::Histogram.suffixes() } else { &[] };
        // What OpenMetrics calls a counter.
        let short = metric.name.strip_suffix("_total").map(str::to_owned);
        [""].iter().chain(suffixes).map(|suffix| format!("{}{suffix}", metric.name)).chain(short)
    });
    names.collect()
});

/// Tells whether a family, or a part of it, is called like a metric of this program.
fn is_own(name: &str, kind: Kind) -> bool {
    OWN.contains(name) || kind.suffixes().iter().any(|suffix| OWN.contains(&format!("{name}{suffix}")))
}

/// Tells whether Prometheus gives every target, or every alert, a series of this name: with `honor_labels` a pushed one
/// could say that a target is down.
fn is_of_prometheus(name: &str) -> bool {
    matches!(name, "up" | "ALERTS" | "ALERTS_FOR_STATE") || name.starts_with("scrape_")
}
