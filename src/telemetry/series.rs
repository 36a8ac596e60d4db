//! Series: the cells of one backend, upstream, listener, route, and of the process, each under the names that they are
//! exported with.
//!
//! Whoever holds an `Arc` of a series keeps it in `/metrics`. A part of the configuration holds its series as long as
//! it is in force and an exchange as long as it runs, so nothing disappears while it still counts. The series of a backend
//! that has left and finished are over, whoever holds them.

mod backend;
mod listener;
mod process;
mod route;
mod tcp;
mod upstream;

pub use backend::{BackendSeries, BackendShard};
pub use listener::{ListenerSeries, ListenerShard};
pub use process::ProcessSeries;
pub use route::{RouteSeries, RouteShard};
pub use tcp::{TcpSeries, TcpShard};
pub use upstream::{UpstreamSeries, UpstreamShard};

use std::num::NonZeroU32;

/// The number of the series of a backend or an upstream, for those who cannot afford to keep a name. No other series
/// of the process has it, or ever had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeriesId(NonZeroU32);

impl SeriesId {
    /// Returns the number of the series before which so many were made.
    pub(crate) fn new(made_before: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(made_before))
    }
}
