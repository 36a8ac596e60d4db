//! The wait of an exchange while every backend has as many as it takes.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, sleep_until};

use super::{Claim, Reach};
use crate::telemetry::QueueEnd;
use crate::upstream::{NoPick, Place, RequestKeys};

/// Why nothing came of the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data_plane) enum InVain {
    /// As many wait as may.
    Full,
    /// No backend had room in time.
    Late,
    /// No backend is available any more.
    NoneAvailable,
    /// The client has left.
    Alone,
}

/// What ends one wait in the queue.
enum Woken {
    /// There may be room.
    Room,
    /// The deadline has passed.
    Late,
    /// The client has left.
    Alone,
}

impl<'s, K: RequestKeys> Reach<'_, 's, K> {
    /// Waits for a backend to have room. `gone` is ready when the client has left.
    ///
    /// # Errors
    /// Why it was in vain, or not even waited for.
    pub(in crate::data_plane) async fn queue(
        &mut self,
        gone: impl FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> Result<Claim<'s>, InVain> {
        let upstream = self.upstream;
        let series = &upstream.series;
        let Some(place) = upstream.queue.enter(upstream.load_line.queue) else {
            series.queue_ended.inc(QueueEnd::Full);
            return Err(InVain::Full);
        };
        series.queued.inc();
        let begun = Instant::now();
        let result = self.wait_for_room(&place, begun + upstream.load_line.queue_timeout, gone).await;
        let number = place.number();
        drop(place);
        upstream.call_next_if_room();
        let now = Instant::now();
        series.queued.dec();
        series.shard(self.worker.id).queue_wait.record(now.duration_since(begun));
        self.record.queued(number, begun, now);
        series.queue_ended.inc(match &result {
            Ok(_) => QueueEnd::Admitted,
            Err(InVain::Alone) => QueueEnd::Abandoned,
            Err(_) => QueueEnd::TimedOut,
        });
        result
    }

    async fn wait_for_room(
        &mut self,
        place: &Place<'_>,
        deadline: Instant,
        mut gone: impl FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> Result<Claim<'s>, InVain> {
        let mut late = pin!(sleep_until(deadline));
        let mut called = false;
        loop {
            let mut room = pin!(place.room());
            // From here on no call is missed, also not one that comes while it is picked.
            room.as_mut().enable();
            // Who has just come lets those go first that have waited.
            if called || place.is_alone() {
                match self.claim() {
                    Ok(claim) => return Ok(claim),
                    Err(NoPick::NoneAvailable) => return Err(InVain::NoneAvailable),
                    Err(NoPick::Full) => {}
                }
            }
            let woken = poll_fn(|cx| {
                if room.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Woken::Room);
                }
                if gone(cx).is_ready() {
                    return Poll::Ready(Woken::Alone);
                }
                late.as_mut().poll(cx).map(|()| Woken::Late)
            });
            match woken.await {
                Woken::Room => called = true,
                Woken::Alone => return Err(InVain::Alone),
                Woken::Late => return Err(InVain::Late),
            }
        }
    }
}
