//! Buffers of one worker: large ones to read into, small ones for rewritten heads, both handed out last in, first out.
//!
//! An idle connection holds no buffer; one is taken when its descriptor is readable and given back when what was read
//! has gone on. So a worker touches a handful of buffers however many connections it serves, and they stay in cache.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;

use super::http1::head::HEAD_MAX;

/// Room in front of what is read, where the rewritten head goes: head and body leave in one write.
const HEADROOM: usize = 1024;
/// How much one read takes at most; a whole head fits.
const READ_MAX: usize = 64 * 1024;
const _: () = assert!(HEAD_MAX < READ_MAX, "a head that is within its limit fits into a buffer");
/// How many free buffers of each kind a worker keeps; more are returned to the allocator.
const FREE_MAX: usize = 64;
/// The largest capacity of a small buffer that is kept; one that grew for a replayed body is returned.
const SMALL_CAPACITY_MAX: usize = 8 * 1024;

/// What was read from one connection, with room in front.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    fn new() -> Self {
        let mut bytes = Vec::with_capacity(HEADROOM + READ_MAX);
        bytes.resize(HEADROOM, 0);
        Self { bytes, start: HEADROOM }
    }

    fn clear(&mut self) {
        self.bytes.truncate(HEADROOM);
        self.start = HEADROOM;
    }

    /// Returns what was read and not yet consumed.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Returns what was read and not yet consumed, to be decoded in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    /// Adds a copy of `bytes` to what is filled.
    pub fn fill(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Forgets the first `count` bytes of what was read.
    pub fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.bytes.len());
    }

    /// Puts `prefix` in front of what is filled, over bytes that were consumed, if there is room.
    #[must_use]
    pub fn prepend(&mut self, prefix: &[u8]) -> bool {
        let Some(start) = self.start.checked_sub(prefix.len()) else {
            return false;
        };
        self.bytes[start..self.start].copy_from_slice(prefix);
        self.start = start;
        true
    }

    /// Cuts what is filled at `len` and puts `suffix` there, if there is room and nothing would be cut off; so that a
    /// chunk leaves with its end in one write.
    #[must_use]
    pub fn append_to_front(&mut self, len: usize, suffix: &[u8]) -> bool {
        if self.filled().len() != len || self.bytes.capacity() - self.bytes.len() < suffix.len() {
            return false;
        }
        self.bytes.extend_from_slice(suffix);
        true
    }

    /// Reads once into the free room. Ready with 0 at the end of the stream, or when there is no room left.
    ///
    /// A short read clears the readiness of the socket, so the next call costs no system call until more has come.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, stream: &mut TcpStream) -> Poll<io::Result<usize>> {
        if self.filled().is_empty() {
            self.clear();
        } else if self.bytes.len() == self.bytes.capacity() && self.start > HEADROOM {
            self.bytes.drain(HEADROOM..self.start);
            self.start = HEADROOM;
        }
        if self.bytes.len() == self.bytes.capacity() {
            // `read_buf` would grow the buffer; whoever reads has a limit below its size and stops there.
            return Poll::Ready(Ok(0));
        }
        pin!(read_once(stream, &mut self.bytes)).poll(cx)
    }
}

async fn read_once(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> io::Result<usize> {
    stream.read_buf(bytes).await
}

/// The free buffers of one worker.
#[derive(Debug, Default)]
pub struct Buffers {
    large: RefCell<Vec<Buffer>>,
    small: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    /// Takes an empty buffer to read into.
    #[must_use]
    pub fn take(&self) -> Buffer {
        self.large.borrow_mut().pop().unwrap_or_else(Buffer::new)
    }

    /// Gives a buffer back.
    pub fn put(&self, mut buffer: Buffer) {
        let mut free = self.large.borrow_mut();
        if free.len() < FREE_MAX {
            buffer.clear();
            free.push(buffer);
        }
    }

    /// Takes an empty buffer for a rewritten head.
    #[must_use]
    pub fn take_small(&self) -> Vec<u8> {
        self.small.borrow_mut().pop().unwrap_or_default()
    }

    /// Gives a small buffer back.
    pub fn put_small(&self, mut bytes: Vec<u8>) {
        let mut free = self.small.borrow_mut();
        if free.len() < FREE_MAX && bytes.capacity() <= SMALL_CAPACITY_MAX {
            bytes.clear();
            free.push(bytes);
        }
    }

    /// Waits until `stream` is readable, then reads once into a buffer taken only then.
    ///
    /// Ready with the buffer and the number of bytes; 0 at the end of the stream. Cancel safe: nothing is read while
    /// pending.
    pub fn poll_read(
        &self,
        cx: &mut Context<'_>,
        stream: &mut TcpStream,
    ) -> Poll<io::Result<(Buffer, usize)>> {
        ready!(stream.poll_read_ready(cx))?;
        let mut buffer = self.take();
        match buffer.poll_read(cx, stream) {
            Poll::Ready(Ok(count)) => Poll::Ready(Ok((buffer, count))),
            Poll::Ready(Err(error)) => {
                self.put(buffer);
                Poll::Ready(Err(error))
            }
            Poll::Pending => {
                self.put(buffer);
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewritten_head_goes_in_front_of_the_body_that_was_read_with_it() {
        let mut buffer = Buffer::new();
        buffer.bytes.extend_from_slice(b"HEAD|body");
        buffer.consume(5);
        assert!(buffer.prepend(b"rewritten head|"));
        assert_eq!(buffer.filled(), b"rewritten head|body");
    }

    #[test]
    fn a_head_without_room_is_refused_and_nothing_is_lost() {
        let mut buffer = Buffer::new();
        buffer.bytes.extend_from_slice(b"body");
        assert!(!buffer.prepend(&[b'x'; HEADROOM + 1]));
        assert_eq!(buffer.filled(), b"body");
    }

    #[test]
    fn a_buffer_comes_back_empty() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.bytes.extend_from_slice(b"secret");
        buffers.put(buffer);
        assert!(buffers.take().filled().is_empty());
    }
}
