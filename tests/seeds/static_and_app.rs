//! A site of one server for what is static and four for the application, as the configuration has it that a package of
//! HAProxy installs: imported, checked, and asked the same as HAProxy with the same file.

use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;

use crate::commands::{CHECKS, Site, bash, check, curl, folder, get, import, moved, python_server, write};
use crate::harness::backend::Backend;
use crate::harness::program::Program;
use crate::harness::{free_address, within};

/// The file, as it is.
const CONFIG: &str = include_str!("static_and_app/haproxy.cfg");

/// The servers that it names, with their addresses.
const SERVERS: [&str; 5] =
    ["127.0.0.1:4331", "127.0.0.1:5001", "127.0.0.1:5002", "127.0.0.1:5003", "127.0.0.1:5004"];

/// The file with the ports of a test.
fn placed(listen: SocketAddr, servers: &[SocketAddr; 5]) -> String {
    let port = format!("*:{}", listen.port());
    let servers: Vec<_> = SERVERS.into_iter().zip(servers.iter().copied()).collect();
    moved(&CONFIG.replace("*:5000", &port), &servers)
}

/// plimsoll with the imported file.
fn plimsoll(folder: &TempDir, servers: &[SocketAddr; 5]) -> Site {
    let listen = free_address();
    let file = write(folder.path(), "plimsoll/haproxy.cfg", &placed(listen, servers));
    let (yaml, _) = import("haproxy", &file);
    Site::run(&yaml, listen)
}

/// HAProxy with the file, but for what belongs to the machine that it was installed on: users, folders, the background.
fn haproxy(folder: &TempDir, servers: &[SocketAddr; 5]) -> (SocketAddr, Program) {
    let listen = free_address();
    let theirs = ["log /dev/log", "chroot", "pidfile", "user", "group", "daemon", "stats socket"];
    let config = placed(listen, servers);
    let kept = config.lines().filter(|line| !theirs.iter().any(|word| line.trim_start().starts_with(word)));
    let kept: String = kept.map(|line| format!("{line}\n")).collect();
    let path = write(folder.path(), "haproxy/haproxy.cfg", &kept);
    let path = path.to_str().expect("the temporary folder has a name in UTF-8");
    let program = Program::start(folder.path(), "haproxy", ["-f", path, "-db"]);
    within(CHECKS, || std::net::TcpStream::connect(listen).map(drop).map_err(|error| error.to_string()));
    (listen, program)
}

/// Five requests by curl, one after the other.
fn five_requests(port: u16) -> String {
    bash(&format!(
        "for i in {{1..5}}; do echo \"Request $i:\"; curl -s http://localhost:{port}/ | grep \"Hello\"; done"
    ))
}

fn page(folder: &Path, server: &str) -> std::path::PathBuf {
    let text = format!("<h1>Hello from HAProxy on ALT Sisyphus!</h1><p>Server: {server}</p>\n");
    let pages = folder.join(server);
    write(&pages, "index.html", &text);
    pages
}

#[test]
fn the_file_is_imported_with_a_word_on_each_directive() {
    let folder = folder();
    let file = write(folder.path(), "haproxy.cfg", CONFIG);
    let (yaml, notes) = import("haproxy", &file);
    check(&yaml);
    assert!(notes.contains("0 not supported, 0 unknown, 0 error"), "{notes}");
    let directives = CONFIG.lines().map(str::trim).enumerate().filter(|(_, line)| {
        let opens = ["global", "defaults", "frontend", "backend"];
        !line.is_empty()
            && !line.starts_with('#')
            && !opens.contains(&line.split(' ').next().unwrap_or_default())
    });
    for (index, line) in directives {
        let place = format!("haproxy.cfg:{}:", index + 1);
        assert!(notes.contains(&place), "{place} {line}\n{notes}");
    }
}

