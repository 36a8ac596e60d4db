//! Turns configurations of HAProxy and nginx into `plimsoll.yaml`.
//!
//! Both take the same way: `lexer` (words with their places) → `tree` (sections, blocks) → `model` (what plimsoll
//! will be told) → `write` (the file, with comments). Of each directive a [`Note`] says what became of it. Nothing is
//! read but the text that is given, and no text makes it panic.
//!
//! What the other program has a word for keeps that program's meaning, also where its default differs from
//! plimsoll's. What it has no word for keeps plimsoll's default. What closed a door keeps it closed: a rule that
//! refuses all but those whom plimsoll cannot tell refuses everybody, and its note says so.
//!
//! The crate knows nothing of the balancer, so that either can change without the other; the balancer's tests check
//! that it takes every file that is written here.

mod address;
mod condition;
mod haproxy;
mod lint;
mod model;
mod name;
mod nginx;
mod note;
mod span;
mod table;
mod word;
mod write;

pub use haproxy::import as haproxy;
pub use nginx::import as nginx;
pub use note::{Kind, Note};
pub use word::Place;

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The text of plimsoll.yaml. None when there is an error: what the other program itself would refuse has no
    /// meaning that could be kept.
    pub yaml: Option<String>,
    /// What became of each directive, in the order of the file.
    pub notes: Vec<Note>,
}

impl Import {
    /// Whether the file could not be imported.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.yaml.is_none()
    }
}
