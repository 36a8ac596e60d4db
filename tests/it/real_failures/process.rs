//! A backend that is a process of its own, so that it can be killed, stopped and restarted, and that goes wrong on command.
//!
//! The process is this test program, told by its environment to play one. It tells of every POST that it has read in full,
//! at once and through a pipe, so that nothing it has seen is lost with it.

mod role;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{PATIENCE, eventually_ok};

/// How a backend goes wrong, or well again. Its number is what the process is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Answers 200.
    Well,
    /// Takes connections and requests, and answers none of these ever.
    Mute,
    /// Answers with what is no HTTP.
    Garbage,
    /// Answers 500 to three in ten.
    Failing,
    /// Takes ten times as long.
    Slow,
    /// Closes every connection, new ones as soon as they are accepted.
    Closing,
    /// No longer listens, and goes on with the connections that it has.
    Deaf,
}

impl Mode {
    const ALL: [Mode; 7] =
        [Mode::Well, Mode::Mute, Mode::Garbage, Mode::Failing, Mode::Slow, Mode::Closing, Mode::Deaf];
}

/// A backend's place: an address, and the process there while there is one. Dropped, the process is killed.
pub(crate) struct Process {
    pub(super) name: &'static str,
    pub(crate) address: SocketAddr,
    /// What goes before the program on the command line.
    prefix: Vec<String>,
    child: Option<Child>,
    posts: Arc<Mutex<Vec<u64>>>,
}

impl Process {
    /// Starts a backend that calls itself `name`; returns once it listens.
    #[track_caller]
    pub(crate) fn start(name: &'static str, address: SocketAddr, prefix: &[String]) -> Self {
        let mut process = Self { name, address, prefix: prefix.to_vec(), child: None, posts: Arc::default() };
        process.revive();
        process
    }

    /// Starts the process again after its end; returns once it listens.
    #[track_caller]
    pub(crate) fn revive(&mut self) {
        assert!(self.child.is_none(), "it has ended");
        let own = std::env::current_exe().expect("a running program has a path");
        let words = self.prefix.iter().map(Into::into).chain([own.into_os_string()]);
        let words: Vec<std::ffi::OsString> = words.collect();
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .args(["--exact", role::TEST, "--nocapture", "--test-threads=1"])
            .env(role::VARIABLE, format!("{} {}", self.name, self.address))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this program can be started again");
        let said = child.stderr.take().expect("invariant: it is piped");
        self.child = Some(child);
        let (listening, listens) = channel();
        let posts = Arc::clone(&self.posts);
        thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                if let Some(number) = line.strip_prefix("post ") {
                    let number = number.parse().expect("a backend tells numbers");
                    posts.lock().unwrap_or_else(PoisonError::into_inner).push(number);
                } else {
                    let _ = listening.send(line); // only the first line is waited for
                }
            }
        });
        let first = listens.recv_timeout(PATIENCE).expect("a backend starts");
        assert_eq!(first, "listening", "{} starts", self.name);
    }

    /// Kills the process, as `kill -9` does; returns once it has ended.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// Asks the process to end; returns once it has ended.
    #[track_caller]
    pub(super) fn terminate(&mut self) {
        self.end(Signal::TERM);
    }

    #[track_caller]
    fn end(&mut self, signal: Signal) {
        self.signal(signal);
        let mut child = self.child.take().expect("a process runs");
        eventually_ok(|| match child.try_wait() {
            Ok(Some(_)) => Ok(()),
            other => Err(format!("the backend ends: {other:?}")),
        });
    }

    /// Sends the process a signal.
    #[track_caller]
    pub(super) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("a process runs");
        kill_process(Pid::from_child(child), signal).expect("a child can be signalled");
    }

    /// Has the process behave like this from now on.
    #[track_caller]
    pub(super) fn tell(&mut self, mode: Mode) {
        let input = self.child.as_mut().and_then(|child| child.stdin.as_mut()).expect("a process runs");
        writeln!(input, "{}", mode as u8).expect("a process reads what it is told");
    }

    /// The numbers of the POSTs that have reached it, in all its lives.
    pub(super) fn posts(&self) -> Vec<u64> {
        self.posts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
