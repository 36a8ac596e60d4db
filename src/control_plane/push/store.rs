//! The groups of pushed metrics: who fits in, who is shown, who has been there for too long. Pure: time is an argument.

mod fit;
mod form;
mod page;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use fit::Incoming;
pub use page::Page;
use page::Piece;

use super::key::GroupKey;
use super::series::Pushed;
use super::text::Kind;
use super::{Mode, Refusal};
use crate::control_plane::now::Now;
use crate::telemetry::{PageForm, push_label, push_number, seconds_since_epoch};

/// What the receiver itself says of each group, as the Pushgateway does; what others push under these names is dropped.
const PUSH_TIME: (&str, &str) =
    ("push_time_seconds", "Last Unix time when changing this group in the Pushgateway succeeded.");
const FAILURE_TIME: (&str, &str) =
    ("push_failure_time_seconds", "Last Unix time when changing this group in the Pushgateway failed.");

/// The family from which the load of a backend is read: the CPU usage in percent, of what the backend has.
const LOAD: &str = "cpu_usage";

/// The longest words about a failure that are kept.
const WORDS: usize = 300;

/// Tells whether a family is written by the receiver itself.
pub(super) fn is_of_the_receiver(name: &str) -> bool {
    name == PUSH_TIME.0 || name == FAILURE_TIME.0
}

/// A group, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupView {
    /// Its labels.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// When a push to it was last taken. None when none was.
    pub pushed: Option<SystemTime>,
    /// How long that is ago.
    pub age: Option<Duration>,
    /// How long it is kept from now on, if nobody pushes.
    pub expires_in: Duration,
    /// When a push to it was last refused as inconsistent, and why. None when none was.
    pub failed: Option<(SystemTime, Box<str>)>,
    /// The names of its metrics.
    pub metrics: Vec<Box<str>>,
}

/// What was pushed about the load of a backend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadReport {
    /// CPU usage, in percent of what the backend has.
    pub cpu_percent: f64,
    /// When it was pushed.
    pub at: Instant,
}

/// All groups, and their metrics by name.
#[derive(Debug)]
pub(super) struct Store {
    expiry: Duration,
    groups_max: usize,
    bytes_max: usize,
    groups: BTreeMap<Arc<GroupKey>, Group>,
    /// How many groups have labels of these names.
    shapes: BTreeMap<Box<str>, usize>,
    families: BTreeMap<Box<str>, Family>,
    /// The groups with a load, by their instance.
    loads: HashMap<Box<str>, BTreeSet<Arc<GroupKey>>>,
    bytes: usize,
    /// Before this nothing expires. None when nothing ever does.
    expires_from: Option<Instant>,
}

#[derive(Debug, Default)]
struct Group {
    pushed: Option<Now>,
    failed: Option<(Now, Box<str>)>,
    /// The names of its metrics.
    families: BTreeSet<Box<str>>,
    cpu_percent: Option<f64>,
}

/// The metrics of one name, of whatever group.
#[derive(Debug)]
struct Family {
    kind: Kind,
    parts: BTreeMap<Arc<GroupKey>, Part>,
}

/// The metrics of one name and one group.
#[derive(Debug)]
struct Part {
    help: Option<Box<str>>,
    text: Arc<str>,
    /// Hashes of the labels, sorted.
    series: Box<[u64]>,
    size: usize,
}

impl Store {
    pub(super) fn new(expiry: Duration, groups_max: usize, bytes_max: usize) -> Self {
        let (groups, shapes, families, loads) = Default::default();
        Self { expiry, groups_max, bytes_max, groups, shapes, families, loads, bytes: 0, expires_from: None }
    }

