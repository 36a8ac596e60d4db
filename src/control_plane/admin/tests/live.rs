//! What the live feed promises to those who watch.

use super::*;
use crate::control_plane::now::Now;

/// One who watches: reads the events of an answer without an end, as a browser would.
struct Watcher {
    stream: TcpStream,
    text: String,
}

impl Watcher {
    /// Asks, and returns the head of the answer.
    async fn ask(admin: &Admin) -> (Self, String) {
        let mut stream = TcpStream::connect(admin.address).await.expect("a connection");
        let request = b"GET /api/v1/live HTTP/1.1\r\nhost: admin\r\n\r\n";
        stream.write_all(request).await.expect("the request is sent");
        let mut watcher = Self { stream, text: String::new() };
        let head = watcher.until("\r\n\r\n").await;
        (watcher, head)
    }

    /// Begins to watch.
    async fn join(admin: &Admin) -> Self {
        let (watcher, head) = Self::ask(admin).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
        watcher
    }

    /// Takes what comes up to and with `end`.
    async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.text.find(end) {
                return self.text.drain(..at + end.len()).collect();
            }
            let mut chunk = [0; 64 * 1024];
            let read = timeout(PATIENCE, self.stream.read(&mut chunk)).await.expect("in time");
            let read = read.expect("the connection is whole");
            assert_ne!(read, 0, "the feed has ended after {}", self.text);
            self.text += std::str::from_utf8(&chunk[..read]).expect("text");
        }
    }

    /// Takes the next event of this name, and skips others.
    async fn next(&mut self, name: &str) -> Value {
        self.until(&format!("event: {name}\ndata: ")).await;
        // An event may be cut into several chunks only by its size, and those here are small.
        let data = self.until("\n\n").await;
        serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error} in {data}"))
    }
}

/// Lets so many seconds pass, as the feed sees them.
struct Seconds<'a> {
    admin: &'a Admin,
    begin: Now,
    passed: u64,
}

impl<'a> Seconds<'a> {
    fn of(admin: &'a Admin) -> Self {
        let seconds = Self { admin, begin: Now::read(), passed: 0 };
        admin.state.live.look(seconds.begin);
        seconds
    }

    fn pass(&mut self) {
        self.passed += 1;
        let since = Duration::from_secs(self.passed);
        let now = Now { instant: self.begin.instant + since, time: self.begin.time + since };
        self.admin.state.live.look(now);
    }
}

