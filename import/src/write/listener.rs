//! Writes listeners.

use super::yaml::Yaml;
use crate::model::Listener;

pub(crate) fn write(yaml: &mut Yaml, listener: &Listener) {
    for line in &listener.about {
        yaml.comment(line);
    }
    yaml.open(&listener.name);
    yaml.value("address", &listener.address);
    if let Some(upstream) = &listener.tcp {
        yaml.value("protocol", "tcp");
        yaml.value("upstream", upstream);
    }
    if listener.accept_proxy {
        yaml.value("proxy_protocol", "accept");
    }
    yaml.given("max_connections", listener.max_connections);
    yaml.open("forwarded");
    yaml.list("trust", &listener.trust);
    if listener.tcp.is_none() {
        yaml.list("except", &listener.except);
        if !listener.x_forwarded {
            yaml.value("x_forwarded", "false");
        }
    }
    yaml.close();
    yaml.open("timeouts");
    yaml.given("head", listener.head);
    yaml.given("body", listener.body);
    yaml.given("idle", listener.idle);
    yaml.given("write", listener.write);
    yaml.given("tunnel", listener.tunnel);
    yaml.close();
    yaml.open("limits");
    yaml.given("head", listener.head_size.as_ref());
    yaml.given("body", listener.body_size.as_ref());
    yaml.given("requests_per_connection", listener.requests_per_connection);
    yaml.close();
    yaml.close();
}
