//! By which names an exchange is found again: its request id, and the trace that it belongs to.

use std::fmt;

use crate::telemetry::TraceParent;

/// How many bytes of a request id are kept: a UUID fits as it is usually written.
const ID_BYTES: usize = 40;

/// The beginning of a request id, in place.
#[derive(Debug, Clone, Copy)]
pub struct RequestId {
    bytes: [u8; ID_BYTES],
    kept: u8,
    is_cut: bool,
}

impl RequestId {
    /// Keeps what fits of an id; an empty one is none.
    pub fn new(id: &[u8]) -> Self {
        let kept = id.len().min(ID_BYTES);
        let mut bytes = [0; ID_BYTES];
        bytes[..kept].copy_from_slice(&id[..kept]);
        Self { bytes, kept: kept as u8, is_cut: id.len() > kept }
    }

    /// Tells whether it is this id, as far as it was kept.
    ///
    /// ```
    /// use plimsoll::telemetry::RequestId;
    ///
    /// let id = RequestId::new(b"4f2c");
    /// assert!(id.is("4f2c") && !id.is("4f2") && !id.is("4f2cc"));
    /// ```
    pub fn is(&self, asked: &str) -> bool {
        let kept = &self.bytes[..usize::from(self.kept)];
        if self.is_cut { asked.as_bytes().starts_with(kept) } else { asked.as_bytes() == kept }
    }

    /// Returns it as text, `None` for no id; what is no UTF-8 becomes U+FFFD, `…` stands for what was not kept.
    pub fn to_text(&self) -> Option<String> {
        let mut text = String::from_utf8_lossy(&self.bytes[..usize::from(self.kept)]).into_owned();
        if self.is_cut {
            text.push('…');
        }
        (!text.is_empty()).then_some(text)
    }
}

/// The id of a trace, as W3C Trace Context has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(u128);

impl TraceId {
    /// Reads the trace id of a `traceparent` header; `None` when that is invalid, as [`TraceParent::parse`] has it.
    ///
    /// ```
    /// use plimsoll::telemetry::TraceId;
    ///
    /// let id = TraceId::of_parent(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    /// assert_eq!(id.expect("it is valid").to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    /// assert_eq!(TraceId::of_parent(b"00-4bf9"), None);
    /// ```
    pub fn of_parent(traceparent: &[u8]) -> Option<Self> {
        TraceParent::parse(traceparent).map(|brought| Self(brought.trace))
    }

    /// Reads 32 hexadecimal digits; `None` when it is something else, or the invalid id of zeros.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        u128::from_str_radix(text, 16).ok().filter(|id| is_hex && *id != 0).map(Self)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_by_what_was_kept_of_it() {
        let long = "x".repeat(ID_BYTES + 5);
        let id = RequestId::new(long.as_bytes());
        assert!(id.is(&long) && !id.is("x"));
        assert_eq!(id.to_text(), Some(format!("{}…", "x".repeat(ID_BYTES))));
        let uuid = "0f8fad5b-d9cb-469f-a165-70867728950e";
        assert_eq!(RequestId::new(uuid.as_bytes()).to_text().as_deref(), Some(uuid));
        assert_eq!(RequestId::new(b"").to_text(), None);
        assert_eq!(RequestId::new(b"a\xff").to_text().as_deref(), Some("a\u{fffd}"));
    }

    #[test]
    fn only_a_valid_trace_id_is_one() {
        let zeros = "0".repeat(32);
        for wrong in ["", "+bf92f3577b34da6a3ce929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e473", &zeros] {
            assert_eq!(TraceId::parse(wrong), None, "{wrong}");
            assert_eq!(TraceId::of_parent(format!("00-{wrong}-00f067aa0ba902b7-01").as_bytes()), None);
        }
        let upper = "4BF92F3577B34DA6A3CE929D0E0E4736";
        assert_eq!(TraceId::of_parent(format!("00-{upper}-00f067aa0ba902b7-01").as_bytes()), None);
        assert!(TraceId::parse(upper).is_some(), "people may ask for it so");
        assert_eq!(TraceId::of_parent(b"\xff-\xff"), None);
    }
}
