//! Keys and values: the command and the file of the script that it takes the place of, the service with each key on one of
//! three servers, and a page that two servers take turns to show.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;

use crate::commands::{Site, bash, curl, demo_backend, folder, moved, plimsoll, text, write};
use crate::harness::free_address;
use crate::harness::program::Program;
use crate::harness::wire::{Message, Wire};

/// The script, which keeps `storage.data` in the folder for temporary files.
const SCRIPT: &str = include_str!("storage/storage.py");

/// The example for consistent hashing.
const CONFIG: &str = include_str!("../../deploy/examples/key-value.yaml");

/// The command `storage`, with a file.
fn storage(file: &Path, words: &[&str]) -> String {
    let file = file.to_str().expect("the temporary folder has a name in UTF-8");
    let output = plimsoll(["demo-process", "storage", "--file", file].iter().chain(words));
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn values_are_stored_and_printed_as_the_script_does_and_in_the_same_file() {
    let folder = folder();
    let script = write(folder.path(), "storage.py", SCRIPT);
    let file = folder.path().join("storage.data");
    let python = |words: &str| {
        bash(&format!("TMPDIR={} python3 {} {words}", folder.path().display(), script.display()))
    };
    assert_eq!(storage(&file, &["--key", "key_name"]), "", "nothing for a key that is not there");
    python("--key key_name --val test_value");
    python("--key key_name --val 'значение 2'");
    assert_eq!(storage(&file, &["--key", "key_name"]), "test_value, значение 2\n");
    assert_eq!(storage(&file, &["--key", "key_name", "--val", "test_value3"]), "");
    assert_eq!(storage(&file, &["--key", "key_name"]), "test_value, значение 2, test_value3\n");
    assert_eq!(python("--key key_name"), "test_value, значение 2, test_value3\n");
}

#[test]
fn commands_at_the_same_time_lose_nothing() {
    let folder = folder();
    let file = folder.path().join("storage.data");
    thread::scope(|scope| {
        for writer in 0..6 {
            let file = &file;
            scope.spawn(move || {
                for nth in 0..5 {
                    storage(file, &["--key", "all", "--val", &format!("{writer}-{nth}")]);
                }
            });
        }
    });
    let all = storage(&file, &["--key", "all"]);
    for value in (0..6).flat_map(|writer| (0..5).map(move |nth| format!("{writer}-{nth}"))) {
        assert!(all.trim().split(", ").any(|stored| stored == value), "{value} in {all}");
    }
}

/// Three servers of keys behind the example's configuration.
struct Keys {
    folder: tempfile::TempDir,
    servers: [SocketAddr; 3],
    programs: [Option<Program>; 3],
    site: Site,
}

impl Keys {
    fn start() -> Self {
        let (folder, listen) = (folder(), free_address());
        let servers: [SocketAddr; 3] = std::array::from_fn(|_| free_address());
        let programs = std::array::from_fn(|nth| Some(Self::server(folder.path(), nth, servers[nth])));
        let places = ["127.0.0.1:8001", "127.0.0.1:8002", "127.0.0.1:8003"].into_iter().zip(servers);
        let places: Vec<_> = places.chain([("127.0.0.1:8080", listen)]).collect();
        let yaml = write(folder.path(), "key-value.yaml", &moved(CONFIG, &places));
        let site = Site::run(&yaml, listen);
        for server in servers {
            site.expect_check(&["up", &server.to_string()]);
        }
        Self { folder, servers, programs, site }
    }

    fn server(folder: &Path, nth: usize, address: SocketAddr) -> Program {
        let file = folder.join(format!("kv-{}.json", nth + 1));
        let file = file.to_str().expect("the temporary folder has a name in UTF-8");
        demo_backend(folder, &format!("kv-{}", nth + 1), address, &["--storage", file])
    }

    /// Adds a value to a key through the balancer; returns who has it.
    #[track_caller]
    fn add(&self, key: &str, value: &str) -> String {
        let body = format!("{{\"value\": \"{value}\"}}");
        let answer = Wire::connect(self.site.address).exchange(format!(
            "POST /kv?key={key} HTTP/1.1\r\nhost: keys\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
        assert_eq!(answer.status(), 201, "{key}: {}", answer.text());
        server(&answer)
    }

    /// Reads a key through the balancer.
    #[track_caller]
    fn read(&self, key: &str) -> Message {
        self.site.get(&format!("/kv?key={key}"))
    }

    /// The keys in the file of a server.
    fn keys_of(&self, nth: usize) -> Vec<String> {
        let file = self.folder.path().join(format!("kv-{}.json", nth + 1));
        let content = std::fs::read(file).expect("each server has keys");
        let content: BTreeMap<String, Vec<String>> = serde_json::from_slice(&content).expect("it is JSON");
        content.into_keys().collect()
    }
}

/// Who answered, as it says itself; the balancer says the same.
#[track_caller]
fn server(answer: &Message) -> String {
    let own = answer.head.field("x-server").unwrap_or_default();
    assert_eq!(answer.head.field("x-plimsoll-backend"), Some(own));
    own.to_owned()
}

#[test]
fn each_key_lives_on_one_server_and_only_the_keys_of_one_that_is_gone_move() {
    let mut keys = Keys::start();
    let names: Vec<String> = (0..40).map(|nth| format!("key-{nth}")).collect();
    let homes: Vec<String> = names.iter().map(|key| keys.add(key, "first")).collect();
    for (key, home) in names.iter().zip(&homes) {
        assert_eq!(&keys.add(key, "second"), home, "{key} stays where it is");
        let found = keys.read(key);
        assert_eq!((&server(&found), found.status()), (home, 200));
        assert_eq!(found.text(), format!("{{\"key\":\"{key}\",\"values\":[\"first\",\"second\"]}}"));
    }
    // On the disks it is the same: each key in one file, and no server without any.
    let mut stored: Vec<String> = (0..3).flat_map(|nth| keys.keys_of(nth)).collect();
    stored.sort_unstable();
    let mut expected = names.clone();
    expected.sort_unstable();
    assert_eq!(stored, expected);

    keys.programs[1] = None;
    keys.site.expect_check(&["DOWN", &keys.servers[1].to_string()]);
    for (key, home) in names.iter().zip(&homes) {
        let answer = keys.read(key);
        if home == "kv-2" {
            assert_ne!(server(&answer), "kv-2", "{key} is looked for elsewhere");
            assert_eq!(answer.status(), 404);
        } else {
            assert_eq!((&server(&answer), answer.status()), (home, 200), "{key} stays");
        }
    }

    keys.programs[1] = Some(Keys::server(keys.folder.path(), 1, keys.servers[1]));
    keys.site.expect_check(&["up", &keys.servers[1].to_string()]);
    for (key, home) in names.iter().zip(&homes) {
        let answer = keys.read(key);
        assert_eq!((&server(&answer), answer.status()), (home, 200), "{key} is where it was");
    }
}

#[test]
fn the_service_describes_itself_and_is_asked_by_curl() {
    let keys = Keys::start();
    let address = keys.site.address;
    assert!(curl(&format!("http://{address}/")).starts_with("A key-value service."));
    let url = format!("http://{address}/kv?key=color");
    let added = "{\"key\":\"color\",\"values\":[\"light blue\"]}";
    assert_eq!(bash(&format!("curl -fsS '{url}' --data-urlencode 'value=light blue'")), added);
    assert_eq!(bash(&format!("curl -fsS '{url}'")), added);
    assert_eq!(bash(&format!("curl -fsS -H 'accept: text/plain' '{url}'")), "light blue\n");
    let unplaced = bash(&format!("curl -sS -w '%{{http_code}}' http://{address}/kv/color"));
    assert!(unplaced.contains("/kv?key=KEY") && unplaced.ends_with("400"), "{unplaced}");
}

#[test]
fn a_page_is_shown_by_two_servers_in_turn() {
    let (folder, listen) = (folder(), free_address());
    let servers: [SocketAddr; 2] = std::array::from_fn(|_| free_address());
    let _programs: [Program; 2] = std::array::from_fn(|nth| {
        demo_backend(folder.path(), &format!("server-{}", nth + 1), servers[nth], &[])
    });
    let [one, two] = servers;
    let config = format!(
        "listeners:\n  web:\n    address: {listen}\nupstreams:\n  web:\n    backends: [{one}, {two}]\n\
         admin:\n  address: 127.0.0.1:9900\n"
    );
    let site = Site::run(&write(folder.path(), "plimsoll.yaml", &config), listen);
    for server in servers {
        site.expect_check(&["up", &server.to_string()]);
    }
    let mut pages: Vec<String> = (0..4).map(|_| curl(&format!("http://{listen}/"))).collect();
    assert_ne!(pages[0], pages[1], "{pages:?}");
    pages.sort_unstable();
    let expected = [1, 1, 2, 2].map(|nth| format!("Hello, World!\nServer {nth}"));
    assert_eq!(pages, expected);
}
