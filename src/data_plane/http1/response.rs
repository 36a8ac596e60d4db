//! Reads a response head of a backend (RFC 9112 §4, §6).

use httparse::{Header, Status};

use super::Violation;
use super::head::{Facts, FieldSlots, Framing, check_line_endings};

/// One parsed response head; everything borrows from the buffer that was read.
#[derive(Debug)]
pub struct ResponseHead<'h, 'b> {
    /// The status code, 100 to 599.
    pub status: u16,
    /// The reason phrase, as sent; may be empty.
    pub reason: &'b str,
    /// The minor version: 0 or 1.
    pub minor: u8,
    /// The header lines.
    pub fields: &'h [Header<'b>],
    /// What they say.
    pub facts: Facts,
    /// The head's length in bytes; the body begins there.
    pub len: usize,
    /// The head's bytes.
    pub bytes: &'b [u8],
}

impl<'h, 'b> ResponseHead<'h, 'b> {
    /// Parses the head at the front of `input`; `None` when it is not complete yet.
    ///
    /// # Errors
    /// The first rule that it breaks, or [`Violation::HeadTooLarge`] when no head ends within `limit` bytes.
    pub fn parse(
        input: &'b [u8],
        slots: &'h mut FieldSlots<'b>,
        limit: usize,
    ) -> Result<Option<Self>, Violation> {
        let mut response = httparse::Response::new(&mut []);
        let window = &input[..input.len().min(limit)];
        let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            window,
            slots,
        )?;
        let Status::Complete(len) = parsed else {
            return if window.len() >= limit { Err(Violation::HeadTooLarge) } else { Ok(None) };
        };
        let bytes = &input[..len];
        check_line_endings(bytes)?;
        let (Some(status @ 100..=599), Some(minor)) = (response.code, response.version) else {
            return Err(Violation::StatusLine);
        };
        let fields: &'h [Header<'b>] = response.headers;
        let facts = Facts::gather(fields)?;
        if facts.chunked && minor == 0 {
            return Err(Violation::EncodingInHttp10);
        }
        Ok(Some(Self {
            status,
            reason: response.reason.unwrap_or_default(),
            minor,
            fields,
            facts,
            len,
            bytes,
        }))
    }

    /// Returns how the body is delimited, which depends on whether the request was a `HEAD` (RFC 9112 §6.3).
    #[must_use]
    pub fn framing(&self, to_head: bool) -> Framing {
        if to_head || matches!(self.status, 100..=199 | 204 | 304) {
            return Framing::None;
        }
        match self.facts.content_length {
            _ if self.facts.chunked => Framing::Chunked,
            Some(0) => Framing::None,
            Some(length) => Framing::Length(length),
            None => Framing::UntilClose,
        }
    }

    /// Returns whether the backend takes another request on this connection, given how the body was delimited.
    #[must_use]
    pub fn persistent(&self, framing: Framing) -> bool {
        framing != Framing::UntilClose && !self.facts.close && (self.minor == 1 || self.facts.keep_alive)
    }
}

#[cfg(test)]
mod tests;
