//! The admin server and the end of the process's life.

use std::net::SocketAddr;
use std::time::Duration;

use super::read::{duration, integer, size, text};
use super::section::Section;
use super::tree::Content;
use super::value::Invalid;
use super::value::address::listen_address;

/// The admin server: `/metrics`, `/live`, `/ready`, `/check`, the API and the receiver of pushed metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where it listens. On loopback by default, since it can change what runs. Never a listener's address.
    pub address: SocketAddr,
    /// What may be pushed to it. None takes nothing.
    pub push: Option<PushConfig>,
}

/// What may be pushed to the admin server, as to a Pushgateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushConfig {
    /// How long pushed metrics are kept that nobody renews.
    pub expiry: Duration,
    /// The most groups at a time: a group is what one agent pushes.
    pub groups: usize,
    /// The largest push, in bytes. All groups together hold 64 times as much.
    pub body: u64,
}

/// How the process ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainConfig {
    /// How long exchanges in flight may take after SIGTERM before they are cut.
    pub timeout: Duration,
}

impl AdminConfig {
    pub(super) fn decode(section: &Section<'_>) -> Self {
        Self { address: section.value("address", text(listen_address)), push: PushConfig::decode(section) }
    }
}

impl PushConfig {
    /// Decodes the key `push`: `off`, or a section.
    fn decode(admin: &Section<'_>) -> Option<Self> {
        let section = match admin.given("push").map(|node| (&node.content, node.place)) {
            Some((Content::Scalar(word), _)) if word == "off" || word == "false" => return None,
            Some((Content::Scalar(word), place)) => {
                let invalid = Invalid::new(format!("`{}` says nothing about pushes", word.escape_debug()))
                    .hint("write `off`, or a mapping such as `{expiry: 1m}`; they are taken by default");
                admin.problems.invalid(place, invalid);
                admin.absent("push")
            }
            _ => admin.section("push"),
        };
        Some(Self {
            expiry: section.value("expiry", duration),
            groups: section.value("groups", integer(1..=1_000_000)),
            body: section.value("body", size(1 << 10..=64 << 20)),
        })
    }
}

impl DrainConfig {
    pub(super) fn decode(section: &Section<'_>) -> Self {
        Self { timeout: section.value("timeout", duration) }
    }
}
