//! The request on its way to the backend: the rewritten head and whatever of the body has come, then the rest of the
//! body as it comes.
//!
//! It is polled beside the response instead of running before it: a backend may answer before it has read the whole
//! request, and a client may wait for `100 Continue` before it sends one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use crate::data_plane::buffer::{Buffer, Buffers};
use crate::data_plane::http1::Violation;
use crate::data_plane::http1::body::Body;
use crate::data_plane::http1::rewrite::hexadecimal;

/// Why the client's side of the upload ended early.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The client closed, or its connection broke, before the request was complete.
    #[error("client left before its request was complete")]
    ClientGone,
    /// The body broke a rule or a limit.
    #[error("request body: {0}")]
    Body(#[from] Violation),
}

/// One request being sent, again if need be.
#[derive(Debug)]
pub struct Upload {
    /// The head and the first part of the body, kept so that they can be sent again.
    outbound: Vec<u8>,
    /// Where in it the parent id of `traceparent` stands.
    parent_at: Option<usize>,
    written: usize,
    body: Body,
    body_max: u64,
    /// A part of the body beyond what is kept, or being sent while it is kept as well.
    part: Option<Buffer>,
    /// How many bytes at the front of `part` are still to be written.
    part_left: usize,
    trailers: Vec<u8>,
    /// How large `outbound` may grow so that the request can be sent again.
    replay_max: usize,
    replayable: bool,
    /// The backend takes no more; its answer, or the end of its connection, says why.
    refused: bool,
    /// What the client sent after this request.
    surplus: Option<Buffer>,
    received: u64,
    /// Bytes written to the backend of this attempt.
    sent: u64,
}

impl Upload {
    /// Starts with `outbound`: the head and what has been read of `body`. `parent_at` is where in it the parent id of
    /// `traceparent` stands, if that is ours.
    #[must_use]
    pub fn new(
        outbound: Vec<u8>,
        parent_at: Option<usize>,
        body: Body,
        body_max: u64,
        replay_max: usize,
    ) -> Self {
        Self {
            outbound,
            parent_at,
            written: 0,
            body,
            body_max,
            part: None,
            part_left: 0,
            trailers: Vec::new(),
            replay_max,
            replayable: true,
            refused: false,
            surplus: None,
            received: 0,
            sent: 0,
        }
    }

