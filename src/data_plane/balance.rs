//! Asks the upstream's balancer for a backend, and tells it what it wants to know of the request.

use std::net::IpAddr;

use crate::upstream::RequestKeys;

/// Where in the rewritten head the words stand that logs and balancers ask for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Words {
    /// The method's length.
    pub(crate) method: usize,
    /// The target's length; it begins after the method and a space.
    pub(crate) target: usize,
    /// The client's minor version.
    pub(crate) minor: u8,
    /// The bytes that came from the client so far: the head, and what of the body came with it.
    pub(crate) received: u64,
}

impl Words {
    /// Returns the method in a rewritten head.
    pub(crate) fn method_in(self, head: &[u8]) -> &[u8] {
        head.get(..self.method).unwrap_or_default()
    }

    /// Returns the target in a rewritten head.
    pub(crate) fn target_in(self, head: &[u8]) -> &[u8] {
        head.get(self.method + 1..self.method + 1 + self.target).unwrap_or_default()
    }

    /// Returns the path in a rewritten head, without the query.
    pub(crate) fn path_in(self, head: &[u8]) -> &[u8] {
        let target = self.target_in(head);
        memchr::memchr(b'?', target).map_or(target, |at| &target[..at])
    }
}

/// A request as the balancer sees it, read from the head that goes to the backend.
///
/// It is scanned when a balancer asks, which only hashing and sticky cookies do; so nothing is kept for the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys<'a> {
    /// Who sent it, as far as the listener believes it.
    pub(crate) source: IpAddr,
    /// The rewritten head.
    pub(crate) head: &'a [u8],
    /// Where its words stand.
    pub(crate) words: Words,
}

impl RequestKeys for Keys<'_> {
    fn source(&self) -> IpAddr {
        self.source
    }

    fn path(&self) -> &[u8] {
        self.words.path_in(self.head)
    }

    fn query(&self) -> &[u8] {
        let target = self.words.target_in(self.head);
        memchr::memchr(b'?', target).map_or(b"", |at| &target[at + 1..])
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        header(self.head, name)
    }
}

/// Returns the first value of the header called `name` in a rewritten head; `None` when there is none.
pub(crate) fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let lines = head.split(|byte| *byte == b'\n').skip(1).take_while(|line| *line != b"\r");
    lines.into_iter().find_map(|line| {
        let at = memchr::memchr(b':', line)?;
        line[..at].eq_ignore_ascii_case(name.as_bytes()).then(|| line[at + 1..].trim_ascii())
    })
}
