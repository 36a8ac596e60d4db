//! What agents may do: real ones over sockets that follow a script, and their words over time, in paused time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::super::{AgentSettings, Board, Checks, Watched};
use super::*;
use crate::telemetry::{BackendState, Telemetry, TransitionCause};
use crate::upstream::{BackendSettings, Sign, SlowStart, Upstream, UpstreamSettings};

/// How long a question may take that does not run into its timeout.
const PATIENCE: Duration = Duration::from_secs(10);

const INTERVAL: Duration = Duration::from_secs(1);

/// Asks an agent that sends `parts` one by one, and then closes or stays silent.
async fn asked(parts: &[&'static str], closes: bool, patience: Duration) -> Result<Report, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    let parts = parts.to_vec();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        for part in parts {
            let _ = client.write_all(part.as_bytes()).await;
            tokio::task::yield_now().await;
        }
        if !closes {
            drop(client.read_to_end(&mut Vec::new()).await);
        }
    });
    ask(address, patience).await
}

#[tokio::test]
async fn a_line_ends_with_cr_lf_or_the_connection() {
    for (parts, closes) in [
        (&["up 50%\n"][..], false),
        (&["up 50%\r\n"], false),
        (&["up 50%\rdown\n"], false),
        (&["up", " 5", "0%", "\n"], false),
        (&["up 50%"], true),
        (&["up 50%\ndown\n"], true),
    ] {
        let report = asked(parts, closes, PATIENCE).await.expect("an answer");
        assert_eq!(
            (&*report.words, report.well, report.percent),
            ("up 50%", Some(true), Some(50)),
            "{parts:?}"
        );
    }
}

