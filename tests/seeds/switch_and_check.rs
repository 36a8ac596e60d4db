//! Three backends that can be switched from 200 to 500 and back, behind what was nginx with lua-resty-upstream-healthcheck:
//! the checks see each switch, `/check` tells it, and the configuration is checked and loaded anew while it runs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::commands::{Site, bash, curl, demo_backend, folder, get, import, moved, plimsoll, text, write};
use crate::harness::free_address;
use crate::harness::metrics::promtool;
use crate::harness::program::Program;
use crate::harness::wire::Wire;

const CONFIG: &str = include_str!("switch_and_check/nginx.conf");

/// The names of the three, as in the hosts file of the one in front of them.
const NAMES: [&str; 3] = ["do1", "do2", "do3"];

/// The balancer with the imported file, and its backends.
struct Three {
    site: Site,
    yaml: PathBuf,
    backends: [SocketAddr; 3],
    _programs: [Program; 3],
    _folder: TempDir,
}

impl Three {
    fn start() -> Self {
        let (folder, listen) = (folder(), free_address());
        let backends: [SocketAddr; 3] = std::array::from_fn(|_| free_address());
        let programs = std::array::from_fn(|nth| {
            demo_backend(folder.path(), NAMES[nth], backends[nth], &["--data-delay", "200ms"])
        });
        let places = ["127.0.0.1:8001", "127.0.0.1:8002", "127.0.0.1:8003"].into_iter().zip(backends);
        let places: Vec<_> = places.chain([("127.0.0.1:8080", listen)]).collect();
        let file = write(folder.path(), "nginx.conf", &moved(CONFIG, &places));
        let (yaml, notes) = import("nginx", &file);
        assert!(notes.contains(", 0 unknown, 0 error"), "{notes}");
        let site = Site::run(&yaml, listen);
        for backend in backends {
            site.expect_check(&["up", &backend.to_string(), "status 200"]);
        }
        Self { site, yaml, backends, _programs: programs, _folder: folder }
    }

