//! The key-value service: what can be asked of it, and what it refuses.

use std::net::SocketAddr;

use tempfile::TempDir;

use crate::server::Server;
use crate::{Answer, ask, get};

const AS_JSON: &str = "content-type: application/json\r\n";
const AS_FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

async fn service(folder: &TempDir) -> Server {
    let file = folder.path().join("storage.data");
    Server::start(|settings| settings.storage = Some(file)).await
}

async fn post(to: SocketAddr, path: &str, content_type: &str, body: &str) -> Answer {
    let headers = format!("{content_type}content-length: {}\r\n", body.len());
    ask(to, &format!("POST {path}"), &headers, body).await
}

/// Status and body of an answer that must be JSON.
#[track_caller]
fn json(answer: &Answer) -> (u16, serde_json::Value) {
    assert_eq!(answer.header("content-type"), Some("application/json"), "{}", answer.head);
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

#[tokio::test]
async fn the_root_describes_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let server = service(&folder).await;
    let answer = get(server.address, "/").await;
    assert_eq!(answer.status, 200);
    for told in ["GET  /kv/KEY", "POST /kv ", "application/json", "404"] {
        assert!(answer.text().contains(told), "{told}");
    }
}

#[tokio::test]
async fn values_are_added_and_read_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let server = service(&folder).await;
    let to = server.address;
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    for (nth, (path, content_type, body)) in [
        ("/kv", AS_JSON, r#"{"key": "a b/\u043a", "value": "red"}"#),
        ("/kv/a%20b%2F%D0%BA", AS_JSON, r#"{"value": "green"}"#),
        ("/kv?key=a+b/%D0%BA", AS_FORM, "value=light+blue%2C"),
        ("/kv", &format!("content-type: {form}\r\n"), "key=a%20b%2F%D0%BA&value="),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = post(to, path, content_type, body).await;
        let (status, told) = json(&answer);
        assert_eq!((status, &told["key"]), (201, &"a b/к".into()), "{path} {body}: {told}");
        assert_eq!(told["values"].as_array().unwrap().len(), nth + 1, "{told}");
    }
    let all = serde_json::json!({"key": "a b/к", "values": ["red", "green", "light blue,", ""]});
    for path in ["/kv/a%20b%2F%D0%BA", "/kv?key=a%20b%2F%D0%BA", "/kv/a%20b%2F%D0%BA?key=a+b/%D0%BA"] {
        assert_eq!(json(&get(to, path).await), (200, all.clone()), "{path}");
    }
    let text = ask(to, "GET /kv?key=a+b/%D0%BA", "accept: text/plain\r\n", "").await;
    assert_eq!(text.text(), "red, green, light blue,, \n", "as the command prints them");
    assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
}

#[tokio::test]
async fn what_cannot_be_done_is_told_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let server = service(&folder).await;
    let to = server.address;
    let long = "v".repeat(key_value::VALUE_MAX + 1);
    let long = format!("key=k&value={long}");
    for (path, content_type, body, status, what) in [
        ("/kv", AS_JSON, "{\"key\": \"k\"}", 400, "no `value`"),
        ("/kv", AS_JSON, "{\"value\": \"v\"}", 400, "name the key"),
        ("/kv", AS_JSON, "{\"key\": \"k\", \"value\": 1}", 400, "expected a string at line 1 column 23"),
        ("/kv", AS_JSON, "{\"key\": \"k\", \"val\": \"v\"}", 400, "unknown field `val`"),
        ("/kv", AS_JSON, "{", 400, "EOF while parsing"),
        ("/kv", AS_FORM, "{\"key\": \"k\", \"value\": \"v\"}", 400, "JSON needs its content-type"),
        ("/kv/a", AS_JSON, "{\"key\": \"b\", \"value\": \"v\"}", 400, "two different keys"),
        ("/kv/a?key=b", AS_JSON, "{\"value\": \"v\"}", 400, "two different keys"),
        ("/kv?key=k&value=v", AS_JSON, "{}", 400, "stands in the body"),
        ("/kv/%FF", AS_JSON, "{\"value\": \"v\"}", 400, "UTF-8"),
        ("/kv", "", "key=k&value=v", 415, "say so in content-type"),
        ("/kv", "content-type: text/plain\r\n", "v", 415, "say so in content-type"),
        ("/kv", AS_FORM, &long, 413, "the value has 65537 bytes"),
        ("/kv", AS_FORM, &format!("value={}", long.repeat(8)), 413, "the body has more than"),
        ("/kv/a/b", AS_FORM, "value=v", 404, "%2F"),
    ] {
        let (told, error) = json(&post(to, path, content_type, body).await);
        let shown: String = body.chars().take(40).collect();
        assert_eq!(told, status, "{path} {shown}: {error}");
        assert!(error["error"].as_str().unwrap().contains(what), "{path} {shown}: {error}");
    }
    let named = format!("{}=v", "n".repeat(100_000));
    assert!(post(to, "/kv", AS_FORM, &named).await.body.len() < 600, "not all of it is repeated");
    assert_eq!(json(&get(to, "/kv").await).0, 400);
    assert_eq!(json(&get(to, "/kv/unknown").await).0, 404);
    let refused = ask(to, "DELETE /kv/k", "", "").await;
    assert_eq!((json(&refused).0, refused.header("allow")), (405, Some("GET, HEAD, POST")));
    assert!(!folder.path().join("storage.data").exists(), "nothing was stored");
}

#[tokio::test]
async fn a_damaged_file_is_an_error_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("storage.data");
    std::fs::write(&file, "{\n\"key\": oops}").unwrap();
    let server = service(&folder).await;
    let to = server.address;
    for answer in [get(to, "/kv/key").await, post(to, "/kv/key", AS_FORM, "value=v").await] {
        let (status, error) = json(&answer);
        assert_eq!(status, 500);
        assert!(error["error"].as_str().unwrap().contains("storage.data:2:8"), "{error}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\n\"key\": oops}");
}

#[tokio::test]
async fn values_that_come_at_the_same_time_are_all_kept_and_counted_by_template() {
    const CLIENTS: usize = 12;
    let folder = tempfile::tempdir().unwrap();
    let server = service(&folder).await;
    let to = server.address;
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(async move { post(to, "/kv/all", AS_FORM, &format!("value={client}")).await.status });
    }
    assert_eq!(clients.join_all().await, [201; CLIENTS]);
    let (_, told) = json(&get(to, "/kv?key=all").await);
    let mut values: Vec<usize> = told["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_str().unwrap().parse().unwrap())
        .collect();
    values.sort_unstable();
    assert_eq!(values, (0..CLIENTS).collect::<Vec<_>>());
    let metrics = get(to, "/metrics").await;
    for counted in ["{code=\"201\",path=\"/kv/{key}\"} 12", "{code=\"200\",path=\"/kv\"} 1"] {
        assert!(metrics.text().contains(&format!("demo_backend_requests_total{counted}\n")), "{counted}");
    }
}

#[tokio::test]
async fn a_server_without_a_file_says_how_to_give_it_one() {
    let server = Server::start(|_| {}).await;
    let (status, error) = json(&get(server.address, "/kv/key").await);
    assert_eq!(status, 404);
    assert!(error["error"].as_str().unwrap().contains("--storage FILE"), "{error}");
}
