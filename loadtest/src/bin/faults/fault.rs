//! What is done to the backends, and how it is undone.

use crate::backend::{DELAY, Order};
use crate::fleet::Fleet;
use crate::network::{BACKENDS, Network};
use rustix::process::Signal;
use serde::Serialize;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// One way in which a backend goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    /// The process is killed; its host refuses connections.
    Kill,
    /// The host is gone: its cable is out.
    VanishLink,
    /// The host is gone: it drops every packet.
    VanishDrop,
    /// The process is stopped: its host accepts connections, and nothing answers.
    Hang,
    /// Every answer is a 500.
    Errors,
    /// Every answer takes 100 times as long, under round robin.
    Slow,
    /// The same under the choice of the backend with the fewest requests.
    SlowLeast,
    /// The same under the choice of the backend with the lowest moving average of its latency.
    SlowEwma,
    /// The process is killed and started every 3 s.
    Restarts,
    /// All backends are restarted in order, one after another.
    Rolling,
}

/// How backends are chosen during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Balance {
    RoundRobin,
    LeastRequests,
    PeakEwma,
}

/// When a fault was there, and which backend's return is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inflicted {
    pub(crate) from: Instant,
    pub(crate) until: Instant,
    pub(crate) backend: usize,
}

/// How much longer a slow backend takes.
const SLOWNESS: u32 = 100;

/// The backend that goes wrong when one does.
pub(crate) const VICTIM: usize = 0;

impl Fault {
    /// Every fault, in the order of the table.
    pub(crate) const ALL: [Fault; 10] = [
        Fault::Kill,
        Fault::VanishLink,
        Fault::VanishDrop,
        Fault::Hang,
        Fault::Errors,
        Fault::Slow,
        Fault::SlowLeast,
        Fault::SlowEwma,
        Fault::Restarts,
        Fault::Rolling,
    ];

    /// The fault in words.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Fault::Kill => "kill -9 (RST)",
            Fault::VanishLink => "host vanishes (link down)",
            Fault::VanishDrop => "host vanishes (DROP)",
            Fault::Hang => "hangs (SIGSTOP)",
            Fault::Errors => "answers 500",
            Fault::Slow => "100 × slower, round robin",
            Fault::SlowLeast => "100 × slower, least requests",
            Fault::SlowEwma => "100 × slower, peak EWMA",
            Fault::Restarts => "restarts every 3 s",
            Fault::Rolling => "rolling restart (SIGTERM)",
        }
    }

    /// How backends are chosen while it happens.
    pub(crate) fn balance(self) -> Balance {
        match self {
            Fault::SlowLeast => Balance::LeastRequests,
            Fault::SlowEwma => Balance::PeakEwma,
            _ => Balance::RoundRobin,
        }
    }

    /// Does it, waits for `length`, and undoes it; returns once every backend is as before.
    pub(crate) async fn inflict(
        self,
        network: &Network,
        fleet: &mut Fleet<'_>,
        length: Duration,
    ) -> anyhow::Result<Inflicted> {
        let from = Instant::now();
        let end = from + length;
        match self {
            Fault::Restarts => return restarts(fleet, from, end).await,
            Fault::Rolling => return rolling(fleet, from, length).await,
            _ => {}
        }
        self.begin(network, fleet).await?;
        sleep_until(end).await;
        self.undo(network, fleet).await?;
        Ok(Inflicted { from, until: Instant::now(), backend: VICTIM })
    }

    async fn begin(self, network: &Network, fleet: &mut Fleet<'_>) -> anyhow::Result<()> {
        match self {
            Fault::Kill | Fault::Restarts | Fault::Rolling => fleet.end(VICTIM, Signal::KILL).await,
            Fault::VanishLink => network.set_link(VICTIM, false).await,
            Fault::VanishDrop => network.set_drop(VICTIM, true).await,
            Fault::Hang => {
                fleet.freeze(VICTIM, true);
                Ok(())
            }
            Fault::Errors => fleet.tell(VICTIM, Order::Errors(true)).await,
            Fault::Slow | Fault::SlowLeast | Fault::SlowEwma => {
                fleet.tell(VICTIM, Order::Delay(DELAY * SLOWNESS)).await
            }
        }
    }

    async fn undo(self, network: &Network, fleet: &mut Fleet<'_>) -> anyhow::Result<()> {
        match self {
            Fault::Kill | Fault::Restarts | Fault::Rolling => fleet.revive(VICTIM).await,
            Fault::VanishLink => network.set_link(VICTIM, true).await,
            Fault::VanishDrop => network.set_drop(VICTIM, false).await,
            Fault::Hang => {
                fleet.freeze(VICTIM, false);
                Ok(())
            }
            Fault::Errors => fleet.tell(VICTIM, Order::Errors(false)).await,
            Fault::Slow | Fault::SlowLeast | Fault::SlowEwma => fleet.tell(VICTIM, Order::Delay(DELAY)).await,
        }
    }
}

async fn restarts(fleet: &mut Fleet<'_>, from: Instant, end: Instant) -> anyhow::Result<Inflicted> {
    let mut next = from;
    let mut until = from;
    while next < end {
        sleep_until(next).await;
        fleet.end(VICTIM, Signal::KILL).await?;
        fleet.revive(VICTIM).await?;
        until = Instant::now();
        next += Duration::from_secs(3);
    }
    Ok(Inflicted { from, until, backend: VICTIM })
}

async fn rolling(fleet: &mut Fleet<'_>, from: Instant, length: Duration) -> anyhow::Result<Inflicted> {
    for index in 0..BACKENDS {
        sleep_until(from + length * index as u32 / BACKENDS as u32).await;
        fleet.end(index, Signal::TERM).await?;
        fleet.revive(index).await?;
    }
    Ok(Inflicted { from, until: Instant::now(), backend: BACKENDS - 1 })
}
