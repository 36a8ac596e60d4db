//! A reload gives listeners other names and addresses, and every client that connects meanwhile is answered.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::free_address;
use crate::harness::wire::Wire;

/// How often the configuration changes while clients connect.
const RELOADS: u32 = 6;

/// A configuration in which each listener answers with its own name.
fn yaml(listeners: &[(&str, SocketAddr)]) -> String {
    let mut yaml = String::from(
        "workers: 2\nadmin: { address: \"127.0.0.1:0\" }\ntelemetry: { log: { format: json } }\nlisteners:\n",
    );
    for (name, address) in listeners {
        let _ = writeln!(yaml, "  {name}: {{ address: \"{address}\" }}");
    }
    yaml.push_str("routes:\n");
    for (name, _) in listeners {
        let answer = format!("respond: {{ status: 200, body: {name} }}");
        let _ = writeln!(yaml, "  - {{ name: at-{name}, listener: {name}, {answer} }}");
    }
    yaml
}

#[track_caller]
fn ask(address: SocketAddr) -> String {
    let answer = Wire::connect(address).exchange("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(answer.status(), 200);
    answer.text().to_owned()
}

#[track_caller]
fn reload(balancer: &Balancer, yaml: &str) {
    let ok = &["result=\"ok\""];
    let reloads = balancer.metrics().sum("plimsoll_config_reloads_total", ok);
    balancer.reload(yaml);
    balancer.expect_metric("plimsoll_config_reloads_total", ok, reloads + 1.0);
}

/// Changes between the two configurations while clients connect to each address; all of them must be answered.
fn change_under_load(balancer: &Balancer, one: &str, other: &str, addresses: &[SocketAddr]) {
    let done = AtomicBool::new(false);
    let client = |address: SocketAddr| {
        let mut count = 0;
        while !done.load(Ordering::Acquire) {
            ask(address);
            count += 1;
        }
        count
    };
    thread::scope(|scope| {
        let addresses = addresses.iter().cycle().take(4);
        let clients: Vec<_> = addresses.map(|&address| scope.spawn(move || client(address))).collect();
        let changes = scope.spawn(|| {
            for generation in 0..RELOADS {
                reload(balancer, if generation % 2 == 0 { other } else { one });
            }
        });
        let changed = changes.join();
        done.store(true, Ordering::Release);
        for client in clients {
            assert!(client.join().expect("every request is answered") > 0, "each client was served");
        }
        changed.expect("every reload succeeds");
    });
}

#[test]
fn a_listener_can_be_renamed_without_dropping_a_request() {
    let address = free_address();
    let (web, front) = (yaml(&[("web", address)]), yaml(&[("front", address)]));
    let balancer = Balancer::start(&web);
    assert_eq!(ask(address), "web");
    change_under_load(&balancer, &web, &front, &[address]);
    reload(&balancer, &front);
    assert_eq!(ask(address), "front");
}

#[test]
fn two_listeners_can_swap_their_addresses_without_dropping_a_request() {
    let (a, b) = (free_address(), free_address());
    let (before, after) = (yaml(&[("web", a), ("api", b)]), yaml(&[("web", b), ("api", a)]));
    let balancer = Balancer::start(&before);
    change_under_load(&balancer, &before, &after, &[a, b]);
    reload(&balancer, &after);
    assert_eq!((ask(a), ask(b)), ("api".to_owned(), "web".to_owned()));
}

#[test]
fn a_connection_of_a_renamed_listener_ends_after_its_next_exchange() {
    let address = free_address();
    let balancer = Balancer::start(&yaml(&[("web", address)]));
    let mut kept = Wire::connect(address);
    assert_eq!(kept.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "web");
    reload(&balancer, &yaml(&[("front", address)]));
    let last = kept.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((last.text(), last.head.field("connection")), ("web", Some("close")));
    kept.expect_end();
}

#[test]
fn a_listener_can_move_from_one_address_of_the_machine_to_all_of_them() {
    let address = free_address();
    let all = SocketAddr::from(([0, 0, 0, 0], address.port()));
    let balancer = Balancer::start(&yaml(&[("web", address)]));
    reload(&balancer, &yaml(&[("web", all)]));
    assert_eq!(ask(SocketAddr::from(([127, 0, 0, 2], address.port()))), "web");
    reload(&balancer, &yaml(&[("web", address)]));
    assert_eq!(ask(address), "web");
}

#[test]
fn a_reload_still_refuses_an_address_where_another_program_listens() {
    let address = free_address();
    let other = Backend::saying("other");
    let balancer = Balancer::start(&yaml(&[("web", address)]));
    balancer.reload(&yaml(&[("web", address), ("api", other.address)]));
    balancer.expect_metric("plimsoll_config_reloads_total", &["result=\"failed\""], 1.0);
    assert_eq!(ask(address), "web", "nothing changed");
    crate::harness::eventually("the log says who is in the way", || {
        let log = balancer.log().join("\n");
        log.contains(&other.address.to_string()) && log.contains("another program")
    });
}
