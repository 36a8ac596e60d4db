//! Server-sent events out of bytes, as they are told by the live feed (HTML, section 9.2.6, without ids and retries).

use std::collections::VecDeque;

use memchr::memchr;

/// The most bytes of one event. The longest that the balancer tells is the first, with up to 57,600 samples.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) name: String,
    pub(super) data: Vec<u8>,
}

/// What has come and is no whole event yet, and the events that are whole.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    whole: VecDeque<Told>,
}

/// An event is longer than any that the balancer tells.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has sent an event of more than {} MiB", BYTES_MAX >> 20)]
pub(super) struct TooLong;

impl Events {
    /// Takes in what has come next.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), TooLong> {
        while let Some(end) = memchr(b'\n', bytes) {
            self.line.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            self.end_line();
        }
        self.line.extend_from_slice(bytes);
        if self.line.len() + self.data.len() > BYTES_MAX { Err(TooLong) } else { Ok(()) }
    }

    /// Takes the next event that is whole.
    pub(super) fn next(&mut self) -> Option<Told> {
        self.whole.pop_front()
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if line.is_empty() {
            let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
            if !data.is_empty() {
                let name = String::from_utf8_lossy(&name).into_owned();
                self.whole.push_back(Told { name, data });
            }
            return;
        }
        let at = memchr(b':', line).unwrap_or(line.len());
        let value = line.get(at + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..at] {
            b"event" => self.name = value.to_vec(),
            b"data" => {
                if !self.data.is_empty() {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
            // A comment, or what the terminal has no use for.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(events: &mut Events) -> Vec<(String, String)> {
        let text = |told: Told| (told.name, String::from_utf8(told.data).expect("text"));
        std::iter::from_fn(|| events.next()).map(text).collect()
    }

    const FEED: &str = "retry: 1000\nevent: history\ndata: {}\n\n: nothing\nevent: tick\r\ndata:1\r\ndata: 2\r\n\r\nevent: bye\n\n";

    #[test]
    fn events_come_out_however_the_bytes_are_cut() {
        let expected = [("history", "{}"), ("tick", "1\n2")].map(|(name, data)| (name.into(), data.into()));
        for size in 1..FEED.len() {
            let mut events = Events::default();
            for chunk in FEED.as_bytes().chunks(size) {
                events.push(chunk).expect("it is short");
            }
            assert_eq!(all(&mut events), expected, "cut into pieces of {size}");
        }
    }

    #[test]
    fn an_event_that_never_ends_is_given_up() {
        let mut events = Events::default();
        let piece = vec![b'x'; 1024 * 1024];
        let error = (0..64).find_map(|_| events.push(&piece).err());
        assert_eq!(error, Some(TooLong));
    }
}