    /// Returns how many groups there are.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Forgets the groups whose time is over, and returns them.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Arc<GroupKey>> {
        // Asked for at each look at each backend, and seldom so.
        if self.expires_from.is_none_or(|from| now < from) {
            return Vec::new();
        }
        let end = |group: &Group| group.renewed().map_or(now, |at| at.instant + self.expiry);
        let (expired, kept): (Vec<_>, Vec<_>) = self.groups.iter().partition(|(_, group)| end(group) <= now);
        let expired: Vec<_> = expired.into_iter().map(|(key, _)| Arc::clone(key)).collect();
        self.expires_from = kept.into_iter().map(|(_, group)| end(group)).min();
        expired.iter().for_each(|key| self.delete(key));
        expired
    }

    /// Takes metrics for a group, or refuses all of them.
    pub(super) fn push(
        &mut self,
        key: &Arc<GroupKey>,
        families: Vec<Pushed>,
        mode: Mode,
        now: Now,
    ) -> Result<(), Refusal> {
        let incoming = Incoming::new(key, &families, mode);
        self.check(&incoming)?;
        self.has_room(&incoming)?;
        let group = self.group(key, now);
        group.pushed = Some(now);
        let replaced: Vec<_> =
            group.families.iter().filter(|name| incoming.replaces(name)).cloned().collect();
        for name in replaced {
            self.remove(key, &name);
        }
        for family in families {
            self.insert(key, family, now);
        }
        Ok(())
    }

    /// Notes that a push to a group was refused as inconsistent.
    pub(super) fn note_failure(&mut self, key: &Arc<GroupKey>, words: &str, now: Now) {
        let is_new = !self.groups.contains_key(key);
        if !is_new || (self.groups.len() < self.groups_max && !self.has_twin_of(key)) {
            let words = words.chars().take(WORDS).collect::<String>().into_boxed_str();
            self.group(key, now).failed = Some((now, words));
        }
    }

    /// Forgets a group.
    pub(super) fn delete(&mut self, key: &GroupKey) {
        let names = self.groups.get(key).map(|group| group.families.clone()).unwrap_or_default();
        names.iter().for_each(|name| self.remove(key, name));
        if self.groups.remove(key).is_some()
            && let Some(groups) = self.shapes.get_mut(key.names())
        {
            *groups -= 1;
            if *groups == 0 {
                self.shapes.remove(key.names());
            }
        }
    }

    /// Appends all metrics to a page.
    pub(super) fn page(&self, form: PageForm) -> Page {
        let mut pieces = Vec::new();
        for (name, family) in &self.families {
            let help = family.parts.values().find_map(|part| part.help.as_deref());
            let is_taken = |short: &str| self.families.contains_key(short);
            let mut head = String::new();
            form::head(&mut head, (name, help), family.kind, form, is_taken);
            pieces.push(Piece::Made(head));
            pieces.extend(family.parts.values().map(|part| Piece::Kept(Arc::clone(&part.text), family.kind)));
        }
        let mut times = String::new();
        self.expose_times(&mut times, FAILURE_TIME, form, |group| group.failed.as_ref().map(|(at, _)| *at));
        self.expose_times(&mut times, PUSH_TIME, form, |group| group.pushed);
        pieces.push(Piece::Made(times));
        Page { form, pieces }
    }

    /// Lists the groups.
    pub(super) fn groups(&self, now: Now) -> Vec<GroupView> {
        let view = |(key, group): (&Arc<GroupKey>, &Group)| GroupView {
            labels: key.labels().map(|(name, value)| (name.into(), value.into())).collect(),
            pushed: group.pushed.map(|at| at.time),
            age: group.pushed.map(|at| now.instant.saturating_duration_since(at.instant)),
            expires_in: group.renewed().map_or(Duration::ZERO, |at| {
                (at.instant + self.expiry).saturating_duration_since(now.instant)
            }),
            failed: group.failed.as_ref().map(|(at, words)| (at.time, words.clone())),
            metrics: group.families.iter().cloned().collect(),
        };
        self.groups.iter().map(view).collect()
    }

    /// Returns the latest load of a backend.
    pub(super) fn load(&self, upstream: &str, backend: &str) -> Option<LoadReport> {
        let of_the_upstream =
            |key: &&Arc<GroupKey>| key.get("upstream").is_none_or(|named| named == upstream);
        let report = |key: &Arc<GroupKey>| {
            let group = self.groups.get(key)?;
            Some(LoadReport { cpu_percent: group.cpu_percent?, at: group.pushed?.instant })
        };
        let keys = self.loads.get(backend)?.iter().filter(of_the_upstream);
        keys.filter_map(report).max_by_key(|report| report.at)
    }

    fn expose_times(
        &self,
        page: &mut String,
        (name, help): (&str, &str),
        form: PageForm,
        of: impl Fn(&Group) -> Option<Now>,
    ) {
        if self.groups.is_empty() {
            return;
        }
        form::head(page, (name, Some(help)), Kind::Gauge, form, |_| false);
        for (key, group) in &self.groups {
            let mut labels = String::new();
            let instance = key.get("instance").is_none().then_some(("instance", ""));
            let mut pairs: Vec<_> = key.labels().chain(instance).collect();
            pairs.sort_unstable();
            pairs.iter().for_each(|(name, value)| push_label(&mut labels, name, value));
            for part in [name, "{", &labels, "} "] {
                page.push_str(part);
            }
            push_number(page, of(group).map_or(0.0, |at| seconds_since_epoch(at.time)));
            page.push('\n');
        }
    }

    /// Tells whether a group is there whose series would look like those of this one. The Pushgateway takes it, and fails at
    /// every scrape from then on.
    fn has_twin_of(&self, key: &GroupKey) -> bool {
        key.twin().is_some_and(|twin| self.groups.contains_key(&twin))
    }

    /// Finds a group, or makes it.
    fn group(&mut self, key: &Arc<GroupKey>, now: Now) -> &mut Group {
        let end = now.instant + self.expiry;
        self.expires_from = Some(self.expires_from.map_or(end, |from| from.min(end)));
        self.groups.entry(Arc::clone(key)).or_insert_with(|| {
            *self.shapes.entry(key.names().into()).or_default() += 1;
            Group::default()
        })
    }

    fn insert(&mut self, key: &Arc<GroupKey>, pushed: Pushed, now: Now) {
        let load = pushed.plain.filter(|percent| &*pushed.name == LOAD && percent.is_finite());
        let group = self.group(key, now);
        group.families.insert(pushed.name.clone());
        if let (Some(_), Some(instance)) = (load, key.get("instance")) {
            group.cpu_percent = load;
            self.loads.entry(instance.into()).or_default().insert(Arc::clone(key));
        }
        let size = pushed.size();
        self.bytes += size;
        let Pushed { name, kind, help, text, series, .. } = pushed;
        let series = series.into_iter().map(|(hash, _)| hash).collect();
        let family = self.families.entry(name).or_insert_with(|| Family { kind, parts: BTreeMap::new() });
        family.parts.insert(Arc::clone(key), Part { help, text: text.into(), series, size });
    }

    fn remove(&mut self, key: &GroupKey, name: &str) {
        if let Some(group) = self.groups.get_mut(key) {
            group.families.remove(name);
        }
        if name == LOAD {
            self.forget_load(key);
        }
        let Some(family) = self.families.get_mut(name) else { return };
        self.bytes -= family.parts.remove(key).map_or(0, |part| part.size);
        if family.parts.is_empty() {
            self.families.remove(name);
        }
    }

    fn forget_load(&mut self, key: &GroupKey) {
        if let Some(group) = self.groups.get_mut(key) {
            group.cpu_percent = None;
        }
        let instance = key.get("instance").unwrap_or_default();
        if let Some(keys) = self.loads.get_mut(instance) {
            keys.remove(key);
            if keys.is_empty() {
                self.loads.remove(instance);
            }
        }
    }
}

impl Group {
    /// Returns from when on it counts how long it is kept. A push that was refused keeps a group only that has nothing: what is
    /// shown is no fresher for it.
    fn renewed(&self) -> Option<Now> {
        self.pushed.or(self.failed.as_ref().map(|(at, _)| *at))
    }
}
