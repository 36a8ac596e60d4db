//! The stack: compose.yaml and the Dockerfile keep what the documents promise of them, and name only what exists.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::Value;

use crate::tree::{self, File, Violation};
use crate::yaml;

const STACK: &str = "compose.yaml";
const STAND_INS: &str = "deploy/compose/stand-ins.yaml";
const BALANCER: &str = "deploy/compose/plimsoll.yaml";

/// Where people find what, on 127.0.0.1.
const PORTS: [(&str, &[u16]); 6] = [
    ("plimsoll", &[8080, 9900]),
    ("prometheus", &[9090]),
    ("pushgateway", &[9091]),
    ("alertmanager", &[9093]),
    ("jaeger", &[16686]),
    ("grafana", &[3000]),
];

fn services(path: &str) -> BTreeMap<String, Value> {
    let stack = yaml::read(path);
    let services = stack["services"].as_object().expect("a stack has services").clone();
    services.into_iter().collect()
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Fails with every service of which `complaints` says something.
#[track_caller]
fn assert_of_each(contract: &str, complaints: impl Fn(&str, &Value) -> Vec<String>) {
    let file = tree::read(STACK);
    let services = services(STACK);
    assert!(services.len() >= 8, "the stack is there");
    let found = services.iter().flat_map(|(name, service)| {
        let line = line_of(&file, name);
        complaints(name, service)
            .into_iter()
            .map(|what| file.violation(line, format!("{name}: {what}")))
            .collect::<Vec<_>>()
    });
    tree::assert_kept(contract, found.collect());
}

fn line_of(file: &File, service: &str) -> usize {
    let head = format!("  {service}:");
    file.lines().find(|(_, text)| *text == head).map_or(0, |(line, _)| line)
}

#[test]
fn every_image_is_pinned_to_a_version() {
    let version = Regex::new(r"^[a-z0-9/-]+:v?\d+\.\d+\.\d+$").expect("invariant: a constant pattern");
    let mut found = Vec::new();
    for path in [STACK, STAND_INS] {
        let file = tree::read(path);
        for (name, service) in services(path) {
            let Some(image) = service["image"].as_str() else {
                // An override need not name the image again.
                if path == STACK {
                    found.push(file.violation(line_of(&file, &name), format!("{name} names no image")));
                }
                continue;
            };
            if !version.is_match(image) {
                let what = format!("{name}: `{image}` may be another program tomorrow");
                found.push(file.violation(line_of(&file, &name), what));
            }
        }
    }
    tree::assert_kept("an image has no fixed version", found);
}

#[test]
fn what_is_built_here_has_our_version_and_a_builder() {
    let services = services(STACK);
    let built: BTreeSet<&str> = (services.values())
        .filter(|service| service["build"].is_object())
        .filter_map(|service| service["image"].as_str())
        .collect();
    let targets: BTreeSet<&str> =
        services.values().filter_map(|service| service["build"]["target"].as_str()).collect();
    assert_eq!(targets, BTreeSet::from(["backend", "loadtest", "plimsoll"]));
    assert_of_each("an image of our own is wrong", |_, service| {
        // Without a slash it is no image of anybody else's.
        let Some(image) = service["image"].as_str().filter(|image| !image.contains('/')) else {
            return Vec::new();
        };
        let ours = image.ends_with(concat!(":", env!("CARGO_PKG_VERSION")));
        let wrong = [
            (!ours).then(|| format!("`{image}` is not of version {}", env!("CARGO_PKG_VERSION"))),
            (!built.contains(image)).then(|| format!("no service builds `{image}`")),
            (service["pull_policy"] != if service["build"].is_object() { "build" } else { "never" })
                .then(|| "would be looked for in a registry, see `pull_policy`".to_owned()),
        ];
        wrong.into_iter().flatten().collect()
    });
}

#[test]
fn no_service_can_do_more_than_it_must() {
    assert_of_each("a service has rights that it does not need", |_, service| {
        let user = service["user"].as_str().unwrap_or_default();
        let by_number = user.split_once(':').is_some_and(|(id, _)| id.parse::<u32>().is_ok_and(|id| id > 0));
        let is = |key: &str, value: Value| service[key] == value;
        let asks = [
            (by_number, "`user` is a number other than 0, which holds whatever the image says"),
            (is("read_only", true.into()), "`read_only: true`"),
            (is("cap_drop", serde_json::json!(["ALL"])), "`cap_drop: [ALL]`"),
            (
                texts(&service["security_opt"]).any(|option| option == "no-new-privileges:true"),
                "no-new-privileges",
            ),
            (service["mem_limit"].is_string(), "`mem_limit`"),
            (service["pids_limit"].is_u64(), "`pids_limit`"),
            (service["logging"]["options"]["max-size"].is_string(), "a bound of its log"),
        ];
        let given = ["privileged", "cap_add", "network_mode", "pid", "ipc", "devices"];
        let given = given.into_iter().filter(|key| !service[*key].is_null());
        let missing = asks.into_iter().filter(|(kept, _)| !kept).map(|(_, what)| format!("lacks {what}"));
        missing.chain(given.map(|key| format!("`{key}` is given"))).collect()
    });
}

#[test]
fn every_port_is_published_to_this_machine_alone() {
    let published =
        Regex::new(r"^127\.0\.0\.1:\$\{[A-Z_]+:-(\d+)\}:(\d+)$").expect("invariant: a constant pattern");
    let expected: BTreeMap<&str, &[u16]> = PORTS.into();
    assert_of_each("a port is published otherwise than promised", |name, service| {
        let mut wrong = Vec::new();
        let mut ports = Vec::new();
        for port in texts(&service["ports"]) {
            match published.captures(port) {
                Some(found) if found[1] == found[2] => {
                    ports.push(found[1].parse::<u16>().unwrap_or_default())
                }
                _ => wrong.push(format!("`{port}` is not of the form 127.0.0.1:${{NAME:-PORT}}:PORT")),
            }
        }
        if ports != expected.get(name).copied().unwrap_or_default() {
            wrong.push(format!("publishes {ports:?}"));
        }
        wrong
    });
}

#[test]
fn what_is_mounted_exists_and_cannot_be_changed_from_inside() {
    let volumes = yaml::read(STACK)["volumes"].clone();
    assert_of_each("a mount is wrong", |_, service| {
        let mounts = texts(&service["volumes"]);
        mounts
            .filter_map(|mount| wrong_mount(mount, &volumes).map(|why| format!("`{mount}`: {why}")))
            .collect()
    });
}

fn wrong_mount(mount: &str, volumes: &Value) -> Option<&'static str> {
    let (source, rest) = mount.split_once(':')?;
    match source.strip_prefix("./") {
        Some(path) if !tree::root().join(path).exists() => Some("there is nothing at this path"),
        Some(path) if !tree::root().join(path).is_dir() => Some("a file that is replaced stays the old one"),
        Some(_) if !rest.ends_with(":ro") => Some("what is mounted is read-only, `:ro`"),
        None if volumes.get(source).is_none() => Some("this volume is not declared"),
        _ => None,
    }
}

