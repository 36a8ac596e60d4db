//! A backend is given no more than it takes; what nobody can take waits, and not for ever.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::eventually;
use crate::harness::setup::Setup;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// A backend that gives one answer for each leave.
fn held() -> (Backend, Sender<()>) {
    let (leave, leaves): (_, Receiver<()>) = channel();
    let leaves = Mutex::new(leaves);
    let backend = Backend::scripted(move |mut wire, memory| {
        while let Some(request) = wire.request() {
            memory.note(request);
            // Closed when the test is over.
            if leaves.lock().is_ok_and(|leaves| leaves.recv().is_ok()) {
                wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            }
        }
    });
    (backend, leave)
}

/// Waits until this many requests wait in the balancer.
#[track_caller]
fn expect_queue(balancer: &Balancer, length: f64) {
    balancer.expect_metric("plimsoll_queued_requests", &["upstream=\"app\""], length);
}

fn ended(balancer: &Balancer, result: &str) -> f64 {
    balancer.metrics().sum("plimsoll_queue_ended_total", &[&format!("result=\"{result}\"")])
}

#[test]
fn a_request_waits_for_room_and_is_answered_when_there_is_some() {
    let (backend, leave) = held();
    let balancer = Setup::over([&backend]).upstream("limits: { in_flight: 1 }").start();
    let mut clients: Vec<_> = (0..3).map(|_| balancer.connect()).collect();
    clients[0].send(GET);
    eventually("the backend has the first", || backend.requests().len() == 1);
    for (waiting, client) in clients.iter_mut().enumerate().skip(1) {
        client.send(GET);
        expect_queue(&balancer, waiting as f64);
    }
    assert_eq!(backend.requests().len(), 1, "it takes one at a time");
    for (served, client) in clients.iter_mut().enumerate() {
        leave.send(()).expect("the backend waits");
        assert_eq!(
            client.answer(false).text(),
            "ok",
            "who came as number {served} is served as number {served}"
        );
    }
    expect_queue(&balancer, 0.0);
    assert!((ended(&balancer, "admitted") - 2.0).abs() < 0.5);
}

#[test]
fn one_more_than_the_queue_takes_is_told_when_to_come_again() {
    let (backend, leave) = held();
    let balancer = Setup::over([&backend]).upstream("limits: { in_flight: 1, queue: 1 }").start();
    let (mut first, mut second) = (balancer.connect(), balancer.connect());
    first.send(GET);
    eventually("the backend has the first", || backend.requests().len() == 1);
    second.send(GET);
    expect_queue(&balancer, 1.0);
    let refused = balancer.ask(GET);
    assert_eq!((refused.status(), refused.head.field("retry-after")), (503, Some("1")), "{}", refused.text());
    balancer.expect_metric("plimsoll_requests_refused_total", &["reason=\"overloaded\""], 1.0);
    assert!((ended(&balancer, "full") - 1.0).abs() < 0.5);
    for client in [&mut first, &mut second] {
        leave.send(()).expect("the backend waits");
        assert_eq!(client.answer(false).text(), "ok");
    }
}

#[test]
fn who_has_waited_long_enough_is_refused() {
    let (backend, _leave) = held();
    let limits = "limits: { in_flight: 1, queue_timeout: 50ms }";
    let balancer = Setup::over([&backend]).upstream(limits).start();
    let mut first = balancer.connect();
    first.send(GET);
    eventually("the backend has the first", || backend.requests().len() == 1);
    let refused = balancer.ask(GET);
    assert_eq!((refused.status(), refused.head.field("retry-after")), (503, Some("1")), "{}", refused.text());
    assert!((ended(&balancer, "timed_out") - 1.0).abs() < 0.5);
    expect_queue(&balancer, 0.0);
}

#[test]
fn a_client_that_leaves_the_queue_is_not_served() {
    let (backend, leave) = held();
    let balancer = Setup::over([&backend]).upstream("limits: { in_flight: 1, queue_timeout: 1m }").start();
    let mut first = balancer.connect();
    first.send(GET);
    eventually("the backend has the first", || backend.requests().len() == 1);
    let mut second = balancer.connect();
    second.send(GET);
    expect_queue(&balancer, 1.0);
    drop(second);
    expect_queue(&balancer, 0.0);
    assert!((ended(&balancer, "abandoned") - 1.0).abs() < 0.5);
    leave.send(()).expect("the backend waits");
    assert_eq!(first.answer(false).text(), "ok");
    balancer.expect_metric("plimsoll_requests_total", &["code=\"499\""], 1.0);
    assert_eq!(backend.requests().len(), 1);
}

#[test]
fn workers_that_pick_at_the_same_time_exceed_no_limit() {
    const LIMIT: usize = 2;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, peak) = (Arc::clone(&now), Arc::clone(&most));
    let backend = Backend::answering(move |_| {
        let running = counted.fetch_add(1, Ordering::SeqCst) + 1;
        peak.fetch_max(running, Ordering::SeqCst);
        thread::yield_now();
        counted.fetch_sub(1, Ordering::SeqCst);
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec()
    });
    let limits = format!("limits: {{ in_flight: {LIMIT}, queue_timeout: 1m }}");
    let balancer = Setup::over([&backend]).upstream(&limits).top("workers: 2").start();
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = balancer.connect();
                for _ in 0..25 {
                    assert_eq!(client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status(), 200);
                }
            });
        }
    });
    assert!(most.load(Ordering::SeqCst) <= LIMIT, "{} at a time", most.load(Ordering::SeqCst));
    assert!(ended(&balancer, "admitted") >= 1.0, "some had to wait");
}
