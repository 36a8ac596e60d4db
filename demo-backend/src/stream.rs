//! Bodies that are sent piece by piece: a number of bytes, and any body that is recorded until its end.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use crate::metrics::Recording;

const CHUNK_BYTES: usize = 64 * 1024;
static CHUNK: [u8; CHUNK_BYTES] = [b'.'; CHUNK_BYTES];

/// A body of a known number of bytes, all of them dots, sent from one piece of memory.
pub(crate) struct Dots {
    left: u64,
}

impl Dots {
    /// Makes a body of `length` bytes.
    pub(crate) fn new(length: u64) -> Self {
        Self { left: length }
    }
}

impl HttpBody for Dots {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let length = usize::try_from(self.left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        self.left -= length as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&CHUNK[..length])))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Keeps `recording` going until `body` has been sent or given up.
pub(crate) fn recorded(body: Body, recording: Recording) -> Body {
    // A small body is in memory and as good as sent; to follow it would cost an allocation per request.
    if body.size_hint().exact().is_some_and(|length| length <= CHUNK_BYTES as u64) {
        return body;
    }
    Body::new(Recorded { body, _until_dropped: recording })
}

struct Recorded {
    body: Body,
    _until_dropped: Recording,
}

impl HttpBody for Recorded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
