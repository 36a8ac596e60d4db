use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::oneshot;

use super::*;
use crate::telemetry::{
    AttemptOutcome, Candidate, Candidates, Ending, Offset, PickReason, RequestId, RequestLine, Telemetry,
    TraceId,
};
use crate::upstream::{BackendSettings, UpstreamSettings};

/// Two workers, and what the second of them does when it is asked.
#[derive(Clone, Copy, PartialEq)]
enum Second {
    Answers,
    Starves,
    HasEnded,
}

struct Asking {
    now: Instant,
    upstream: Arc<Upstream>,
    told: [Vec<PastExchange>; 2],
    second: Second,
}

impl Asking {
    fn new() -> Self {
        let backends = (1..=2)
            .map(|n| BackendSettings::at(&format!("backend-{n}"), ([127, 0, 0, 1], 5000 + n).into(), 1));
        let settings = UpstreamSettings::new("app", backends.collect());
        let upstream = Arc::new(Upstream::new(settings, None, &Telemetry::new(2), Instant::now()));
        Self { now: Instant::now(), upstream, told: Default::default(), second: Second::Answers }
    }

    /// Remembers an exchange on a worker that was given to these backends and began so many milliseconds ago.
    fn add(&mut self, worker: usize, tries: &[(usize, AttemptOutcome)], ago: u64) {
        let mut past = PastExchange {
            began: self.now - Duration::from_millis(ago),
            took: Duration::from_micros(1_500),
            line: RequestLine::new(format!("GET /{ago}?secret HTTP/1.1\r\n\r\n").as_bytes(), 3, 10),
            upstream: Some(self.upstream.series.id),
            ..PastExchange::example()
        };
        let micros = Offset::from_micros;
        for (at, (backend, outcome)) in (1_u32..).zip(tries) {
            let id = self.upstream.backends[*backend].series.id;
            past.tries.began(id, PickReason::Balanced, 7, micros(100 * at));
            let (sent, ended) = (Some(micros(100 * at + 20)), micros(100 * at + 95));
            past.tries.ended(id, *outcome, Ending { sent, first_byte: None, ended });
        }
        self.told[worker].push(past);
    }

