//! A server whose n-th answer a test scripts byte by byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Added to the count of requests when answers are released; more than any test sends.
const RELEASED: usize = 1_000_000;

/// One scripted answer.
pub(crate) struct Answer {
    bytes: String,
    held_until: Option<usize>,
    stall: Duration,
    close: bool,
}

impl Answer {
    /// A complete answer that names `backend`.
    pub(crate) fn ok(backend: &str) -> Answer {
        Answer::raw(&format!("HTTP/1.1 200 OK\r\nx-server: {backend}\r\ncontent-length: 2\r\n\r\nok"))
    }

    /// Exactly these bytes.
    pub(crate) fn raw(bytes: &str) -> Answer {
        Answer { bytes: bytes.to_owned(), held_until: None, stall: Duration::ZERO, close: false }
    }

    /// Only this answer waits until `requests` have arrived in all, or until the server releases all answers.
    pub(crate) fn held_until(mut self, requests: usize) -> Answer {
        self.held_until = Some(requests);
        self
    }

    /// The whole server answers nothing for this long.
    pub(crate) fn stalling(mut self, stall: Duration) -> Answer {
        self.stall = stall;
        self
    }

    /// The connection is closed behind the answer.
    pub(crate) fn then_close(mut self) -> Answer {
        self.close = true;
        self
    }
}

/// A running server; it ends when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    _accepting: JoinSet<()>,
}

struct State {
    script: Box<dyn Fn(usize) -> Answer + Send + Sync>,
    requests: watch::Sender<usize>,
    connections: watch::Sender<usize>,
    last_head: Mutex<String>,
    answering: tokio::sync::Mutex<()>,
}

impl Server {
    pub(crate) async fn start(script: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            script: Box::new(script),
            requests: watch::Sender::new(0),
            connections: watch::Sender::new(0),
            last_head: Mutex::default(),
            answering: tokio::sync::Mutex::default(),
        });
        let mut accepting = JoinSet::new();
        let accepted = Arc::clone(&state);
        accepting.spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                accepted.connections.send_modify(|n| *n += 1);
                let state = Arc::clone(&accepted);
                serving.spawn(async move { state.serve(stream).await });
            }
        });
        Server { address, state, _accepting: accepting }
    }

    pub(crate) fn requests(&self) -> usize {
        *self.state.requests.borrow() % RELEASED
    }

    pub(crate) fn connections(&self) -> usize {
        *self.state.connections.borrow()
    }

    pub(crate) fn last_head(&self) -> String {
        self.state.last_head.lock().unwrap().clone()
    }

    /// Lets every answer go that is held.
    pub(crate) fn release(&self) {
        self.state.requests.send_modify(|n| *n += RELEASED);
    }

    /// Returns once `count` requests have arrived.
    pub(crate) async fn wait_for(&self, count: usize) {
        let mut requests = self.state.requests.subscribe();
        let enough = requests.wait_for(|n| *n >= count);
        tokio::time::timeout(Duration::from_secs(10), enough).await.unwrap().unwrap();
    }
}

impl State {
    async fn serve(&self, mut stream: TcpStream) {
        while let Some(head) = read_head(&mut stream).await {
            let mut number = 0;
            self.requests.send_modify(|n| {
                number = *n % RELEASED;
                *n += 1;
            });
            *self.last_head.lock().unwrap() = head;
            let answer = (self.script)(number);
            if let Some(count) = answer.held_until {
                // The sender is part of self, so the wait ends only with the condition.
                let _ = self.requests.subscribe().wait_for(|n| *n >= count).await;
            }
            let turn = self.answering.lock().await;
            tokio::time::sleep(answer.stall).await;
            drop(turn);
            if stream.write_all(answer.bytes.as_bytes()).await.is_err() || answer.close {
                return;
            }
        }
    }
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}
