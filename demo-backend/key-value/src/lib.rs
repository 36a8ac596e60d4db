//! Keys with several values each, in one JSON file, as `{"key": ["first", "second"]}`.
//!
//! Values are added and never replaced. Any number of processes may use one file at the same time, and any of them may
//! be killed at any moment: what was said to be stored is there afterwards, and the file is always a whole one.
//!
//! Reading order: [`Args`] (the command `storage`) → [`Store`] (one file, and how it is replaced) → `content` (what is
//! in it, as JSON) → [`Error`] (what can go wrong).

mod args;
mod content;
mod error;
mod store;

pub use args::{Args, run};
pub use error::Error;
pub use store::{FILE_MAX, KEY_MAX, Store, VALUE_MAX};
