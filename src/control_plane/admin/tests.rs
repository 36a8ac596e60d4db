//! What the admin interface promises, asked over real connections.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use axum::body::HttpBody;
use axum::http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Frame};
use hyper::service::Service as _;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::guard::Peer;
use super::server::{LIMITS, Limits, serve_within};
use super::*;
use crate::control_plane::changes::in_force;
use crate::control_plane::health::{LastLookup, LastResult, PastTransition};
use crate::control_plane::push::{LoadReport, PushLimits};
use crate::telemetry::{
    BackendState, CheckResult, EjectionReason, Label, PushResult, TransitionCause, WorkerId,
};
use crate::upstream::{BackendSettings, DrainSource, Event, LoadAware, Sign, Thresholds, UpstreamSettings};

mod live;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl AdminState {
    /// An admin interface to these upstreams, of which nobody remembers an exchange.
    pub(super) fn over(telemetry: Arc<Telemetry>, upstreams: CurrentUpstreams) -> Self {
        let board = Arc::<Board>::default();
        let load: LoadOfBackend = Arc::new(|_, name, now| {
            (name == "backend-1").then_some(LoadReport { cpu_percent: 12.5, at: now.instant })
        });
        let live = LiveFeed::new(
            Arc::clone(&telemetry),
            Arc::clone(&upstreams),
            Arc::clone(&board),
            Arc::clone(&load),
        );
        let pushable = PushLimits { expiry: Duration::from_secs(30), groups: 2, body: 1024 };
        let pushes = Some(Arc::new(Pushes::new(pushable, Arc::clone(&telemetry))));
        let past_exchanges: PastExchanges = Arc::new(Vec::new);
        let orders = owner(Arc::clone(&upstreams), Arc::clone(&board));
        let (live, token) = (Arc::new(live), None);
        Self { telemetry, upstreams, board, past_exchanges, live, pushes, load, token, orders }
    }
}

/// Who carries out changes of backends that are there, and nothing else: whoever orders a reload hears that the process is
/// about to end.
fn owner(upstreams: CurrentUpstreams, board: Arc<Board>) -> Orders {
    let (orders, mut given) = tokio::sync::mpsc::channel(1);
    // Without a runtime nobody asks either.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return orders };
    runtime.spawn(async move {
        while let Some(order) = given.recv().await {
            let Order::Change(change, answer) = order else { continue };
            // One that is to join does so under the name of one that is there.
            let backend = change.action.backend().unwrap_or("backend-1");
            let changed =
                in_force::find(&upstreams(), &change.upstream, backend).map(|(upstream, backend)| {
                    in_force::tell(&upstream, &backend, &change, &board);
                    Changed { upstream, backend, not_kept: None }
                });
            answer.send(changed).expect("it is waited for");
        }
    });
    orders
}

/// A running admin interface with one upstream of two backends.
struct Admin {
    address: SocketAddr,
    state: AdminState,
    upstream: Arc<Upstream>,
    shutdown: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Admin {
    async fn start() -> Self {
        Self::start_within(LIMITS).await
    }

    async fn start_within(limits: Limits) -> Self {
        Self::start_with(limits, settings()).await
    }

    async fn start_with(limits: Limits, settings: UpstreamSettings) -> Self {
        let telemetry = Telemetry::new(2);
        let upstream = Arc::new(Upstream::new(settings, None, &telemetry, Instant::now()));
        let served = vec![Arc::clone(&upstream)];
        let state = AdminState::over(telemetry, Arc::new(move || served.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (shutdown, shut_down) = oneshot::channel();
        let app = router(state.clone());
        let server = tokio::spawn(async move {
            serve_within(limits, listener, app, async { drop(shut_down.await) }).await;
        });
        Self { address, state, upstream, shutdown, server }
    }

    async fn ask(&self, method: &str, path: &str) -> Answer {
        self.send(method, path, "").await
    }

    async fn send(&self, method: &str, path: &str, json: &'static str) -> Answer {
        let stream = TcpStream::connect(self.address).await.expect("the admin interface listens");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
        tokio::spawn(connection);
        let request = hyper::Request::builder().method(method).uri(path);
        let request =
            request.header("host", self.address.to_string()).header("content-type", "application/json");
        let request = request.body(Full::new(Bytes::from_static(json.as_bytes()))).expect("a request");
        let answer = timeout(PATIENCE, sender.send_request(request)).await.expect("in time");
        let (head, body) = answer.expect("an answer").into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        let body = String::from_utf8(body.to_vec()).expect("all answers are text");
        Answer { status: head.status, headers: head.headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path).await
    }

    async fn get_json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path).await.body).expect("JSON")
    }
}

/// The first backend, as the API shows it.
async fn backend_view(admin: &Admin) -> Value {
    admin.get_json("/api/v1/upstreams/app").await["backends"][0].take()
}

