//! The configuration: no text makes the parser panic, and what is wrong with it can be said.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::control_plane::config;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let environment = |name: &str| (name == "PORT").then(|| "8080".to_owned());
    match config::parse("plimsoll.yaml", text, &environment) {
        Ok((config, warnings)) => {
            assert!(!config.listeners.is_empty(), "a valid file serves something");
            let relays = config.listeners.iter().all(|listener| listener.upstream.is_some());
            assert!(relays || !config.routes.is_empty(), "requests have somewhere to go");
            let _ = warnings.to_string();
        }
        Err(report) => assert!(!report.to_string().is_empty(), "a refusal has a reason"),
    }
});
