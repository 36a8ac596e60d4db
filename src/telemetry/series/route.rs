//! What is counted of one route.

use crate::telemetry::by_label::ByLabel;
use crate::telemetry::labels::CodeClass;
use crate::telemetry::shards::{PerWorker, WorkerId};

/// The series of one route.
#[derive(Debug)]
pub struct RouteSeries {
    /// The route's name.
    pub route: Box<str>,
    shards: PerWorker<RouteShard>,
}

impl RouteSeries {
    pub(crate) fn new(route: &str, workers: usize) -> Self {
        Self { route: route.into(), shards: PerWorker::new(workers) }
    }

    /// Returns the cells that only this worker writes to.
    pub fn shard(&self, worker: WorkerId) -> &RouteShard {
        self.shards.of(worker)
    }

    /// Returns the cells of all workers.
    pub fn shards(&self) -> &PerWorker<RouteShard> {
        &self.shards
    }
}

/// What one worker counts of one route.
#[derive(Debug, Default)]
pub struct RouteShard {
    /// Final answers by the class of their code.
    pub requests: ByLabel<CodeClass>,
}
