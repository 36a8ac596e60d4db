//! A backend that follows a script, and remembers what reached it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use socket2::{Domain, Socket, Type};

use super::wire::{Message, Wire};

/// A listening backend; it stops accepting when it is dropped.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    memory: Arc<Memory>,
}

/// What a backend saw. Scripts that read by themselves note what they read here.
#[derive(Default)]
pub(crate) struct Memory {
    requests: Mutex<Vec<Message>>,
    connections: AtomicUsize,
    stopped: AtomicBool,
}

impl Memory {
    /// Notes one request that reached the backend.
    pub(crate) fn note(&self, request: Message) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }
}

impl Backend {
    /// Follows `script` on each connection, on a thread of its own.
    pub(crate) fn scripted(script: impl Fn(Wire, &Memory) + Send + Sync + 'static) -> Self {
        Self::scripted_at((Ipv4Addr::LOCALHOST, 0).into(), script)
    }

    /// Does the same at this address.
    pub(crate) fn scripted_at(
        address: SocketAddr,
        script: impl Fn(Wire, &Memory) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("the address is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let memory = Arc::new(Memory::default());
        let (script, shared) = (Arc::new(script), Arc::clone(&memory));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.stopped.load(Ordering::Acquire) {
                    return;
                }
                shared.connections.fetch_add(1, Ordering::AcqRel);
                let (script, memory) = (Arc::clone(&script), Arc::clone(&shared));
                thread::spawn(move || script(Wire::new(stream), &memory));
            }
        });
        Self { address, memory }
    }

    /// Gives every request the answer that `answer` makes of it, and keeps the connection.
    pub(crate) fn answering(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::answering_at((Ipv4Addr::LOCALHOST, 0).into(), answer)
    }

    fn answering_at(
        address: SocketAddr,
        answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::scripted_at(address, move |mut wire, memory| {
            while let Some(request) = wire.request() {
                let bytes = answer(&request);
                memory.note(request);
                if !wire.try_send(bytes) {
                    return;
                }
            }
        })
    }

    /// Answers 200 with `body` to everything.
    pub(crate) fn saying(body: &'static str) -> Self {
        Self::saying_at((Ipv4Addr::LOCALHOST, 0).into(), body)
    }

    /// Does the same at this address.
    pub(crate) fn saying_at(address: SocketAddr, body: &'static str) -> Self {
        Self::answering_at(address, move |request| {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            let body = if request.head.method() == "HEAD" { "" } else { body };
            [head.as_bytes(), body.as_bytes()].concat()
        })
    }

    /// Reads one request per connection, sends `bytes`, and closes.
    pub(crate) fn once(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::scripted(move |mut wire, memory| {
            if let Some(request) = wire.request() {
                memory.note(request);
                wire.send(bytes.as_ref());
            }
        })
    }

    /// An address at which nobody listens, and nobody will: a socket that never listens keeps the port to itself until
    /// the process ends. A port that was merely free a moment ago may be another test's by the time it is asked.
    pub(crate) fn nobody() -> SocketAddr {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("loopback has a free port");
        let address = socket.local_addr().ok().and_then(|address| address.as_socket());
        std::mem::forget(socket);
        address.expect("a bound socket has an address")
    }

    /// An address whose host does not answer connects, as if it had vanished: the queue of a socket that never accepts
    /// is full, and Linux drops what would overfill it.
    pub(crate) fn vanished() -> SocketAddr {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("loopback has a free port");
        listener.listen(0).expect("a bound socket can listen");
        let address = listener.local_addr().ok().and_then(|address| address.as_socket());
        let address = address.expect("a bound socket has an address");
        let is_queued = || std::net::TcpStream::connect_timeout(&address, super::SHORT).map(std::mem::forget);
        while is_queued().is_ok() {}
        std::mem::forget(listener);
        address
    }

    /// The requests that reached the backend so far, in order.
    pub(crate) fn requests(&self) -> Vec<Message> {
        self.memory.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many requests reached the backend so far.
    pub(crate) fn request_count(&self) -> usize {
        self.memory.requests.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The requests that reached the backend after the first `count`.
    pub(crate) fn requests_after(&self, count: usize) -> Vec<Message> {
        self.memory.requests.lock().unwrap_or_else(PoisonError::into_inner)[count..].to_vec()
    }

    /// How many connections were made to the backend so far.
    pub(crate) fn connections(&self) -> usize {
        self.memory.connections.load(Ordering::Acquire)
    }

    /// The only request that reached the backend.
    #[track_caller]
    pub(crate) fn only_request(&self) -> Message {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "one request reaches the backend: {requests:?}");
        requests.remove(0)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.memory.stopped.store(true, Ordering::Release);
        // The accepting thread notices with its next connection.
        let _ = std::net::TcpStream::connect(self.address);
    }
}
