//! The wait of a request while every backend has as many exchanges as it takes.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tokio::time::{Instant, sleep_until};

use super::attempts::{Claim, Forwarding};
use super::refusal::Refusal;
use crate::data_plane::forward::poll_client;
use crate::telemetry::{QueueEnd, RefusalReason};
use crate::upstream::{NoPick, Place};

/// What ends one wait in the queue.
enum Woken {
    /// There may be room.
    Room,
    /// The deadline has passed.
    Late,
    /// The client has left.
    Alone,
}

impl<'s> Forwarding<'_, 's> {
    /// Waits for a backend to have room.
    ///
    /// # Errors
    /// What the client is told if it waits in vain, or cannot even wait.
    pub(super) async fn queue(&mut self) -> Result<Claim<'s>, Refusal> {
        let upstream = self.upstream;
        let series = &upstream.series;
        let Some(place) = upstream.queue.enter(upstream.load_line.queue) else {
            series.queue_ended.inc(QueueEnd::Full);
            return Err(Refusal::new(503, RefusalReason::Overloaded, "too many requests wait for a backend"));
        };
        series.queued.inc();
        let begun = Instant::now();
        let result = self.wait_for_room(&place, begun + upstream.load_line.queue_timeout).await;
        let number = place.number();
        drop(place);
        upstream.call_next_if_room();
        let now = Instant::now();
        series.queued.dec();
        series.shard(self.connection.worker.id).queue_wait.record(now.duration_since(begun));
        self.record.queued(number, begun, now);
        series.queue_ended.inc(match &result {
            Ok(_) => QueueEnd::Admitted,
            Err(refusal) if refusal.status == 0 => QueueEnd::Abandoned,
            Err(_) => QueueEnd::TimedOut,
        });
        result
    }

    async fn wait_for_room(&mut self, place: &Place<'_>, deadline: Instant) -> Result<Claim<'s>, Refusal> {
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
                    Err(NoPick::NoneAvailable) => {
                        let words = "no backend of this upstream is available";
                        return Err(Refusal::new(503, RefusalReason::NoneAvailable, words));
                    }
                    Err(NoPick::Full) => {}
                }
            }
            let mut watch = self.connection.ahead.is_none() && self.upload.is_received();
            let client = &mut self.connection.stream;
            let woken = poll_fn(|cx| {
                if room.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Woken::Room);
                }
                if watch && let Poll::Ready(gone) = poll_client(client, cx) {
                    if gone {
                        return Poll::Ready(Woken::Alone);
                    }
                    watch = false;
                }
                late.as_mut().poll(cx).map(|()| Woken::Late)
            });
            match woken.await {
                Woken::Room => called = true,
                Woken::Alone => return Err(Refusal::GONE),
                Woken::Late => {
                    let words = "no backend had room for this request in time";
                    return Err(Refusal::new(503, RefusalReason::Overloaded, words));
                }
            }
        }
    }
}
