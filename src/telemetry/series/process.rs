//! What is counted of the process as a whole.

use std::time::SystemTime;

use crate::telemetry::by_label::ByLabel;
use crate::telemetry::cells::{FloatGauge, Gauge, SharedCounter};
use crate::telemetry::labels::{CodeClass, PushResult, ReloadResult, TraceDrop};
use crate::telemetry::seconds_since_epoch;
use crate::telemetry::shards::WorkerId;
use crate::telemetry::worker_threads::WorkerThreads;

/// The series that exist once.
#[derive(Debug, Default)]
pub struct ProcessSeries {
    /// How many configurations have been in force, the present one included.
    pub config_generation: Gauge,
    /// 1 while the process takes new traffic, 0 before it serves and while it drains.
    pub ready: Gauge,
    /// Requests to the admin interface, by class of the answer.
    pub admin_requests: ByLabel<CodeClass, SharedCounter>,
    /// Who watches the live feed now.
    pub live_viewers: Gauge,
    /// Viewers of the live feed that were cut off because they could not keep up.
    pub live_viewers_dropped: SharedCounter,
    /// Pushes of metrics, by how they ended.
    pub pushes: ByLabel<PushResult, SharedCounter>,
    /// Groups of pushed metrics that are held.
    pub push_groups: Gauge,
    /// Groups of pushed metrics that nobody renewed in time.
    pub push_groups_expired: SharedCounter,
    /// Lines written to the access log.
    pub access_log_lines: SharedCounter,
    /// Lines of the access log that were lost because its target could not keep up, refused them or was away.
    pub access_log_dropped: SharedCounter,
    /// Traces that the collector has taken.
    pub traces_exported: SharedCounter,
    /// Traces that did not reach the collector.
    pub traces_dropped: ByLabel<TraceDrop, SharedCounter>,
    reloads: ByLabel<ReloadResult, SharedCounter>,
    last_reload: FloatGauge,
    last_reload_ok: Gauge,
    workers: WorkerThreads,
}

impl ProcessSeries {
    /// Counts one reload that ended at `at`; the first configuration counts as one.
    pub fn record_reload(&self, result: ReloadResult, at: SystemTime) {
        self.reloads.inc(result);
        self.last_reload_ok.set(i64::from(result == ReloadResult::Ok));
        if result == ReloadResult::Ok {
            self.config_generation.inc();
            self.last_reload.set(seconds_since_epoch(at));
        }
    }

    /// Reads how many reloads ended so.
    pub fn reloads(&self, result: ReloadResult) -> u64 {
        self.reloads.get(result)
    }

    /// Reads when the present configuration came into force, in seconds since 1970; 0 before the first.
    pub fn last_reload_seconds(&self) -> f64 {
        self.last_reload.get()
    }

    /// Says whether the last reload succeeded.
    pub fn last_reload_ok(&self) -> bool {
        self.last_reload_ok.get() == 1
    }

    /// Makes the calling thread known as this worker, so that its CPU time is shown.
    pub fn worker_started(&self, worker: WorkerId) {
        self.workers.add_this_thread(worker);
    }

    /// Reads the CPU time in seconds of each worker that runs.
    pub fn worker_cpu_seconds(&self) -> Vec<(WorkerId, f64)> {
        self.workers.cpu_seconds()
    }
}
