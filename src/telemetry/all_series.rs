//! All series of the process, and the list of those alive that a scrape works through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::roster::Roster;
use super::series::{BackendSeries, ListenerSeries, ProcessSeries, RouteSeries, SeriesId, UpstreamSeries};
use super::shards::PerWorker;
use super::status::StatusCounts;

/// Every series by name, and the cells that belong to no name.
#[derive(Debug)]
pub(super) struct AllSeries {
    pub(super) backends: Roster<(Box<str>, Box<str>), BackendSeries>,
    pub(super) upstreams: Roster<Box<str>, UpstreamSeries>,
    pub(super) listeners: Roster<Box<str>, ListenerSeries>,
    pub(super) routes: Roster<Box<str>, RouteSeries>,
    pub(super) unrouted: Arc<PerWorker<StatusCounts>>,
    pub(super) process: ProcessSeries,
    made: AtomicU32,
}

impl AllSeries {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            backends: Roster::default(),
            upstreams: Roster::default(),
            listeners: Roster::default(),
            routes: Roster::default(),
            unrouted: Arc::new(PerWorker::new(workers)),
            process: ProcessSeries::default(),
            made: AtomicU32::new(0),
        }
    }

    /// Returns the number of a series that is about to be made.
    pub(super) fn next_id(&self) -> SeriesId {
        SeriesId::new(self.made.fetch_add(1, Relaxed))
    }

    /// Takes hold of everything that is alive, so that one scrape shows one set of series.
    pub(super) fn live(&self) -> Live<'_> {
        Live {
            backends: self.backends.live(),
            upstreams: self.upstreams.live(),
            listeners: self.listeners.live(),
            routes: self.routes.live(),
            unrouted: &self.unrouted,
            process: &self.process,
        }
    }
}

/// What is alive while one scrape runs; each list is sorted by name.
pub(super) struct Live<'a> {
    pub(super) backends: Vec<Arc<BackendSeries>>,
    pub(super) upstreams: Vec<Arc<UpstreamSeries>>,
    pub(super) listeners: Vec<Arc<ListenerSeries>>,
    pub(super) routes: Vec<Arc<RouteSeries>>,
    pub(super) unrouted: &'a PerWorker<StatusCounts>,
    pub(super) process: &'a ProcessSeries,
}
