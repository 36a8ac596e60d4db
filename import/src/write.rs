//! Writes the model as plimsoll.yaml, with comments that say where each part comes from.

mod headers;
mod listener;
mod route;
mod upstream;
mod yaml;

use crate::model::Config;
use crate::note::{Kind, Note};
use yaml::Yaml;

/// The most notes that the head of the file repeats.
const REPEATED_MAX: usize = 40;

/// The file's text. `program` is the one whose file was read, `defaults` tells what it has no word for.
pub(crate) fn write(config: &Config, program: &str, file: &str, defaults: &str, notes: &[Note]) -> String {
    let mut yaml = Yaml::default();
    head(&mut yaml, program, file, defaults, notes);
    if let Some(workers) = config.workers {
        yaml.gap();
        yaml.value("workers", &workers.to_string());
    }
    yaml.gap();
    yaml.open("listeners");
    for listener in &config.listeners {
        listener::write(&mut yaml, listener);
    }
    yaml.close();
    if !config.routes.is_empty() {
        yaml.gap();
        yaml.comment("The first route that matches a request decides.");
        yaml.open("routes");
        for (index, route) in config.routes.iter().enumerate() {
            if index > 0 {
                yaml.gap();
            }
            route::write(&mut yaml, route);
        }
        yaml.close();
    }
    if !config.upstreams.is_empty() {
        yaml.gap();
        yaml.open("upstreams");
        for (index, upstream) in config.upstreams.iter().enumerate() {
            if index > 0 {
                yaml.gap();
            }
            upstream::write(&mut yaml, upstream);
        }
        yaml.close();
    }
    yaml.gap();
    tail(&mut yaml, config);
    yaml.finish()
}

fn head(yaml: &mut Yaml, program: &str, file: &str, defaults: &str, notes: &[Note]) {
    yaml.comment(&format!(
        "Made by `plimsoll import {program} {file}`. Lines in comments are lines of that file."
    ));
    yaml.comment("Check it with `plimsoll check -c FILE`; plimsoll.yaml of the project shows every key.");
    yaml.comment("");
    yaml.comment(defaults);
    let open = |note: &&Note| matches!(note.kind, Kind::NotSupported | Kind::Unknown);
    let lost: Vec<&Note> = notes.iter().filter(open).collect();
    if lost.is_empty() {
        return;
    }
    yaml.comment("");
    yaml.comment("What is not here as it was there:");
    for note in lost.iter().take(REPEATED_MAX) {
        yaml.item_comment(&format!("line {}: `{}`: {}", note.place.line, note.subject, note.text));
    }
    if lost.len() > REPEATED_MAX {
        let more = lost.len() - REPEATED_MAX;
        yaml.item_comment(&format!("and {more} more, which the notes of the import tell"));
    }
}

fn tail(yaml: &mut Yaml, config: &Config) {
    yaml.comment("Metrics, probes, the live page and the API.");
    yaml.open("admin");
    yaml.value("address", &admin_address(config));
    yaml.close();
    if let Some(drain) = config.drain {
        yaml.gap();
        yaml.open("drain");
        yaml.value("timeout", &drain.to_string());
        yaml.close();
    }
    if config.access_log {
        yaml.gap();
        yaml.open("telemetry");
        yaml.comment(
            "One JSON line per exchange, on standard output: journald or a log collector takes it \
            from there.",
        );
        yaml.open("access_log");
        yaml.value("mode", "on");
        yaml.close();
        yaml.close();
    }
}

/// The first port from plimsoll's default on that no listener has.
fn admin_address(config: &Config) -> String {
    let taken = |port: u16| {
        let suffix = format!(":{port}");
        config.listeners.iter().any(|listener| listener.address.ends_with(&suffix))
    };
    let port = (9900..=u16::MAX).find(|port| !taken(*port)).unwrap_or(9900);
    format!("127.0.0.1:{port}")
}