    async fn ask(&self, query: &str) -> (StatusCode, Value) {
        let told = self.told.clone().map(|told| told.into_iter().map(Arc::new).collect::<Vec<_>>());
        let second = self.second;
        let upstream = Arc::clone(&self.upstream);
        let waiting = Mutex::new(Vec::new());
        let past_exchanges = move || {
            let [mut first, mut other] =
                [oneshot::channel(), oneshot::channel()].map(|(asker, answer)| (Some(asker), answer));
            let _ = first.0.take().map(|asker| asker.send(told[0].clone()));
            match second {
                Second::Answers => drop(other.0.take().map(|asker| asker.send(told[1].clone()))),
                Second::Starves => waiting.lock().expect("not poisoned").extend(other.0.take()),
                Second::HasEnded => drop(other.0.take()),
            }
            vec![first.1, other.1]
        };
        let state = AdminState {
            past_exchanges: Arc::new(past_exchanges),
            ..AdminState::over(Telemetry::new(2), Arc::new(move || vec![Arc::clone(&upstream)]))
        };
        let uri: Uri = format!("/api/v1/why{query}").parse().expect("a URI");
        let response = why(State(state), Query::try_from_uri(&uri), uri).await;
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    /// Asks, and returns the paths that are told.
    async fn paths(&self, query: &str) -> Vec<String> {
        let (status, told) = self.ask(query).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        let exchanges = told["exchanges"].as_array().expect("exchanges");
        exchanges.iter().map(|one| one["path"].as_str().expect("a path").to_owned()).collect()
    }
}

#[tokio::test]
async fn the_exchanges_of_all_workers_are_told_newest_first() {
    let mut asking = Asking::new();
    for (worker, ago) in [(0, 30), (0, 10), (1, 40), (1, 20)] {
        asking.add(worker, &[(0, AttemptOutcome::Ok)], ago);
    }
    assert_eq!(asking.paths("").await, ["/10", "/20", "/30", "/40"]);
    assert_eq!(asking.paths("?limit=2").await, ["/10", "/20"]);
}

#[tokio::test]
async fn an_exchange_is_told_with_its_tries_and_a_sentence() {
    let mut asking = Asking::new();
    asking.add(0, &[(0, AttemptOutcome::Reset), (1, AttemptOutcome::Ok)], 10);
    let (_, mut told) = asking.ask("").await;
    let at = told["exchanges"][0].as_object_mut().expect("an exchange").remove("at").expect("a time");
    assert!(at.as_str().is_some_and(|at| at.ends_with('Z') && at.len() == 24), "{at}");
    let words = "backend-1 was picked (round robin's turn) and reset the connection; backend-2 rescued it; \
                 answered 200 in 1.5 ms";
    // Listener and route have left the configuration.
    let expected = serde_json::json!({
        "exchanges": [{
            "request_id": "51ad4a55b5a1c3a7", "trace_id": null, "method": "GET", "path": "/10",
            "listener": null, "route": null, "upstream": "app", "balance": "round_robin",
            "status": 200, "reason": null, "notable": true, "slow": false, "duration_ms": 1.5, "queued_ms": 0.0,
            "tries": [
                {
                    "number": 1, "backend": "backend-1", "pick": "balanced", "in_flight": 7, "outcome": "reset",
                    "dialled": false, "start_ms": 0.1, "connect_ms": null, "send_ms": 0.02, "wait_ms": 0.075,
                    "relay_ms": null, "total_ms": 0.095,
                },
                {
                    "number": 2, "backend": "backend-2", "pick": "balanced", "in_flight": 7, "outcome": "ok",
                    "dialled": false, "start_ms": 0.2, "connect_ms": null, "send_ms": 0.02, "wait_ms": 0.075,
                    "relay_ms": null, "total_ms": 0.095,
                },
            ],
            "tries_left_out": 0, "candidates": [], "words": words,
        }],
        "silent_workers": [],
    });
    assert_eq!(told, expected);
}

#[tokio::test]
async fn one_can_ask_for_a_backend_an_upstream_and_what_is_notable() {
    let mut asking = Asking::new();
    asking.add(0, &[(0, AttemptOutcome::Ok)], 10);
    asking.add(0, &[(0, AttemptOutcome::ConnectRefused), (1, AttemptOutcome::Ok)], 20);
    asking.add(1, &[], 30);
    asking.told[1][0].upstream = None;
    assert_eq!(asking.paths("?backend=backend-1").await, ["/10", "/20"]);
    assert_eq!(asking.paths("?backend=backend-2").await, ["/20"]);
    assert_eq!(asking.paths("?upstream=app").await, ["/10", "/20"]);
    assert_eq!(asking.paths("?notable=true").await, ["/20"]);
}

#[tokio::test]
async fn an_exchange_is_found_by_its_id_its_trace_and_its_status() {
    let mut asking = Asking::new();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for (ago, status) in [(10, 200), (20, 503), (30, 502)] {
        asking.add(0, &[(0, AttemptOutcome::Ok)], ago);
        let past = asking.told[0].last_mut().expect("just added");
        past.status = status;
        past.request_id = RequestId::new(format!("id-{ago}").as_bytes());
        past.trace_id = (ago == 20).then(|| TraceId::parse(trace).expect("a trace id"));
    }
    assert_eq!(asking.paths("?id=id-30").await, ["/30"]);
    assert_eq!(asking.paths("?id=id-3").await, [""; 0]);
    assert_eq!(asking.paths(&format!("?trace={trace}")).await, ["/20"]);
    assert_eq!(asking.paths("?trace=4bf92f3577b34da6a3ce929d0e0e4737").await, [""; 0]);
    assert_eq!(asking.paths("?status=502").await, ["/30"]);
    assert_eq!(asking.paths("?status=5xx").await, ["/20", "/30"]);
    assert_eq!(asking.paths("?status=5xx&id=id-10").await, [""; 0]);
}

#[tokio::test]
async fn the_backends_are_told_as_they_stood() {
    let mut asking = Asking::new();
    asking.add(0, &[(0, AttemptOutcome::Ok); 5], 10);
    let one = Candidate {
        backend: asking.upstream.backends[0].series.id,
        state: crate::telemetry::BackendState::SlowStart,
        picked: true,
        tried: false,
        suspect: true,
        in_flight: 3,
        limit: 3,
        weight: 0.1,
        share: 1.0 / 3.0,
        latency: Some(0.012_345_6),
    };
    let other = Candidate { picked: false, suspect: false, limit: 0, latency: None, ..one };
    let (at, shown) = (Offset::from_micros(120), vec![one, other]);
    let seen = Candidates { before_try: Some(2), at, shown, others: 4, others_in: 1 };
    asking.told[0][0].candidates.push(seen);
    let (_, told) = asking.ask("").await;
    let both = serde_json::json!([
        {
            "backend": "backend-1", "state": "slow_start", "picked": true, "tried": false, "suspect": true, "full": true,
            "in_flight": 3, "limit": 3, "weight": 0.1, "share": 0.3333, "latency_ms": 12.346,
        },
        {
            "backend": "backend-1", "state": "slow_start", "picked": false, "tried": false, "suspect": false,
            "full": false, "in_flight": 3, "limit": null, "weight": 0.1, "share": 0.3333, "latency_ms": null,
        },
    ]);
    let expected = serde_json::json!([
        { "before_try": 2, "at_ms": 0.12, "backends": both, "others": 4, "others_in": 1 },
    ]);
    assert_eq!(told["exchanges"][0]["candidates"], expected);
    let tries = told["exchanges"][0]["tries"].as_array().expect("tries");
    let numbers: Vec<_> = tries.iter().filter_map(|one| one["number"].as_u64()).collect();
    assert_eq!(numbers, [1, 2, 3, 5], "the fourth is left out");
}

#[tokio::test]
async fn a_wrong_question_is_told_what_can_be_asked() {
    let asking = Asking::new();
    for query in
        ["?limit=many", "?limit=-1", "?backends=backend-1", "?notable=perhaps", "?status=6xx", "?trace=none"]
    {
        let (status, told) = asking.ask(query).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert!(told["error"].as_str().is_some_and(|error| error.contains("limit (a number)")), "{told}");
    }
    for query in ["?upstream=nobody", "?backend=nobody"] {
        assert_eq!(asking.ask(query).await.0, StatusCode::NOT_FOUND, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_answer_is_left_out_and_named() {
    for second in [Second::Starves, Second::HasEnded] {
        let mut asking = Asking { second, ..Asking::new() };
        asking.add(0, &[(0, AttemptOutcome::Ok)], 10);
        asking.add(1, &[(0, AttemptOutcome::Ok)], 20);
        let begun = Instant::now();
        let (status, told) = asking.ask("").await;
        assert!(begun.elapsed() <= PATIENCE + Duration::from_millis(1));
        assert_eq!((status, &told["silent_workers"]), (StatusCode::OK, &serde_json::json!([1])));
        assert_eq!(told["exchanges"].as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn what_has_left_the_configuration_has_no_name() {
    let mut asking = Asking::new();
    asking.add(0, &[(0, AttemptOutcome::Ok)], 10);
    let other = Telemetry::new(1);
    let gone: Vec<_> = (0..10).map(|n| other.backend("app", &n.to_string())).collect();
    asking.told[0][0].tries.began(gone[9].id, PickReason::Balanced, 0, Offset::START);
    let (_, told) = asking.ask("").await;
    assert_eq!(told["exchanges"][0]["tries"][1]["backend"], Value::Null);
}
