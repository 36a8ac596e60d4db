//! The HTTP/1.1 forwarding codec: reads one head, decides how its body is framed, writes the head for the other side.
//!
//! It exists apart because it is pure: bytes in, bytes out, no sockets and no clock. What two parsers could read in
//! two ways is a [`Violation`] and is never forwarded (RFC 9112 §11.2, request smuggling).
//!
//! Reading order: [`violation`] · [`head`] (fields both directions share) · [`request`] · [`response`] · [`chunked`] ·
//! [`body`] (how much of what was read belongs to this message) · [`rewrite`] (the head for the other side) ·
//! [`answer`] (responses that plimsoll gives by itself).

pub mod answer;
pub mod body;
pub mod chunked;
pub mod head;
pub mod request;
pub mod response;
pub mod rewrite;
pub mod source;
pub mod violation;

pub use violation::Violation;
