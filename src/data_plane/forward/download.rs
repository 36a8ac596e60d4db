//! The answer on its way to the client: interim responses, the head, the body.

use std::io::Write as _;

use tokio::time::Instant;

use super::{Attempt, Failure, Race};
use crate::data_plane::buffer::Buffer;
use crate::data_plane::http1::Violation;
use crate::data_plane::http1::body::{Body, Taken};
use crate::data_plane::http1::chunked::Keep;
use crate::data_plane::http1::head::{Framing, HEAD_MAX, field_slots};
use crate::data_plane::http1::response::ResponseHead;
use crate::data_plane::http1::rewrite::{self, Back};

/// The most interim (1xx) responses before the final one; more is a backend gone astray.
const INTERIM_MAX: u8 = 16;

/// What the request says about its answer.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The request was a `HEAD`.
    pub head: bool,
    /// The client's minor version.
    pub minor: u8,
    /// The client wants the connection to stay open, and we do too.
    pub persistent: bool,
    /// The client wants it.
    pub wished_persistent: bool,
    /// The client asked for another protocol.
    pub upgrade: bool,
}

impl Asked {
    /// Returns whether the connection takes another request after an answer of our own. An HTTP/1.0 client would have to
    /// be told, and is as well served by a new connection.
    #[must_use]
    pub fn keeps_after_own_answer(&self) -> bool {
        self.persistent && self.minor == 1
    }
}

/// One answer being relayed, and what is known of it.
#[derive(Debug)]
pub struct Download {
    asked: Asked,
    /// Complete header lines to add to the answer.
    extra: Vec<u8>,
    /// Whether the connection was taken from the pool: if it ends without a byte, it was stale.
    pub reused: bool,
    /// When the whole request had been written, if that was before the answer began.
    pub sent: Option<Instant>,
    /// When the first byte of the final answer was there.
    pub first_byte: Option<Instant>,
    /// The final status code, 0 before there is one.
    pub status: u16,
    /// Whether any byte of the final answer has gone to the client.
    pub started: bool,
    /// Bytes received from the backend.
    pub received_bytes: u64,
    /// When the head had gone to the client.
    pub head_sent: Option<Instant>,
    /// When the last byte had gone to the client.
    pub ended: Option<Instant>,
}

/// How a complete answer leaves the two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finish {
    /// The client's connection takes another request.
    pub client_persistent: bool,
    /// The backend's connection takes another request.
    pub backend_persistent: bool,
    /// Both speak another protocol from here on.
    pub upgraded: bool,
}

/// The head of a final answer, rewritten and not sent on yet.
#[derive(Debug)]
pub struct Head {
    buffer: Buffer,
    bytes: Vec<u8>,
    relay: Relay,
}

/// A head that was parsed and rewritten.
enum Parsed {
    /// An interim response, complete.
    Interim(Vec<u8>),
    /// The head of the final answer, and what follows from it.
    Final(Vec<u8>, Relay),
}

/// What is decided when the final head is there.
#[derive(Debug)]
struct Relay {
    body: Body,
    finish: Finish,
    /// Each part is sent as a chunk of its own: the backend ends its answer by closing, the client reads chunks.
    in_chunks: bool,
    /// The body is chunked on both sides.
    chunked: bool,
    /// An HTTP/1.0 client reads until close, so an answer cut short must not look like its end.
    until_close: bool,
}

impl Download {
    /// Prepares for the answer to a request.
    #[must_use]
    pub fn new(asked: Asked, extra: Vec<u8>) -> Self {
        Self {
            asked,
            extra,
            reused: false,
            sent: None,
            first_byte: None,
            status: 0,
            started: false,
            received_bytes: 0,
            head_sent: None,
            ended: None,
        }
    }

