//! One attempt: the request goes to one backend, its answer comes back to the client.
//!
//! Everything that can go wrong ends in a [`Failure`]; whether another backend is tried is not decided here.

mod download;
mod upload;

pub use download::{Asked, Download, Finish, Head};
pub use upload::{Upload, UploadError};

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::buffer::Buffer;
use super::connect::ConnectError;
use super::deadline::Deadline;
use super::http1::Violation;
use super::route::HeaderRules;
use super::worker::Worker;
use crate::telemetry::AttemptOutcome;
use crate::upstream::Backend;

/// Why an attempt, or the exchange with it, failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no connection to the backend.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A pooled connection was closed before it carried any byte of an answer.
    #[error("pooled connection was closed by the backend")]
    Stale,
    /// The connection ended or broke before the answer was complete.
    #[error("backend closed the connection before its answer was complete")]
    Reset,
    /// The backend took longer than its deadline.
    #[error("backend did not answer in time")]
    Timeout,
    /// The answer is not valid HTTP.
    #[error("invalid answer of the backend: {0}")]
    BadResponse(Violation),
    /// The backend drains, and its deadline has passed.
    #[error("backend was drained before its answer was complete")]
    Drained,
    /// The answer has a status that is worth another try.
    #[error("backend answered with status {0}")]
    Status(u16),
    /// The backend is silent for much longer than usual. The attempt is whole and may go on.
    #[error("backend is silent")]
    Overdue,
    /// The rival answers first. The attempt is whole, but not needed any more.
    #[error("another backend answered first")]
    Overtaken,
    /// The client left.
    #[error("client left")]
    ClientGone,
    /// The client did not send, or did not take, anything within its deadline.
    #[error("client too slow")]
    ClientTimeout,
    /// The request's body broke a rule.
    #[error("request body: {0}")]
    ClientBody(Violation),
}

impl Failure {
    /// Returns the outcome that the attempt is counted as.
    #[must_use]
    pub fn outcome(&self) -> AttemptOutcome {
        match self {
            Self::Connect(error) => error.outcome(),
            Self::Stale => AttemptOutcome::Stale,
            Self::Reset => AttemptOutcome::Reset,
            Self::Timeout => AttemptOutcome::Timeout,
            Self::BadResponse(_) => AttemptOutcome::BadResponse,
            Self::Drained => AttemptOutcome::Drained,
            Self::Status(_) => AttemptOutcome::ServerError,
            Self::Overdue | Self::Overtaken => AttemptOutcome::Overtaken,
            Self::ClientGone | Self::ClientTimeout | Self::ClientBody(_) => AttemptOutcome::ClientAbort,
        }
    }
}

impl From<UploadError> for Failure {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::ClientGone => Self::ClientGone,
            UploadError::Body(violation) => Self::ClientBody(violation),
        }
    }
}

/// How long each side may be silent.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The client, while it sends its body.
    pub body: Duration,
    /// The client, while it takes the answer.
    pub write: Duration,
    /// The backend.
    pub response: Duration,
}

/// The two connections of an attempt and what runs between them.
#[derive(Debug)]
pub struct Attempt<'x> {
    /// Buffers and counters of this worker.
    pub worker: &'x Worker,
    /// The client's connection.
    pub client: &'x mut TcpStream,
    /// The backend's connection.
    pub backend: &'x mut TcpStream,
    /// The request.
    pub upload: &'x mut Upload,
    /// The deadline of the client's task.
    pub deadline: &'x Deadline,
    /// What it is armed with.
    pub patience: Patience,
    /// Whether the client's side is watched for its end; not once it has sent more requests ahead.
    pub watch: bool,
    /// Bytes sent to the client so far.
    pub sent_bytes: u64,
    /// What else may end the wait for the first byte.
    pub race: Race<'x>,
    /// What the route takes out of the answer's head.
    pub rules: Option<&'x HeaderRules>,
    /// The backend, and how many of its drains had ended when the attempt began.
    pub drains: (&'x Backend, u32),
}

/// What ends the wait for the first byte of an answer, besides that byte and the deadline. Costs one load a poll.
#[derive(Debug, Default)]
pub struct Race<'x> {
    /// The connection of an earlier attempt that may still be answered.
    pub rival: Option<&'x mut TcpStream>,
    /// The backend, and its alarm when the request was sent: a later one says that it is silent, or was taken out.
    pub alarm: Option<(&'x Backend, u32)>,
    /// When this attempt alone counts as overdue, whatever the others do.
    pub overdue: Option<Pin<Box<Sleep>>>,
}

impl Race<'_> {
    /// Ready with [`Failure::Overtaken`] or [`Failure::Overdue`].
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        if let Some(rival) = &mut self.rival
            && rival.poll_read_ready(cx).is_ready()
        {
            match recv(&**rival, &mut [0_u8], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
                Ok((_, 1..)) => return Poll::Ready(Failure::Overtaken),
                Err(Errno::AGAIN) => {}
                // Its connection has ended; what that means is looked at when it is taken up again, or never.
                Ok(_) | Err(_) => self.rival = None,
            }
        }
        let alarmed = self.alarm.is_some_and(|(backend, before)| backend.alarm() != before);
        if alarmed || self.overdue.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Failure::Overdue);
        }
        Poll::Pending
    }
}

