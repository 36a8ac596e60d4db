//! What the process does that plays a backend.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Mode;

/// The test by whose name this program is told to play a backend.
pub(super) const TEST: &str = "real_failures::process::role::a_backend_is_played_when_asked_for";

/// The variable that makes this program play one: its name and its address.
pub(super) const VARIABLE: &str = "PLIMSOLL_TEST_BACKEND";

/// How long an answer takes while all is well.
const DELAY: Duration = Duration::from_millis(10);

/// How long a process that was asked to end waits for a last request on each idle connection.
const LINGER: Duration = Duration::from_millis(100);

/// How long it lets its connections end altogether.
const GRACE: Duration = Duration::from_secs(5);

#[test]
fn a_backend_is_played_when_asked_for() {
    let Ok(asked) = std::env::var(VARIABLE) else { return };
    let (name, address) = asked.split_once(' ').expect("a name and an address");
    let address = address.parse().expect("an address");
    // By KILL, since a stopped process would not heed anything else.
    set_parent_process_death_signal(Some(Signal::KILL)).expect("a process may be tied to its parent");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(serve(name, address));
    std::process::exit(0);
}

/// What all connections know.
struct Backend {
    name: String,
    mode: watch::Receiver<Mode>,
    ending: watch::Receiver<bool>,
    answers: AtomicU64,
}

async fn serve(name: &str, address: SocketAddr) {
    let (order, mode) = watch::channel(Mode::Well);
    let (end, ending) = watch::channel(false);
    std::thread::spawn(move || obey(&order));
    let mut modes = mode.clone();
    let backend = Arc::new(Backend { name: name.to_owned(), mode, ending, answers: AtomicU64::new(0) });
    let mut terminate = signal(SignalKind::terminate()).expect("a signal can be caught");
    let mut listener = Some(TcpListener::bind(address).await.expect("the address is free"));
    tell("listening");
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            stream = accept(listener.as_ref()) => drop(connections.spawn(connection(stream, Arc::clone(&backend)))),
            _ = terminate.recv() => break,
            _ = modes.changed() => {
                let deaf = *modes.borrow_and_update() == Mode::Deaf;
                if deaf {
                    listener = None;
                } else if listener.is_none() {
                    listener = Some(TcpListener::bind(address).await.expect("the address is free"));
                }
            }
        }
    }
    // Who has connected already is still served; only then nobody else can connect.
    while let Ok(stream) = timeout(Duration::from_millis(1), accept(listener.as_ref())).await {
        connections.spawn(connection(stream, Arc::clone(&backend)));
    }
    drop(listener);
    end.send_replace(true);
    let _ = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
}

/// Takes the orders, a line each; the end of the input is the end of the process.
fn obey(order: &watch::Sender<Mode>) {
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let mode = Mode::ALL.into_iter().find(|mode| line == (*mode as u8).to_string());
        order.send_replace(mode.expect("an order is the number of a mode"));
    }
    std::process::exit(0);
}

/// One write, so that lines are whole. Not `eprintln`, which the test runner would keep.
fn tell(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            return stream;
        }
    }
}

async fn connection(stream: TcpStream, backend: Arc<Backend>) {
    let closing = |mode: &Mode| *mode == Mode::Closing;
    let mut mode = backend.mode.clone();
    tokio::select! {
        biased;
        _ = mode.wait_for(closing) => {}
        _ = exchanges(stream, &backend) => {}
    }
}

/// Answers what comes; None when the connection has ended.
async fn exchanges(mut stream: TcpStream, backend: &Backend) -> Option<()> {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::new();
    let mut ending = backend.ending.clone();
    loop {
        let last = async {
            let _ = ending.wait_for(|ending| *ending).await;
            sleep(LINGER).await;
        };
        tokio::select! {
            read = request(&mut stream, &mut buffer) => read?,
            () = last => return None,
        }
        let answer = answer(backend).await?;
        stream.write_all(answer.as_bytes()).await.ok()?;
        if *backend.ending.borrow() {
            return None;
        }
    }
}

/// Reads a request, and tells of it when it is a POST.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
        more(stream, buffer).await?;
    };
    let head = String::from_utf8(buffer.drain(..end).collect()).ok()?.to_ascii_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    let length = field("content-length:").unwrap_or(0) as usize;
    while buffer.len() < length {
        more(stream, buffer).await?;
    }
    buffer.drain(..length);
    if head.starts_with("post ") {
        tell(&format!("post {}", field("x-number:").unwrap_or(u64::MAX)));
    }
    Some(())
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    (stream.read_buf(buffer).await.ok()? > 0).then_some(())
}

/// The answer, when it is due. None ends the connection without one.
async fn answer(backend: &Backend) -> Option<String> {
    let mode = *backend.mode.borrow();
    sleep(if mode == Mode::Slow { DELAY * 10 } else { DELAY }).await;
    let nth = backend.answers.fetch_add(1, Ordering::Relaxed);
    let status = match mode {
        Mode::Garbage => return Some("this is not HTTP\r\n\r\n".to_owned()),
        Mode::Mute => {
            let _ = backend.mode.clone().wait_for(|mode| *mode != Mode::Mute).await;
            return None;
        }
        // Never two in a row.
        Mode::Failing if matches!(nth % 10, 0 | 3 | 6) => "500 Internal Server Error",
        _ => "200 OK",
    };
    let close = if *backend.ending.borrow() { "connection: close\r\n" } else { "" };
    let name = &backend.name;
    Some(format!("HTTP/1.1 {status}\r\n{close}x-server: {name}\r\ncontent-length: 4\r\n\r\ndone"))
}
