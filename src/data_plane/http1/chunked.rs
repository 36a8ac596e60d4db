//! The chunked transfer coding (RFC 9112 §7.1), read strictly and forwarded without a copy.
//!
//! The decoder works in place on the buffer that was read: in the usual case everything it keeps is already where it
//! belongs. Chunk extensions are checked and dropped; the trailer section is collected, checked and re-emitted
//! without the fields that must not travel in one.

use super::Violation;

/// The most bytes of chunk extensions in one message; nobody needs them, and endless ones are an attack.
const EXTENSIONS_MAX: u32 = 4096;
/// The most bytes of a trailer section.
const TRAILERS_MAX: usize = 8192;
/// The most header lines in a trailer section.
const TRAILER_LINES_MAX: usize = 32;

/// What of a chunked body is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Chunk framing and data: the other side reads chunked as well.
    Framed,
    /// Data alone: the other side is HTTP/1.0 and reads until close.
    Data,
}

/// What one call of [`Chunked::decode`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the input that belong to this body; what follows is the next message.
    pub consumed: usize,
    /// Bytes at the front of the input that are to be passed on; at most `consumed`.
    pub kept: usize,
    /// Whether the body has ended. Then [`Chunked::take_trailers`] holds what must still follow.
    pub done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size {
        digits: u8,
    },
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of the trailer section, where CR LF alone ends the body.
    LastCr,
    LastLf,
    Trailers,
    Done,
}

/// A decoder for one chunked body; feed it what was read, in order.
///
/// ```
/// use plimsoll::data_plane::http1::chunked::{Chunked, Keep};
/// let mut body = *b"4;name=value\r\nWiki\r\n0\r\n\r\nGET /next";
/// let decoded = Chunked::new().decode(&mut body, Keep::Framed).expect("well-formed");
/// assert_eq!(&body[..decoded.kept], b"4\r\nWiki\r\n0\r\n\r\n");
/// assert!(decoded.done);
/// ```
#[derive(Debug)]
pub struct Chunked {
    state: State,
    /// The size being read, then the bytes of data still to come.
    remaining: u64,
    extensions: u32,
    data: u64,
    trailers: Vec<u8>,
}

impl Default for Chunked {
    fn default() -> Self {
        Self::new()
    }
}

impl Chunked {
    /// Creates a decoder that expects the first chunk size.
    #[must_use]
    pub fn new() -> Self {
        Self { state: State::Size { digits: 0 }, remaining: 0, extensions: 0, data: 0, trailers: Vec::new() }
    }