/// Compose takes part in what is in a profile only if the profile is named, and a build may give an image another digest
/// though nothing has changed.
#[test]
fn commands_that_are_told_leave_nothing_behind_and_replace_nothing() {
    let down = Regex::new(r"compose\b.*\bdown\b.*(-v\b|--volumes)").expect("invariant: a constant pattern");
    let more = Regex::new(r"compose\b.*--profile \w.*\bup\b").expect("invariant: a constant pattern");
    let every = Regex::new(r#"--profile ['"]\*['"]"#).expect("invariant: a constant pattern");
    let told = |path: &str| {
        path.ends_with(".md") || path.ends_with(".yaml") || ["check", "justfile"].contains(&path)
    };
    let (mut found, mut seen) = (Vec::new(), 0);
    for file in tree::all().iter().filter(|file| told(&file.path)) {
        for (line, text) in file.lines() {
            if down.is_match(text) {
                seen += 1;
                if !every.is_match(text) {
                    found.push(file.violation(line, "leaves what is in a profile, without --profile '*'"));
                }
            }
            if text.contains("compose kill -s") {
                found.push(
                    file.violation(line, "is not started again after a crash, once it was sent a signal"),
                );
            }
            if more.is_match(text) {
                seen += 1;
                if !text.contains("--no-recreate") {
                    found.push(file.violation(line, "may replace what runs, without --no-recreate"));
                }
            }
        }
    }
    assert!(seen >= 5, "the commands are found");
    tree::assert_kept("a command of compose does more or less than is told", found);
}

#[test]
fn services_wait_for_what_they_need_and_never_for_what_may_be_missing() {
    let services = services(STACK);
    let optional: BTreeSet<String> = (self::services(STAND_INS).into_iter())
        .filter(|(_, service)| service["profiles"].is_array())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(optional, BTreeSet::from(["grafana", "jaeger", "k6"].map(str::to_owned)));
    assert_of_each("the order of the start is wrong", |_, service| {
        let needs = service["depends_on"].as_object();
        needs
            .into_iter()
            .flatten()
            .filter_map(|(needed, how)| {
                let healthy = how["condition"] == "service_healthy";
                let checked =
                    services.get(needed).is_some_and(|service| service["healthcheck"]["test"].is_array());
                let why = match (healthy, checked) {
                    _ if optional.contains(needed) => "may not be there",
                    (false, _) => "is not awaited until it is healthy",
                    (true, false) => "has no health check",
                    (true, true) => return None,
                };
                Some(format!("{needed} {why}"))
            })
            .collect()
    });
}

#[test]
fn what_was_killed_stays_dead_and_what_crashed_comes_back() {
    assert_of_each(
        "a service is started again when it should not be, or not when it should",
        |_, service| {
            // Load that has ended has ended.
            let expected = if service["profiles"].is_array() { "no" } else { "unless-stopped" };
            let kept = service["restart"] == expected;
            (!kept).then(|| format!("`restart` is not {expected}")).into_iter().collect()
        },
    );
}

#[test]
fn the_balancer_of_the_stack_has_a_valid_configuration_and_the_backends_of_the_stack() {
    let file = tree::read(BALANCER);
    let config = plimsoll::control_plane::config::parse(BALANCER, &file.text, &|_| None);
    // It warns of the admin server, which the other containers must reach; see what ports are published.
    let (config, _warnings) = config.unwrap_or_else(|report| panic!("{report}"));
    let asked: BTreeSet<String> = (config.upstreams.iter().flat_map(|upstream| &upstream.backends))
        .map(|backend| backend.address.to_string())
        .collect();
    let names: BTreeSet<String> = (config.upstreams.iter().flat_map(|upstream| &upstream.backends))
        .map(|backend| backend.name.to_string())
        .collect();
    let there: BTreeSet<String> =
        services(STACK).into_keys().filter(|name| name.starts_with("backend-")).collect();
    assert_eq!(names, there, "a backend is called as its service, and so as its agent");
    assert_eq!(asked, there.iter().map(|name| format!("{name}:8000")).collect());
    assert_eq!(config.admin.address.port(), 9900);
    let traces = config.telemetry.traces.expect("the stack shows traces");
    assert_eq!(traces.collector.to_string(), "http://jaeger:4317");
}

#[test]
fn prometheus_and_grafana_ask_services_of_the_stack() {
    let services = services(STACK);
    let address =
        Regex::new(r#"(?:^|[\["/ ])([a-z0-9-]+):(\d{4,5})\b"#).expect("invariant: a constant pattern");
    let folder = "monitoring/";
    let files: Vec<File> = (tree::all().into_iter())
        .filter(|file| file.path == "monitoring/prometheus.yml" || file.path.contains("/datasources/"))
        .collect();
    assert!(files.len() >= 2, "what is asked is below {folder}");
    let found = files.iter().flat_map(|file| {
        let services = &services;
        let asked = file.lines().filter(|(_, text)| !text.trim_start().starts_with('#'));
        asked.flat_map(|(line, text)| address.captures_iter(text).map(move |found| (line, found))).filter_map(
            move |(line, found)| {
                let (host, port) = (&found[1], &found[2]);
                let there = host == "localhost" || services.contains_key(host);
                (!there).then(|| file.violation(line, format!("there is no service `{host}` (port {port})")))
            },
        )
    });
    tree::assert_kept("something is asked that is not there", found.collect());
}

#[test]
fn a_backend_has_the_name_of_its_service() {
    assert_of_each("a backend has another's name", |name, service| {
        if !name.starts_with("backend-") {
            return Vec::new();
        }
        let called = format!("--name={name}");
        let wrong = [
            (service["hostname"] != name).then(|| "`hostname` is not the name of the service".to_owned()),
            (!texts(&service["command"]).any(|word| word == called)).then(|| format!("lacks {called}")),
        ];
        wrong.into_iter().flatten().collect()
    });
}

#[test]
fn the_images_are_built_with_our_toolchain_and_by_any_docker() {
    let file = tree::read("Dockerfile");
    let toolchain = tree::read("rust-toolchain.toml");
    let channel = toolchain.text.lines().find_map(|line| line.strip_prefix("channel = "));
    let channel = channel.expect("the toolchain is named").trim_matches('"');
    let from = Regex::new(r"^FROM (\S+)").expect("invariant: a constant pattern");
    let stages: BTreeSet<&str> =
        file.text.lines().filter_map(|line| line.strip_prefix("FROM ")?.split(" AS ").nth(1)).collect();
    let mut found: Vec<Violation> = Vec::new();
    for (line, text) in file.lines() {
        if let Some(base) = from.captures(text).map(|found| found[1].to_owned()) {
            // The pair's image has keepalived, and so Debian, around the program.
            let system = base == "debian:bookworm-slim" && text.ends_with(" AS pair");
            let ours = base == "scratch" || system || stages.contains(base.as_str());
            if !ours && base != format!("rust:{channel}-bookworm") {
                found.push(
                    file.violation(line, format!("`{base}` is not of {channel}, as rust-toolchain.toml")),
                );
            }
        }
        for (word, why) in [
            ("# syntax", "asks a registry for the parser"),
            ("<<", "older engines know no heredocs"),
            ("--link", "older engines do not know it"),
        ] {
            if text.contains(word) {
                found.push(file.violation(line, format!("`{word}` {why}")));
            }
        }
    }
    for stage in ["plimsoll", "backend", "loadtest", "pair"] {
        if !stages.contains(stage) {
            found.push(file.violation(0, format!("there is no stage `{stage}`")));
        }
    }
    tree::assert_kept("the Dockerfile is not what compose.yaml needs", found);
}