    /// Who answers so many requests, all of them with 200.
    #[track_caller]
    fn servers(&self, requests: usize) -> Vec<String> {
        let asked = (0..requests).map(|_| {
            let answer = self.site.get("/api/data");
            assert_eq!(answer.status(), 200, "{}", answer.text());
            assert_eq!(answer.text(), r#"{"message":"Response delay is 200 ms","status":200}"#);
            answer.head.field("x-server").unwrap_or_default().to_owned()
        });
        asked.collect()
    }
}

#[test]
fn a_backend_that_is_switched_off_gets_nothing_until_it_is_switched_on() {
    let three = Three::start();
    let mut turns = three.servers(6);
    turns.sort_unstable();
    assert_eq!(turns, ["do1", "do1", "do2", "do2", "do3", "do3"]);

    let second = three.backends[1];
    assert_eq!(curl(&format!("http://{second}/api/switch")), r#"{"server":"do2","status":500}"#);
    assert_eq!(get(second, "/api/status").status(), 500);
    three.site.expect_check(&["DOWN", &second.to_string(), "status 500"]);
    assert!(!three.servers(6).contains(&"do2".to_owned()));

    assert_eq!(curl(&format!("http://{second}/api/switch")), r#"{"server":"do2","status":200}"#);
    three.site.expect_check(&["up", &second.to_string(), "status 200"]);
    // As soon as its share has grown.
    crate::harness::eventually("do2 gets requests again", || three.servers(3).contains(&"do2".to_owned()));
}

/// The file without what only OpenResty knows: the scripts, and where they are.
fn without_scripts(config: &str) -> String {
    let mut depth = 0;
    let kept = config.lines().filter(|line| {
        let (opened, closed) = (line.matches('{').count(), line.matches('}').count());
        let is_script = depth > 0 || line.contains("_by_lua_block");
        if is_script {
            depth = depth + opened - closed;
        }
        let word = line.trim_start();
        !is_script && !word.starts_with("lua_") && !word.starts_with("include ")
    });
    kept.map(|line| format!("{line}\n")).collect()
}

/// nginx with the file.
fn nginx(folder: &TempDir, config: &str) -> Program {
    let config = without_scripts(config);
    // It may keep nothing outside of the folder of this test; and one process, so that none is left over.
    let places =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {kind};"));
    let config = config.replace("http {", &format!("http {{ access_log off; {}", places.join(" ")));
    let file = write(folder.path(), "nginx/nginx.conf", &config);
    let prefix = file.parent().and_then(Path::to_str).expect("the temporary folder has a name in UTF-8");
    let own = "daemon off; master_process off; pid nginx.pid; error_log stderr;";
    Program::start(folder.path(), "nginx", ["-p", prefix, "-c", "nginx.conf", "-g", own])
}

#[test]
fn requests_get_the_same_answers_through_nginx_and_plimsoll() {
    let (folder, theirs) = (folder(), free_address());
    let three = Three::start();
    let places = ["127.0.0.1:8001", "127.0.0.1:8002", "127.0.0.1:8003"].into_iter().zip(three.backends);
    let places: Vec<_> = places.chain([("127.0.0.1:8080", theirs)]).collect();
    let mut program = nginx(&folder, &moved(CONFIG, &places));
    program.expect_ready(theirs, "/api/status");
    let through = |address: SocketAddr, request: &str| {
        let answer = Wire::connect(address).exchange(request);
        let kind = answer.head.field("content-type").map(str::to_owned);
        (answer.status(), kind, answer.body)
    };
    for (line, rest) in [
        ("GET /api/data", "\r\n"),
        ("GET /sleep/1/late", "\r\n"),
        ("GET /bytes/70000", "\r\n"),
        ("GET /nowhere", "\r\n"),
        ("GET /work/none", "\r\n"),
        ("POST /echo", "content-type: text/plain\r\ncontent-length: 5\r\n\r\nhello"),
        ("POST /echo?a=b%20c", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    ] {
        let request = format!("{line} HTTP/1.1\r\nhost: example.org\r\nconnection: close\r\n{rest}");
        assert_eq!(through(three.site.address, &request), through(theirs, &request), "{line}");
    }
    for address in [three.site.address, theirs] {
        let mut turns: Vec<_> = (0..6).map(|_| get(address, "/").text().to_owned()).collect();
        turns.sort_unstable();
        assert_eq!(turns, [1, 1, 2, 2, 3, 3].map(|nth| format!("Hello, World!\nServer {nth}")), "{address}");
    }
}

#[test]
fn a_backend_shows_metrics_that_prometheus_takes() {
    let three = Three::start();
    three.servers(3);
    for backend in three.backends {
        let page = curl(&format!("http://{backend}/metrics"));
        assert!(page.contains("demo_backend_requests_total{code=\"200\",path=\"/api/data\"} 1\n"), "{page}");
        let (is_clean, verdict) = promtool(page.as_bytes());
        assert!(is_clean, "{verdict}");
    }
}

#[test]
fn a_configuration_is_checked_and_loaded_without_a_restart() {
    let three = Three::start();
    let config = std::fs::read_to_string(&three.yaml).expect("it was imported");
    let admin = three.site.admin.to_string();
    let reload = || plimsoll(["ctl", "reload", "--admin", &admin]);
    let check = || plimsoll(["check".as_ref(), "-c".as_ref(), three.yaml.as_os_str()]);

    std::fs::write(&three.yaml, config.replace("upstream: backend", "upstream: bakend")).expect("it can be");
    for refused in [check(), reload()] {
        assert!(!refused.status.success());
        let said = text(&refused.stderr);
        assert!(said.contains("bakend"), "{said}");
    }
    assert_eq!(three.servers(1).len(), 1, "what ran goes on");

    let third = three.backends[2];
    let without: String = config
        .lines()
        .filter(|line| !line.ends_with(&third.to_string()))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_ne!(without, config);
    std::fs::write(&three.yaml, without).expect("it can be written");
    for taken in [check(), reload()] {
        assert!(taken.status.success(), "{}", text(&taken.stderr));
    }
    assert!(!three.servers(4).contains(&"do3".to_owned()));
}

#[test]
fn the_configuration_of_prometheus_is_valid() {
    let said =
        bash(&format!("promtool check config {}/monitoring/prometheus.yml", env!("CARGO_MANIFEST_DIR")));
    assert!(said.contains("is valid prometheus config file syntax"), "{said}");
}
