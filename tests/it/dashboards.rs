//! Dashboards show something: a real Prometheus that has scraped a real outage has an answer to everything they ask.

mod questions;
mod scene;

use serde_json::Value;

use scene::Scene;

/// What may have no answer, by the place and a part of the expression, since it did not happen.
const DID_NOT_HAPPEN: &[(&str, &str, &str)] = &[
    ("annotation Pages", "ALERTS", "one lost backend of three wakes nobody"),
    ("annotation Tickets", "ALERTS", "the outage is shorter than the time that its alert waits"),
    ("Connections not taken", "accept_errors", "every connection was accepted"),
    ("Waiting for room", "queue_wait", "no request waited"),
    ("TCP connections, by how they ended", "tcp_connections", "no listener relays"),
    ("Length of TCP connections", "tcp_connection_duration", "no listener relays"),
];

#[test]
fn every_panel_has_data_after_an_outage() {
    let scene = Scene::play();
    let questions = questions::all();
    assert!(questions.len() > 100, "the dashboards ask {} things", questions.len());
    let mut found = Vec::new();
    for question in &questions {
        let answer = match question.instant {
            true => scene.prometheus.query(&question.expr),
            false => scene.prometheus.query_range(&question.expr, scene.seconds()),
        };
        let did_not_happen = DID_NOT_HAPPEN
            .iter()
            .any(|(place, part, _)| question.place.ends_with(place) && question.expr.contains(part));
        let what = match answer {
            Ok(series) if did_not_happen || series.iter().any(has_number) => continue,
            Ok(_) => "no data".to_owned(),
            Err(error) => error,
        };
        found.push(format!("{}: {what}: {}", question.place, question.expr));
    }
    assert_eq!(found, [""; 0], "{}", found.join("\n"));
}

/// Whether a series has a value that is a number.
fn has_number(series: &Value) -> bool {
    let samples = series["values"].as_array().into_iter().flatten().chain([&series["value"]]);
    samples.filter_map(|sample| sample[1].as_str()).any(|value| value != "NaN")
}
