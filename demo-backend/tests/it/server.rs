//! A server inside the test, and how it ends.

use std::net::SocketAddr;
use std::time::Duration;

use demo_backend::{Settings, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::get;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    end: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Server {
    /// Starts `backend-7` with short waits, after `change` has had its way with the settings.
    pub(crate) async fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::new("backend-7".parse().unwrap());
        settings.data_delay = Duration::from_millis(20);
        change(&mut settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let served = tokio::spawn(serve(settings, listener, async move {
            let _ = ended.await;
        }));
        Self { address, end, served }
    }
}

/// Returns once a series of /metrics has a value, for example `demo_backend_requests_in_flight 2`.
pub(crate) async fn until_metrics_say(server: SocketAddr, line: &str) {
    let poll = async {
        while !get(server, "/metrics").await.text().lines().any(|l| l == line) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), poll).await.unwrap_or_else(|_| panic!("never saw {line}"));
}

#[tokio::test]
async fn an_exchange_under_way_finishes_when_the_server_is_asked_to_end() {
    let server = Server::start(|_| {}).await;
    let address = server.address;
    let slow = tokio::spawn(async move { get(address, "/sleep/1000/late").await });
    // The scrape itself is the second one.
    until_metrics_say(address, "demo_backend_requests_in_flight 2").await;
    server.end.send(()).unwrap();
    assert_eq!(slow.await.unwrap().text(), "late");
    server.served.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "the port is free again");
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let server = Server::start(|settings| settings.drain = Duration::from_secs(60)).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).await.unwrap();
    server.end.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), server.served).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_exchange_that_takes_too_long_is_cut_off_at_the_drain_deadline() {
    let server = Server::start(|settings| settings.drain = Duration::from_millis(50)).await;
    let address = server.address;
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /sleep/60000/never HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    until_metrics_say(address, "demo_backend_requests_in_flight 2").await;
    server.end.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), server.served).await.unwrap().unwrap();
    assert_eq!(slow.read(&mut [0; 16]).await.unwrap_or(0), 0, "no answer came");
}
