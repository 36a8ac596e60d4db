//! One end of a TCP connection that speaks HTTP/1.1 by hand, as a client or as a backend.
//!
//! It reads only what it is told to and never repairs anything: what a test sees is what was on the wire.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::{PATIENCE, eventually};

/// The state of an end that has not heard of the end of the other, as `/proc/net/tcp` writes it.
const ESTABLISHED: &str = "01";

/// A connection with what was read from it and not yet taken.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A start line with its fields.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pub(crate) start: String,
    pub(crate) fields: Vec<(String, String)>,
}

/// A head with its body, without the framing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    /// The lines after the last chunk.
    pub(crate) trailers: Vec<String>,
}

impl Head {
    /// The value of the only field with this name. None when it is missing.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields(name);
        let value = values.next();
        assert!(values.next().is_none(), "{name} occurs once in {self:?}");
        value
    }

    /// The values of all fields with this name.
    pub(crate) fn fields(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields
            .iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The status code, or 0 for a head that is not a response's.
    pub(crate) fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default()
    }

    /// The method of a request.
    pub(crate) fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// The target of a request.
    pub(crate) fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }
}

impl Message {
    pub(crate) fn status(&self) -> u16 {
        self.head.status()
    }

    /// The body, which must be text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or("(not text)")
    }
}

