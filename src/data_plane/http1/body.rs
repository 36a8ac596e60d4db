//! Follows one body through the buffers that were read: what belongs to it, what is passed on, and where it ends.

use super::Violation;
use super::chunked::{Chunked, Keep};
use super::head::Framing;

/// What one call of [`Body::take`] found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Bytes of the input that belong to this body; what follows is the next message.
    pub consumed: usize,
    /// Bytes at the front of the input to pass on; at most `consumed`.
    pub kept: usize,
}

/// The progress of one body.
#[derive(Debug)]
pub struct Body {
    kind: Kind,
    data: u64,
}

#[derive(Debug)]
enum Kind {
    Done,
    Length(u64),
    // Boxed: the decoder is large, chunked bodies are the rarer kind, and every idle connection would carry its size.
    Chunked(Box<Chunked>, Keep),
    UntilClose,
}

impl Default for Body {
    /// No body.
    fn default() -> Self {
        Self { kind: Kind::Done, data: 0 }
    }
}

impl Body {
    /// Starts at the first byte after a head.
    #[must_use]
    pub fn new(framing: Framing, keep: Keep) -> Self {
        let kind = match framing {
            Framing::None | Framing::Length(0) => Kind::Done,
            Framing::Length(length) => Kind::Length(length),
            Framing::Chunked => Kind::Chunked(Box::default(), keep),
            Framing::UntilClose => Kind::UntilClose,
        };
        Self { kind, data: 0 }
    }

    /// Returns whether the body has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.kind, Kind::Done)
    }

    /// Returns whether the end of the connection is the end of this body, and not a truncation.
    #[must_use]
    pub fn ends_at_close(&self) -> bool {
        matches!(self.kind, Kind::Done | Kind::UntilClose)
    }

    /// Ends a body that the end of the connection delimits.
    pub fn finish(&mut self) {
        self.kind = Kind::Done;
    }

    /// Returns the bytes of data, without framing, that have passed.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        self.data
    }

    /// Takes what belongs to the body from the front of `input`, in place. `trailers` receives what must be sent after
    /// the kept bytes when a chunked body ends in a trailer section.
    ///
    /// # Errors
    /// The first rule that a chunked body breaks.
    pub fn take(&mut self, input: &mut [u8], trailers: &mut Vec<u8>) -> Result<Taken, Violation> {
        match &mut self.kind {
            Kind::Done => Ok(Taken::default()),
            Kind::UntilClose => {
                self.data += input.len() as u64;
                Ok(Taken { consumed: input.len(), kept: input.len() })
            }
            Kind::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= count as u64;
                self.data += count as u64;
                if *left == 0 {
                    self.kind = Kind::Done;
                }
                Ok(Taken { consumed: count, kept: count })
            }
            Kind::Chunked(decoder, keep) => {
                let decoded = decoder.decode(input, *keep)?;
                self.data = decoder.data_bytes();
                if decoded.done {
                    if let (Some(section), Keep::Framed) = (decoder.take_trailers()?, *keep) {
                        *trailers = section;
                    }
                    self.kind = Kind::Done;
                }
                Ok(Taken { consumed: decoded.consumed, kept: decoded.kept })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_known_length_leaves_the_next_request_alone() {
        let mut body = Body::new(Framing::Length(4), Keep::Framed);
        let taken = body.take(&mut b"WikiGET /".to_vec(), &mut Vec::new()).expect("well-formed");
        assert_eq!(taken, Taken { consumed: 4, kept: 4 });
        assert!(body.is_done());
        assert_eq!(body.data_bytes(), 4);
    }

    #[test]
    fn only_a_body_delimited_by_close_may_end_with_the_connection() {
        assert!(Body::new(Framing::UntilClose, Keep::Framed).ends_at_close());
        assert!(!Body::new(Framing::Length(1), Keep::Framed).ends_at_close());
        assert!(!Body::new(Framing::Chunked, Keep::Framed).ends_at_close());
    }

    #[test]
    fn trailers_follow_a_chunked_body_without_the_fields_that_frame() {
        let mut body = Body::new(Framing::Chunked, Keep::Framed);
        let mut trailers = Vec::new();
        let mut input = b"1\r\na\r\n0\r\nchecksum: 1\r\nContent-Length: 9\r\n\r\n".to_vec();
        let taken = body.take(&mut input, &mut trailers).expect("well-formed");
        assert_eq!(&input[..taken.kept], b"1\r\na\r\n0\r\n");
        assert_eq!(trailers, b"checksum: 1\r\n\r\n");
        assert!(body.is_done());
    }
}
