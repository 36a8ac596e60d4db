//! The watch: looks many times a second at what live traffic has left in the cells of each backend, and judges.
//!
//! Apart from the data plane, which only counts, so that a request pays nothing for being watched; and apart from the model,
//! in which the judgements are made (`Judge`, `AdaptiveLimit`, `RetryBudget`), because this is what reads cells,
//! waits, and sends probes.
//!
//! - [`Watch`] (here): one task for all upstreams, told by a reload what it looks at.
//! - `station`: what it does about one upstream.
//! - `sample`: what one look sees of a backend.
//! - `seen`: what is kept from one look to the next.
//! - `probe`: the question whether an ejected backend may come back.
//! - `leaving`: the backends that are configured no more, until they have finished.

mod leaving;
mod probe;
mod sample;
mod seen;
mod station;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::health::{Board, Watched};
use super::push::LoadOfBackend;
use crate::upstream::{LOOK_EVERY, Upstream};
use leaving::Leaving;
use probe::Probes;
use seen::Looked;
use station::Station;

/// From one look to the next while nobody has anything to do: an idle process is to stay idle.
const QUIET: Duration = Duration::from_millis(100);

/// The watch over all upstreams. Dropping it ends it.
///
/// Lives on the control plane's runtime.
#[derive(Debug)]
pub struct Watch {
    assignments: mpsc::UnboundedSender<Vec<Watched>>,
    task: AbortHandle,
}

impl Watch {
    /// Begins to watch, nobody at first. What it finds out is announced on `board`; through `alarms` it wakes the workers.
    /// What is pushed about the load of backends `load` tells.
    ///
    /// # Panics
    /// When called outside of a tokio runtime.
    #[must_use]
    pub fn start(board: Arc<Board>, alarms: Arc<watch::Sender<()>>, load: LoadOfBackend) -> Self {
        let (assignments, receiver) = mpsc::unbounded_channel();
        let task = tokio::spawn(keep(receiver, board, alarms, load)).abort_handle();
        Self { assignments, task }
    }

    /// Watches these upstreams and no others. What was learned about an upstream of the same name is kept.
    pub fn apply(&self, wanted: Vec<Watched>) {
        // The task ends with this value only.
        let _ = self.assignments.send(wanted);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(
    mut assignments: mpsc::UnboundedReceiver<Vec<Watched>>,
    board: Arc<Board>,
    alarms: Arc<watch::Sender<()>>,
    load: LoadOfBackend,
) {
    let (mut stations, mut leaving) = (Vec::<Station>::new(), Leaving::default());
    let mut due = Instant::now();
    loop {
        tokio::select! {
            // Before a look: a backend that has come back under its name must be known before the series of the one that left
            // are ended.
            biased;
            wanted = assignments.recv() => match wanted {
                Some(wanted) => {
                    leaving.follow(&stations, &wanted);
                    stations = assign(stations, wanted, &board, &load);
                }
                None => return,
            },
            () = sleep_until(due) => {
                // From now on, and not from when it was due: what is counted between two looks is taken for a rate.
                let now = Instant::now();
                let look = |so_far: Looked, station: &mut Station| so_far.and(station.look(now));
                let looked = stations.iter_mut().fold(leaving.look(now), look);
                if looked.alarm {
                    alarms.send_replace(());
                }
                due = now + if looked.busy { LOOK_EVERY } else { QUIET };
            }
        }
    }
}

/// Makes the stations for these upstreams, of those that there were before where it can.
fn assign(
    before: Vec<Station>,
    wanted: Vec<Watched>,
    board: &Arc<Board>,
    load: &LoadOfBackend,
) -> Vec<Station> {
    let mut known: HashMap<Box<str>, Station> =
        before.into_iter().map(|station| (station.upstream().name.clone(), station)).collect();
    let station = |Watched { upstream, checks, .. }: Watched| {
        let probes = |upstream: &Upstream| {
            Probes::new(upstream.backends.len(), probe::settings(checks.clone(), &upstream.exchange))
        };
        match known.remove(&upstream.name) {
            Some(station) => station.reassigned(Arc::clone(&upstream), probes(&upstream)),
            None => {
                Station::new(Arc::clone(&upstream), probes(&upstream), Arc::clone(board), Arc::clone(load))
            }
        }
    };
    wanted.into_iter().map(station).collect()
}
