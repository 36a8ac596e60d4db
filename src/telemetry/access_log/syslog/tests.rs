use super::*;
use std::net::SocketAddr;
use std::path::Path;

/// How long a message may take from one socket of this host to another.
const ARRIVAL: Duration = Duration::from_secs(10);

fn daemon(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).expect("the path is free");
    socket.set_read_timeout(Some(ARRIVAL)).expect("invariant: not zero");
    socket
}

fn to_socket(path: &Path) -> Sender {
    Sender::new(Syslog { address: SyslogAddress::Socket(path.to_owned()), facility: 18 })
}

fn to_udp(address: SocketAddr) -> Sender {
    let address = SyslogAddress::Udp(address.to_string().into());
    Sender::new(Syslog { address, facility: 3 })
}

fn next(socket: &UnixDatagram) -> String {
    let mut message = [0; 1000];
    let length = socket.recv(&mut message).expect("a message comes");
    String::from_utf8_lossy(&message[..length]).into_owned()
}

#[test]
fn each_line_is_a_message_as_syslog_3_writes_it() {
    let folder = tempfile::tempdir().expect("a directory can be made");
    let path = folder.path().join("log");
    let daemon = daemon(&path);
    let (taken, failure) = to_socket(&path).send(b"one\ntwo\n");
    assert_eq!(taken, 2, "{failure:?}");
    // 18 * 8 + 6: local2, info.
    let head = format!("<150>plimsoll[{}]: ", std::process::id());
    assert_eq!([next(&daemon), next(&daemon)], ["one", "two"].map(|line| format!("{head}{line}")));
}

#[test]
fn over_udp_it_is_a_message_of_rfc_5424() {
    let daemon = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    daemon.set_read_timeout(Some(ARRIVAL)).expect("invariant: not zero");
    let (taken, failure) = to_udp(daemon.local_addr().expect("it is bound")).send(b"a line\n");
    assert_eq!(taken, 1, "{failure:?}");
    let mut message = [0; 1000];
    let length = daemon.recv(&mut message).expect("a message comes");
    let message = String::from_utf8_lossy(&message[..length]).into_owned();
    let words: Vec<&str> = message.splitn(8, ' ').collect();
    let [version, time, host, app, pid, id, data, line] = words[..] else { panic!("{message}") };
    assert_eq!((version, app, id, data, line), ("<30>1", "plimsoll", "-", "-", "a line"));
    assert_eq!(pid, std::process::id().to_string());
    assert!(
        time.len() == "2026-11-21T09:51:00.250Z".len() && time.ends_with('Z') && !host.is_empty(),
        "{message}"
    );
}

#[test]
fn a_daemon_that_is_away_costs_lines_until_it_is_back() {
    let folder = tempfile::tempdir().expect("a directory can be made");
    let path = folder.path().join("log");
    let mut sender = to_socket(&path);
    let (taken, failure) = sender.send(b"never there\nnor this\n");
    assert_eq!((taken, failure.map(|error| error.kind())), (0, Some(ErrorKind::NotFound)));
    let first = daemon(&path);
    assert_eq!(sender.send(b"there\n").0, 1);
    assert!(next(&first).ends_with(": there"));
    drop(first);
    assert_eq!(sender.send(b"gone\n").0, 0);
    std::fs::remove_file(&path).expect("the socket is there");
    let second = daemon(&path);
    assert_eq!(sender.send(b"back\n").0, 1);
    assert!(next(&second).ends_with(": back"));
}

#[test]
fn a_daemon_that_was_started_anew_misses_no_line() {
    let folder = tempfile::tempdir().expect("a directory can be made");
    let path = folder.path().join("log");
    let first = daemon(&path);
    let mut sender = to_socket(&path);
    assert_eq!(sender.send(b"before\n").0, 1);
    drop(first);
    std::fs::remove_file(&path).expect("the socket is there");
    let second = daemon(&path);
    assert_eq!(sender.send(b"after\n").0, 1);
    assert!(next(&second).ends_with(": after"));
}

#[test]
fn a_daemon_that_does_not_read_is_waited_for_once() {
    let folder = tempfile::tempdir().expect("a directory can be made");
    let path = folder.path().join("log");
    let daemon = daemon(&path);
    let mut sender = to_socket(&path);
    let many = b"line\n".repeat(100_000);
    let (taken, failure) = sender.send(&many);
    assert!(taken > 0 && taken < 100_000, "{taken} fit into the socket");
    assert_eq!(failure.map(|error| error.kind()), Some(ErrorKind::WouldBlock));
    // If each were waited for, it would take minutes.
    let waiting_for_each = PATIENCE * 1000;
    let begun = tokio::time::Instant::now();
    (0..1000).for_each(|_| assert_eq!(sender.send(b"line\n").0, 0));
    assert!(begun.elapsed() < waiting_for_each / 2, "{:?}", begun.elapsed());
    (0..taken).for_each(|_| drop(next(&daemon)));
    assert_eq!(sender.send(b"again\n").0, 1);
    assert!(next(&daemon).ends_with(": again"));
}

#[test]
fn what_udp_could_not_deliver_is_counted_one_line_late() {
    let daemon = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let address = daemon.local_addr().expect("it is bound");
    let mut sender = to_udp(address);
    assert_eq!(sender.send(b"taken\n").0, 1);
    drop(daemon);
    let lost: u64 = (0..10).map(|_| 1 - sender.send(b"lost\n").0).sum();
    assert_eq!(lost, 9, "that the last one is lost is not known yet");
    let daemon = UdpSocket::bind(address).expect("nobody else takes it");
    daemon.set_read_timeout(Some(ARRIVAL)).expect("invariant: not zero");
    assert_eq!(sender.send(b"arrives\n").0, 0, "this tells that the one before was lost");
    let mut message = [0; 1000];
    let length = daemon.recv(&mut message).expect("a message comes");
    assert!(message[..length].ends_with(b" arrives"));
    assert_eq!(sender.send(b"taken\n").0, 1);
}
