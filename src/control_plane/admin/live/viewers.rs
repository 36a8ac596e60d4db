//! Viewers: who is told, and how one who cannot keep up is left behind.
//!
//! Each has a short queue of events that are shared by all. What does not fit ends its feed: a page that is behind gains
//! more from a new history than from old events, and nobody's memory grows with somebody else's patience.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use hyper::body::Frame;
use tokio::sync::mpsc;

/// The most viewers at a time. Each holds one of the admin server's connections, most of which are for others.
const VIEWERS_MAX: usize = 64;

/// How many events may wait for a viewer: as many seconds.
const EVENTS_MAX: usize = 8;

/// Everybody who watches.
#[derive(Debug, Default)]
pub(super) struct Viewers {
    queues: Vec<mpsc::Sender<Bytes>>,
    dropped: u64,
    closed: bool,
}

/// Why nobody else may watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// There are as many viewers as there may be.
    Full,
    /// The process is about to end.
    Closed,
}

impl NoRoom {
    /// Says it to whom it concerns.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Full => "as many watch as may; try again later, or close another page",
            Self::Closed => "the process is about to end",
        }
    }
}

impl Viewers {
    /// Takes in another one.
    pub(super) fn join(&mut self) -> Result<Feed, NoRoom> {
        if self.closed {
            return Err(NoRoom::Closed);
        }
        self.queues.retain(|queue| !queue.is_closed());
        if self.queues.len() >= VIEWERS_MAX {
            return Err(NoRoom::Full);
        }
        let (queue, events) = mpsc::channel(EVENTS_MAX);
        self.queues.push(queue);
        Ok(Feed { first: VecDeque::new(), events })
    }

    /// Sends an event to everybody, and leaves behind who has not taken the earlier ones.
    pub(super) fn tell(&mut self, event: &Bytes) {
        self.queues.retain(|queue| match queue.try_send(event.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.dropped += 1;
                false
            }
        });
    }

    /// Ends all feeds after what was sent, and takes in nobody else.
    pub(super) fn close(&mut self) {
        self.queues.clear();
        self.closed = true;
    }

    pub(super) fn len(&self) -> usize {
        self.queues.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Returns how many were left behind since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

/// What one viewer is sent: the body of its answer, without an end of its own.
#[derive(Debug)]
pub(super) struct Feed {
    first: VecDeque<Bytes>,
    events: mpsc::Receiver<Bytes>,
}

impl Feed {
    /// Sends this before everything else.
    pub(super) fn begin_with(&mut self, event: Bytes) {
        self.first.push_front(event);
    }
}

impl HttpBody for Feed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(event) = self.first.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(event))));
        }
        self.events.poll_recv(cx).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    fn event(number: usize) -> Bytes {
        Bytes::from(number.to_string())
    }

    async fn next(feed: &mut Feed) -> Option<Bytes> {
        feed.frame().await.map(|frame| frame.expect("infallible").into_data().expect("no trailers"))
    }

    #[tokio::test]
    async fn everybody_is_told_the_same_bytes_after_their_own_beginning() {
        let mut viewers = Viewers::default();
        let mut feeds = [viewers.join().expect("room"), viewers.join().expect("room")];
        feeds.iter_mut().enumerate().for_each(|(at, feed)| feed.begin_with(event(at)));
        let told = Bytes::from(vec![b'x'; 100]);
        viewers.tell(&told);
        for (at, feed) in feeds.iter_mut().enumerate() {
            assert_eq!(next(feed).await, Some(event(at)));
            assert_eq!(next(feed).await.expect("told").as_ptr(), told.as_ptr(), "not a copy");
        }
    }

    #[tokio::test]
    async fn who_cannot_keep_up_is_left_behind_and_delays_nobody() {
        let mut viewers = Viewers::default();
        let (mut quick, mut slow) = (viewers.join().expect("room"), viewers.join().expect("room"));
        for number in 0..=EVENTS_MAX {
            viewers.tell(&event(number));
            assert_eq!(next(&mut quick).await, Some(event(number)));
        }
        assert_eq!((viewers.len(), viewers.take_dropped(), viewers.take_dropped()), (1, 1, 0));
        for number in 0..EVENTS_MAX {
            assert_eq!(next(&mut slow).await, Some(event(number)));
        }
        assert_eq!(next(&mut slow).await, None, "its feed ends");
        viewers.tell(&event(99));
        assert_eq!(next(&mut quick).await, Some(event(99)));
    }

    #[test]
    fn there_is_room_for_so_many_and_for_another_when_one_has_left() {
        let mut viewers = Viewers::default();
        let mut feeds: Vec<_> = (0..VIEWERS_MAX).map(|_| viewers.join().expect("room")).collect();
        assert_eq!(viewers.join().expect_err("no room"), NoRoom::Full);
        feeds.pop();
        assert!(viewers.join().is_ok());
    }

    #[tokio::test]
    async fn a_closed_feed_ends_after_its_last_event() {
        let mut viewers = Viewers::default();
        let mut feed = viewers.join().expect("room");
        viewers.tell(&event(1));
        viewers.close();
        assert_eq!((next(&mut feed).await, next(&mut feed).await), (Some(event(1)), None));
        assert_eq!(viewers.join().expect_err("closed"), NoRoom::Closed);
    }
}
