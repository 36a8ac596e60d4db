//! Tells what look-ups have found: counted for each backend, kept on the board for people, and in the log where something
//! changed.

use std::net::IpAddr;
use std::time::SystemTime;

use super::News;
use crate::control_plane::config::Config;
use crate::control_plane::config::value::address::BackendAddress;
use crate::control_plane::health::{Board, LastLookup};
use crate::telemetry::{LookupResult, Telemetry};

/// Tells what look-ups have found to the series of the backends in `config`, to the board, and, where it is a change, to
/// the log.
pub fn tell(news: &[News], config: &Config, telemetry: &Telemetry, board: &Board) {
    for news in news {
        for (upstream, backend, port) in backends_at(&news.host, config) {
            telemetry.backend(upstream, backend).lookups.inc(news.result);
            log(news, upstream, backend);
            let last = LastLookup {
                host: news.host.clone(),
                port,
                address: news.address,
                addresses: news.addresses.clone(),
                error: news.error.clone(),
                at: SystemTime::now(),
            };
            board.set_lookup(upstream, backend, last);
        }
    }
}

/// Forgets what was found for backends that `config` does not name by a host.
pub fn forget_others(config: &Config, board: &Board) {
    board.keep_lookups(|upstream, backend| {
        let upstream = config.upstreams.iter().find(|known| known.name.as_str() == upstream);
        let mut backends = upstream.into_iter().flat_map(|upstream| &upstream.backends);
        backends.any(|known| {
            known.name.as_str() == backend && matches!(known.address, BackendAddress::Name { .. })
        })
    });
}

/// The backends of a configuration that a host name stands for: upstream, name and port.
fn backends_at<'c>(host: &str, config: &'c Config) -> impl Iterator<Item = (&'c str, &'c str, u16)> {
    config.upstreams.iter().flat_map(move |upstream| {
        upstream.backends.iter().filter_map(move |backend| match &backend.address {
            BackendAddress::Name { host: known, port } if known == host => {
                Some((upstream.name.as_str(), backend.name.as_str(), *port))
            }
            _ => None,
        })
    })
}

/// One line for a change, for the first failure and for the end of failing; none for what goes on.
fn log(news: &News, upstream: &str, backend: &str) {
    let News { host, result, before, address, addresses, error, turned } = news;
    let (host, error) = (&**host, error.as_deref().unwrap_or_default());
    let shown =
        |address: &Option<IpAddr>| address.map_or_else(|| "none".to_owned(), |address| address.to_string());
    let (from, address) = (shown(before), shown(address));
    match result {
        LookupResult::Failed if *turned && before.is_some() => {
            let message = "cannot resolve the host name of a backend: its last address stays";
            tracing::warn!(upstream, backend, host, error, address, "{message}");
        }
        LookupResult::Failed if *turned => {
            let message = "cannot resolve the host name of a backend, which is down until it has an address; \
                           check the name, or write an IP address";
            tracing::warn!(upstream, backend, host, error, "{message}");
        }
        LookupResult::Changed if before.is_some() || *turned => {
            tracing::info!(
                upstream,
                backend,
                host,
                from,
                to = address,
                ?addresses,
                "backend has another address"
            );
        }
        LookupResult::Changed if addresses.len() > 1 => {
            let message = "host name has several addresses, of which one is taken";
            tracing::info!(upstream, backend, host, address, ?addresses, "{message}");
        }
        LookupResult::Ok if *turned => {
            tracing::info!(upstream, backend, host, address, "host name can be resolved again");
        }
        _ => {}
    }
}
