//! Pipes by which the kernel moves bytes from one socket to another without copying them (splice(2)), kept by a worker.
//!
//! A pipe holds references to the very pages that the network filled. Whoever takes one out of [`Pipes`] gives it back
//! as soon as it is empty; one whose reader stalls keeps it. A worker has so many at most, however many connections it
//! serves, and copies for the others.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// How much is asked for at a time; the kernel gives what fits into a pipe.
const SPLICE_MAX: usize = 1024 * 1024;

/// How many free pipes a worker keeps; two descriptors each.
const FREE_MAX: usize = 32;

/// How many pipes a worker has, free ones included.
const MAX: usize = 64;

/// A pipe, and how much is in it.
#[derive(Debug)]
pub(in crate::data_plane) struct Pipe {
    reading: OwnedFd,
    writing: OwnedFd,
    len: usize,
    _counted: Rc<()>,
}

impl Pipe {
    fn new(counted: Rc<()>) -> io::Result<Self> {
        let (reading, writing) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { reading, writing, len: 0, _counted: counted })
    }

    /// Tells whether nothing is in it.
    pub(in crate::data_plane) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Moves what a socket has received into the pipe, which must be empty: a full one could not be told from a socket that
    /// has nothing. Ready with 0 at the end of the stream. Cancel safe.
    pub(in crate::data_plane) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
    ) -> Poll<io::Result<usize>> {
        debug_assert!(self.is_empty());
        loop {
            ready!(from.poll_read_ready(cx))?;
            match from.try_io(Interest::READABLE, || moved(from, &self.writing)) {
                Ok(count) => {
                    self.len = count;
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Moves what is in the pipe to a socket, as far as that takes it. Cancel safe.
    pub(in crate::data_plane) fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        to: &TcpStream,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(to.poll_write_ready(cx))?;
            match to.try_io(Interest::WRITABLE, || moved(&self.reading, to)) {
                Ok(count) => {
                    self.len -= count.min(self.len);
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

fn moved(from: impl AsFd, to: impl AsFd) -> io::Result<usize> {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    Ok(splice(from, None, to, None, SPLICE_MAX, flags)?)
}

/// The pipes of one worker.
#[derive(Debug, Default)]
pub struct Pipes {
    free: RefCell<Vec<Pipe>>,
    /// Shared with each pipe, so that it counts them.
    count: Rc<()>,
}

impl Pipes {
    /// Takes an empty pipe.
    ///
    /// # Errors
    /// When there is none and none can be made: there are [`MAX`], or no descriptors.
    pub(in crate::data_plane) fn take(&self) -> io::Result<Pipe> {
        if let Some(pipe) = self.free.borrow_mut().pop() {
            return Ok(pipe);
        }
        if Rc::strong_count(&self.count) > MAX {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        Pipe::new(Rc::clone(&self.count))
    }

    /// Gives a pipe back; one that is not empty is closed.
    pub(in crate::data_plane) fn put(&self, pipe: Pipe) {
        let mut free = self.free.borrow_mut();
        if pipe.is_empty() && free.len() < FREE_MAX {
            free.push(pipe);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stalled_directions_cost_a_bounded_number_of_pipes() {
        let pipes = Pipes::default();
        let mut taken: Vec<_> = (0..MAX).map(|_| pipes.take().expect("it may be made")).collect();
        assert!(pipes.take().is_err());
        pipes.put(taken.pop().expect("invariant: not empty"));
        taken.push(pipes.take().expect("one was given back"));
        assert!(pipes.take().is_err());
        taken.clear();
        assert!(pipes.take().is_ok(), "those that were closed do not count");
    }
}
