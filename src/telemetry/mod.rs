//! Telemetry: everything that the program tells about itself, in one place below all others.
//!
//! It knows nothing of exchanges, upstreams or configurations; those hold *series* and count in them.
//!
//! - [`catalogue`]: every metric once, with its help; exposition: where its numbers come from.
//! - labels: the words that label values are made of.
//! - cells, histogram, status, by_label: what is counted in; single-writer, without a lock or an allocation.
//! - shards: one copy per worker, added up at scrape time.
//! - access_log: one line per exchange; program_log: what the program says about itself, through `tracing`.
//! - decisions: what a worker remembers of its latest exchanges, and why each went where it did.
//! - history: the last seconds of each backend, for the live page.
//! - traces: single exchanges, told to a collector; exemplars: which of them stand for the buckets of a histogram.
//! - series: the cells of one backend, upstream, listener, route, and of the process.

mod access_log;
mod all_series;
mod by_label;
pub mod catalogue;
mod cells;
mod decisions;
mod exemplars;
mod exposition;
mod hand_over;
mod histogram;
mod history;
mod labels;
mod metrics_md;
mod milliseconds;
mod program_log;
mod roster;
mod series;
mod shards;
mod status;
mod timestamp;
mod traces;
mod worker_threads;

pub use access_log::{
    AccessLog, AccessLogError, AccessLogSettings, Entry, LineFormat, Load, LogBatch, LogTarget, LoggedTry,
    RELAYED, Syslog, SyslogAddress, Timings,
};
pub use by_label::ByLabel;
pub use cells::{Cell, Counter, FloatGauge, Gauge, LocalGauge, SharedCounter};
pub use decisions::{
    CANDIDATES_SHOWN, Candidate, Candidates, Decisions, Ending, Offset, PastExchange, RequestId, RequestLine,
    Stages, TRIES_KEPT, TraceId, Tries, Try, is_notable,
};
pub use exemplars::{Exemplar, Exemplars};
pub use exposition::PageForm;
pub use histogram::{BOUNDS_NS, Histogram, HistogramTotal};
pub use history::{
    Column, History, Reading, SAMPLES_MAX, SECONDS_MAX, SECONDS_MIN, Sample, Scene, TRACKS_MAX, Track,
    TrackName, UpstreamScene,
};
pub use labels::{
    AcceptError, AttemptOutcome, BackendState, BalanceRule, CheckResult, CodeClass, EjectionReason, Label,
    LookupResult, NoneAvailable, PickReason, PushResult, QueueEnd, RefusalReason, ReloadResult, RetryReason,
    RetryRefusal, Stickiness, TcpOutcome, TraceDrop, TransitionCause,
};
pub use metrics_md::metrics_md;
pub use program_log::{LOG_VARIABLE, LogError, LogForm, start_log};
pub use series::{
    BackendSeries, BackendShard, ListenerSeries, ListenerShard, ProcessSeries, RouteSeries, RouteShard,
    SeriesId, TcpSeries, TcpShard, UpstreamSeries, UpstreamShard,
};
pub use shards::{Padded, PerWorker, WorkerId};
pub use status::{StatusCounts, StatusTotal};
pub use traces::{
    Sampling, SharedTraces, Text, TraceContext, TraceParent, TraceProtocol, TraceSettings, TracedExchange,
    TracedTry, Traces, TracesError,
};

use std::sync::Arc;
use std::time::SystemTime;

use all_series::AllSeries;
use exposition::RunningProcess;

pub(crate) use exposition::{push_help, push_label, push_number};
pub(crate) use milliseconds::milliseconds;
pub(crate) use timestamp::rfc3339;

/// All series of the process; one per process, shared by `Arc`.
#[derive(Debug)]
pub struct Telemetry {
    workers: usize,
    series: Arc<AllSeries>,
    process: RunningProcess,
}

