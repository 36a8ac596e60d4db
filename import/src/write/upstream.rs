//! Writes upstreams.

use super::yaml::{Yaml, flow, scalar};
use crate::model::{Backend, Balance, Check, HashKey, Health, HttpCheck, Outliers, Sticky, Upstream};

pub(crate) fn write(yaml: &mut Yaml, upstream: &Upstream) {
    for line in &upstream.about {
        yaml.comment(line);
    }
    yaml.open(&upstream.name);
    balance(yaml, upstream.balance.as_ref());
    if let Some(cookie) = &upstream.sticky {
        sticky(yaml, cookie);
    }
    yaml.open("backends");
    upstream.backends.iter().for_each(|one| backend(yaml, one));
    yaml.close();
    yaml.given("proxy_protocol", upstream.proxy_protocol);
    if let Some(checks) = &upstream.health {
        health(yaml, checks);
    }
    match &upstream.outliers {
        None => {}
        Some(Outliers::Off) => yaml.value("outliers", "off"),
        Some(Outliers::Failures { consecutive, ejection }) => {
            yaml.open("outliers");
            yaml.value("consecutive_failures", &consecutive.to_string());
            yaml.value("ejection_time", &ejection.to_string());
            yaml.given("max_ejection_time", (ejection.0 > 300_000_000).then_some(ejection));
            yaml.close();
        }
    }
    yaml.given("slow_start", upstream.slow_start);
    if let Some(retries) = &upstream.retries {
        yaml.open("retries");
        yaml.given("attempts", retries.attempts);
        if !retries.on.is_empty() {
            yaml.line(&format!("on: {}", flow(&retries.on)));
        }
        yaml.list("status", &retries.status);
        yaml.close();
    }
    yaml.open("timeouts");
    yaml.given("connect", upstream.connect);
    yaml.given("response", upstream.response);
    yaml.given("idle", upstream.idle);
    yaml.close();
    yaml.open("limits");
    yaml.given("in_flight", upstream.in_flight);
    yaml.given("queue", upstream.queue);
    yaml.given("queue_timeout", upstream.queue_timeout);
    yaml.given("idle_connections", upstream.idle_connections);
    yaml.close();
    if upstream.refuse {
        yaml.value("when_none_available", "refuse");
    }
    yaml.given("host_header", upstream.host_header.as_ref());
    yaml.close();
}

fn balance(yaml: &mut Yaml, balance: Option<&Balance>) {
    match balance {
        None => {}
        Some(Balance::Word(word)) => yaml.value("balance", word),
        Some(Balance::Hash { key, load_bound }) => {
            let key = match key {
                HashKey::Source => "source".to_owned(),
                HashKey::Path => "path".to_owned(),
                HashKey::Header(name) => format!("{{header: {}}}", scalar(name)),
                HashKey::Cookie(name) => format!("{{cookie: {}}}", scalar(name)),
                HashKey::Query(name) => format!("{{query: {}}}", scalar(name)),
            };
            yaml.open("balance");
            yaml.open("consistent_hash");
            yaml.line(&format!("key: {key}"));
            yaml.value("load_bound", load_bound);
            yaml.close();
            yaml.close();
        }
    }
}

fn sticky(yaml: &mut Yaml, sticky: &Sticky) {
    yaml.open("sticky");
    yaml.value("cookie", &sticky.cookie);
    yaml.given("path", sticky.path.as_ref());
    yaml.given("secure", sticky.secure.then_some(true));
    yaml.given("http_only", sticky.http_only);
    yaml.given("same_site", sticky.same_site);
    yaml.given("max_age", sticky.max_age);
    yaml.close();
}

fn backend(yaml: &mut Yaml, backend: &Backend) {
    if let Some(about) = &backend.about {
        yaml.comment(about);
    }
    let text = match (&backend.name, backend.weight) {
        (None, None) => scalar(&backend.address),
        (name, weight) => {
            let name = name.as_ref().map(|name| format!("name: {}, ", scalar(name))).unwrap_or_default();
            let weight = weight.map(|weight| format!(", weight: {weight}")).unwrap_or_default();
            format!("{{{name}address: {}{weight}}}", scalar(&backend.address))
        }
    };
    if backend.left_out {
        yaml.item_comment(&text);
    } else {
        yaml.line(&format!("- {text}"));
    }
}

fn health(yaml: &mut Yaml, health: &Health) {
    if health.check == Check::Off && health.agent.is_none() {
        return yaml.value("health", "off");
    }
    yaml.open("health");
    match &health.check {
        Check::Off => yaml.value("tcp", "false"),
        Check::Tcp => yaml.value("tcp", "true"),
        Check::Http(check) => http(yaml, check),
    }
    yaml.given("interval", health.interval);
    yaml.given("timeout", health.timeout);
    yaml.given("rise", health.rise);
    yaml.given("fall", health.fall);
    yaml.given("jitter", health.jitter.map(|percent| format!("{percent}%")));
    if let Some((port, interval)) = &health.agent {
        yaml.open("agent");
        yaml.value("port", &port.to_string());
        yaml.given("interval", interval.as_ref());
        yaml.close();
    }
    yaml.close();
}

fn http(yaml: &mut Yaml, check: &HttpCheck) {
    yaml.open("http");
    yaml.given("method", check.method.as_ref());
    yaml.value("path", check.path.as_deref().unwrap_or("/"));
    yaml.given("host", check.host.as_ref());
    yaml.list("status", &check.status);
    yaml.given("body", check.body.as_ref());
    yaml.close();
}
