//! Limits: how much is given to backends at a time, and held on their behalf.

use std::num::NonZeroU32;
use std::time::Duration;

use super::super::read::{duration, integer, size, text};
use super::super::section::{Section, suggestion};
use super::super::value::Invalid;

/// How much is given to backends, and held on their behalf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// Requests that one backend has to answer at a time.
    pub in_flight: InFlight,
    /// Requests that wait while every backend is at its limit; one more is answered 503. 0 lets none wait.
    pub queue: u32,
    /// How long a request waits before it is answered 503.
    pub queue_timeout: Duration,
    /// Unused connections kept per worker and backend.
    pub idle_connections: u32,
    /// Bytes of a request's body kept so that it can be sent again. A longer body is sent once only.
    pub replay_buffer: u64,
}

/// How many requests one backend has to answer at a time, over all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InFlight {
    /// Any number.
    Unlimited,
    /// This many.
    Count(NonZeroU32),
    /// As many as it answers without its latency growing.
    Adaptive,
}

impl UpstreamLimits {
    /// Decodes the section `limits`.
    pub(super) fn decode(section: &Section<'_>) -> Self {
        Self {
            in_flight: section.value("in_flight", text(InFlight::parse)),
            queue: section.value("queue", integer(0..=1_000_000)),
            queue_timeout: section.value("queue_timeout", duration),
            idle_connections: section.value("idle_connections", integer(0..=100_000)),
            replay_buffer: section.value("replay_buffer", size(0..=16 << 20)),
        }
    }
}

impl InFlight {
    /// The most that may be written, far above what one server has ever had to answer at a time.
    const MAX: u32 = 1_000_000;

    fn parse(text: &str) -> Result<Self, Invalid> {
        let words = ["unlimited", "adaptive"];
        match (text, text.replace('_', "").parse::<u32>()) {
            ("unlimited", _) => Ok(Self::Unlimited),
            ("adaptive", _) => Ok(Self::Adaptive),
            (_, Ok(count @ 0..=Self::MAX)) => NonZeroU32::new(count).map(Self::Count).ok_or_else(|| {
                Invalid::new("with a limit of 0 no backend would be given anything")
                    .hint("write `unlimited`, or give a backend that shall take no new work a `weight` of 0")
            }),
            _ if text.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                Err(Invalid::new(format!("`{}` is no limit", text.escape_debug()))
                    .hint(suggestion(text, &words)))
            }
            _ => Err(Invalid::new(format!("`{}` is no limit", text.escape_debug()))
                .hint(format!("write a number from 1 to {}, `adaptive` or `unlimited`", Self::MAX))),
        }
    }
}