#[test]
fn five_requests_get_the_same_answers_through_haproxy_and_plimsoll() {
    let folder = folder();
    let servers: [SocketAddr; 5] = std::array::from_fn(|_| free_address());
    let ours = plimsoll(&folder, &servers);
    let (theirs, _haproxy) = haproxy(&folder, &servers);
    // Before there are backends: both say so, and plimsoll says why.
    for address in [ours.address, theirs] {
        assert_eq!(get(address, "/").status(), 503);
    }
    for name in ["static", "app1", "app4"] {
        ours.expect_check(&["DOWN", name, "connection refused"]);
    }
    // One for what is static and one for the application, as background jobs of a shell.
    let pages = page(folder.path(), "host");
    let _static = python_server(servers[0], &pages);
    let _app1 = python_server(servers[1], &pages);
    ours.expect_check(&["up", "app1"]);
    within(CHECKS, || match get(theirs, "/").status() {
        200 => Ok(()),
        other => Err(format!("HAProxy answers {other}")),
    });
    let ours_said = five_requests(ours.address.port());
    assert_eq!(ours_said, five_requests(theirs.port()));
    let hello = "<h1>Hello from HAProxy on ALT Sisyphus!</h1><p>Server: host</p>";
    let expected: String = (1..=5).map(|nth| format!("Request {nth}:\n{hello}\n")).collect();
    assert_eq!(ours_said, expected);
    // And not only what grep shows.
    let whole = |address: SocketAddr| {
        let mut answer = get(address, "/");
        let own = ["date", "via", "connection", "x-request-id"];
        answer.head.fields.retain(|(name, _)| !own.contains(&name.as_str()));
        (answer.status(), answer.head.fields, answer.body)
    };
    assert_eq!(whole(ours.address), whole(theirs));
}

#[test]
fn what_is_static_goes_where_haproxy_sends_it() {
    let folder = folder();
    let names = ["static", "app", "app", "app", "app"];
    let backends = names.map(Backend::saying);
    let servers: [SocketAddr; 5] = std::array::from_fn(|nth| backends[nth].address);
    let ours = plimsoll(&folder, &servers);
    let (theirs, _haproxy) = haproxy(&folder, &servers);
    for (path, expected) in [
        ("/", "app"),
        ("/index.html", "app"),
        ("/static/a", "static"),
        ("/STATIC/A", "static"),
        ("/staticky", "static"),
        ("/images/logo", "static"),
        ("/javascript/x", "static"),
        ("/stylesheets", "static"),
        ("/x/logo.png", "static"),
        ("/x/LOGO.PNG?size=2", "static"),
        ("/app.js", "static"),
        ("/app.json", "app"),
        ("/a.css/b", "app"),
        ("/find?file=a.css", "app"),
    ] {
        for address in [ours.address, theirs] {
            assert_eq!(get(address, path).text(), expected, "{path} at {address}");
        }
    }
}

#[test]
fn a_job_that_is_killed_is_missed_by_nobody_and_taken_back_when_it_starts_again() {
    let folder = folder();
    let servers: [SocketAddr; 5] = std::array::from_fn(|_| free_address());
    let pages = ["one", "two"].map(|server| page(folder.path(), server));
    let one = python_server(servers[1], &pages[0]);
    let _two = python_server(servers[2], &pages[1]);
    let ours = plimsoll(&folder, &servers);
    ours.expect_check(&["up", "app1"]);
    ours.expect_check(&["up", "app2"]);
    let port = ours.address.port();
    let turns = five_requests(port);
    assert!(turns.contains("Server: one") && turns.contains("Server: two"), "by turns: {turns}");
    drop(one);
    let alone = five_requests(port);
    assert_eq!(alone.matches("Server: two").count(), 5, "nobody notices: {alone}");
    ours.expect_check(&["DOWN", "app1", "connection refused"]);
    let _one = python_server(servers[1], &pages[0]);
    ours.expect_check(&["up", "app1"]);
    within(CHECKS, || {
        let page = curl(&format!("http://localhost:{port}/"));
        page.contains("Server: one").then_some(()).ok_or(page)
    });
}
