//! The application behind the balancer in the demo, in the tests and under load: it greets, waits, burns CPU, streams,
//! and breaks when told to, always saying which server it is.
//!
//! Reading order: [`Args`] (what is typed) → [`Settings`] (what it means) → [`serve`] (connections) → `routes` (one
//! handler per endpoint) with `app` (what they share), `work`, `stream` and `key_value` (what they do) → `metrics` (what
//! is counted).
//!
//! It shares no code with the balancer, so that a test which compares both ends compares two opinions.

mod app;
mod args;
mod key_value;
mod metrics;
mod routes;
mod serve;
mod settings;
mod stream;
mod work;

pub use args::{Args, run};
pub use routes::{BYTES_MAX, SLEEP_MAX, WORK_MAX};
pub use serve::serve;
pub use settings::{ServerName, ServerNameError, Settings};