async fn upstreams_report(admin: &Admin) -> String {
    admin.get("/check").await.body
}

fn settings() -> UpstreamSettings {
    let backends = (1..=2).map(|n| {
        BackendSettings::at(&format!("backend-{n}"), ([127, 0, 0, 1], 5000 + n).into(), u32::from(n))
    });
    UpstreamSettings {
        checks: Some(Thresholds { rise: 1, fall: 1 }),
        load_aware: Some(LoadAware::default()),
        ..UpstreamSettings::new("app", backends.collect())
    }
}

#[tokio::test]
async fn a_process_that_lives_says_so() {
    let admin = Admin::start().await;
    assert_eq!(admin.get("/live").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_process_is_ready_only_while_it_takes_traffic() {
    let admin = Admin::start().await;
    assert_eq!(admin.get("/ready").await.status, StatusCode::SERVICE_UNAVAILABLE, "before it serves");
    admin.state.telemetry.process().ready.set(1);
    assert_eq!(admin.get("/ready").await.status, StatusCode::OK);
    admin.state.telemetry.process().ready.set(0);
    assert_eq!(admin.get("/ready").await.status, StatusCode::SERVICE_UNAVAILABLE, "while it drains");
}

#[tokio::test]
async fn metrics_have_the_content_type_that_prometheus_asks_for() {
    let admin = Admin::start().await;
    let answer = admin.get("/metrics").await;
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let line = r#"plimsoll_backend_up{upstream="app",backend="backend-1"} 1"#;
    assert!(answer.body.contains(line), "{}", answer.body);
}

#[tokio::test]
async fn an_upstream_is_told_with_all_that_is_known_of_its_backends() {
    let admin = Admin::start().await;
    let [first, second] = &*admin.upstream.backends else { panic!("two backends") };
    admin.upstream.observe(first, Event::CheckFailed, Instant::now()).expect("the first check decides");
    let last = LastResult {
        result: CheckResult::FailConnect,
        words: "connection refused".into(),
        at: SystemTime::UNIX_EPOCH,
        took: Duration::from_micros(250),
    };
    admin.state.board.set_result("app", "backend-1", last);
    first.series.checks.inc(CheckResult::FailConnect);
    second.series.shard(WorkerId(0)).requests.inc(200);
    second.series.shard(WorkerId(1)).requests.inc(404);
    let _in_flight = admin.upstream.begin_exchange(second);

    let mut answer = admin.get_json("/api/v1/upstreams/app").await;
    assert_eq!(answer, admin.get_json("/api/v1/upstreams").await["upstreams"][0]);
    let is_time = |time: &Value| time.as_str().is_some_and(|time| time.ends_with('Z') && time.len() == 24);
    for backend in answer["backends"].as_array_mut().expect("backends") {
        let since = backend.as_object_mut().expect("an object").remove("since").expect("since");
        assert!(is_time(&since), "{since}");
    }
    let trouble_since = answer["backends"][0]["trouble_since"].take();
    assert!(is_time(&trouble_since), "{trouble_since}");
    let none = json!({ "pass": 0, "drain": 0, "fail_connect": 0, "fail_timeout": 0, "fail_status": 0, "fail_body": 0,
        "fail_protocol": 0 });
    let mut one = none.clone();
    one["fail_connect"] = 1.into();
    let down = json!({
        "name": "backend-1", "address": "127.0.0.1:5001", "lookup": null, "state": "down",
        "weight": 1, "configured_weight": 1, "effective_weight": 0.0, "share": 0.0, "in_flight": 0, "in_flight_limit": null,
        "suspect": false, "trouble_since": null, "ejection": null, "ejections_lately": 0, "slow_start": null,
        "agent_percent": 100, "load_factor": 1.0, "cpu_percent": 12.5, "cpu_age_seconds": 0.0,
        "drained_by": [], "requests_total": 0,
        "last_check": { "result": "fail_connect", "words": "connection refused", "at": "1970-01-01T00:00:00.000Z",
            "duration_seconds": 0.00025 },
        "checks": one,
    });
    let up = json!({
        "name": "backend-2", "address": "127.0.0.1:5002", "lookup": null, "state": "up",
        "weight": 2, "configured_weight": 2, "effective_weight": 2.0, "share": 1.0, "in_flight": 1, "in_flight_limit": null,
        "suspect": false, "trouble_since": null, "ejection": null, "ejections_lately": 0, "slow_start": null,
        "agent_percent": 100, "load_factor": 1.0, "cpu_percent": null, "cpu_age_seconds": null,
        "drained_by": [], "requests_total": 2,
        "last_check": null, "checks": none,
    });
    let expected = json!({ "name": "app", "balance": "round_robin", "configured": 2, "available": 1,
        "fail_open": false, "retries_left": 100, "queued": 0, "backends": [down, up] });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn what_a_busy_cpu_leaves_to_a_backend_is_shown() {
    let admin = Admin::start().await;
    let (now, long) = (Instant::now(), Duration::from_secs(600));
    admin.upstream.follow_load(|backend| (&*backend.name == "backend-2").then_some(1.0), long, now);
    let answer = admin.get_json("/api/v1/upstreams/app").await;
    assert_eq!(answer["backends"][1]["load_factor"], 0.2);
    assert!(upstreams_report(&admin).await.contains(", 20% left to its busy CPU\n"));
}

#[tokio::test]
async fn a_suspect_backend_is_shown_as_one() {
    let admin = Admin::start().await;
    admin.upstream.note(&admin.upstream.backends[1], Sign::ConnectFailed, Instant::now());
    let answer = admin.get_json("/api/v1/upstreams/app").await;
    assert_eq!(answer["backends"][0]["suspect"], false);
    assert_eq!(answer["backends"][1]["suspect"], true);
    assert!(admin.get("/check").await.body.contains(", suspect\n"));
}

#[tokio::test]
async fn an_ejection_is_shown_with_its_reason_and_its_end_and_then_the_slow_start() {
    let admin = Admin::start().await;
    let backend = &admin.upstream.backends[0];
    // Times in the future do not come closer while the test runs.
    let later = Instant::now() + Duration::from_secs(3600);
    admin
        .upstream
        .observe(backend, Event::Eject(EjectionReason::Stalled), later)
        .expect("another one is left");
    let told = backend_view(&admin).await;
    assert_eq!((&told["state"], &told["ejections_lately"]), (&"ejected".into(), &1.into()));
    assert_eq!(told["ejection"]["reason"], "stalled");
    assert!(told["ejection"]["until"].as_str() > told["ejection"]["since"].as_str(), "{told}");
    let report = upstreams_report(&admin).await;
    assert!(
        report.contains(", ejected for 3") && report.contains("s more (stalled, 1 lately)\n"),
        "{report}"
    );

    let over = later + Duration::from_secs(1);
    admin.upstream.observe(backend, Event::Readmit, over).expect("its time is over");
    let told = backend_view(&admin).await;
    assert_eq!((&told["state"], &told["ejection"]), (&"slow_start".into(), &Value::Null));
    assert_eq!((&told["slow_start"], &told["effective_weight"]), (&0.0.into(), &0.1.into()));
    assert!(upstreams_report(&admin).await.contains(", at 10% of its weight\n"));
}

#[tokio::test]
async fn what_keeps_a_backend_from_its_share_is_in_the_report() {
    let admin = Admin::start().await;
    let [first, second] = &*admin.upstream.backends else { panic!("two backends") };
    first.set_in_flight_limit(1);
    let _in_flight = admin.upstream.begin_exchange(first).expect("there is room");
    admin.upstream.observe(second, Event::Drain(DrainSource::Agent), Instant::now());
    admin.upstream.series.queued.inc();
    let report = upstreams_report(&admin).await;
    for words in [
        ", full with 1 in flight\n",
        ", drained by agent, 0 in flight\n",
        "    1 waiting for a backend to have room\n",
    ] {
        assert!(report.contains(words), "{words} in {report}");
    }
    let told = admin.get_json("/api/v1/upstreams/app").await;
    assert_eq!((&told["queued"], &told["backends"][0]["in_flight_limit"]), (&1.into(), &1.into()));
}

#[tokio::test]
async fn transitions_are_told_in_order() {
    let admin = Admin::start().await;
    assert_eq!(admin.get_json("/api/v1/transitions").await, json!({ "transitions": [] }));
    admin.state.board.add_transition(PastTransition {
        at: SystemTime::UNIX_EPOCH,
        upstream: "app".into(),
        backend: "backend-1".into(),
        from: BackendState::Up,
        to: BackendState::Down,
        cause: TransitionCause::Check,
        words: "connection refused".into(),
    });
    let told = json!({ "at": "1970-01-01T00:00:00.000Z", "upstream": "app", "backend": "backend-1",
        "from": "up", "to": "down", "cause": "check", "words": "connection refused" });
    assert_eq!(admin.get_json("/api/v1/transitions").await, json!({ "transitions": [told] }));
}

#[tokio::test]
async fn the_report_has_a_line_for_each_backend_that_begins_with_address_and_state() {
    let admin = Admin::start().await;
    let backend = &admin.upstream.backends[0];
    admin.upstream.observe(backend, Event::CheckFailed, Instant::now());
    let report = admin.get("/check").await.body;
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines[0], "Upstream app: 1 of 2 available, balance round_robin");
    assert!(lines[1].starts_with("    127.0.0.1:5001 DOWN  backend-1, since "), "{report}");
    assert!(lines[2].starts_with("    127.0.0.1:5002 up    backend-2, since "), "{report}");
    assert!(lines[2].ends_with(", not checked"), "{report}");
    assert_eq!(lines.len(), 3);
}

#[tokio::test]
async fn a_backend_whose_name_has_no_address_says_so() {
    let mut settings = settings();
    settings.backends[0].address = None;
    let admin = Admin::start_with(LIMITS, settings).await;
    let (board, at) = (&admin.state.board, SystemTime::UNIX_EPOCH);
    let unknown = LastLookup {
        host: "app.internal".into(),
        port: 5001,
        address: None,
        addresses: Box::default(),
        error: Some("unknown".into()),
        at,
    };
    let second: IpAddr = [127, 0, 0, 1].into();
    let several = LastLookup {
        address: Some(second),
        addresses: [[127, 0, 0, 9].into(), second].into(),
        error: None,
        ..unknown.clone()
    };
    board.set_lookup("app", "backend-1", unknown);
    board.set_lookup("app", "backend-2", several);
    let report = upstreams_report(&admin).await;
    let lines: Vec<&str> = report.lines().collect();
    assert!(lines[1].starts_with("    app.internal:5001 DOWN  backend-1, since "), "{report}");
    assert!(lines[1].ends_with(", not checked, cannot resolve app.internal: unknown"), "{report}");
    assert!(lines[2].starts_with("    127.0.0.1:5002    up    backend-2, "), "{report}");
    assert!(lines[2].ends_with(", app.internal is 127.0.0.1, one of 2 addresses"), "{report}");
    let told = admin.get_json("/api/v1/upstreams/app").await;
    let [first, second] = [0, 1].map(|at| &told["backends"][at]);
    assert_eq!((&first["address"], &first["state"]), (&Value::Null, &"down".into()));
    let at = "1970-01-01T00:00:00.000Z";
    let lookup = json!({ "host": "app.internal", "addresses": [], "error": "unknown", "at": at });
    assert_eq!(first["lookup"], lookup);
    let lookup =
        json!({ "host": "app.internal", "addresses": ["127.0.0.9", "127.0.0.1"], "error": null, "at": at });
    assert_eq!(second["lookup"], lookup);
}

#[tokio::test]
async fn the_report_says_when_all_are_tried_because_nobody_is_available() {
    let admin = Admin::start().await;
    for backend in &admin.upstream.backends {
        admin.upstream.observe(backend, Event::CheckFailed, Instant::now());
    }
    assert!(admin.get("/check").await.body.ends_with("    nobody is available: all are tried\n"));
    assert_eq!(admin.get_json("/api/v1/upstreams/app").await["fail_open"], true);
}

#[tokio::test]
async fn the_report_says_when_those_who_are_available_have_no_share() {
    let admin = Admin::start().await;
    for backend in &admin.upstream.backends {
        admin.upstream.set_agent_percent(backend, 0, Instant::now());
    }
    let report = upstreams_report(&admin).await;
    assert!(report.contains(", at 0% of its weight\n"), "{report}");
    assert!(
        report
            .ends_with("    nobody has a share of the work: those that are available get it all the same\n")
    );
}

#[tokio::test]
async fn whoever_asks_for_what_is_not_there_is_told_what_is() {
    let admin = Admin::start().await;
    let text = admin.get("/metric").await;
    assert_eq!(text.status, StatusCode::NOT_FOUND);
    assert!(text.body.contains("/metrics"), "{}", text.body);
    for path in ["/api/v1/upstreams/nobody", "/api/v2", "/api/v1/upstreams/%ff", "/api/v1/upstreams/%00"] {
        let answer = admin.get(path).await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
    }
    let told = admin.get_json("/api/v1/upstreams/nobody").await;
    assert!(
        told["paths"].as_array().is_some_and(|paths| paths.contains(&"/api/v1/upstreams".into())),
        "{told}"
    );
}

#[tokio::test]
async fn everything_on_the_list_is_there() {
    let admin = Admin::start().await;
    admin.state.telemetry.process().ready.set(1);
    let index = admin.get("/").await.body;
    for (path, _) in ANSWERS {
        assert!(index.contains(path), "{path} on the page");
        let (method, path) = path.split_once(' ').unwrap_or(("GET", path));
        let named = [
            ("{name}", "app"),
            ("{backend}", "backend-1"),
            ("{job}", "j"),
            ("{label}", "l"),
            ("{value}", "v"),
        ];
        let path = named.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value));
        // The one has no end, see `live`; for the other one somebody must reload, see `reload`.
        if !["/api/v1/live", "/api/v1/reload"].contains(&&*path) {
            let body = match path.rsplit('/').next() {
                Some("weight") => "{\"weight\": 1}",
                Some("backends") => "{\"address\": \"127.0.0.1:1\"}",
                _ => "",
            };
            let answer = admin.send(method, &path, body).await;
            assert!(answer.status.is_success(), "{path}: {}", answer.status);
        }
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let admin = Admin::start().await;
    for method in ["POST", "PUT", "DELETE", "BREW"] {
        let answer = admin.ask(method, "/api/v1/upstreams").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(answer.headers["allow"], "GET,HEAD", "{method}");
    }
}

#[tokio::test]
async fn an_operator_drains_a_backend_and_brings_it_back() {
    let admin = Admin::start().await;
    let path = |verb: &str| format!("/api/v1/upstreams/app/backends/backend-1/{verb}");
    let _in_flight = admin.upstream.begin_exchange(&admin.upstream.backends[0]);
    for _ in 0..2 {
        let answer = admin.ask("POST", &path("drain")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let told: Value = serde_json::from_str(&answer.body).expect("JSON");
        let draining = json!({ "upstream": "app", "backend": "backend-1", "state": "draining", "in_flight": 1,
            "drained_by": ["operator"], "weight": 1, "configured_weight": 1 });
        assert_eq!(told, draining);
    }
    assert_eq!(
        admin.get_json("/api/v1/upstreams/app").await["backends"][0]["drained_by"],
        json!(["operator"])
    );
    admin.upstream.observe(&admin.upstream.backends[0], Event::Drain(DrainSource::Agent), Instant::now());
    let told: Value = serde_json::from_str(&admin.ask("POST", &path("ready")).await.body).expect("JSON");
    assert_eq!((&told["state"], &told["drained_by"]), (&"draining".into(), &json!(["agent"])));
    admin.upstream.observe(&admin.upstream.backends[0], Event::Ready(DrainSource::Agent), Instant::now());
    let told: Value = serde_json::from_str(&admin.ask("POST", &path("ready")).await.body).expect("JSON");
    assert_eq!(told["drained_by"], json!([]));
    assert_ne!(told["state"], "draining");
    let transitions = admin.get_json("/api/v1/transitions").await;
    let transitions = transitions["transitions"].as_array().expect("a list");
    assert_eq!(transitions.len(), 1, "a second call changes nothing: {transitions:?}");
    assert_eq!((&transitions[0]["to"], &transitions[0]["cause"]), (&"draining".into(), &"operator".into()));
}

#[tokio::test]
async fn what_cannot_be_added_is_told_why() {
    let admin = Admin::start().await;
    for (body, said) in [
        ("", "the body must be JSON"),
        ("{\"name\": \"x\"}", "the body must be JSON"),
        ("{\"address\": \"127.0.0.1:1\", \"wieght\": 1}", "the body must be JSON"),
        ("{\"address\": \"127.0.0.1\"}", "has no port"),
        ("{\"address\": \"127.0.0.1:0\"}", "has the port 0"),
        ("{\"address\": \"127.0.0.1:1\", \"name\": \"a b\"}", "is not a usable name"),
        ("{\"address\": \"127.0.0.1:1\", \"weight\": 1001}", "from 0 to 1000"),
    ] {
        let answer = admin.send("POST", "/api/v1/upstreams/app/backends", body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.body.contains(said), "{said} in {}", answer.body);
    }
}

#[tokio::test]
async fn the_report_is_for_prometheus_too_if_it_asks() {
    let admin = Admin::start().await;
    admin.upstream.observe(&admin.upstream.backends[0], Event::CheckFailed, Instant::now());
    let page = admin.get("/check?format=prometheus").await;
    insta::assert_snapshot!(page.body, @r#"
    # HELP nginx_upstream_status_info The running status of an upstream and of its backends
    # TYPE nginx_upstream_status_info gauge
    nginx_upstream_status_info{name="app",endpoint="127.0.0.1:5001",status="UP",role="PRIMARY"} 0
    nginx_upstream_status_info{name="app",endpoint="127.0.0.1:5001",status="DOWN",role="PRIMARY"} 1
    nginx_upstream_status_info{name="app",endpoint="127.0.0.1:5002",status="UP",role="PRIMARY"} 1
    nginx_upstream_status_info{name="app",endpoint="127.0.0.1:5002",status="DOWN",role="PRIMARY"} 0
    nginx_upstream_status_info{name="app",status="UP"} 1
    nginx_upstream_status_info{name="app",status="DOWN"} 0
    nginx_upstream_status_info{name="app",status="UNKNOWN"} 0
    "#);
    assert!(admin.get("/check").await.body.starts_with("Upstream app:"));
    assert!(admin.get("/check?format=text").await.body.starts_with("Upstream app:"));
    assert_eq!(admin.get("/check?format=html").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn who_cannot_be_drained_is_told_who_can() {
    let admin = Admin::start().await;
    for (path, names) in [
        ("/api/v1/upstreams/ap/backends/backend-1/drain", "app"),
        ("/api/v1/upstreams/app/backends/backend-3/drain", "backend-1, backend-2"),
        ("/api/v1/upstreams/app/backends/backend-3/ready", "backend-1, backend-2"),
    ] {
        let answer = admin.ask("POST", path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert!(answer.body.contains(names), "{names} in {}", answer.body);
    }
    let answer = admin.get("/api/v1/upstreams/app/backends/backend-1/drain").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers["allow"], "POST");
}

#[tokio::test]
async fn a_weight_is_set_and_what_is_none_is_refused() {
    let admin = Admin::start().await;
    let path = "/api/v1/upstreams/app/backends/backend-1/weight";
    let answer = admin.send("POST", path, "{\"weight\": 6}").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let told = backend_view(&admin).await;
    assert_eq!((&told["weight"], &told["configured_weight"]), (&json!(6), &json!(1)));
    assert_eq!(told["share"], 0.75);
    assert!(upstreams_report(&admin).await.contains(", weight 6 by an operator (1 in the file)"));
    for body in ["", "6", "{}", "{\"weight\": 1001}", "{\"weight\": -1}", "{\"weight\": 1, \"x\": 2}", "{"] {
        let answer = admin.send("POST", path, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.body.contains("0 to 1000"), "{}", answer.body);
    }
    let nobody = admin.send("POST", "/api/v1/upstreams/app/backends/x/weight", "{\"weight\": 6}").await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    assert_eq!(backend_view(&admin).await["weight"], 6, "nothing else was changed");
}

#[tokio::test]
async fn a_page_of_another_site_cannot_drain_a_backend() {
    let admin = Admin::start().await;
    let own = format!("http://{}", admin.address);
    for (origin, status) in [("https://example.org", 403), ("null", 403), (&own, 200)] {
        let mut client = TcpStream::connect(admin.address).await.expect("a connection");
        let request = format!(
            "POST /api/v1/upstreams/app/backends/backend-1/drain HTTP/1.1\r\nhost: {}\r\norigin: {origin}\r\n\
             connection: close\r\ncontent-length: 0\r\n\r\n",
            admin.address
        );
        client.write_all(request.as_bytes()).await.expect("the request is sent");
        let mut answer = String::new();
        timeout(PATIENCE, client.read_to_string(&mut answer)).await.expect("in time").expect("text");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{origin}: {answer}");
        assert_eq!(admin.upstream.backends[0].availability().is_available(), status == 403, "{origin}");
    }
}

/// Sends a request with a body on a connection of its own; returns the status and the text of the answer.
async fn send(admin: &Admin, method: &str, path: &str, fields: &str, body: &str) -> (u16, String) {
    let mut client = TcpStream::connect(admin.address).await.expect("a connection");
    let length = body.len();
    let host =
        if fields.starts_with("host:") { String::new() } else { format!("host: {}\r\n", admin.address) };
    let request = format!(
        "{method} {path} HTTP/1.1\r\n{host}connection: close\r\ncontent-length: {length}\r\n{fields}\r\n{body}"
    );
    client.write_all(request.as_bytes()).await.expect("the request is sent");
    let mut answer = String::new();
    timeout(PATIENCE, client.read_to_string(&mut answer)).await.expect("in time").expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}

#[tokio::test]
async fn metrics_can_be_pushed_and_are_shown_behind_our_own() {
    let admin = Admin::start().await;
    let path = "/metrics/job/cpu_usage/instance/backend-1";
    // As `echo "cpu_usage 7" | curl --data-binary @-` sends it.
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    assert_eq!(send(&admin, "POST", path, form, "cpu_usage 7\n").await, (200, String::new()));
    let page = admin.get("/metrics").await.body;
    let line = "cpu_usage{instance=\"backend-1\",job=\"cpu_usage\"} 7\n";
    assert!(page.find("plimsoll_build_info") < page.find(line) && page.contains(line), "{page}");
    for line in ["plimsoll_pushes_total{result=\"ok\"} 1", "plimsoll_push_groups 1"] {
        assert!(page.lines().any(|shown| shown == line), "{line}");
    }
    assert_eq!(admin.ask("DELETE", path).await.status, StatusCode::ACCEPTED);
    assert!(!admin.get("/metrics").await.body.contains("cpu_usage"));
}

#[tokio::test]
async fn a_push_that_is_wrong_is_answered_with_the_reason_and_counted() {
    let admin = Admin::start().await;
    let (path, large) = ("/metrics/job/j", "a".repeat(2000));
    let type_of = |value: &str| format!("content-type: {value}\r\n");
    let protobuf = type_of("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily");
    for (path, fields, body, status, words, result) in [
        (path, "", "a 1", 400, "text format parsing error in line 1: unexpected end", "malformed"),
        (
            "/metrics/job/j/x",
            "",
            "a 1\n",
            400,
            "odd number of components in label string \"/x\"",
            "malformed",
        ),
        (path, "", "a 1 5\n", 400, "pushed metrics must not have timestamps", "inconsistent"),
        (path, "", &*large, 413, "larger than the 1024 bytes that `admin.push.body` allows", "too_large"),
        (path, &*protobuf, "a 1\n", 415, "only the text format", "malformed"),
        (path, "content-encoding: gzip\r\n", "a 1\n", 415, "compressed", "malformed"),
        (path, "origin: https://example.org\r\n", "a 1\n", 403, "a page of another site", "forbidden"),
        (path, "origin: null\r\n", "a 1\n", 403, "a page of another site", "forbidden"),
    ] {
        let results = || admin.state.telemetry.process().pushes.sum();
        let before = (results(), label_count(&admin, result));
        let (answered, text) = send(&admin, "PUT", path, fields, body).await;
        assert_eq!(answered, status, "{body:.20}: {text}");
        assert!(text.contains(words) && text.ends_with('\n'), "{body:.20}: {text}");
        assert_eq!((results(), label_count(&admin, result)), (before.0 + 1, before.1 + 1), "{result}");
    }
    let (deleted, _) = send(&admin, "DELETE", path, "origin: https://example.org\r\n", "").await;
    assert_eq!(deleted, 403, "nor may a page delete");
}

#[tokio::test]
async fn a_site_whose_name_leads_here_may_not_push_and_a_program_may_use_any_name() {
    let admin = Admin::start().await;
    for (fields, status) in [
        ("host: evil.example:9900\r\norigin: http://evil.example:9900\r\n", 403),
        ("host: 127.0.0.1:9900\r\norigin: http://127.0.0.1:9900\r\n", 200),
        ("host: plimsoll:9900\r\n", 200),
    ] {
        assert_eq!(send(&admin, "PUT", "/metrics/job/j", fields, "a 1\n").await.0, status, "{fields}");
    }
}

/// A body that never comes.
struct Endless;

impl HttpBody for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_body_never_comes_is_not_waited_for() {
    let telemetry = Telemetry::new(1);
    let upstream = Arc::new(Upstream::new(settings(), None, &telemetry, Instant::now()));
    let path = format!("/api/v1/upstreams/{}/backends/{}/weight", upstream.name, upstream.backends[0].name);
    let served = vec![upstream];
    let state = AdminState::over(telemetry, Arc::new(move || served.clone()));
    let request = hyper::Request::post(path).header("content-type", "application/json");
    let request = request.extension(Peer::Host(IpAddr::from([127, 0, 0, 1])));
    let service = TowerToHyperService::new(router(state));
    let answer = service.call(request.body(axum::body::Body::new(Endless)).expect("a request")).await;
    assert_eq!(answer.expect("it never fails").status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn bodies_that_arrive_have_a_common_bound() {
    let admin = Admin::start().await;
    let pushes = admin.state.pushes.clone().expect("they are taken");
    let most = pushes.limits().body as u64;
    let rooms: Vec<_> = std::iter::from_fn(|| pushes.room_for(None)).collect();
    assert_eq!(rooms.len(), 16, "that many of the largest");
    let (status, text) = send(&admin, "PUT", "/metrics/job/j", "", "a 1\n").await;
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("push again"), "{text}");
    assert_eq!(label_count(&admin, "full"), 1);
    drop(rooms);
    assert!(pushes.room_for(Some(most * 9)).is_some(), "one that is refused for its size takes no more");
    assert_eq!(send(&admin, "PUT", "/metrics/job/j", "", "a 1\n").await.0, 200);
}

fn label_count(admin: &Admin, result: &str) -> u64 {
    let value = PushResult::ALL.iter().find(|value| value.as_str() == result).expect("a result");
    admin.state.telemetry.process().pushes.get(*value)
}

#[tokio::test]
async fn a_path_for_pushes_answers_no_other_method() {
    let admin = Admin::start().await;
    let answer = admin.get("/metrics/job/j").await;
    assert_eq!(
        (answer.status, answer.headers["allow"].as_bytes()),
        (StatusCode::METHOD_NOT_ALLOWED, &b"DELETE,POST,PUT"[..])
    );
    for path in ["/metrics/jobs/j", "/metrics/job", "/metrics/"] {
        assert_eq!(admin.ask("PUT", path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn the_groups_of_pushed_metrics_are_listed() {
    let admin = Admin::start().await;
    send(&admin, "PUT", "/metrics/job/j/instance/i", "", "b 1\na 2\n").await;
    let listed = admin.get_json("/api/v1/pushes").await;
    assert_eq!(
        (&listed["enabled"], &listed["expiry_seconds"], &listed["groups_max"]),
        (&json!(true), &json!(30.0), &json!(2))
    );
    let group = &listed["groups"][0];
    assert_eq!(group["labels"], json!({ "instance": "i", "job": "j" }));
    assert_eq!((&group["metrics"], &group["failed_at"]), (&json!(["a", "b"]), &Value::Null));
    let seconds = |key: &str| group[key].as_f64().expect("a number");
    assert!((seconds("age_seconds") + seconds("expires_in_seconds") - 30.0).abs() < 0.01, "{group}");
}

#[tokio::test]
async fn where_pushes_are_off_nothing_is_taken() {
    let mut admin = Admin::start().await;
    admin.state.pushes = None;
    let request =
        axum::http::Request::put("/metrics/job/j").body(axum::body::Body::from("a 1\n")).expect("a request");
    let answer = pushes::receive(State(admin.state.clone()), request).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let listed = pushes::list(State(admin.state)).await;
    assert_eq!(serde_json::to_value(&*listed).expect("JSON")["enabled"], json!(false));
}

#[tokio::test]
async fn head_answers_as_get_does_without_the_body() {
    let admin = Admin::start().await;
    for path in ["/live", "/check", "/api/v1/upstreams"] {
        let (get, head) = (admin.get(path).await, admin.ask("HEAD", path).await);
        assert_eq!((head.status, &head.headers["content-type"]), (get.status, &get.headers["content-type"]));
        assert_eq!(head.body, "");
    }
}

#[tokio::test]
async fn requests_are_counted_by_the_class_of_their_answer() {
    let admin = Admin::start().await;
    for path in ["/live", "/live", "/nothing", "/ready"] {
        admin.get(path).await;
    }
    let counted =
        CodeClass::ALL.iter().map(|class| admin.state.telemetry.process().admin_requests.get(*class));
    assert_eq!(counted.collect::<Vec<_>>(), [0, 2, 0, 1, 1]);
}

#[tokio::test]
async fn a_client_that_never_finishes_its_request_loses_its_place_to_the_next() {
    let limits = Limits { connections: 1, head: Duration::from_millis(100), ..LIMITS };
    let admin = Admin::start_within(limits).await;
    let mut silent = TcpStream::connect(admin.address).await.expect("a connection");
    let mut slow = TcpStream::connect(admin.address).await.expect("a connection");
    slow.write_all(b"GET /live HTTP/1.1\r\nhost:").await.expect("a part of a head");
    assert_eq!(admin.get("/live").await.status, StatusCode::OK, "after both have lost their places");
    for client in [&mut silent, &mut slow] {
        let mut rest = Vec::new();
        // Closed or reset; never left open.
        drop(timeout(PATIENCE, client.read_to_end(&mut rest)).await.expect("the connection ends"));
    }
}

#[tokio::test]
async fn a_client_that_never_reads_its_answers_loses_its_place_to_the_next() {
    let limits = Limits { connections: 1, unread: Duration::from_millis(100), ..LIMITS };
    let admin = Admin::start_within(limits).await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut deaf = socket.connect(admin.address).await.expect("a connection");
    // More than all buffers on the way hold. The write ends with the connection, or stays stuck as long as it lasts.
    let asking = tokio::spawn(async move {
        while deaf.write_all(b"GET /metrics HTTP/1.1\r\nhost: admin\r\n\r\n").await.is_ok() {}
    });
    assert_eq!(admin.get("/live").await.status, StatusCode::OK);
    timeout(PATIENCE, asking).await.expect("the connection ends").expect("without a panic");
}

#[tokio::test]
async fn garbage_is_refused_and_the_next_request_answered() {
    let admin = Admin::start().await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    for garbage in
        [b"\x16\x03\x01\x02\x00\x01\x00".as_slice(), b"GET\r\n\r\n", b"\0\0\0\0\r\n\r\n", long.as_bytes()]
    {
        let mut client = TcpStream::connect(admin.address).await.expect("a connection");
        drop(client.write_all(garbage).await);
        drop(client.shutdown().await);
        let mut answer = Vec::new();
        drop(timeout(PATIENCE, client.read_to_end(&mut answer)).await.expect("the connection ends"));
        let refused = answer.is_empty() || answer.starts_with(b"HTTP/1.1 4");
        assert!(refused, "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(admin.get("/live").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_server_ends_when_told_to_even_while_clients_stay_connected() {
    let limits = Limits { farewell: Duration::from_millis(100), ..LIMITS };
    let admin = Admin::start_within(limits).await;
    let mut slow = TcpStream::connect(admin.address).await.expect("a connection");
    slow.write_all(b"GET /live HTTP/1.1\r\nhost:").await.expect("a part of a head");
    admin.shutdown.send(()).expect("the server waits for this");
    timeout(PATIENCE, admin.server).await.expect("in time").expect("without a panic");
    let refused = TcpStream::connect(admin.address).await;
    assert!(refused.is_err(), "nobody listens any more");
}
