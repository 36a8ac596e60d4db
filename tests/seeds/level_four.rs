//! Round robin over two simple web servers, and a configuration of HAProxy that was cut short.

use crate::commands::{Site, curl, folder, import, moved, plimsoll, python_server, text, write};
use crate::harness::{eventually, free_address};

/// The file, whose default backend is nowhere in it.
const CONFIG: &str = include_str!("level_four/haproxy.cfg");

/// Round robin at level 4 over two servers.
const ROUND_ROBIN: &str = include_str!("level_four/round_robin.cfg");

#[test]
fn connections_take_turns_at_level_four() {
    let folder = folder();
    let (listen, servers) = (free_address(), [(); 2].map(|()| free_address()));
    let config = ROUND_ROBIN.replace(":1325", &format!(":{}", listen.port()));
    let config = moved(&config, &[("127.0.0.1:8888", servers[0]), ("127.0.0.1:9999", servers[1])]);
    let file = write(folder.path(), "haproxy.cfg", &config);
    let _jobs = [0, 1].map(|nth| {
        let pages = folder.path().join(format!("s{}", nth + 1));
        write(&pages, "index.html", &format!("server {}\n", nth + 1));
        python_server(servers[nth], &pages)
    });
    let (yaml, notes) = import("haproxy", &file);
    assert!(notes.contains(", 0 unknown, 0 error"), "{notes}");
    let site = Site::run(&yaml, listen);
    for name in ["s1", "s2"] {
        site.expect_check(&["up", name]);
    }
    let url = format!("http://127.0.0.1:{}/", listen.port());
    let mut turns: Vec<String> = (0..4).map(|_| curl(&url)).collect();
    assert_ne!(turns[0], turns[1], "{turns:?}");
    assert_eq!(turns[..2], turns[2..], "{turns:?}");
    turns.sort_unstable();
    assert_eq!(turns, ["server 1\n", "server 1\n", "server 2\n", "server 2\n"]);
    // Each was a connection, and nothing was read of the requests in it.
    eventually("two connections of each server have ended", || {
        let metrics = site.metrics();
        let requests = metrics.sum("plimsoll_requests_total", &[]);
        let ended = ["s1", "s2"]
            .map(|name| metrics.sum("plimsoll_tcp_connections_total", &[&format!("backend=\"{name}\"")]));
        requests.abs() < 0.5 && ended.iter().all(|ended| (ended - 2.0).abs() < 0.5)
    });
}

#[test]
fn a_backend_that_the_file_does_not_define_is_named() {
    let folder = folder();
    let file = write(folder.path(), "haproxy.cfg", CONFIG);
    let output = plimsoll(["import".as_ref(), "haproxy".as_ref(), file.as_os_str()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "half a configuration is none");
    let line = CONFIG.lines().position(|line| line.contains("default_backend")).expect("it is there") + 1;
    let expected = format!("haproxy.cfg:{line}:33: error: `app`: there is no backend `app` in this file");
    let said = text(&output.stderr);
    assert!(said.contains(&expected), "{expected} in\n{said}");
    assert!(said.contains(", 1 error"), "and that is all: {said}");
}

#[test]
fn with_that_backend_it_runs_by_turns() {
    let folder = folder();
    let (listen, picture, servers) = (free_address(), free_address(), [(); 2].map(|()| free_address()));
    let app = format!(
        "backend app\n    balance roundrobin\n    server one {} check\n    server two {} check\n",
        servers[0], servers[1]
    );
    let config = moved(CONFIG, &[("127.0.0.1:4331", picture)]) + &app;
    let config = config.replace("*:5000", &format!("*:{}", listen.port()));
    let file = write(folder.path(), "haproxy.cfg", &config);
    let _jobs = ["one", "two"].map(|name| {
        let pages = folder.path().join(name);
        write(&pages, "index.html", name);
        python_server(servers[usize::from(name == "two")], &pages)
    });
    let (yaml, _) = import("haproxy", &file);
    let site = Site::run(&yaml, listen);
    for name in ["one", "two"] {
        site.expect_check(&["up", name]);
    }
    let url = format!("http://127.0.0.1:{}/", listen.port());
    let mut turns: Vec<String> = (0..4).map(|_| curl(&url)).collect();
    assert_ne!(turns[0], turns[1], "{turns:?}");
    assert_eq!(turns[..2], turns[2..], "{turns:?}");
    turns.sort_unstable();
    assert_eq!(turns, ["one", "one", "two", "two"]);
}
