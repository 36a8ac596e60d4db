//! A gateway that does as it is told, and remembers what it was asked.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::running::PATIENCE;

/// The answer of a gateway that is content.
pub(crate) const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
/// No answer at all: the connection stays open.
pub(crate) const SILENCE: &str = "";

/// A gateway; it is gone when the test is over.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    answer: Arc<Mutex<String>>,
    requests: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Gateway {
    /// Starts one that answers each request with `answer` and closes.
    pub(crate) async fn start(answer: &str) -> Self {
        Self::listen("127.0.0.1:0".parse().unwrap(), answer).await
    }

    /// Starts one at an address that was free a moment ago.
    pub(crate) async fn listen(address: SocketAddr, answer: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(answer.to_owned()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answers, log) = (Arc::clone(&answer), Arc::clone(&requests));
        let serving = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = request(&mut stream).await;
                log.lock().unwrap().push(request);
                let answer = answers.lock().unwrap().clone();
                if answer == SILENCE {
                    open.push(stream);
                } else {
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            }
        });
        Self { address, answer, requests, serving }
    }

    /// What the option --push takes.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers otherwise from now on.
    pub(crate) fn answer(&self, answer: &str) {
        answer.clone_into(&mut self.answer.lock().unwrap());
    }

    /// Returns all requests so far, head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits until there were so many requests, and returns them.
    pub(crate) async fn after(&self, count: usize) -> Vec<String> {
        self.until(|requests| requests.len() >= count).await;
        self.requests()
    }

    /// Waits until the last request is as wanted.
    pub(crate) async fn until_last(&self, wanted: impl Fn(&String) -> bool) {
        self.until(|requests| requests.last().is_some_and(&wanted)).await;
    }

    async fn until(&self, wanted: impl Fn(&[String]) -> bool) {
        let asked = async {
            while !wanted(&self.requests()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, asked).await;
        assert!(waited.is_ok(), "it was never asked so: {:?}", self.requests().last());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Reads a request with a body of a known length.
async fn request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text.into_owned();
            }
        }
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return String::from_utf8_lossy(&read).into_owned();
        }
    }
}

/// An address where nobody listens, until a test does: no other process has tests at this IP address, as all of 127.0.0.0/8
/// is this machine and the address is made of our process id, and no other test of this process gets the port.
pub(crate) fn nobody() -> SocketAddr {
    // Below the ports that the kernel gives to sockets that ask for any.
    static NEXT: AtomicU16 = AtomicU16::new(10_000);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 64 | high, middle, low);
    SocketAddr::from((address, NEXT.fetch_add(1, Ordering::Relaxed)))
}
