//! The three backends as this program holds them: started, killed, stopped, told to misbehave, and heard.

use crate::backend::Order;
use crate::network::{Network, backend_address};
use anyhow::Context;
use loadtest::child::{Running, with_parent};
use rustix::process::Signal;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A POST that a backend has received in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) backend: usize,
    pub(crate) number: u64,
}

/// The backends' processes. Dropped, they end.
pub(crate) struct Fleet<'a> {
    network: &'a Network,
    /// None while a backend is dead.
    running: Vec<Option<Running>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fleet<'_> {
    /// Starts all of them; returns once they listen.
    pub(crate) async fn start(network: &Network) -> anyhow::Result<Fleet<'_>> {
        let mut fleet = Fleet { network, running: Vec::new(), seen: Arc::default() };
        for index in 0..network.backends.len() {
            fleet.running.push(None);
            fleet.revive(index).await?;
        }
        Ok(fleet)
    }

    /// Starts backend `index`, which is dead; returns once it listens.
    pub(crate) async fn revive(&mut self, index: usize) -> anyhow::Result<()> {
        let mut command = with_parent()?;
        command.args(self.network.backends[index].prefix()).arg(std::env::current_exe()?);
        command.args(["backend", &backend_address(index).to_string(), &name(index)]);
        let mut running = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let output = running.child().stdout.take().context("a backend has no output")?;
        let (listening, listens) = oneshot::channel();
        let seen = Arc::clone(&self.seen);
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            let mut listening = Some(listening);
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(number) = line.strip_prefix("post ").and_then(|number| number.parse().ok()) {
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.push(Seen { backend: index, number });
                } else if let Some(listening) = listening.take() {
                    let _ = listening.send(()); // nobody waits any more when it came too late
                }
            }
        });
        timeout(Duration::from_secs(5), listens).await?.context("a backend did not start")?;
        self.running[index] = Some(running);
        Ok(())
    }

    /// Ends backend `index` as `signal` does; returns once it has ended.
    pub(crate) async fn end(&mut self, index: usize, signal: Signal) -> anyhow::Result<()> {
        let Some(mut running) = self.running[index].take() else { return Ok(()) };
        running.signal(signal);
        let ended = timeout(Duration::from_secs(10), running.child().wait()).await;
        ended.context("a backend does not end")??;
        Ok(())
    }

    /// Ends all of them; returns once they have ended.
    pub(crate) async fn finish(mut self) -> anyhow::Result<()> {
        for index in 0..self.running.len() {
            self.end(index, Signal::KILL).await?;
        }
        Ok(())
    }

    /// Stops backend `index` where it is, or lets it go on.
    pub(crate) fn freeze(&self, index: usize, frozen: bool) {
        if let Some(running) = &self.running[index] {
            running.signal(if frozen { Signal::STOP } else { Signal::CONT });
        }
    }

    /// Has backend `index` behave differently from now on.
    pub(crate) async fn tell(&mut self, index: usize, order: Order) -> anyhow::Result<()> {
        let input = self.running[index].as_mut().and_then(|running| running.child().stdin.as_mut());
        let input = input.context("a dead backend cannot be told anything")?;
        Ok(input.write_all(order.line().as_bytes()).await?)
    }

    /// The POSTs that have reached a backend so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Fleet<'_> {
    fn drop(&mut self) {
        for running in self.running.iter().flatten() {
            running.signal(Signal::KILL);
        }
    }
}

/// The name that backend `index` gives itself, and that the balancers give it.
pub(crate) fn name(index: usize) -> String {
    format!("backend-{}", index + 1)
}
