//! `plimsoll ctl why`: the latest exchanges, each with what was decided about it.

use std::fmt::Write as _;

use anyhow::Context as _;
use bytes::Bytes;
use hyper::Method;
use serde::Deserialize;

use super::super::operator::{Operator, Refused, push_encoded};

/// Which exchanges to tell of.
#[derive(Debug, clap::Args)]
pub(super) struct Asked {
    /// The one with this request id: the header `x-request-id`, or the access log's `request_id`.
    #[arg(long, value_name = "REQUEST")]
    id: Option<String>,
    /// Those of this trace: 32 hexadecimal digits.
    #[arg(long)]
    trace: Option<String>,
    /// Those that went to this upstream.
    #[arg(long)]
    upstream: Option<String>,
    /// Those that were given to this backend.
    #[arg(long)]
    backend: Option<String>,
    /// Those with this status, or of this class: 503, 5xx.
    #[arg(long)]
    status: Option<String>,
    /// Only those that failed, were slow, or did not simply get their answer from the first backend picked.
    #[arg(long)]
    notable: bool,
    /// How many, at most.
    #[arg(long, default_value_t = 5)]
    limit: usize,
    /// As the balancer tells it: the JSON of /api/v1/why.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Deserialize)]
struct Told {
    exchanges: Vec<Exchange>,
    silent_workers: Vec<usize>,
}

#[derive(Debug, Deserialize)]
struct Exchange {
    at: String,
    request_id: Option<String>,
    trace_id: Option<String>,
    method: String,
    path: String,
    listener: Option<String>,
    route: Option<String>,
    upstream: Option<String>,
    balance: Option<String>,
    status: u16,
    duration_ms: f64,
    tries: Vec<Try>,
    candidates: Vec<Candidates>,
    words: String,
}

#[derive(Debug, Deserialize)]
struct Try {
    number: usize,
    backend: Option<String>,
    pick: String,
    outcome: Option<String>,
    in_flight: u64,
    start_ms: f64,
    connect_ms: Option<f64>,
    send_ms: Option<f64>,
    wait_ms: Option<f64>,
    relay_ms: Option<f64>,
    total_ms: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Candidates {
    before_try: Option<u64>,
    at_ms: f64,
    backends: Vec<Candidate>,
    others: u64,
    others_in: u64,
}

#[derive(Debug, Deserialize)]
struct Candidate {
    backend: Option<String>,
    state: String,
    picked: bool,
    tried: bool,
    suspect: bool,
    full: bool,
    in_flight: u64,
    limit: Option<u64>,
    weight: f64,
    share: f64,
    latency_ms: Option<f64>,
}

impl Operator {
    /// Asks for exchanges, and tells them.
    pub(super) async fn why(&self, asked: &Asked) -> anyhow::Result<String> {
        let (status, text) = self.answer(Method::GET, &asked.path(), Bytes::new()).await?;
        if !status.is_success() {
            let Refused { error } = serde_json::from_str(&text).with_context(|| {
                format!("{} answers {status}; is this plimsoll's admin server?", self.admin)
            })?;
            anyhow::bail!("{error}");
        }
        if asked.json {
            return Ok(text);
        }
        let told: Told = serde_json::from_str(&text)
            .context("this answer is not plimsoll's; look at --admin and --socket")?;
        Ok(told.to_text())
    }
}

impl Asked {
    fn path(&self) -> String {
        let mut path = format!("/api/v1/why?limit={}&notable={}", self.limit, self.notable);
        let texts = [
            ("id", &self.id),
            ("trace", &self.trace),
            ("upstream", &self.upstream),
            ("backend", &self.backend),
            ("status", &self.status),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                let _ = write!(path, "&{name}=");
                push_encoded(&mut path, text);
            }
        }
        path
    }
}

impl Told {
    fn to_text(&self) -> String {
        let mut paragraphs: Vec<String> = self.exchanges.iter().map(Exchange::to_text).collect();
        if paragraphs.is_empty() {
            let none = "none that is remembered fits: all that are notable are, of the others a sample";
            paragraphs.push(none.to_owned());
        }
        if !self.silent_workers.is_empty() {
            paragraphs.push(format!("workers {:?} did not answer; theirs are missing", self.silent_workers));
        }
        paragraphs.join("\n\n")
    }
}

impl Exchange {
    fn to_text(&self) -> String {
        let Self { at, method, path, status, words, .. } = self;
        let mut lines = vec![format!("{at}  {method} {path}  {status} in {}", span(Some(self.duration_ms)))];
        let mut way = format!(
            "  {} → {}",
            self.listener.as_deref().unwrap_or("a listener that is gone"),
            self.route.as_deref().unwrap_or("no route")
        );
        if let Some(upstream) = &self.upstream {
            let _ = write!(way, " → {upstream} ({})", self.balance.as_deref().unwrap_or("?"));
        }
        for (name, id) in [("request", &self.request_id), ("trace", &self.trace_id)] {
            if let Some(id) = id {
                let _ = write!(way, "  {name} {id}");
            }
        }
        lines.push(way);
        lines.push(format!("  {words}"));
        if !self.tries.is_empty() {
            let head =
                ["try", "backend", "pick", "in flight", "at", "connect", "send", "wait", "relay", "total"];
            let head = head.into_iter().chain(["outcome"]).map(str::to_owned).collect();
            lines.extend(table(head, self.tries.iter().map(Try::row)));
        }
        lines.extend(self.candidates.iter().flat_map(Candidates::lines));
        lines.join("\n")
    }
}

impl Try {
    fn row(&self) -> Vec<String> {
        let times = [self.connect_ms, self.send_ms, self.wait_ms, self.relay_ms, self.total_ms];
        let mut row = vec![
            self.number.to_string(),
            named(self.backend.as_ref()),
            self.pick.clone(),
            self.in_flight.to_string(),
        ];
        row.extend([Some(self.start_ms)].into_iter().chain(times).map(span));
        row.push(self.outcome.clone().unwrap_or_else(|| "cut off".to_owned()));
        row
    }
}

impl Candidates {
    fn lines(&self) -> Vec<String> {
        let when = self.before_try.map_or("at the end".to_owned(), |number| format!("before try {number}"));
        let head = ["backend", "state", "in flight", "weight", "share", "latency", ""];
        let head = head.map(str::to_owned).to_vec();
        let mut lines = vec![format!("  backends {when}, after {}", span(Some(self.at_ms)))];
        lines.extend(table(head, self.backends.iter().map(Candidate::row)));
        if self.others > 0 {
            let (others, with) = (self.others, self.others_in);
            lines.push(format!("    others: {others}, with a share of new work: {with}"));
        }
        lines
    }
}

impl Candidate {
    fn row(&self) -> Vec<String> {
        let marks = [
            (self.picked, "picked"),
            (self.tried, "tried before"),
            (self.suspect, "suspect"),
            (self.full, "full"),
        ];
        let marks: Vec<&str> = marks.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
        let of = self.limit.map_or(String::new(), |limit| format!(" of {limit}"));
        vec![
            named(self.backend.as_ref()),
            self.state.clone(),
            format!("{}{of}", self.in_flight),
            self.weight.to_string(),
            format!("{:.1} %", self.share * 100.0),
            span(self.latency_ms),
            marks.join(", "),
        ]
    }
}

fn named(backend: Option<&String>) -> String {
    backend.map_or_else(|| "(gone)".to_owned(), Clone::clone)
}

/// Milliseconds with as many digits as people want to read; a dash for a stage that was not reached.
fn span(milliseconds: Option<f64>) -> String {
    match milliseconds {
        None => "-".to_owned(),
        Some(time) if time < 10.0 => format!("{time:.2} ms"),
        Some(time) => format!("{time:.1} ms"),
    }
}

/// Sets rows under a head, each column as wide as what is in it.
fn table(head: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let rows: Vec<Vec<String>> = [head].into_iter().chain(rows).collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("    {}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `/api/v1/why` may answer.
    fn answer() -> serde_json::Value {
        serde_json::json!({
            "exchanges": [{
                "at": "2026-11-21T09:51:00.250Z", "request_id": "51ad", "trace_id": null, "method": "GET", "path": "/",
                "listener": "web", "route": "all", "upstream": "app", "balance": "peak_ewma", "status": 200,
                "reason": null, "notable": true, "slow": false, "duration_ms": 12.3, "queued_ms": 0.0,
                "tries": [
                    {
                        "number": 1, "backend": "backend-1", "pick": "balanced", "in_flight": 3, "outcome": "reset",
                        "dialled": false, "start_ms": 0.04, "connect_ms": null, "send_ms": 0.02, "wait_ms": 8.1,
                        "relay_ms": null, "total_ms": 8.12,
                    },
                    {
                        "number": 2, "backend": null, "pick": "balanced", "in_flight": 1, "outcome": null,
                        "dialled": true, "start_ms": 8.2, "connect_ms": 0.2, "send_ms": null, "wait_ms": null,
                        "relay_ms": null, "total_ms": null,
                    },
                ],
                "tries_left_out": 0,
                "candidates": [{
                    "before_try": 2, "at_ms": 8.2, "others": 2, "others_in": 1,
                    "backends": [
                        {
                            "backend": "backend-1", "state": "up", "picked": false, "tried": true, "suspect": true,
                            "full": false, "in_flight": 2, "limit": 4, "weight": 1.0, "share": 0.3333, "latency_ms": 4.0,
                        },
                        {
                            "backend": "backend-3", "state": "slow_start", "picked": true, "tried": false,
                            "suspect": false, "full": false, "in_flight": 0, "limit": null, "weight": 0.25,
                            "share": 0.0833, "latency_ms": null,
                        },
                    ],
                }],
                "words": "backend-1 was picked and reset the connection",
            }],
            "silent_workers": [1],
        })
    }

    #[test]
    fn an_exchange_reads_from_top_to_bottom() {
        let told: Told = serde_json::from_value(answer()).expect("it is what the balancer tells");
        insta::assert_snapshot!(told.to_text(), @r"
    2026-11-21T09:51:00.250Z  GET /  200 in 12.3 ms
      web → all → app (peak_ewma)  request 51ad
      backend-1 was picked and reset the connection
        try  backend    pick      in flight  at       connect  send     wait     relay  total    outcome
        1    backend-1  balanced  3          0.04 ms  -        0.02 ms  8.10 ms  -      8.12 ms  reset
        2    (gone)     balanced  1          8.20 ms  0.20 ms  -        -        -      -        cut off
      backends before try 2, after 8.20 ms
        backend    state       in flight  weight  share   latency
        backend-1  up          2 of 4     1       33.3 %  4.00 ms  tried before, suspect
        backend-3  slow_start  0          0.25    8.3 %   -        picked
        others: 2, with a share of new work: 1

    workers [1] did not answer; theirs are missing
    ");
    }

    #[test]
    fn what_is_asked_for_is_written_so_that_it_arrives() {
        let asked = Asked {
            id: Some("a b&limit=9/é".to_owned()),
            trace: None,
            upstream: None,
            backend: Some("backend-1".to_owned()),
            status: None,
            notable: true,
            limit: 7,
            json: false,
        };
        assert_eq!(
            asked.path(),
            "/api/v1/why?limit=7&notable=true&id=a%20b%26limit%3D9%2F%C3%A9&backend=backend-1"
        );
    }

    #[test]
    fn nothing_found_is_said() {
        let told = Told { exchanges: Vec::new(), silent_workers: Vec::new() };
        assert_eq!(
            told.to_text(),
            "none that is remembered fits: all that are notable are, of the others a sample"
        );
    }
}