impl Wire {
    /// Connects to `address`.
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).expect("the address accepts connections"))
    }

    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("invariant: not zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("invariant: not zero");
        stream.set_nodelay(true).expect("a connected socket has the option");
        Self { stream, buffer: Vec::new() }
    }

    /// Sends all of `bytes`. The other side may have gone: what matters is what it answered.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Sends all of `bytes`; false when the other side no longer takes them.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Ends the sending direction.
    pub(crate) fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the sending direction and waits until the other side's kernel has heard of it: the process there may not
    /// have looked, but it could know. Even within one machine that takes a moment.
    #[track_caller]
    pub(crate) fn finish_heard(&mut self) {
        self.finish();
        let column = |address: std::io::Result<SocketAddr>| {
            format!(":{:04X}", address.map_or(0, |address| address.port()))
        };
        let (here, there) = (column(self.stream.local_addr()), column(self.stream.peer_addr()));
        eventually("the end is heard", || {
            let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
            !table.lines().any(|line| {
                // The number of the line, the address of that end, of the other end, and the state.
                let columns: Vec<&str> = line.split_whitespace().take(4).collect();
                matches!(columns[..], [_, from, to, ESTABLISHED] if from.ends_with(&there) && to.ends_with(&here))
            })
        });
    }

    /// Whether bytes have come that were not yet read.
    pub(crate) fn has_input(&self) -> bool {
        let _ = self.stream.set_nonblocking(true);
        let came = self.stream.peek(&mut [0]).is_ok_and(|count| count > 0);
        let _ = self.stream.set_nonblocking(false);
        came || !self.buffer.is_empty()
    }

    /// Ends the connection with a reset instead of in order.
    pub(crate) fn reset(self) {
        let socket = socket2::Socket::from(self.stream);
        socket.set_linger(Some(Duration::ZERO)).expect("a connected socket has the option");
    }

    /// Sends a request and reads the final answer to it.
    #[track_caller]
    pub(crate) fn exchange(&mut self, request: impl AsRef<[u8]>) -> Message {
        let request = request.as_ref();
        self.send(request);
        self.answer(request.starts_with(b"HEAD "))
    }

    /// Sends a request that is not a HEAD and reads the final answer. None when the connection ended without one.
    #[track_caller]
    pub(crate) fn try_exchange(&mut self, request: impl AsRef<[u8]>) -> Option<Message> {
        self.send(request);
        self.try_answer(false)
    }

    /// Reads the next final answer; `to_head` says that it answers a HEAD.
    #[track_caller]
    pub(crate) fn answer(&mut self, to_head: bool) -> Message {
        self.try_answer(to_head).expect("an answer comes before the connection ends")
    }

    #[track_caller]
    fn try_answer(&mut self, to_head: bool) -> Option<Message> {
        loop {
            let head = self.head()?;
            if head.status() >= 200 || head.status() == 101 {
                let empty = to_head || matches!(head.status(), 101 | 204 | 304);
                return Some(self.rest(head, empty, true));
            }
        }
    }

    /// Reads the next request with its body. None when the connection ended before it began.
    #[track_caller]
    pub(crate) fn request(&mut self) -> Option<Message> {
        let head = self.head()?;
        Some(self.rest(head, false, false))
    }

    /// Reads the next head. None when the connection ended before it began.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Option<Head> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            if !self.fill() {
                assert!(self.buffer.is_empty(), "the connection ended within a head: {:?}", self.peek());
                return None;
            }
        };
        let text = String::from_utf8_lossy(&self.take(end + 4)[..end]).into_owned();
        let mut lines = text.split("\r\n").map(str::to_owned);
        let start = lines.next().unwrap_or_default();
        let fields = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            (name.to_ascii_lowercase(), value.trim().to_owned())
        });
        Some(Head { start, fields: fields.collect() })
    }

    /// Reads the body that belongs to `head`.
    #[track_caller]
    fn rest(&mut self, head: Head, empty: bool, to_end: bool) -> Message {
        let mut message = Message::default();
        if empty {
        } else if head.field("transfer-encoding").is_some() {
            (message.body, message.trailers) = self.chunks();
        } else if let Some(length) = head.field("content-length") {
            let length = length.parse().expect("a length is a number");
            message.body = self.exactly(length);
        } else if to_end {
            message.body = self.read_to_end();
        }
        message.head = head;
        message
    }

    /// Reads a chunked body and its trailers.
    #[track_caller]
    fn chunks(&mut self) -> (Vec<u8>, Vec<String>) {
        let mut body = Vec::new();
        loop {
            let line = self.line();
            let size = line.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size, 16).expect("a chunk size is hexadecimal");
            if size == 0 {
                break;
            }
            body.extend(self.exactly(size));
            assert_eq!(self.line(), "", "a chunk ends in CR LF");
        }
        let trailers = std::iter::from_fn(|| Some(self.line()).filter(|line| !line.is_empty()));
        let trailers = trailers.collect();
        (body, trailers)
    }

    #[track_caller]
    fn line(&mut self) -> String {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                return String::from_utf8_lossy(&self.take(at + 2)[..at]).into_owned();
            }
            assert!(self.fill(), "the connection ended within a line: {:?}", self.peek());
        }
    }

    /// Reads exactly `length` bytes.
    #[track_caller]
    pub(crate) fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            assert!(self.fill(), "the connection ended after {} of {length} bytes", self.buffer.len());
        }
        self.take(length)
    }

    /// Reads everything until the other side ends the connection, in order or not.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.buffer)
    }

    /// Reads what comes next; empty at the end of the connection.
    pub(crate) fn some(&mut self) -> Vec<u8> {
        if self.buffer.is_empty() {
            self.fill();
        }
        std::mem::take(&mut self.buffer)
    }

    /// Asserts that the other side ends the connection without another byte.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        let rest = self.read_to_end();
        assert!(rest.is_empty(), "nothing follows, but: {:?}", String::from_utf8_lossy(&rest));
    }

    /// Reads more; false at the end of the connection, however it ended.
    #[track_caller]
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                true
            }
            Err(error) => {
                assert!(
                    !is_timeout(error.kind()),
                    "nothing more within {PATIENCE:?} after {:?}",
                    self.peek()
                );
                false
            }
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        self.buffer.drain(..count).collect()
    }

    fn peek(&self) -> String {
        String::from_utf8_lossy(&self.buffer[..self.buffer.len().min(300)]).into_owned()
    }
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