#[tokio::test]
async fn an_agent_that_gives_no_line_has_said_nothing() {
    let silent = asked(&["up"], false, Duration::from_millis(50)).await;
    assert_eq!(silent, Err("no line within 50ms".to_owned()));
    let closed = asked(&[], true, PATIENCE).await;
    assert_eq!(closed, Err("closed without a word".to_owned()));
    let long = "x".repeat(3 * LINE_BYTES).leak();
    let endless = asked(&[long], false, PATIENCE).await;
    assert_eq!(endless, Err("no end of the line in 1024 bytes".to_owned()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    drop(listener);
    ask(address, PATIENCE).await.expect_err("nobody listens");
}

/// One upstream of two backends, whose agents say what the test wants.
struct Stage {
    telemetry: Arc<Telemetry>,
    upstream: Arc<Upstream>,
    board: Arc<Board>,
    checks: Checks,
    lines: Arc<Mutex<HashMap<SocketAddr, &'static str>>>,
}

fn settings() -> UpstreamSettings {
    let backends =
        (1..=2).map(|n| BackendSettings::at(&format!("backend-{n}"), ([127, 0, 0, n], 80).into(), 4));
    UpstreamSettings {
        slow_start: SlowStart { duration: Duration::ZERO, floor: 1.0 },
        ..UpstreamSettings::new("app", backends.collect())
    }
}

impl Stage {
    fn new() -> Self {
        let (telemetry, board) = (Telemetry::new(1), Arc::new(Board::default()));
        let upstream = Arc::new(Upstream::new(settings(), None, &telemetry, Instant::now()));
        let lines = Arc::<Mutex<HashMap<SocketAddr, &'static str>>>::default();
        let script = Arc::clone(&lines);
        let ask_one: AskOne = Arc::new(move |address, _| {
            let line = script.lock().unwrap_or_else(PoisonError::into_inner).get(&address).copied();
            let said = line.map(|line| Report::parse(line.as_bytes()));
            Box::pin(async move { said.ok_or_else(|| "connection refused".to_owned()) })
        });
        let check_one = super::super::check::over_the_network();
        let checks = Checks::with(Arc::clone(&board), check_one, ask_one);
        let mut stage = Self { telemetry, upstream, board, checks, lines };
        stage.apply(true);
        stage
    }

    fn apply(&mut self, asked: bool) {
        let agents = asked.then_some(AgentSettings {
            port: 9777,
            interval: INTERVAL,
            timeout: INTERVAL / 2,
            jitter: 0.0,
        });
        let upstream = Arc::clone(&self.upstream);
        self.checks.apply(&[Watched { upstream, checks: None, agents }]);
    }

    /// The agent of the first backend says this from now on; none of them answers.
    async fn says(&self, line: Option<&'static str>) {
        let agent = SocketAddr::from(([127, 0, 0, 1], 9777));
        match line {
            Some(line) => self.lines.lock().unwrap_or_else(PoisonError::into_inner).insert(agent, line),
            None => self.lines.lock().unwrap_or_else(PoisonError::into_inner).remove(&agent),
        };
        sleep(INTERVAL + INTERVAL / 10).await;
    }

    fn state(&self) -> BackendState {
        self.upstream.backends[0].availability().state()
    }

    fn weights(&self) -> [f64; 2] {
        [0, 1].map(|backend: usize| self.upstream.backends[backend].series.effective_weight.get())
    }
}

#[tokio::test(start_paused = true)]
async fn the_word_of_the_agent_moves_the_backend() {
    let stage = Stage::new();
    for (line, state) in [
        ("drain", BackendState::Draining),
        ("50%", BackendState::Draining),
        ("ready", BackendState::Up),
        ("maint", BackendState::Draining),
        ("up", BackendState::Up),
        ("down # disk is full", BackendState::Down),
        ("ready", BackendState::Down),
        ("up", BackendState::Up),
        ("up drain", BackendState::Draining),
        ("stopped", BackendState::Down),
        ("up 100%", BackendState::Up),
    ] {
        stage.says(Some(line)).await;
        assert_eq!(stage.state(), state, "after {line:?}");
    }
    let told = stage.board.transitions();
    assert!(told.iter().all(|transition| transition.cause == TransitionCause::Agent), "{told:?}");
    let down = told.iter().find(|transition| transition.to == BackendState::Down).expect("it was down");
    assert_eq!(&*down.words, "its agent says: down # disk is full");
    assert!(told.iter().all(|transition| &*transition.backend == "backend-1"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn one_line_makes_one_transition_at_most() {
    let stage = Stage::new();
    let lines = [
        "drain",
        "down",
        "up",
        "drain",
        "ready down",
        "ready up",
        "down drain",
        "up drain",
        "down ready",
        "up",
    ];
    let mut before = stage.state();
    for line in lines {
        let told = stage.board.transitions().len();
        stage.says(Some(line)).await;
        let made = stage.board.transitions().len() - told;
        assert_eq!(made, usize::from(stage.state() != before), "after {line:?}");
        before = stage.state();
    }
    assert_eq!(before, BackendState::Up);
}

#[tokio::test(start_paused = true)]
async fn a_percentage_is_a_part_of_the_weight() {
    let mut stage = Stage::new();
    stage.says(Some("25%")).await;
    assert_eq!((stage.weights(), stage.state()), ([1.0, 4.0], BackendState::Up));
    stage.says(Some("up")).await;
    assert_eq!(stage.weights(), [1.0, 4.0], "what is not mentioned stays");
    stage.upstream =
        Arc::new(Upstream::new(settings(), Some(&stage.upstream), &stage.telemetry, Instant::now()));
    stage.apply(true);
    assert_eq!(stage.weights(), [1.0, 4.0], "a reload forgets nothing");
    stage.says(Some("0%")).await;
    assert_eq!((stage.weights(), stage.state()), ([0.0, 4.0], BackendState::Up));
    stage.says(Some("100%")).await;
    assert_eq!(stage.weights(), [4.0, 4.0]);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_answer_or_speaks_nonsense_changes_nothing() {
    let stage = Stage::new();
    stage.says(Some("drain 50%")).await;
    for line in [None, Some("HTTP/1.1 400 Bad Request"), Some(""), Some("# no words")] {
        stage.says(line).await;
        assert_eq!(stage.state(), BackendState::Draining, "after {line:?}");
    }
    stage.says(Some("ready maxconn:30")).await;
    assert_eq!((stage.state(), stage.weights()), (BackendState::Up, [2.0, 4.0]));
}

#[tokio::test(start_paused = true)]
async fn what_an_agent_said_is_void_when_it_is_not_asked_any_more() {
    let mut stage = Stage::new();
    stage.says(Some("down 10%")).await;
    stage.apply(false);
    stage.upstream =
        Arc::new(Upstream::new(settings(), Some(&stage.upstream), &stage.telemetry, Instant::now()));
    stage.apply(false);
    assert_eq!((stage.state(), stage.weights()), (BackendState::Up, [4.0, 4.0]));
    stage.says(Some("drain")).await;
    assert_eq!(stage.state(), BackendState::Up, "nobody asks");
}

#[tokio::test(start_paused = true)]
async fn a_suspicion_is_no_matter_of_the_agent() {
    let stage = Stage::new();
    stage.says(Some("up")).await;
    let backend = &stage.upstream.backends[0];
    stage.upstream.note(backend, Sign::ConnectFailed, Instant::now());
    assert!(backend.is_suspect(Instant::now()));
    sleep(INTERVAL * 2).await;
    assert!(
        backend.is_suspect(Instant::now()),
        "an agent that runs says nothing about connects to the backend"
    );
}
