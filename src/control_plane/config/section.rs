//! Reads the keys of one section, with the defaults of the table, and finds keys that do not exist.
//!
//! A decoder asks for keys by name; each of them must be in [`KEYS`](super::keys::KEYS), which makes that table the
//! complete list of what a file may say.

use super::keys::{self, Key, Presence};
use super::report::{Place, Problems};
use super::tree::{self, Content, Entry, Node};

/// A mapping of known keys.
#[derive(Debug, Clone)]
pub(super) struct Section<'a> {
    /// The path of the section in the table, such as `listeners.*.timeouts`. Empty for the whole file.
    path: String,
    /// Where the section stands, for problems with what is not there.
    place: Place,
    entries: &'a [Entry],
    /// Whether something else stands where the section should, so that what is missing from it need not be noted.
    broken: bool,
    pub(super) problems: &'a Problems,
}

impl<'a> Section<'a> {
    /// Opens the section that a node holds, and notes its unknown keys.
    pub(super) fn open(path: &str, node: &'a Node, problems: &'a Problems) -> Self {
        let broken = matches!(node.content, Content::Unset | Content::Scalar(_) | Content::List(_));
        let section =
            Self { path: path.to_owned(), place: node.place, entries: node.entries(), broken, problems };
        match &node.content {
            Content::Null | Content::Unset => {}
            Content::Map(_) => section.note_unknown_keys(),
            Content::Scalar(_) | Content::List(_) => {
                let known =
                    section.known().map(|key| format!("`{}`", key.name())).collect::<Vec<_>>().join(", ");
                problems.error(
                    node.place,
                    format!("{} stands where keys are expected", node.kind()),
                    Some(format!("the keys here are {known}")),
                );
            }
        }
        section
    }

    /// A section in which nothing is given, and all is by default.
    pub(super) fn empty(path: String, place: Place, problems: &'a Problems) -> Self {
        Self { path, place, entries: &[], broken: false, problems }
    }

    /// The same section, standing at another place: a named section is known by its name.
    pub(super) fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// The value of a key, as it stands in the file. None when it is not given; a key without a value is noted.
    pub(super) fn given(&self, name: &str) -> Option<&'a Node> {
        let entry = self.entry(name)?;
        if matches!(entry.value.content, Content::Null) {
            let hint = match self.key(name).presence {
                Presence::Required(example) => format!("for example `{name}: {example}`"),
                Presence::Default(default) => {
                    format!("remove the key, or write its default: `{name}: {default}`")
                }
                Presence::Optional(_) | Presence::Section => "remove the key, or give it a value".to_owned(),
            };
            self.problems.error(entry.place, format!("`{name}` has no value"), Some(hint));
            return None;
        }
        Some(&entry.value)
    }

    /// Whether a key is there, with or without a value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// Notes that something must be given, unless something else stands where the section should.
    pub(super) fn missing(&self, message: impl Into<String>, hint: impl Into<String>) {
        if !self.broken {
            self.problems.error(self.place, message, Some(hint.into()));
        }
    }

    /// A value that must be given. None when it is not, or is wrong; both are noted.
    pub(super) fn required<T>(&self, name: &str, read: impl Fn(&Node, &Problems) -> Option<T>) -> Option<T> {
        if self.entry(name).is_none() {
            let Presence::Required(example) = self.key(name).presence else { return None };
            self.missing(format!("`{name}` is missing"), format!("add it, for example `{name}: {example}`"));
        }
        read(self.given(name)?, self.problems)
    }

    /// A value that may be left out. None when it is, or is wrong.
    pub(super) fn optional<T>(&self, name: &str, read: impl Fn(&Node, &Problems) -> Option<T>) -> Option<T> {
        read(self.given(name)?, self.problems)
    }

    /// A value with a default, which also stands in for a wrong one.
    pub(super) fn value<T>(&self, name: &str, read: impl Fn(&Node, &Problems) -> Option<T>) -> T {
        if let Some(value) = self.given(name).and_then(|node| read(node, self.problems)) {
            return value;
        }
        let Presence::Default(default) = self.key(name).presence else {
            unreachable!("invariant: only a key with a default is read with one")
        };
        let quiet = Problems::default();
        let node = tree::parse(default, &quiet).expect("invariant: each default in the table is YAML");
        read(&node, &quiet).expect("invariant: each default in the table is valid")
    }

    /// A section within this one. One that is not given is empty, and so is full of defaults.
    pub(super) fn section(&self, name: &str) -> Section<'a> {
        let path = self.path_of(name);
        match self.entry(name) {
            Some(entry) => Section::open(&path, &entry.value, self.problems).at(entry.place),
            None => self.absent(name),
        }
    }

    /// A section within this one, as if it were not given: for a key that was given as a single value instead.
    pub(super) fn absent(&self, name: &str) -> Section<'a> {
        let place = self.entry(name).map_or(self.place, |entry| entry.place);
        Section::empty(self.path_of(name), place, self.problems)
    }

    /// The entries of a mapping whose keys are names chosen by the file's writer.
    pub(super) fn named(&self, name: &str) -> &'a [Entry] {
        let Some(entry) = self.entry(name) else { return &[] };
        if let Content::Scalar(_) | Content::List(_) = entry.value.content {
            self.problems.error(
                entry.value.place,
                format!("`{name}` is {}, not a mapping", entry.value.kind()),
                Some(format!("each of the {name} has a name: `{name}: {{NAME: …}}`")),
            );
        }
        entry.value.entries()
    }

    /// The path in the table of a key of this section.
    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn entry(&self, name: &str) -> Option<&'a Entry> {
        debug_assert!(
            self.known().any(|key| key.name() == name),
            "{} is not in the table",
            self.path_of(name)
        );
        self.entries.iter().find(|entry| entry.key == name)
    }

    fn key(&self, name: &str) -> &'static Key {
        self.known()
            .find(|key| key.name() == name)
            .expect("invariant: a decoder asks only for keys in the table")
    }

    fn known(&self) -> impl Iterator<Item = &'static Key> {
        keys::within(&self.path)
    }

    fn note_unknown_keys(&self) {
        for entry in self.entries {
            if !self.known().any(|key| key.name() == entry.key) {
                let names: Vec<_> = self.known().map(Key::name).collect();
                self.problems.error(
                    entry.place,
                    format!("unknown key `{}`", entry.key.escape_debug()),
                    Some(suggestion(&entry.key, &names)),
                );
            }
        }
    }
}

/// Suggests what was meant among known words, or lists them all.
pub(super) fn suggestion(found: &str, known: &[&str]) -> String {
    let normal = |text: &str| text.to_ascii_lowercase().replace(['-', ' '], "_");
    let wanted = normal(found);
    let near = known
        .iter()
        .map(|word| (strsim::damerau_levenshtein(&wanted, &normal(word)), *word))
        .filter(|(distance, word)| *distance <= 1 + word.len().min(wanted.len()) / 4)
        .min_by_key(|(distance, _)| *distance);
    match near {
        Some((_, word)) => format!("did you mean `{word}`?"),
        None if known.is_empty() => "nothing is known by such a name here".to_owned(),
        None => format!(
            "known here: {}",
            known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        ),
    }
}
