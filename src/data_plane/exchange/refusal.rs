//! Why a request is answered by the balancer itself, with which status, and what it is counted as.

use crate::data_plane::contact::InVain;
use crate::data_plane::http1::Violation;
use crate::telemetry::RefusalReason;

/// Why a request is not forwarded, or why nothing came of forwarding it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    /// The status code; 0 when nobody is left to answer.
    pub(super) status: u16,
    /// The reason it is counted under.
    pub(super) reason: RefusalReason,
    /// What is said about it.
    pub(super) words: &'static str,
    violation: Option<Violation>,
}

impl Refusal {
    /// The client left before its head was complete: nothing to answer.
    pub(super) const GONE: Self =
        Self::new(0, RefusalReason::Incomplete, "client left in the middle of its request");

    /// Makes a refusal.
    pub(super) const fn new(status: u16, reason: RefusalReason, words: &'static str) -> Self {
        Self { status, reason, words, violation: None }
    }

    /// Returns the text that the client gets.
    pub(super) fn body(&self) -> String {
        match self.violation {
            Some(violation) => format!("{} {violation}\n", self.status),
            None => format!("{} {}\n", self.status, self.words),
        }
    }
}

impl From<InVain> for Refusal {
    fn from(vain: InVain) -> Self {
        let (reason, words) = match vain {
            InVain::Full => (RefusalReason::Overloaded, "too many requests wait for a backend"),
            InVain::Late => (RefusalReason::Overloaded, "no backend had room for this request in time"),
            InVain::NoneAvailable => {
                (RefusalReason::NoneAvailable, "no backend of this upstream is available")
            }
            InVain::Alone => return Self::GONE,
        };
        Self::new(503, reason, words)
    }
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        let reason = match violation {
            Violation::RequestLine | Violation::StatusLine | Violation::Target => {
                RefusalReason::BadRequestLine
            }
            Violation::Version => RefusalReason::BadVersion,
            Violation::Header | Violation::LineEnding | Violation::Upgrade => RefusalReason::BadHeader,
            Violation::HeadTooLarge | Violation::TooManyHeaders => RefusalReason::HeadTooLarge,
            Violation::TargetTooLong => RefusalReason::TargetTooLong,
            Violation::HostMissing | Violation::HostRepeated | Violation::Host => RefusalReason::BadHost,
            Violation::LengthAndEncoding | Violation::LengthsDiffer => RefusalReason::ConflictingLength,
            Violation::ContentLength => RefusalReason::BadLength,
            Violation::TransferEncoding | Violation::EncodingInHttp10 => RefusalReason::BadTransferCoding,
            Violation::Expectation => RefusalReason::BadExpectation,
            Violation::Connect => RefusalReason::BadMethod,
            Violation::BodyTooLarge => RefusalReason::BodyTooLarge,
            Violation::ChunkSize | Violation::ChunkExtension | Violation::ChunkEnd | Violation::Trailer => {
                RefusalReason::BadChunk
            }
        };
        Self { status: violation.status(), reason, words: "", violation: Some(violation) }
    }
}
