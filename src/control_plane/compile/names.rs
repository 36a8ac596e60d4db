//! Looks up the host names of backends, before anything else is done with a configuration.
//!
//! Apart from compiling because it waits for others: a resolver may take seconds, in which checks, signals and the
//! admin server go on.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::control_plane::config::Config;
use crate::control_plane::config::value::address::BackendAddress;

/// How long all look-ups together may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The addresses of the host names in a configuration.
#[derive(Debug, Default)]
pub struct Addresses(HashMap<String, IpAddr>);

/// A backend's host name has no address.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot resolve {host:?}, the host of {backend} in upstream {upstream}: {source}; \
     check the name, or write an IP address"
)]
pub struct ResolveError {
    /// The upstream.
    upstream: String,
    /// The first backend of this host.
    backend: String,
    /// The name that was looked up.
    host: String,
    /// What the resolver said.
    source: io::Error,
}

/// The answer to one look-up.
type Answer = oneshot::Receiver<io::Result<IpAddr>>;

/// Looks up each host name in `config`, all at the same time. Cancel safe.
///
/// # Errors
/// When a name has no address, or the resolver does not answer within five seconds.
pub async fn resolve(config: &Config) -> Result<Addresses, ResolveError> {
    resolve_with(config, look_up).await
}

async fn resolve_with(config: &Config, look_up: impl Fn(&str) -> Answer) -> Result<Addresses, ResolveError> {
    let deadline = Instant::now() + PATIENCE;
    let mut asked: Vec<(&str, &str, &str, Answer)> = Vec::new();
    for upstream in &config.upstreams {
        for backend in &upstream.backends {
            let BackendAddress::Name { host, .. } = &backend.address else { continue };
            if !asked.iter().any(|(.., known, _)| known == host) {
                asked.push((upstream.name.as_str(), backend.name.as_str(), host, look_up(host)));
            }
        }
    }
    let mut addresses = HashMap::with_capacity(asked.len());
    for (upstream, backend, host, answer) in asked {
        let found = match timeout_at(deadline, answer).await {
            Ok(answer) => answer.unwrap_or_else(|_ended| Err(io::Error::other("the look-up broke off"))),
            Err(_late) => Err(io::Error::other(format!("the resolver did not answer within {PATIENCE:?}"))),
        };
        let address = found.map_err(|source| ResolveError {
            upstream: upstream.to_owned(),
            backend: backend.to_owned(),
            host: host.to_owned(),
            source,
        })?;
        addresses.insert(host.to_owned(), address);
    }
    Ok(Addresses(addresses))
}

impl Addresses {
    /// Returns where a backend answers.
    ///
    /// # Panics
    /// When its name is not one of the configuration that these addresses were resolved for.
    pub(super) fn of(&self, backend: &BackendAddress) -> SocketAddr {
        match backend {
            BackendAddress::Socket(address) => *address,
            BackendAddress::Name { host, port } => {
                let address = self.0.get(host).expect("invariant: resolved for this configuration");
                SocketAddr::new(*address, *port)
            }
        }
    }
}

/// Asks the system's resolver, which blocks and cannot be told to stop. On a thread of its own and not on one of the
/// runtime's, which would wait for it when the process ends.
fn look_up(host: &str) -> Answer {
    let (found, answer) = oneshot::channel();
    let host = host.to_owned();
    let spawned = thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        let addresses = (&*host, 0).to_socket_addrs().map(Vec::from_iter);
        // Nobody may be waiting any more.
        let _ = found.send(addresses.and_then(|addresses| choose(&addresses)));
    });
    match spawned {
        Ok(_detached) => answer,
        Err(error) => {
            let (refused, answer) = oneshot::channel();
            let _ = refused.send(Err(error));
            answer
        }
    }
}

/// Of several addresses takes an IPv4 one, which is what most servers listen on.
fn choose(addresses: &[SocketAddr]) -> io::Result<IpAddr> {
    let first = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    first.map(SocketAddr::ip).ok_or_else(|| io::Error::other("the name has no address"))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::control_plane::config;

    const LOCALHOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn with_backends(backends: &str) -> Config {
        let yaml = format!(
            "listeners: {{web: {{address: '127.0.0.1:0'}}}}\nupstreams: {{app: {{backends: [{backends}]}}}}\n"
        );
        config::parse("test.yaml", &yaml, &|_| None).expect("the file is valid").0
    }

    #[tokio::test(start_paused = true)]
    async fn a_resolver_that_does_not_answer_fails_within_five_seconds_and_is_named() {
        let config = with_backends("'one.internal:80', 'two.internal:80'");
        let unanswered = RefCell::new(Vec::new());
        let begun = Instant::now();
        let error = resolve_with(&config, |host| {
            let (found, answer) = oneshot::channel();
            if host == "one.internal" {
                let _ = found.send(Ok(LOCALHOST));
            } else {
                unanswered.borrow_mut().push(found);
            }
            answer
        })
        .await
        .expect_err("a name stays unknown");
        assert_eq!(begun.elapsed().as_secs(), 5);
        let error = error.to_string();
        for part in ["\"two.internal\"", "backend-2", "upstream app", "within 5s"] {
            assert!(error.contains(part), "{part} in: {error}");
        }
    }

    #[tokio::test]
    async fn all_names_are_asked_for_before_the_first_answer_and_each_once() {
        let config = with_backends("'one:80', 'two:80', 'one:81', '127.0.0.1:82'");
        let asked = RefCell::new(Vec::new());
        let addresses = resolve_with(&config, |host| {
            let (found, answer) = oneshot::channel();
            asked.borrow_mut().push((host.to_owned(), found));
            if asked.borrow().len() == 2 {
                asked.borrow_mut().drain(..).for_each(|(_, found)| drop(found.send(Ok(LOCALHOST))));
            }
            answer
        })
        .await
        .expect("every name is answered");
        let found: Vec<_> = config.upstreams[0].backends.iter().map(|b| addresses.of(&b.address)).collect();
        assert_eq!(found, [80, 80, 81, 82].map(|port| SocketAddr::new(LOCALHOST, port)));
    }

    #[test]
    fn an_ipv4_address_is_preferred() {
        let [v6, v4] = ["[::1]:0", "127.0.0.1:0"].map(|text| text.parse().expect("an address"));
        assert_eq!(choose(&[v6, v4]).expect("there is one"), LOCALHOST);
        assert_eq!(choose(&[v6]).expect("there is one"), v6.ip());
        choose(&[]).expect_err("there is none");
    }
}