#[tokio::test]
async fn a_viewer_is_told_what_was_and_then_what_is() {
    let admin = Admin::start().await;
    let mut seconds = Seconds::of(&admin);
    let [first, second] = &*admin.upstream.backends else { panic!("two backends") };
    first.series.shard(WorkerId(0)).requests.inc(200);
    second.series.shard(WorkerId(1)).requests.inc(503);
    seconds.pass();
    let mut viewer = Watcher::join(&admin).await;
    let history = viewer.next("history").await;
    assert_eq!(history["times"].as_array().map(Vec::len), Some(1));
    let tracks = history["tracks"].as_array().expect("tracks");
    let named: Vec<_> = tracks.iter().map(|track| (&track["upstream"], &track["backend"])).collect();
    let (app, none) = (json!("app"), Value::Null);
    let backends = [json!("backend-1"), json!("backend-2")];
    assert_eq!(named, [(&none, &none), (&app, &none), (&app, &backends[0]), (&app, &backends[1])]);
    assert_eq!(
        tracks[2],
        json!({ "upstream": "app", "backend": "backend-1", "from": 0, "success": [1], "redirect": [0],
            "client_error": [0], "server_error": [0], "failed": [0], "retries": [0], "rescues": [0],
            "in_flight": [0], "weight": [1], "share": [0.3333], "cpu": [12.5], "state": [1] })
    );
    assert_eq!(tracks[0]["server_error"], json!([1]));
    let tick = viewer.next("tick").await;
    assert_eq!(tick["at"], history["times"][0]);
    assert_eq!(tick["upstreams"][0]["backends"][1]["sample"]["server_error"], 1);

    first.series.shard(WorkerId(0)).requests.inc(200);
    seconds.pass();
    let tick = viewer.next("tick").await;
    let mut backend = tick["upstreams"][0]["backends"][0].clone();
    let sample = backend.as_object_mut().expect("an object").remove("sample").expect("a sample");
    assert_eq!(sample["success"], 1);
    assert_eq!((&sample["p99_ms"], &tick["total"]["success"]), (&Value::Null, &json!(1)));
    assert_eq!(backend["requests_total"], 2, "what the API shows of a backend is told as well");
    assert_eq!(tick["upstreams"][0]["available"], 2);
    assert_eq!(tick["process"]["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn a_viewer_may_come_before_the_first_second_is_over() {
    let admin = Admin::start().await;
    let mut viewer = Watcher::join(&admin).await;
    assert_eq!(viewer.next("history").await, json!({ "times": [], "tracks": [], "transitions": [] }));
    let tick = viewer.next("tick").await;
    assert_eq!((&tick["at"], &tick["total"]), (&Value::Null, &Value::Null));
    assert_eq!(tick["upstreams"][0]["backends"][0]["state"], "up");
}

#[tokio::test]
async fn a_transition_is_told_at_once_and_is_in_the_next_history() {
    let admin = Admin::start().await;
    let running = tokio::spawn(Arc::clone(&admin.state.live).run());
    let mut viewer = Watcher::join(&admin).await;
    let backend = &admin.upstream.backends[0];
    let words = "connection refused\n\"by whom?\"";
    admin.state.board.observe(&admin.upstream, backend, Event::CheckFailed, words);
    let told = viewer.next("transition").await;
    assert_eq!((&told["backend"], &told["to"]), (&json!("backend-1"), &json!("down")));
    assert_eq!(told["words"], words);
    let history = Watcher::join(&admin).await.next("history").await;
    assert_eq!(history["transitions"], json!([told]));
    running.abort();
}

#[tokio::test]
async fn seconds_are_told_as_they_pass_for_longer_than_a_request_may_take() {
    let limits = Limits { head: Duration::from_millis(100), unread: Duration::from_millis(100), ..LIMITS };
    let admin = Admin::start_within(limits).await;
    let running = tokio::spawn(Arc::clone(&admin.state.live).run());
    let mut viewer = Watcher::join(&admin).await;
    let mut last = 0;
    for _ in 0..3 {
        let mut at = viewer.next("tick").await["at"].as_u64().unwrap_or(0);
        while at <= last {
            at = viewer.next("tick").await["at"].as_u64().unwrap_or(0);
        }
        last = at;
    }
    running.abort();
}

#[tokio::test]
async fn who_watches_is_counted_and_who_comes_too_many_is_told_to_come_back() {
    let admin = Admin::start().await;
    let mut viewers = Vec::new();
    loop {
        let (viewer, answer) = Watcher::ask(&admin).await;
        viewers.push(viewer);
        if !answer.starts_with("HTTP/1.1 200 ") {
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1"), "{answer}");
            break;
        }
    }
    assert_eq!(viewers.len(), 64 + 1);
    assert_eq!(admin.state.telemetry.process().live_viewers.get(), 64);
    assert_eq!(admin.get("/live").await.status, StatusCode::OK, "others are still served");
    drop(viewers);
    // That they have left is seen when they are told the next second.
    let mut seconds = Seconds::of(&admin);
    let deadline = Instant::now() + PATIENCE;
    while admin.state.telemetry.process().live_viewers.get() > 0 {
        assert!(Instant::now() < deadline, "their places are free again");
        seconds.pass();
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_end_of_the_process_is_told_and_viewers_do_not_delay_it() {
    let admin = Admin::start().await;
    let mut viewer = Watcher::join(&admin).await;
    admin.state.live.end();
    viewer.next("bye").await;
    admin.shutdown.send(()).expect("the server waits for this");
    timeout(PATIENCE, admin.server).await.expect("in time").expect("without a panic");
    let rest = &mut viewer.text;
    timeout(PATIENCE, viewer.stream.read_to_string(rest)).await.expect("in time").expect("in order");
    assert_eq!(rest, "\r\n0\r\n\r\n", "the answer ends as it should");
}