impl Attempt<'_> {
    /// Reads from the backend, into `into` if part of a head is there already, while the request goes on being sent.
    ///
    /// Ready with the buffer and the number of bytes, 0 at the end of the backend's stream. `sent` is set when the whole
    /// request has been written.
    ///
    /// # Errors
    /// [`Failure::Reset`], [`Failure::Timeout`], or what the client did. The buffer given in is then lost to the
    /// allocator, which is rare enough.
    async fn read(
        &mut self,
        into: Option<Buffer>,
        sent: &mut Option<Instant>,
    ) -> Result<(Buffer, usize), Failure> {
        let mut held = into;
        self.arm_for_reading();
        poll_fn(|cx| {
            // The answer comes first: a request that never stops must not keep it from being looked at.
            if let Poll::Ready(read) = self.poll_read(cx, &mut held) {
                return Poll::Ready(read);
            }
            if !self.upload.is_done() && self.poll_upload(cx)? {
                self.arm_for_reading();
            }
            if sent.is_none() && self.upload.is_done() {
                *sent = Some(Instant::now());
            }
            self.poll_client_gone(cx)?;
            self.check_drain()?;
            if let Poll::Ready(ended) = self.race.poll(cx) {
                return Poll::Ready(Err(ended));
            }
            ready!(self.deadline.poll_passed(cx));
            Poll::Ready(Err(if self.upload.awaits_client() {
                Failure::ClientTimeout
            } else {
                Failure::Timeout
            }))
        })
        .await
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        held: &mut Option<Buffer>,
    ) -> Poll<Result<(Buffer, usize), Failure>> {
        let read = match held {
            Some(buffer) => ready!(buffer.poll_read(cx, self.backend)).map(|count| (None, count)),
            None => {
                let fresh = ready!(self.worker.buffers.poll_read(cx, self.backend));
                fresh.map(|(buffer, count)| (Some(buffer), count))
            }
        };
        let (fresh, count) = read.map_err(|_| Failure::Reset)?;
        let buffer = fresh.or_else(|| held.take()).expect("a read yields the buffer it read into");
        Poll::Ready(Ok((buffer, count)))
    }

    /// Writes `bytes` to the client, while the request goes on being sent.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut written = 0;
        self.deadline.arm(self.patience.write);
        poll_fn(|cx| {
            while written < bytes.len() {
                match Pin::new(&mut *self.client).poll_write(cx, &bytes[written..]) {
                    Poll::Ready(Ok(count)) if count > 0 => {
                        written += count;
                        self.sent_bytes += count as u64;
                        self.deadline.arm(self.patience.write);
                    }
                    Poll::Ready(_) => return Poll::Ready(Err(Failure::ClientGone)),
                    Poll::Pending => {
                        // What the client sends meanwhile gives it no patience for what it does not take.
                        self.poll_upload(cx)?;
                        self.check_drain()?;
                        ready!(self.deadline.poll_passed(cx));
                        return Poll::Ready(Err(Failure::ClientTimeout));
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Gives patience to whom the next step waits for.
    fn arm_for_reading(&self) {
        let patience = if self.upload.awaits_client() { self.patience.body } else { self.patience.response };
        self.deadline.arm(patience);
    }

    /// Lets the request go on; returns whether a part of it went through.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        if self.upload.is_done() {
            return Ok(false);
        }
        let before = (self.upload.received_bytes(), self.upload.sent_bytes());
        if let Poll::Ready(result) = self.upload.poll(cx, &self.worker.buffers, self.client, self.backend) {
            result?;
        }
        Ok(before != (self.upload.received_bytes(), self.upload.sent_bytes()))
    }

    /// Fails if the backend was to have finished by now. Whoever waits is woken when it comes to that.
    fn check_drain(&self) -> Result<(), Failure> {
        let (backend, before) = self.drains;
        if backend.drains_ended() == before { Ok(()) } else { Err(Failure::Drained) }
    }

    /// Fails if the client has closed while it waits for the answer: nobody would read it.
    fn poll_client_gone(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        if !self.watch || !self.upload.is_received() {
            return Ok(());
        }
        match poll_client(self.client, cx) {
            Poll::Ready(true) => Err(Failure::ClientGone),
            Poll::Ready(false) => {
                self.watch = false;
                Ok(())
            }
            Poll::Pending => Ok(()),
        }
    }
}

/// Looks at what comes from a client that has sent its request, without taking it, once per event: ready with true at its
/// end, with false when it has sent more.
///
/// A client that has sent all it wants and closes only its sending side is taken for gone, as in nginx and Envoy: the two
/// cannot be told apart, and the common case by far is a client that has given up.
pub fn poll_client(client: &mut TcpStream, cx: &mut Context<'_>) -> Poll<bool> {
    if client.poll_read_ready(cx).is_pending() {
        return Poll::Pending;
    }
    let mut byte = [0];
    client.poll_peek(cx, &mut tokio::io::ReadBuf::new(&mut byte)).map(|peeked| !matches!(peeked, Ok(1..)))
}

/// Writes all of `bytes` to a client within `patience`.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`], or what the socket says.
pub async fn write_within(
    client: &mut TcpStream,
    bytes: &[u8],
    deadline: &Deadline,
    patience: Duration,
) -> io::Result<()> {
    let mut written = 0;
    deadline.arm(patience);
    poll_fn(|cx| {
        while written < bytes.len() {
            match Pin::new(&mut *client).poll_write(cx, &bytes[written..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => written += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(deadline.poll_passed(cx));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}