    /// Returns whether the whole request has been written.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.refused || (self.body.is_done() && self.unsent() == 0 && self.trailers.is_empty())
    }

    /// Returns whether the client has sent all of its request and the backend has been sent all of it.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_done() && !self.refused
    }

    /// Returns whether the client has sent all of its request, whatever became of it.
    #[must_use]
    pub fn is_received(&self) -> bool {
        self.body.is_done()
    }

    /// Returns whether the upload waits for more of the body, that is for the client and not for the backend.
    #[must_use]
    pub fn awaits_client(&self) -> bool {
        !self.is_done() && self.unsent() == 0 && self.trailers.is_empty()
    }

    /// Returns whether any byte has been written since the last start.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.written > 0
    }

    /// Returns whether everything that was taken from the client can be sent again.
    #[must_use]
    pub fn is_replayable(&self) -> bool {
        self.replayable
    }

    /// Returns the bytes read from the client here, besides those that came with the head.
    #[must_use]
    pub fn received_bytes(&self) -> u64 {
        self.received
    }

    /// Returns the bytes written to the backend of this attempt.
    #[must_use]
    pub fn sent_bytes(&self) -> u64 {
        self.sent
    }

    /// Returns the head as the backend receives it, with the part of the body that is kept.
    #[must_use]
    pub fn outbound(&self) -> &[u8] {
        &self.outbound
    }

    /// Puts `host` into the `Host` line, which planning has made the first one.
    pub fn set_host(&mut self, host: &str) {
        let line = memchr::memchr(b'\n', &self.outbound).map_or(0, |end| end + 1);
        let Some(end) = memchr::memchr(b'\r', &self.outbound[line..]) else { return };
        let replaced = self.outbound.splice(line..line + end, *b"host: ");
        drop(replaced);
        let at = line + b"host: ".len();
        self.outbound.splice(at..at, host.bytes());
        // It stands further behind.
        self.parent_at = self.parent_at.map(|parent| parent + at + host.len() - (line + end));
    }

    /// Puts the span of an attempt into `traceparent`, before any of it is sent. Does nothing without a place for it.
    pub fn set_parent(&mut self, span: u64) {
        let place = self.parent_at.and_then(|at| self.outbound.get_mut(at..at + 16));
        if let Some(place) = place {
            place.copy_from_slice(&hexadecimal(span));
        }
    }

    /// Starts over for another backend; only while [`Upload::is_replayable`].
    pub fn rewind(&mut self, buffers: &Buffers) {
        self.written = 0;
        self.sent = 0;
        self.refused = false;
        self.part_left = 0;
        if let Some(part) = self.part.take() {
            buffers.put(part);
        }
    }

    /// Goes back to an attempt to which all of it was sent, after another was begun; only if all of it is kept.
    pub fn was_sent_before(&mut self) {
        self.written = self.outbound.len();
        self.sent = 0;
        self.refused = false;
    }

    /// Gives back the buffers; what the client sent after this request is returned.
    pub fn release(&mut self, buffers: &Buffers) -> Option<Buffer> {
        buffers.put_small(std::mem::take(&mut self.outbound));
        if let Some(part) = self.part.take() {
            buffers.put(part);
        }
        self.surplus.take()
    }

    /// Sends as much as goes without waiting. Ready when the whole request is written, or the backend takes no more.
    ///
    /// # Errors
    /// Only what the client did; what the backend does shows when its answer is read.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &Buffers,
        client: &mut TcpStream,
        backend: &mut TcpStream,
    ) -> Poll<Result<(), UploadError>> {
        while !self.is_done() {
            if self.unsent() > 0 {
                if ready!(self.poll_write(cx, backend)).is_err() {
                    self.refused = true;
                }
                continue;
            }
            if let Some(part) = self.part.take() {
                buffers.put(part);
            }
            if !self.trailers.is_empty() {
                // A few lines at the end: kept whatever the limit.
                self.outbound.append(&mut self.trailers);
                continue;
            }
            let read = ready!(buffers.poll_read(cx, client));
            self.take_part(read, buffers)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Bytes that were taken from the client and not yet written.
    fn unsent(&self) -> usize {
        self.outbound.len() - self.written + self.part_left
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, backend: &mut TcpStream) -> Poll<io::Result<()>> {
        let backend = Pin::new(backend);
        if self.written < self.outbound.len() {
            let count = ready!(backend.poll_write(cx, &self.outbound[self.written..]))?;
            self.written += count;
            self.sent += count as u64;
        } else if let Some(part) = self.part.as_mut().filter(|_| self.part_left > 0) {
            let count = ready!(backend.poll_write(cx, &part.filled()[..self.part_left]))?;
            part.consume(count);
            self.part_left -= count;
            self.sent += count as u64;
        }
        Poll::Ready(Ok(()))
    }

    fn take_part(&mut self, read: io::Result<(Buffer, usize)>, buffers: &Buffers) -> Result<(), UploadError> {
        let Ok((mut part, count)) = read else { return Err(UploadError::ClientGone) };
        if count == 0 {
            buffers.put(part);
            return Err(UploadError::ClientGone);
        }
        self.received += count as u64;
        let taken = self.body.take(part.filled_mut(), &mut self.trailers)?;
        if self.body.data_bytes() > self.body_max {
            buffers.put(part);
            return Err(UploadError::Body(Violation::BodyTooLarge));
        }
        let fits = self.outbound.len() + taken.kept <= self.replay_max;
        if self.replayable && fits {
            self.outbound.extend_from_slice(&part.filled()[..taken.kept]);
            part.consume(taken.consumed);
            self.keep_surplus(part, buffers);
            return Ok(());
        }
        self.replayable = false;
        if taken.consumed < part.filled().len() {
            let mut rest = buffers.take();
            rest.fill(&part.filled()[taken.consumed..]);
            self.surplus = Some(rest);
        }
        self.part_left = taken.kept;
        self.part = Some(part);
        Ok(())
    }

    fn keep_surplus(&mut self, buffer: Buffer, buffers: &Buffers) {
        if buffer.filled().is_empty() {
            buffers.put(buffer);
        } else {
            self.surplus = Some(buffer);
        }
    }
}
