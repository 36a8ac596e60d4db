//! Runs the rounds, proxy by proxy in turn, and sums them up as medians and ratios.

use crate::peers::{self, Kind, Program};
use crate::{CompareArgs, proc, wrk};
use loadtest::child::Running;
use serde::Serialize;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// How long a process may take to end before it is made to.
const PATIENCE: Duration = Duration::from_secs(3);

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    pub(crate) rounds: u16,
    pub(crate) round_seconds: f64,
    pub(crate) body_bytes: usize,
    pub(crate) settings: Vec<Setting>,
}

/// One number of client connections.
#[derive(Debug, Serialize)]
pub(crate) struct Setting {
    pub(crate) connections: u16,
    pub(crate) peers: Vec<Measured>,
}

/// One proxy at one number of connections.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) peer: Kind,
    pub(crate) version: String,
    pub(crate) cpu_us_per_request: Spread,
    /// To HAProxy in the same round; None when HAProxy takes no part.
    pub(crate) ratio_to_haproxy: Option<Spread>,
    pub(crate) requests_per_second: Spread,
    pub(crate) p99_ms: Spread,
    pub(crate) peak_rss_mb: f64,
    pub(crate) errors: u64,
}

/// The median of the rounds and their extremes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// One proxy under test and its rounds so far.
struct Contender<'a> {
    program: &'a Program,
    running: Running,
    address: SocketAddr,
    rounds: Vec<Round>,
}

struct Round {
    cpu_us_per_request: f64,
    run: wrk::Run,
}

impl Comparison {
    pub(crate) fn errors(&self) -> u64 {
        self.settings.iter().flat_map(|setting| &setting.peers).map(|peer| peer.errors).sum()
    }
}

impl Spread {
    /// Panics on no values: every contender has at least one round.
    fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (middle, odd) = (values.len() / 2, values.len() % 2 == 1);
        let median = if odd { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Spread { median, min: values[0], max: values[values.len() - 1] }
    }
}

/// Measures every setting in turn, with freshly started proxies for each: peak memory belongs to one setting.
pub(crate) async fn run(args: &CompareArgs) -> anyhow::Result<Comparison> {
    let mut programs = Vec::new();
    for kind in &args.peers {
        programs.push(Program::find(*kind, args).await?);
    }
    let folder = tempfile::tempdir()?;
    let (backends, addresses) = peers::start_backends().await?;
    let mut settings = Vec::new();
    for connections in &args.connections {
        settings.push(setting(*connections, args, &programs, folder.path(), &addresses).await?);
    }
    backends.end(PATIENCE).await?;
    Ok(Comparison {
        rounds: args.rounds,
        round_seconds: args.round.as_secs().max(1) as f64,
        body_bytes: crate::backend::BODY_LENGTH,
        settings,
    })
}

async fn setting(
    connections: u16,
    args: &CompareArgs,
    programs: &[Program],
    folder: &Path,
    backends: &[SocketAddr],
) -> anyhow::Result<Setting> {
    let mut contenders = Vec::new();
    for program in programs {
        let (running, address) = program.start(folder, backends).await?;
        wrk::run(address, connections, Duration::from_secs(1)).await?; // opens connections, fills pools; not measured
        contenders.push(Contender { program, running, address, rounds: Vec::new() });
    }
    for round in 0..usize::from(args.rounds) {
        // Who goes first changes with the round, so that nobody always follows the same one.
        let count = contenders.len();
        for turn in 0..count {
            contenders[(round + turn) % count].go(connections, args.round).await?;
        }
    }
    let peers = measured(&contenders);
    for contender in contenders {
        contender.running.end(PATIENCE).await?;
    }
    Ok(Setting { connections, peers })
}

impl Contender<'_> {
    async fn go(&mut self, connections: u16, length: Duration) -> anyhow::Result<()> {
        let before = proc::cpu_ns(self.running.pid())?;
        let run = wrk::run(self.address, connections, length).await?;
        let used_us = proc::cpu_ns(self.running.pid())?.saturating_sub(before) as f64 / 1000.0;
        anyhow::ensure!(run.requests > 0, "{:?} answered nothing", self.program.kind);
        self.rounds.push(Round { cpu_us_per_request: used_us / run.requests as f64, run });
        Ok(())
    }
}

fn measured(contenders: &[Contender<'_>]) -> Vec<Measured> {
    let haproxy = contenders.iter().find(|contender| contender.program.kind == Kind::Haproxy);
    let measure = |contender: &Contender<'_>| {
        let rounds = &contender.rounds;
        let ratios = haproxy.map(|haproxy| {
            let pairs = rounds.iter().zip(&haproxy.rounds);
            Spread::of(pairs.map(|(mine, theirs)| mine.cpu_us_per_request / theirs.cpu_us_per_request))
        });
        Measured {
            peer: contender.program.kind,
            version: contender.program.version.clone(),
            cpu_us_per_request: Spread::of(rounds.iter().map(|round| round.cpu_us_per_request)),
            ratio_to_haproxy: ratios,
            requests_per_second: Spread::of(rounds.iter().map(|round| round.run.requests_per_second)),
            p99_ms: Spread::of(rounds.iter().map(|round| round.run.p99_ms)),
            peak_rss_mb: proc::peak_rss(contender.running.pid()) as f64 / 1e6,
            errors: rounds.iter().map(|round| round.run.errors).sum(),
        }
    };
    contenders.iter().map(measure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_between_the_two_middle_values_of_an_even_number() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(Spread::of([7.0]), Spread { median: 7.0, min: 7.0, max: 7.0 });
    }
}
