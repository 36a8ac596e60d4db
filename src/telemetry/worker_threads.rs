//! The CPU time of the data plane's threads, as the kernel counts it.
//!
//! A process's CPU time hides what matters most with a thread per core: one worker at its limit while others idle.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::shards::WorkerId;

/// The threads that have said which worker they are.
#[derive(Debug, Default)]
pub(super) struct WorkerThreads(Mutex<BTreeMap<WorkerId, PathBuf>>);

impl WorkerThreads {
    /// Remembers the calling thread; does nothing where there is no `/proc`.
    pub(super) fn add_this_thread(&self, worker: WorkerId) {
        // Reads as `<process>/task/<thread>`, see proc_thread-self(5).
        if let Ok(thread) = std::fs::read_link("/proc/thread-self") {
            let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            threads.insert(worker, PathBuf::from("/proc").join(thread));
        }
    }

    /// Reads the CPU time of the threads that still run, in seconds.
    pub(super) fn cpu_seconds(&self) -> Vec<(WorkerId, f64)> {
        let threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = |path: &PathBuf| {
            // The first number of schedstat is the time on a CPU in nanoseconds: finer than the ticks in stat.
            let schedstat = std::fs::read_to_string(path.join("schedstat")).ok()?;
            let ns = schedstat.split_ascii_whitespace().next()?.parse::<f64>().ok()?;
            Some(ns / 1e9)
        };
        threads.iter().filter_map(|(worker, path)| Some((*worker, seconds(path)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_said_who_it_is_is_shown() {
        let threads = WorkerThreads::default();
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                threads.add_this_thread(WorkerId(3));
                threads.cpu_seconds()
            });
            let shown = worker.join().expect("the thread ends well");
            assert_eq!(shown.len(), 1);
            assert_eq!(shown[0].0, WorkerId(3));
            assert!(shown[0].1 >= 0.0);
        });
    }
}
