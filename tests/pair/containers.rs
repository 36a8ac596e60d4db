//! The pair as containers, by its compose file: what dies comes back, and takes the address back, with nothing to start by hand.
//!
//! It needs Docker, and minutes to build the images: `./check compose` runs it, every other run says that it left it out.

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use crate::clients::{ADDRESS, Clients, get};
use crate::{ALONE, MOVED, each_refresh_shows_the_other_server, eventually, say, scene};

/// Says that the test is wanted, and names another project, beside which this one has a name of its own.
const PROJECT: &str = "COMPOSE_TEST_PROJECT";

/// Kills the balancer of the container that runs it, as `kill -9` does: an image without a shell's tools has no `pkill`.
const KILL: &str = r#"for p in /proc/[0-9]*; do
    case $(tr '\0' ' ' <"$p/cmdline") in "plimsoll run "*) kill -9 "${p#/proc/}" ;; esac
done"#;

/// What a killed container may cost a client at most.
const KILLED: Duration = Duration::from_secs(3);

/// A running stack. It is taken down when it is dropped.
struct Stack {
    project: String,
    /// The names of the balancers, and their containers, which are the same ones after a start.
    nodes: Vec<(&'static str, String)>,
}

impl Stack {
    /// Builds the images and starts the stack; returns when every service is healthy. None when nobody asked for it.
    #[track_caller]
    fn up() -> Option<Self> {
        let Some(project) = std::env::var(PROJECT).ok().filter(|project| !project.is_empty()) else {
            say(&format!("left out: it builds images for minutes; `./check compose` sets {PROJECT}"));
            return None;
        };
        let mut stack = Self { project: format!("{project}-pair"), nodes: Vec::new() };
        let status = stack.command(&["up", "--detach", "--wait"]).status();
        assert!(status.is_ok_and(|status| status.success()), "the stack comes up; what Docker says is above");
        for name in ["lb-1", "lb-2"] {
            let container = stack.compose(&["ps", "--quiet", name]);
            stack.nodes.push((name, container));
        }
        Some(stack)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args([
            "compose",
            "--file",
            "deploy/keepalived/compose.yaml",
            "--project-name",
            &self.project,
        ]);
        command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("COMPOSE_PROFILES");
        // Any free port, so that a stack which somebody works with is not in the way.
        command.env("LB_1_PORT", "0").env("LB_2_PORT", "0");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("docker can be run")
    }

    #[track_caller]
    fn compose(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker compose {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Waits until this balancer has the address, and the other one has not.
    #[track_caller]
    fn expect_holder(&self, holder: &str) {
        let address = ADDRESS.ip().to_string();
        // One that does not run has no address.
        let has = |container: &str| {
            let command = ["exec", container, "grep", "--quiet", &address, "/proc/net/fib_trie"];
            Command::new("docker").args(command).output().is_ok_and(|output| output.status.success())
        };
        eventually(&format!("{holder} alone has the address"), || {
            self.nodes.iter().all(|(name, container)| has(container) == (*name == holder))
        });
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if thread::panicking() {
            say(&String::from_utf8_lossy(&self.run(&["logs", "--tail=60"]).stdout));
        }
        let down = self.run(&["--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "10"]);
        if !down.status.success() {
            say(&format!("not taken down: {}", String::from_utf8_lossy(&down.stderr)));
        }
    }
}

#[test]
fn a_container_that_dies_comes_back_and_takes_the_address_back() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(stack) = Stack::up() else { return };
    stack.expect_holder("lb-1");
    each_refresh_shows_the_other_server();
    let clients = Clients::start();
    let scene = |what: &str, bound: Duration, holder: &str, arguments: &[&str]| {
        scene(&clients, "containers", what, bound, || {
            let _ = stack.compose(arguments);
            stack.expect_holder(holder);
        });
    };
    scene("docker compose kill", KILLED, "lb-2", &["kill", "lb-1"]);
    // To those who are no browser it lists what there is.
    let live =
        get(SocketAddr::new(ADDRESS.ip(), 9900)).expect("the live page is there, of who has the address");
    assert!(live.contains("the live page for browsers"), "{live}");
    scene("docker compose start", MOVED, "lb-1", &["start", "lb-1"]);
    // Docker starts the container again by itself. Whether it is seen without the address meanwhile is a matter of luck.
    scene("kill -9 of the balancer", KILLED, "lb-1", &["exec", "--no-TTY", "lb-1", "bash", "-c", KILL]);
    scene("docker compose stop", MOVED, "lb-2", &["stop", "lb-1"]);
    scene("docker compose start", MOVED, "lb-1", &["start", "lb-1"]);
}
