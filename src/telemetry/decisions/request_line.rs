//! What was asked for, as far as it is remembered.

/// How many bytes of a request line are kept.
const LINE_BYTES: usize = 64;

/// The beginning of a request line, in place: the method, a space and the target, as they came from the network.
#[derive(Debug, Clone, Copy)]
pub struct RequestLine {
    /// Of the line, and of what follows where it is short.
    bytes: [u8; LINE_BYTES],
    kept: u8,
    method: u8,
    is_cut: bool,
}

impl RequestLine {
    /// Keeps what fits of the line at the front of a head, where method and target have these lengths.
    pub fn new(head: &[u8], method: usize, target: usize) -> Self {
        let line = (method + 1 + target).min(head.len());
        let kept = line.min(LINE_BYTES);
        // Hardly a head is shorter, and a copy of constant length is two instructions.
        let bytes = head.first_chunk().copied().unwrap_or_else(|| padded(head));
        Self { bytes, kept: kept as u8, method: method.min(kept) as u8, is_cut: line > kept }
    }

    /// Returns the method; what is no UTF-8 becomes U+FFFD.
    pub fn method(&self) -> String {
        String::from_utf8_lossy(&self.bytes[..usize::from(self.method)]).into_owned()
    }

    /// Returns the path without the query, which may hold secrets; `…` stands for what was not kept of it.
    pub fn path(&self) -> String {
        let from = usize::from(self.method) + 1;
        let target = self.bytes[..usize::from(self.kept)].get(from..).unwrap_or_default();
        let query = target.iter().position(|byte| *byte == b'?');
        let mut path = String::from_utf8_lossy(&target[..query.unwrap_or(target.len())]).into_owned();
        if self.is_cut && query.is_none() {
            path.push('…');
        }
        path
    }
}

#[cold]
fn padded(short: &[u8]) -> [u8; LINE_BYTES] {
    std::array::from_fn(|at| short.get(at).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_without_its_query_and_cut_where_it_was() {
        let shown = |method: &str, target: &str, rest: &str| {
            let head = format!("{method} {target}{rest}");
            let line = RequestLine::new(head.as_bytes(), method.len(), target.len());
            (line.method(), line.path())
        };
        for rest in [" HTTP/1.1\r\n\r\n".to_owned(), format!(" HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(100))] {
            assert_eq!(shown("GET", "/a?secret=1", &rest), ("GET".into(), "/a".into()));
            let whole = format!("/{}", "x".repeat(LINE_BYTES - 5));
            assert_eq!(shown("GET", &whole, &rest).1, whole);
            let long = format!("/{}", "x".repeat(100));
            assert_eq!(shown("GET", &long, &rest).1, format!("{whole}…"));
            let (method, path) = shown(&"M".repeat(200), "/", &rest);
            assert_eq!((method.len(), path), (LINE_BYTES, "…".into()));
        }
    }

    #[test]
    fn a_head_that_was_never_read_is_shown_as_nothing() {
        for head in [b"".as_slice(), b"\xff\x00"] {
            let line = RequestLine::new(head, 0, 0);
            assert_eq!((line.method(), line.path()), (String::new(), String::new()));
        }
        assert_eq!(RequestLine::new(b"GET /\xff\x00", 3, 3).path(), "/\u{fffd}\0");
    }
}