impl Telemetry {
    /// Makes the telemetry of a process whose data plane has this many workers.
    pub fn new(workers: usize) -> Arc<Self> {
        let series = Arc::new(AllSeries::new(workers));
        Arc::new(Self { workers, series, process: RunningProcess::new() })
    }

    /// Returns the series of a backend: the same while anyone holds it, so that a reload continues its counts.
    pub fn backend(&self, upstream: &str, backend: &str) -> Arc<BackendSeries> {
        let make = |_: &_| BackendSeries::new(self.series.next_id(), upstream, backend, self.workers);
        self.series.backends.get_or_replace((upstream.into(), backend.into()), BackendSeries::is_over, make)
    }

    /// Lists the series of all backends that anyone holds, by upstream and name.
    pub fn backends(&self) -> Vec<Arc<BackendSeries>> {
        self.series.live_backends()
    }

    /// Returns the series of an upstream: the same while anyone holds it.
    pub fn upstream(&self, upstream: &str) -> Arc<UpstreamSeries> {
        let make = |_: &_| UpstreamSeries::new(self.series.next_id(), upstream, self.workers);
        self.series.upstreams.get_or_make(upstream.into(), make)
    }

    /// Returns the series of a listener: the same while anyone holds it.
    pub fn listener(&self, listener: &str) -> Arc<ListenerSeries> {
        let make = |_: &_| ListenerSeries::new(listener, self.workers, Arc::clone(&self.series.unrouted));
        self.series.listeners.get_or_make(listener.into(), make)
    }

    /// Returns the series of a route: the same while anyone holds it.
    pub fn route(&self, route: &str) -> Arc<RouteSeries> {
        self.series.routes.get_or_make(route.into(), |_| RouteSeries::new(route, self.workers))
    }

    /// Returns the series of the connections that are relayed to a backend, or to none of its upstream: the same while
    /// anyone holds it.
    pub fn tcp(&self, upstream: &str, backend: Option<&str>) -> Arc<TcpSeries> {
        let make = |_: &_| TcpSeries::new(upstream, backend, self.workers);
        self.series.tcp.get_or_make((upstream.into(), backend.map(Into::into)), make)
    }

    /// Adds up the final answers of exchanges without an upstream; see [`ListenerSeries::unrouted`].
    pub fn unrouted(&self) -> StatusTotal {
        let mut total = StatusTotal::default();
        self.series.unrouted.iter().for_each(|answers| answers.add_to(&mut total));
        total
    }

    /// Returns the series that exist once.
    pub fn process(&self) -> &ProcessSeries {
        &self.series.process
    }

    /// Renders everything for a scrape, sorted, so that two renderings can be compared. Others may follow; the page ends with
    /// [`PageForm::end`].
    ///
    /// Takes milliseconds with many backends and reads `/proc`: call it from the control plane's runtime, never from a
    /// worker.
    ///
    /// ```
    /// # use plimsoll::telemetry::{PageForm, Telemetry, WorkerId};
    /// let telemetry = Telemetry::new(1);
    /// let backend = telemetry.backend("web", "backend-1");
    /// backend.shard(WorkerId(0)).requests.inc(200);
    /// let line = r#"plimsoll_requests_total{upstream="web",backend="backend-1",code="200"} 1"#;
    /// assert!(telemetry.render(PageForm::Classic).contains(line));
    /// assert!(telemetry.render(PageForm::OpenMetrics).contains(line));
    /// ```
    pub fn render(&self, form: PageForm) -> String {
        let mut page = String::new();
        self.render_piecewise(form, &mut |piece| {
            page.push_str(&piece);
            true
        });
        page
    }

    /// Renders the same, and gives it away in pieces of some ten KiB, until `give` returns false: no more of the page is in
    /// memory than its reader has not taken yet.
    pub fn render_piecewise(&self, form: PageForm, give: &mut dyn FnMut(String) -> bool) {
        exposition::render(&self.series, &self.process, form, give);
    }
}

/// Returns a point in time as metrics show it; 0 for points before 1970.
pub(crate) fn seconds_since_epoch(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