    /// Waits for the head of the final answer while the request goes on being sent; relays interim responses.
    ///
    /// After [`Failure::Overdue`] it may be called again.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn head(&mut self, attempt: &mut Attempt<'_>) -> Result<Head, Failure> {
        let mut interim = 0;
        let mut held = None;
        loop {
            let mut buffer = self.fill(attempt, held.take()).await?;
            loop {
                match self.take_head(&mut buffer, attempt)? {
                    None => break,
                    Some(Parsed::Interim(_)) if interim == INTERIM_MAX => {
                        return Err(Failure::BadResponse(Violation::StatusLine));
                    }
                    Some(Parsed::Interim(head)) => {
                        interim += 1;
                        // The wait is for the final answer.
                        self.first_byte = (!buffer.filled().is_empty()).then(Instant::now);
                        self.send_interim(attempt, &head).await?;
                    }
                    Some(Parsed::Final(bytes, relay)) => return Ok(Head { buffer, bytes, relay }),
                }
            }
            held = Some(buffer);
        }
    }

    /// Reads once more, behind what is held of an unfinished head.
    async fn fill(&mut self, attempt: &mut Attempt<'_>, held: Option<Buffer>) -> Result<Buffer, Failure> {
        let nothing_yet = self.received_bytes == 0;
        let ended = if nothing_yet && self.reused { Failure::Stale } else { Failure::Reset };
        match attempt.read(held, &mut self.sent).await {
            Ok((buffer, 0)) => {
                attempt.worker.buffers.put(buffer);
                Err(ended)
            }
            Ok((buffer, count)) => {
                self.first_byte.get_or_insert_with(Instant::now);
                attempt.race = Race::default();
                self.received_bytes += count as u64;
                Ok(buffer)
            }
            Err(Failure::Reset) => Err(ended),
            Err(other) => Err(other),
        }
    }

    /// Takes the head at the front of `buffer` and rewrites it; `None` while it is incomplete.
    fn take_head(&mut self, buffer: &mut Buffer, attempt: &Attempt<'_>) -> Result<Option<Parsed>, Failure> {
        let mut slots = field_slots();
        let parsed =
            ResponseHead::parse(buffer.filled(), &mut slots, HEAD_MAX).map_err(Failure::BadResponse)?;
        let Some(head) = parsed else { return Ok(None) };
        let len = head.len;
        let mut out = attempt.worker.buffers.take_small();
        if matches!(head.status, 100 | 102..=199) {
            rewrite::response(&head, &Back::default(), &mut out);
            buffer.consume(len);
            return Ok(Some(Parsed::Interim(out)));
        }
        // A body that is still on its way would be read as the other protocol.
        if head.status == 101 && !(self.asked.upgrade && attempt.upload.is_complete()) {
            return Err(Failure::BadResponse(Violation::Upgrade));
        }
        self.status = head.status;
        let relay = self.decide(&head, attempt);
        let back = Back {
            close: !relay.finish.client_persistent,
            keep_alive: relay.finish.client_persistent && self.asked.minor == 0,
            chunked: relay.in_chunks || relay.chunked,
            upgrade: relay.finish.upgraded,
            rules: attempt.rules,
            extra: &self.extra,
        };
        rewrite::response(&head, &back, &mut out);
        buffer.consume(len);
        Ok(Some(Parsed::Final(out, relay)))
    }

    fn decide(&self, head: &ResponseHead<'_, '_>, attempt: &Attempt<'_>) -> Relay {
        let framing = head.framing(self.asked.head);
        let upgraded = head.status == 101;
        let old_client = self.asked.minor == 0;
        let until_close = old_client && matches!(framing, Framing::Chunked | Framing::UntilClose);
        let request_over = attempt.upload.is_complete();
        let finish = Finish {
            client_persistent: self.asked.persistent && request_over && !until_close && !upgraded,
            backend_persistent: head.persistent(framing) && request_over && !upgraded,
            upgraded,
        };
        let keep = if old_client { Keep::Data } else { Keep::Framed };
        let in_chunks = framing == Framing::UntilClose && !old_client;
        // The answer to a HEAD describes the body that a GET would get; one that can have none describes nothing.
        let described = self.asked.head && head.facts.chunked && !matches!(head.status, 204 | 304);
        let chunked = !old_client && (framing == Framing::Chunked || described);
        Relay { body: Body::new(framing, keep), finish, in_chunks, chunked, until_close }
    }

    async fn send_interim(&mut self, attempt: &mut Attempt<'_>, head: &[u8]) -> Result<(), Failure> {
        // HTTP/1.0 knows no interim responses (RFC 9110 §15.2).
        if self.asked.minor == 0 {
            return Ok(());
        }
        attempt.write(head).await
    }

    /// Sends the head together with what of the body came with it, then the rest as it comes.
    ///
    /// # Errors
    /// See [`Failure`]. [`Download::started`] says whether the client has seen any of it.
    pub async fn relay(&mut self, attempt: &mut Attempt<'_>, head: Head) -> Result<Finish, Failure> {
        let Head { buffer, bytes, mut relay } = head;
        let mut next = Some((buffer, bytes));
        loop {
            let (buffer, prefix) = match next.take() {
                Some(first) => first,
                None => (self.more(attempt, &mut relay).await?, attempt.worker.buffers.take_small()),
            };
            let sent = self.part(attempt, buffer, prefix, &mut relay).await;
            if sent.is_err() && relay.until_close {
                // Only a reset tells this client that something is missing.
                let _ = attempt.client.set_zero_linger();
            }
            let sent_at = Some(sent?);
            if relay.body.is_done() {
                self.ended = sent_at;
                return Ok(relay.finish);
            }
        }
    }

    /// Reads the next part of the body; an empty buffer at the end of a body that the end of the connection delimits.
    async fn more(&mut self, attempt: &mut Attempt<'_>, relay: &mut Relay) -> Result<Buffer, Failure> {
        let read = attempt.read(None, &mut self.sent).await;
        if let Ok((buffer, count)) = read {
            self.received_bytes += count as u64;
            if count > 0 {
                return Ok(buffer);
            }
            if relay.body.ends_at_close() {
                relay.body.finish();
                return Ok(buffer);
            }
            attempt.worker.buffers.put(buffer);
            return Err(self.cut_short(attempt, relay, Failure::Reset));
        }
        Err(self.cut_short(attempt, relay, read.err().unwrap_or(Failure::Reset)))
    }

    /// Makes sure that an HTTP/1.0 client does not take an answer that breaks off for a whole one.
    fn cut_short(&self, attempt: &mut Attempt<'_>, relay: &Relay, failure: Failure) -> Failure {
        if relay.until_close {
            let _ = attempt.client.set_zero_linger();
        }
        failure
    }

    /// Sends `prefix` (the head, or nothing) and the part of the body in `buffer`.
    async fn part(
        &mut self,
        attempt: &mut Attempt<'_>,
        mut buffer: Buffer,
        mut prefix: Vec<u8>,
        relay: &mut Relay,
    ) -> Result<Instant, Failure> {
        let mut trailers = Vec::new();
        let taken = if relay.finish.upgraded {
            // Whatever follows the head is already the other protocol's.
            Taken { consumed: buffer.filled().len(), kept: buffer.filled().len() }
        } else {
            relay.body.take(buffer.filled_mut(), &mut trailers).map_err(Failure::BadResponse)?
        };
        if buffer.filled().len() > taken.consumed {
            // Bytes behind the end of the answer: whatever they are, the next request must not get them.
            relay.finish.backend_persistent = false;
        }
        if relay.in_chunks {
            frame_chunk(relay, taken.kept, &mut prefix, &mut trailers);
        }
        let joined = buffer.prepend(&prefix);
        let len = if joined { prefix.len() + taken.kept } else { taken.kept };
        self.started = true;
        if !joined {
            attempt.write(&prefix).await?;
        }
        if trailers.len() <= 2 && buffer.append_to_front(len, &trailers) {
            attempt.write(&buffer.filled()[..len + trailers.len()]).await?;
        } else {
            attempt.write(&buffer.filled()[..len]).await?;
            attempt.write(&trailers).await?;
        }
        attempt.worker.buffers.put(buffer);
        attempt.worker.buffers.put_small(prefix);
        let now = Instant::now();
        self.head_sent.get_or_insert(now);
        Ok(now)
    }
}

/// Makes a part of `len` bytes a chunk of its own: what goes in front of it and behind it. An empty part at the end of
/// the body ends it.
fn frame_chunk(relay: &Relay, len: usize, front: &mut Vec<u8>, behind: &mut Vec<u8>) {
    if len > 0 {
        // Writing into a Vec cannot fail.
        let _ = write!(front, "{len:x}\r\n");
        behind.extend_from_slice(b"\r\n");
    } else if relay.body.is_done() {
        front.extend_from_slice(b"0\r\n\r\n");
    }
}
