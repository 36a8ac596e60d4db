//! All series of the process, and the list of those alive that a scrape works through.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::exposition::text_of;
use super::roster::Roster;
use super::series::{
    BackendSeries, ListenerSeries, ProcessSeries, RouteSeries, SeriesId, TcpSeries, UpstreamSeries,
};
use super::shards::PerWorker;
use super::status::StatusCounts;

/// The value of the labels `upstream` and `backend` where an exchange had none.
pub(super) const NONE: &str = "none";

/// Every series by name, and the cells that belong to no name.
#[derive(Debug)]
pub(super) struct AllSeries {
    pub(super) backends: Roster<(Box<str>, Box<str>), BackendSeries>,
    pub(super) upstreams: Roster<Box<str>, UpstreamSeries>,
    pub(super) listeners: Roster<Box<str>, ListenerSeries>,
    pub(super) routes: Roster<Box<str>, RouteSeries>,
    pub(super) tcp: Roster<(Box<str>, Option<Box<str>>), TcpSeries>,
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
            tcp: Roster::default(),
            unrouted: Arc::new(PerWorker::new(workers)),
            process: ProcessSeries::default(),
            made: AtomicU32::new(0),
        }
    }

    /// Returns the number of a series that is about to be made.
    pub(super) fn next_id(&self) -> SeriesId {
        SeriesId::new(self.made.fetch_add(1, Relaxed))
    }

    /// Lists the series of backends that somebody holds and that are not over.
    pub(super) fn live_backends(&self) -> Vec<Arc<BackendSeries>> {
        let mut live = self.backends.live();
        live.retain(|series| !series.is_over());
        live
    }

    /// Takes hold of everything that is alive, so that one scrape shows one set of series.
    pub(super) fn live(&self) -> Live<'_> {
        let backend = |at: &BackendSeries| text_of(&[("upstream", &at.upstream), ("backend", &at.backend)]);
        let backends = self.live_backends();
        let mut tcp = self.tcp.live();
        // What was relayed to a backend is shown as long as the backend is. The list is sorted by name.
        tcp.retain(|at| at.backend.as_ref().is_none_or(|of| is_among(&backends, &at.upstream, of)));
        Live {
            backends: shown(backends, backend),
            upstreams: shown(self.upstreams.live(), |at| text_of(&[("upstream", &at.upstream)])),
            listeners: shown(self.listeners.live(), |at| text_of(&[("listener", &at.listener)])),
            routes: shown(self.routes.live(), |at| text_of(&[("route", &at.route)])),
            tcp: shown(tcp, |at| {
                text_of(&[("upstream", &at.upstream), ("backend", at.backend.as_deref().unwrap_or(NONE))])
            }),
            unrouted: &self.unrouted,
            process: &self.process,
        }
    }
}

fn is_among(sorted: &[Arc<BackendSeries>], upstream: &str, backend: &str) -> bool {
    sorted.binary_search_by(|at| (&*at.upstream, &*at.backend).cmp(&(upstream, backend))).is_ok()
}

/// What is alive while one scrape runs; each list is sorted by name.
pub(super) struct Live<'a> {
    pub(super) backends: Vec<Shown<BackendSeries>>,
    pub(super) upstreams: Vec<Shown<UpstreamSeries>>,
    pub(super) listeners: Vec<Shown<ListenerSeries>>,
    pub(super) routes: Vec<Shown<RouteSeries>>,
    pub(super) tcp: Vec<Shown<TcpSeries>>,
    pub(super) unrouted: &'a PerWorker<StatusCounts>,
    pub(super) process: &'a ProcessSeries,
}

/// A series, and its labels as they are written in each of its lines.
pub(super) struct Shown<S> {
    series: Arc<S>,
    pub(super) labels: String,
}

impl<S> Deref for Shown<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.series
    }
}

fn shown<S>(series: Vec<Arc<S>>, labels: impl Fn(&S) -> String) -> Vec<Shown<S>> {
    series.into_iter().map(|series| Shown { labels: labels(&series), series }).collect()
}
