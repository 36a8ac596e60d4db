//! What Grafana is provisioned with: data sources that the dashboards use, and the folder that holds them.

use super::board::{Board, items, text};
use crate::monitoring::yaml::{self, Node};
use crate::tree::{self, File};

const FOLDER: &str = "monitoring/grafana/provisioning";

fn with_document<T>(path: &str, look: impl FnOnce(&File, Node<'_>) -> T) -> T {
    let file = tree::read(&format!("{FOLDER}/{path}"));
    let document = yaml::document(&file);
    let root = Node::of(&document);
    assert_eq!(root.get("apiVersion").and_then(Node::text).as_deref(), Some("1"), "{path}");
    look(&file, root)
}

fn value(node: Node<'_>, path: &[&str]) -> Option<String> {
    path.iter().try_fold(node, |node, key| node.get(key))?.text()
}

#[test]
fn dashboards_begin_with_a_data_source_that_is_provisioned() {
    with_document("datasources/prometheus.yml", |_, root| {
        let sources: Vec<_> = root.list("datasources").collect();
        assert!(sources.iter().all(|source| value(*source, &["uid"]).is_some()), "each has a uid");
        let prometheus =
            sources.iter().find(|source| value(**source, &["type"]).as_deref() == Some("prometheus"));
        let prometheus = *prometheus.expect("Prometheus is provisioned");
        for board in Board::all() {
            let mut variables = items(&board.json["templating"], "list");
            let chosen = variables.next().expect("the boards have variables");
            let uid = text(&chosen["current"], "value");
            assert_eq!(value(prometheus, &["uid"]).as_deref(), Some(uid), "{}", board.file.path);
        }
        let alertmanager = value(prometheus, &["jsonData", "alertmanagerUid"]);
        assert!(sources.iter().any(|source| value(*source, &["uid"]) == alertmanager), "{alertmanager:?}");
        assert_eq!(value(prometheus, &["jsonData", "httpMethod"]).as_deref(), Some("POST"));
    });
}

#[test]
fn grafana_knows_how_often_is_scraped() {
    let file = tree::read("monitoring/prometheus.yml");
    let document = yaml::document(&file);
    let scraped = value(Node::of(&document), &["global", "scrape_interval"]);
    with_document("datasources/prometheus.yml", |file, root| {
        let source = root.list("datasources").next().expect("there is a data source");
        assert_eq!(value(source, &["jsonData", "timeInterval"]), scraped, "{}: timeInterval", file.path);
    });
}

#[test]
fn an_exemplar_leads_to_a_trace_in_a_data_source_that_is_there() {
    with_document("datasources/prometheus.yml", |_, root| {
        let sources: Vec<_> = root.list("datasources").collect();
        let prometheus = sources[0].get("jsonData").expect("Prometheus has settings");
        let leads: Vec<_> = prometheus.list("exemplarTraceIdDestinations").collect();
        assert!(leads.iter().all(|lead| value(*lead, &["name"]).as_deref() == Some("trace_id")));
        let to = |key| leads.iter().filter_map(|lead| value(*lead, &[key])).collect::<Vec<_>>();
        assert_eq!(
            to("url"),
            ["http://127.0.0.1:16686/trace/$${__value.raw}"],
            "as compose.yaml publishes it"
        );
        for uid in to("datasourceUid") {
            let known = sources.iter().find(|source| value(**source, &["uid"]).as_deref() == Some(&uid));
            assert_eq!(known.and_then(|known| value(*known, &["type"])).as_deref(), Some("jaeger"), "{uid}");
        }
    });
    let asks = |board: &Board| board.file.text.matches("\"exemplar\": true").count();
    assert!(Board::all().iter().map(asks).sum::<usize>() > 0, "a graph of latencies shows exemplars");
}

#[test]
fn a_trace_leads_to_what_the_balancer_remembers_of_it() {
    let jaeger = tree::read("monitoring/jaeger/jaeger.yml").text;
    let compose = tree::read("compose.yaml").text;
    assert!(jaeger.contains("config_file: /etc/jaeger/ui.json"));
    assert!(compose.contains("./monitoring/jaeger:/etc/jaeger:ro"));
    let links: serde_json::Value =
        serde_json::from_str(&tree::read("monitoring/jaeger/ui.json").text).expect("it is JSON");
    let url = links["linkPatterns"][0]["url"].as_str().expect("it has a link");
    assert!(compose.contains("127.0.0.1:${ADMIN_PORT:-9900}:9900"), "as the link has it");
    assert_eq!(url, "http://127.0.0.1:9900/#why=#{traceID}");
    let page = tree::read("src/control_plane/admin/page/question.js").text;
    assert!(page.contains("#why="), "the page follows such a link");
}

#[test]
fn the_files_are_the_source_of_the_dashboards() {
    with_document("dashboards/plimsoll.yml", |_, root| {
        let provider = root.list("providers").next().expect("there is a provider");
        assert_eq!(value(provider, &["folder"]).as_deref(), Some("plimsoll"));
        assert_eq!(value(provider, &["disableDeletion"]).as_deref(), Some("true"));
        assert_eq!(value(provider, &["allowUiUpdates"]).as_deref(), Some("false"));
        let path = value(provider, &["options", "path"]).expect("the provider has a path");
        let compose = tree::read("compose.yaml").text;
        for mounted in [
            format!("./grafana-dashboards:{path}:ro"),
            format!("./{FOLDER}:/etc/grafana/provisioning:ro"),
            format!("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH: {path}/overview.json"),
        ] {
            assert!(compose.contains(&mounted), "compose.yaml has {mounted}");
        }
    });
}
