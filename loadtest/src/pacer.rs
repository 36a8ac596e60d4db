//! Waits for a point in time more precisely than tokio's timer, which counts milliseconds and rounds up.
//!
//! It stands apart because half a millisecond of waiting for the timer would be charged to the server: latency counts
//! from the time a request was due. The kernel's timer descriptor wakes the same event loop within tens of microseconds.

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

/// A timer that one task waits on.
pub(crate) struct Pacer {
    /// None when the kernel gives no timer descriptor; then tokio's timer has to do.
    timer: Option<AsyncFd<OwnedFd>>,
}

impl Pacer {
    #[expect(
        deprecated,
        reason = "its replacement is unsafe for types with an odd AsRawFd; an OwnedFd's is not"
    )]
    pub(crate) fn new() -> Pacer {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)
            .map_err(io::Error::from)
            .and_then(AsyncFd::new);
        Pacer { timer: timer.ok() }
    }

    /// Returns at `due` or a little later, at once when it has passed. Cancel safe: a later call sets the timer anew.
    pub(crate) async fn wait_until(&self, due: Instant) {
        let Some(timer) = &self.timer else { return tokio::time::sleep_until(due).await };
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            if Self::ring_after(timer, left).await.is_err() {
                return tokio::time::sleep_until(due).await;
            }
        }
    }

    async fn ring_after(timer: &AsyncFd<OwnedFd>, left: Duration) -> io::Result<()> {
        let value = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(timer, TimerfdTimerFlags::empty(), &once)?;
        let mut expirations = [0; 8];
        loop {
            let mut ready = timer.readable().await?;
            let read = ready.try_io(|timer| Ok(rustix::io::read(timer, &mut expirations)?));
            if let Ok(result) = read {
                return result.map(|_| ());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_wait_ends_at_the_due_time_and_not_before() {
        let pacer = Pacer::new();
        for micros in [0, 100, 1_700, 3_000] {
            let due = Instant::now() + Duration::from_micros(micros);
            pacer.wait_until(due).await;
            assert!(Instant::now() >= due);
        }
    }
}
