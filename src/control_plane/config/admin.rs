//! The admin server and the end of the process's life.

use std::net::SocketAddr;
use std::time::Duration;

use super::read::{duration, text};
use super::section::Section;
use super::value::address::listen_address;

/// The admin server: `/metrics`, `/live`, `/ready`, `/check` and the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where it listens. On loopback by default, since it can change what runs. Never a listener's address.
    pub address: SocketAddr,
}

/// How the process ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainConfig {
    /// How long exchanges in flight may take after SIGTERM before they are cut.
    pub timeout: Duration,
}

impl AdminConfig {
    pub(super) fn decode(section: &Section<'_>) -> Self {
        Self { address: section.value("address", text(listen_address)) }
    }
}

impl DrainConfig {
    pub(super) fn decode(section: &Section<'_>) -> Self {
        Self { timeout: section.value("timeout", duration) }
    }
}