    /// Returns how many bytes of data (without framing) were decoded so far.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        self.data
    }

    /// Decodes `input` in place as far as it goes, moving what is kept to its front.
    ///
    /// # Errors
    /// The first rule that the body breaks. The decoder must not be used afterwards.
    pub fn decode(&mut self, input: &mut [u8], keep: Keep) -> Result<Decoded, Violation> {
        let mut read = 0;
        let mut kept = 0;
        while read < input.len() && self.state != State::Done {
            if self.state == State::Data {
                let take = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(input.len() - read);
                if kept != read {
                    input.copy_within(read..read + take, kept);
                }
                read += take;
                kept += take;
                self.data += take as u64;
                self.remaining -= take as u64;
                if self.remaining == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            let byte = input[read];
            read += 1;
            if self.framing_byte(byte)? && keep == Keep::Framed {
                input[kept] = byte;
                kept += 1;
            }
        }
        Ok(Decoded { consumed: read, kept, done: self.state == State::Done })
    }

    /// Returns the lines of the trailer section that may be passed on, with the empty line that ends the body.
    ///
    /// `None` when the body had no trailers: then [`Chunked::decode`] kept the final CR LF itself.
    ///
    /// # Errors
    /// [`Violation::Trailer`] when a line is malformed.
    pub fn take_trailers(&mut self) -> Result<Option<Vec<u8>>, Violation> {
        if self.trailers.is_empty() {
            return Ok(None);
        }
        let section = std::mem::take(&mut self.trailers);
        super::head::check_line_endings(&section).map_err(|_| Violation::Trailer)?;
        let mut lines = [httparse::EMPTY_HEADER; TRAILER_LINES_MAX];
        let Ok(httparse::Status::Complete((_, fields))) = httparse::parse_headers(&section, &mut lines)
        else {
            return Err(Violation::Trailer);
        };
        let mut out = Vec::with_capacity(section.len());
        for field in fields.iter().filter(|field| allowed_in_trailers(field.name)) {
            out.extend_from_slice(field.name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(field.value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        Ok(Some(out))
    }

    /// Advances over one byte that is not data; returns whether it is passed on where framing is kept.
    fn framing_byte(&mut self, byte: u8) -> Result<bool, Violation> {
        match self.state {
            State::Size { digits } => self.size_byte(byte, digits),
            State::Extension => {
                self.extensions += 1;
                let control = byte != b'\t' && (byte < 0x20 || byte == 0x7f);
                match byte {
                    b'\r' => self.state = State::SizeLf,
                    _ if control || self.extensions > EXTENSIONS_MAX => {
                        return Err(Violation::ChunkExtension);
                    }
                    _ => return Ok(false),
                }
                Ok(true)
            }
            State::SizeLf if byte == b'\n' => {
                self.state = if self.remaining == 0 { State::LastCr } else { State::Data };
                Ok(true)
            }
            State::SizeLf => Err(Violation::ChunkSize),
            State::DataCr | State::DataLf => self.data_end_byte(byte),
            State::LastCr if byte == b'\r' => {
                self.state = State::LastLf;
                Ok(true)
            }
            State::LastLf if byte == b'\n' => {
                self.state = State::Done;
                Ok(true)
            }
            State::LastLf => Err(Violation::Trailer),
            State::LastCr | State::Trailers => self.trailer_byte(byte),
            State::Data | State::Done => unreachable!("data is taken in bulk, and nothing follows the end"),
        }
    }

    fn size_byte(&mut self, byte: u8, digits: u8) -> Result<bool, Violation> {
        match (byte as char).to_digit(16) {
            Some(_) if digits == 16 => return Err(Violation::ChunkSize),
            Some(digit) => {
                self.remaining = (self.remaining << 4) | u64::from(digit);
                self.state = State::Size { digits: digits + 1 };
                return Ok(true);
            }
            None if digits == 0 => return Err(Violation::ChunkSize),
            None => {}
        }
        match byte {
            b'\r' => self.state = State::SizeLf,
            b';' => self.state = State::Extension,
            _ => return Err(Violation::ChunkSize),
        }
        Ok(byte == b'\r')
    }

    fn data_end_byte(&mut self, byte: u8) -> Result<bool, Violation> {
        self.state = match (self.state, byte) {
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size { digits: 0 },
            _ => return Err(Violation::ChunkEnd),
        };
        Ok(true)
    }

    fn trailer_byte(&mut self, byte: u8) -> Result<bool, Violation> {
        self.state = State::Trailers;
        if self.trailers.len() == TRAILERS_MAX {
            return Err(Violation::Trailer);
        }
        self.trailers.push(byte);
        if self.trailers.ends_with(b"\r\n\r\n") {
            self.state = State::Done;
        }
        Ok(false)
    }
}

/// Whether a field may travel in a trailer section (RFC 9110 §6.5.1: nothing about framing, routing or identity).
fn allowed_in_trailers(name: &str) -> bool {
    const FORBIDDEN: [&str; 21] = [
        "transfer-encoding",
        "content-length",
        "host",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "authorization",
        "cookie",
        "set-cookie",
        "content-encoding",
        "content-type",
        "content-range",
        "forwarded",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-plimsoll-backend",
        "x-request-id",
    ];
    !FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden))
}

#[cfg(test)]
mod tests;
