//! Connections of a listener with `protocol: tcp` are relayed as they are, and are to everything else what requests are.

mod failures;
mod introduced;
mod operated;
mod relayed;

use std::net::SocketAddr;

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;

/// Relays over backends at these addresses.
fn at(addresses: impl IntoIterator<Item = SocketAddr>) -> Setup {
    Setup::at(addresses).listener("protocol: tcp")
}

/// Relays over these backends.
fn over<'a>(backends: impl IntoIterator<Item = &'a Backend>) -> Setup {
    at(backends.into_iter().map(|backend| backend.address))
}

/// A backend that says its name, then sends back what it gets, and `end` when that ends.
fn echo(name: &'static str) -> Backend {
    Backend::scripted(move |mut wire, _| {
        wire.send(name);
        loop {
            let bytes = wire.some();
            if bytes.is_empty() {
                break;
            }
            wire.send(bytes);
        }
        wire.send("end");
    })
}

/// A backend that sends what came to it, once its client has ended its stream.
fn witness() -> Backend {
    Backend::scripted(|mut wire, _| {
        let all = wire.read_to_end();
        wire.send(all);
    })
}
