//! What is counted of the connections that are relayed as they are to one backend.

use crate::telemetry::by_label::ByLabel;
use crate::telemetry::histogram::Histogram;
use crate::telemetry::labels::TcpOutcome;
use crate::telemetry::shards::{PerWorker, WorkerId};

/// The series of one backend's connections from listeners with `protocol: tcp`, or of those that no backend got.
///
/// Apart from [`BackendSeries`](super::BackendSeries), because few backends have such connections.
#[derive(Debug)]
pub struct TcpSeries {
    /// The upstream's name.
    pub upstream: Box<str>,
    /// The backend's name. None for connections that came to no backend.
    pub backend: Option<Box<str>>,
    shards: PerWorker<TcpShard>,
}

impl TcpSeries {
    pub(crate) fn new(upstream: &str, backend: Option<&str>, workers: usize) -> Self {
        Self { upstream: upstream.into(), backend: backend.map(Into::into), shards: PerWorker::new(workers) }
    }

    /// Returns the cells that only this worker writes to.
    pub fn shard(&self, worker: WorkerId) -> &TcpShard {
        self.shards.of(worker)
    }

    /// Returns the cells of all workers.
    pub fn shards(&self) -> &PerWorker<TcpShard> {
        &self.shards
    }
}

/// What one worker counts of them.
#[derive(Debug, Default)]
pub struct TcpShard {
    /// Connections by how they ended.
    pub connections: ByLabel<TcpOutcome>,
    /// From the accept to the end.
    pub duration: Histogram,
}
