//! Everything that makes a message unacceptable, and the status code that says so.
//!
//! One list for both directions: a request that breaks a rule is answered with [`Violation::status`]; a response that
//! does is a bad response of its backend (502), whatever the rule.

/// A rule of RFC 9112 (or a configured limit) that a message broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The request line is not `method SP target SP HTTP-version`.
    #[error("malformed request line")]
    RequestLine,
    /// The status line is not `HTTP-version SP status SP reason`.
    #[error("malformed status line")]
    StatusLine,
    /// The version is not HTTP/1.0 or HTTP/1.1.
    #[error("unsupported HTTP version, only 1.0 and 1.1 are understood")]
    Version,
    /// A header line is malformed: a control character, a space before the colon, a folded line, an empty name.
    #[error("malformed header line")]
    Header,
    /// A line of the head ends in a lone CR or a lone LF (RFC 9112 §2.2).
    #[error("line of the head not ended by CR LF")]
    LineEnding,
    /// The head is larger than the configured limit.
    #[error("head larger than the limit")]
    HeadTooLarge,
    /// The head has more header lines than the configured limit.
    #[error("more header lines than the limit")]
    TooManyHeaders,
    /// The request target is longer than the configured limit.
    #[error("request target longer than the limit")]
    TargetTooLong,
    /// The request target is not one of the forms of RFC 9112 §3.2, or holds bytes that a URI cannot.
    #[error("malformed request target")]
    Target,
    /// No `Host` in an HTTP/1.1 request (RFC 9112 §3.2).
    #[error("no host header")]
    HostMissing,
    /// Several `Host` lines (RFC 9112 §3.2).
    #[error("several host headers")]
    HostRepeated,
    /// A `Host` that is no `host[:port]`.
    #[error("malformed host header")]
    Host,
    /// Both `Content-Length` and `Transfer-Encoding` (RFC 9112 §6.1).
    #[error("both content-length and transfer-encoding")]
    LengthAndEncoding,
    /// A `Content-Length` that is not a decimal number, or too large to be one.
    #[error("malformed content-length")]
    ContentLength,
    /// Several `Content-Length` values that differ (RFC 9112 §6.3).
    #[error("differing content-length values")]
    LengthsDiffer,
    /// A `Transfer-Encoding` other than exactly `chunked` (RFC 9112 §6.1).
    #[error("transfer-encoding other than chunked")]
    TransferEncoding,
    /// `Transfer-Encoding` in an HTTP/1.0 message (RFC 9112 §6.1).
    #[error("transfer-encoding in an HTTP/1.0 message")]
    EncodingInHttp10,
    /// An `Expect` other than `100-continue` (RFC 9110 §10.1.1).
    #[error("expectation other than 100-continue")]
    Expectation,
    /// The `CONNECT` method: plimsoll is a gateway, not a forward proxy.
    #[error("CONNECT is not served, plimsoll is not a forward proxy")]
    Connect,
    /// The declared or received body is larger than the configured limit.
    #[error("body larger than the limit")]
    BodyTooLarge,
    /// A chunk size that is not 1 to 16 hexadecimal digits.
    #[error("malformed chunk size")]
    ChunkSize,
    /// A chunk extension with a control character, or longer than the limit.
    #[error("malformed or oversized chunk extension")]
    ChunkExtension,
    /// Chunk data not followed by CR LF.
    #[error("chunk data not followed by CR LF")]
    ChunkEnd,
    /// A trailer section that is malformed or larger than the limit.
    #[error("malformed or oversized trailer section")]
    Trailer,
    /// A `101` answer to a request that did not ask for an upgrade.
    #[error("upgrade that nobody asked for")]
    Upgrade,
}

impl Violation {
    /// Returns the status code that a client is answered with when its request broke this rule.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Version => 505,
            Self::HeadTooLarge | Self::TooManyHeaders => 431,
            Self::TargetTooLong => 414,
            Self::BodyTooLarge => 413,
            Self::Expectation => 417,
            Self::TransferEncoding | Self::Connect => 501,
            _ => 400,
        }
    }
}

impl From<httparse::Error> for Violation {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::HeaderName | httparse::Error::HeaderValue => Self::Header,
            httparse::Error::NewLine => Self::LineEnding,
            httparse::Error::Status => Self::StatusLine,
            httparse::Error::Token => Self::RequestLine,
            httparse::Error::TooManyHeaders => Self::TooManyHeaders,
            httparse::Error::Version => Self::Version,
        }
    }
}
