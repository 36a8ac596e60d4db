//! Burns CPU for a given time, away from the thread that answers requests.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Semaphore;

/// Burns `amount` of CPU time on a thread of its own, after waiting for one of `workers`.
///
/// CPU time and not time on the clock, so that a crowded machine does the same work later instead of less of it.
///
/// Cancel safety: dropping the future stops the burning thread within a millisecond or so of its CPU time.
pub(crate) async fn burn(amount: Duration, workers: Arc<Semaphore>) {
    let Ok(permit) = workers.acquire_owned().await else { return };
    let stop = StopOnDrop(Arc::default());
    let stopped = Arc::clone(&stop.0);
    let burning = tokio::task::spawn_blocking(move || {
        // The permit travels with the thread: who leaves early must not let a second burner in beside the first.
        let _permit = permit;
        burn_here(amount, &stopped);
    });
    if let Err(error) = burning.await {
        tracing::warn!(%error, "work was cut short");
    }
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn burn_here(amount: Duration, stop: &AtomicBool) {
    let until = thread_cpu_time().saturating_add(amount);
    while thread_cpu_time() < until && !stop.load(Ordering::Relaxed) {
        let mut mixed = 1_u64;
        for round in 0..2_000_u64 {
            mixed = black_box(mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round));
        }
    }
}

/// Returns the CPU time that the calling thread has used so far.
fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_time_asked_for_is_burnt_and_little_more() {
        let amount = Duration::from_millis(20);
        let before = thread_cpu_time();
        burn_here(amount, &AtomicBool::new(false));
        let burnt = thread_cpu_time() - before;
        assert!(burnt >= amount && burnt < 2 * amount, "{burnt:?}");
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_gives_its_worker_back() {
        let workers = Arc::new(Semaphore::new(1));
        let work = tokio::spawn(burn(Duration::from_secs(10), Arc::clone(&workers)));
        while workers.available_permits() == 1 {
            tokio::task::yield_now().await;
        }
        work.abort();
        let permit = tokio::time::timeout(Duration::from_secs(5), workers.acquire()).await;
        assert!(permit.is_ok(), "the burning thread did not stop");
    }
}
