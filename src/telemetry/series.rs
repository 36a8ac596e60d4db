//! Series: the cells of one backend, upstream, listener, route, and of the process, each under the names that they are
//! exported with.
//!
//! Whoever holds an `Arc` of a series keeps it in `/metrics`. A part of the configuration holds its series as long as
//! it is in force and an exchange as long as it runs, so nothing disappears while it still counts.

mod backend;
mod listener;
mod process;
mod route;
mod upstream;

pub use backend::{BackendSeries, BackendShard};
pub use listener::{ListenerSeries, ListenerShard};
pub use process::ProcessSeries;
pub use route::{RouteSeries, RouteShard};
pub use upstream::{UpstreamSeries, UpstreamShard};
