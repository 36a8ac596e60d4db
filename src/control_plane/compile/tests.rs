//! What compiling promises about addresses that change while the file does not.

use std::net::IpAddr;

use super::*;
use crate::control_plane::config;
use crate::data_plane::route::{RequestFacts, Target};

const FILE: &str = "
listeners: {web: {address: '127.0.0.1:0'}}
routes:
  - {match: {path: /img/}, upstream: images}
  - {upstream: app}
upstreams:
  images: {backends: ['images.internal:80', '127.0.0.1:81']}
  app: {backends: ['app.internal:80', '127.0.0.1:82']}
";

fn addresses<const N: usize>(known: [(&str, u8); N]) -> Addresses {
    known.into_iter().map(|(host, last)| (host.into(), IpAddr::from([10, 0, 0, last]))).collect()
}

/// The upstream that a request for this path goes to.
fn upstream<'s>(snapshot: &'s Snapshot, path: &str) -> &'s Arc<Upstream> {
    let none: Vec<(String, String)> = Vec::new();
    let facts = RequestFacts {
        listener: "web",
        source: std::net::Ipv4Addr::LOCALHOST.into(),
        method: "GET",
        host: "example.org",
        path,
        query: "",
        headers: &none,
    };
    match snapshot.listeners[0].routes.find(&facts).map(|route| &route.target) {
        Some(Target::Upstream(upstream)) => upstream,
        _ => panic!("{path} goes to an upstream"),
    }
}

#[test]
fn an_upstream_whose_backends_have_not_moved_is_the_same_one() {
    let config = config::parse("test.yaml", FILE, &|_| None).expect("the file is valid").0;
    let (telemetry, now) = (Telemetry::new(1), Instant::now());
    let first = addresses([("images.internal", 1), ("app.internal", 2)]);
    let before = compile(&config, &first, None, &telemetry, now);
    let moved = addresses([("images.internal", 1), ("app.internal", 3)]);
    let after = readdress(&config, &moved, &before, &telemetry, now);

    assert!(Arc::ptr_eq(upstream(&before, "/img/a"), upstream(&after, "/img/a")));
    let (old, new) = (upstream(&before, "/"), upstream(&after, "/"));
    assert!(!Arc::ptr_eq(old, new) && Arc::ptr_eq(&after.upstreams[1], new), "routes lead to what is listed");
    assert_eq!(new.backends[0].address, Some(([10, 0, 0, 3], 80).into()));
    assert!(old.backends[0].is_retired() && Arc::ptr_eq(&old.backends[1], &new.backends[1]));

    let again = readdress(&config, &moved, &after, &telemetry, now);
    assert!(again.upstreams.iter().zip(&after.upstreams).all(|(one, other)| Arc::ptr_eq(one, other)));
}

#[test]
fn a_host_name_without_an_address_is_a_backend_without_one() {
    let config = config::parse("test.yaml", FILE, &|_| None).expect("the file is valid").0;
    let (telemetry, now) = (Telemetry::new(1), Instant::now());
    let snapshot = compile(&config, &Addresses::default(), None, &telemetry, now);
    let places = snapshot.upstreams[1].backends.iter().map(|backend| backend.address);
    assert_eq!(places.collect::<Vec<_>>(), [None, Some(([127, 0, 0, 1], 82).into())]);
}
