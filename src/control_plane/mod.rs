//! Decides what the data plane serves: configuration, and what changes while the process runs.
//!
//! It stands apart from the data plane because it may wait, fail and be slow; a request may not.

pub mod admin;
pub mod changes;
pub mod compile;
pub mod config;
pub mod discovery;
pub mod health;
pub mod now;
pub mod push;
pub mod watch;
