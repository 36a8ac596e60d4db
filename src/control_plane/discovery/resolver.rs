//! The system's resolver, on threads of its own.
//!
//! It blocks and cannot be told to stop, so it runs on none of the runtime's threads, which would wait for it when the
//! process ends. How many run at a time is for the book to bound.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;

use tokio::sync::mpsc;

/// What a look-up has found: the addresses in the resolver's order, or why there is none.
pub(super) type Found = io::Result<Vec<IpAddr>>;

/// A host name, and what was found.
pub(super) type Answer = (Box<str>, Found);

/// Begins a look-up of the name that the reply is for. Never blocks.
pub(super) type LookUp = Arc<dyn Fn(Reply) + Send + Sync>;

/// The way back for one look-up. Dropped without an answer, it says that the look-up broke off.
#[derive(Debug)]
pub(super) struct Reply {
    host: Box<str>,
    answers: mpsc::UnboundedSender<Answer>,
    answered: bool,
}

impl Reply {
    pub(super) fn new(host: Box<str>, answers: mpsc::UnboundedSender<Answer>) -> Self {
        Self { host, answers, answered: false }
    }

    /// The name to look up.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Says what was found.
    pub(super) fn answer(mut self, found: Found) {
        self.send(found);
    }

    fn send(&mut self, found: Found) {
        self.answered = true;
        // Nobody listens when the process ends.
        let _ = self.answers.send((self.host.clone(), found));
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.answered {
            self.send(Err(io::Error::other("the look-up could not be made or broke off")));
        }
    }
}

/// Looks a name up on a thread of its own.
pub(super) fn ask_the_system(reply: Reply) {
    let look_up = move || {
        let found = (reply.host(), 0).to_socket_addrs().map(|found| found.map(|at| at.ip()).collect());
        reply.answer(found);
    };
    // A thread that the system refuses drops the reply, which says so.
    let _ = thread::Builder::new().name("resolver".to_owned()).spawn(look_up);
}
