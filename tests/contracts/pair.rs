//! The pair of balancers: the files of `deploy/keepalived/` fit each other, and keep what it took to make keepalived run.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;

use plimsoll::control_plane::config;
use regex::Regex;
use serde_json::Value;

use crate::tree;
use crate::yaml;

const FOLDER: &str = "deploy/keepalived/";
const COMPOSE: &str = "deploy/keepalived/compose.yaml";
const CONFIGURATIONS: [&str; 2] = ["keepalived.conf", "keepalived-fast.conf"];
const NODES: [&str; 2] = ["lb-1", "lb-2"];
const SERVERS: [&str; 2] = ["web-1", "web-2"];

fn in_folder(name: &str) -> tree::File {
    tree::read(&format!("{FOLDER}{name}"))
}

fn service(name: &str) -> Value {
    yaml::read(COMPOSE)["services"][name].clone()
}

fn address_of(name: &str) -> Ipv4Addr {
    let address = service(name)["networks"]["pair"]["ipv4_address"].clone();
    address.as_str().and_then(|text| text.parse().ok()).expect("a service of the pair has a fixed address")
}

/// What the lines of a configuration of keepalived say without comments.
fn directives(name: &str) -> Vec<String> {
    let file = in_folder(name);
    assert!(!file.text.is_empty(), "{name} is there");
    let lines = file.lines().map(|(_, line)| line.trim().to_owned());
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// The virtual address and the length of its prefix.
fn virtual_address(name: &str) -> (Ipv4Addr, u32) {
    let lines = directives(name);
    let text = lines.iter().find_map(|line| line.strip_prefix("$VIRTUAL_ADDRESS="));
    let (address, prefix) = text.and_then(|text| text.split_once('/')).expect("it is defined");
    (address.parse().expect("it is an address"), prefix.parse().expect("it has a prefix"))
}

fn is_within(address: Ipv4Addr, network: &Value) -> bool {
    let text = network.as_str().expect("a network is a text");
    let (base, prefix) = text.split_once('/').expect("a network has a prefix");
    let mask = u32::MAX << (32 - prefix.parse::<u32>().expect("a prefix is a number"));
    let base: Ipv4Addr = base.parse().expect("a network has an address");
    address.to_bits() & mask == base.to_bits() & mask
}

#[test]
fn the_balancers_and_servers_of_the_pair_have_valid_configurations_that_fit() {
    let read = |name: &str, variable: &dyn Fn(&str) -> Option<String>| {
        let read = config::parse(name, &in_folder(name).text, variable);
        let (config, warnings) = read.unwrap_or_else(|report| panic!("{report}"));
        assert!(warnings.is_empty(), "{warnings}");
        config
    };
    read("web.yaml", &|name| (name == "SERVER").then(|| "1".to_owned()));
    let config = read("plimsoll.yaml", &|_| None);
    let backends = config.upstreams.iter().flat_map(|upstream| &upstream.backends);
    let backends: BTreeSet<String> = backends.map(|backend| backend.address.to_string()).collect();
    assert_eq!(backends, SERVERS.map(|name| format!("{}:8000", address_of(name))).into());
    for listener in &config.listeners {
        assert!(listener.address.ip().is_unspecified(), "the virtual address is here at times only");
    }
    assert!(!config.drain.delay.is_zero(), "the other one needs time to take the address");
    let grace = service("lb-1")["stop_grace_period"].as_str().map(str::to_owned).expect("there is one");
    let grace = config::value::quantity::duration(&grace).expect("it is a duration");
    assert!(grace > config.drain.delay + config.drain.timeout, "Docker waits for the drain");
}

#[test]
fn both_configurations_of_keepalived_are_of_one_pair_that_compose_has() {
    let network = yaml::read(COMPOSE)["networks"]["pair"]["ipam"]["config"][0].clone();
    for name in CONFIGURATIONS {
        let lines = directives(name);
        let (address, prefix) = virtual_address(name);
        assert_eq!((address, prefix), virtual_address(CONFIGURATIONS[0]), "{name}");
        assert!(is_within(address, &network["subnet"]), "{address} is in the network");
        assert!(!is_within(address, &network["ip_range"]), "{address} is given to nobody else");
        let gateway: Ipv4Addr =
            network["gateway"].as_str().and_then(|text| text.parse().ok()).expect("it is said");
        for taken in NODES.into_iter().chain(SERVERS).map(address_of).chain([gateway]) {
            assert_ne!(taken, address, "{name}");
        }
        let ids: BTreeSet<&str> =
            lines.iter().filter_map(|line| line.strip_prefix('@')?.split(' ').next()).collect();
        assert_eq!(ids, NODES.into(), "{name} tells apart by the hosts' names");
        for wanted in ["vrrp_version 3", "script_user nobody", "enable_script_security", "state BACKUP"] {
            assert!(lines.iter().any(|line| line == wanted), "{name}: {wanted}");
        }
    }
    for name in NODES {
        assert_eq!(service(name)["hostname"], name);
    }
}

/// Not ready must give the address to the other one, and yet be no fault: it is kept while the other one has failed.
#[test]
fn a_balancer_that_drains_is_worse_than_the_other_and_better_than_none() {
    let priority = Regex::new(r"^@(\S+) priority (\d+)$").expect("invariant: a constant pattern");
    let weight = Regex::new(r"^weight -(\d+)$").expect("invariant: a constant pattern");
    for name in CONFIGURATIONS {
        let lines = directives(name);
        let number = |pattern: &Regex, group: usize| -> Vec<u32> {
            let found = lines.iter().filter_map(|line| pattern.captures(line));
            found.map(|found| found[group].parse().expect("it is a number")).collect()
        };
        let (priorities, weights) = (number(&priority, 2), number(&weight, 1));
        let [first, second] = priorities[..] else { panic!("{name}: {priorities:?}") };
        let [weight] = weights[..] else { panic!("{name}: {weights:?}") };
        assert!(first > second && first < 255, "{name}: {priorities:?}");
        assert!(first - weight < second && second > weight, "{name}: not ready is below the other one");
        assert!(2 * weight > 253, "{name}: twice that is a fault");
    }
}

#[test]
fn what_keeps_keepalived_from_running_is_not_there() {
    for name in CONFIGURATIONS {
        let path = tree::root().join(FOLDER).join(name);
        let mode = path.metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o111, 0, "keepalived passes over {name} with an execute bit");
    }
    let script = in_folder("both").text;
    assert!(script.contains("keepalived --dont-fork"), "as a daemon it would end the container");
    assert!(script.contains("install -m 0644"), "a mounted file may seem executable");
    for name in NODES {
        let service = service(name);
        let has = |key: &str, value: &str| {
            service[key].as_array().is_some_and(|list| list.iter().any(|item| item == value))
        };
        assert!(has("tmpfs", "/run"), "{name}: what says that a process runs does not outlive it");
        assert!(has("cap_add", "NET_ADMIN"), "{name}: without it there silently is no address");
        assert!(has("cap_drop", "ALL") && service["privileged"].is_null(), "{name} can do no more");
        assert!(service["network_mode"].is_null(), "{name} has a network of its own");
        assert_eq!(service["restart"], "unless-stopped", "{name} comes back by itself");
    }
    let image = tree::read("Dockerfile").text;
    assert!(image.contains("ENTRYPOINT [\"tini\","), "somebody reaps what scripts leave behind");
}

#[test]
fn the_images_of_the_pair_are_our_own_and_of_this_version() {
    for name in NODES.into_iter().chain(SERVERS) {
        let service = service(name);
        let image = service["image"].as_str().unwrap_or_default();
        let version = concat!(":", env!("CARGO_PKG_VERSION"));
        assert!(image.ends_with(version) && !image.contains('/'), "{name}: {image}");
        let builds = service["build"].is_object();
        assert_eq!(service["pull_policy"], if builds { "build" } else { "never" }, "{name}");
        assert_eq!(builds, name.ends_with('1'), "{name}: one of the two builds");
        assert_eq!(service["read_only"], true, "{name}");
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(port.as_str().is_some_and(|port| port.starts_with("127.0.0.1:")), "{name}: {port}");
        }
    }
}
