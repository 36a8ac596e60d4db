//! Runs the rounds, proxy by proxy in turn, and sums them up as medians and ratios.

use crate::feature::{self, Feature};
use crate::peers::{Kind, Place, Program, Started};
use crate::{CompareArgs, proc, wrk};
use loadtest::answering;
use serde::Serialize;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// For how long nothing is sent, so that what the contenders take of the CPU by themselves shows.
const SILENCE: Duration = Duration::from_secs(5);

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
    /// What it did besides; None is the plain contender.
    pub(crate) with: Option<Feature>,
    pub(crate) cpu_us_per_request: Spread,
    /// To HAProxy in the same round; None when HAProxy takes no part.
    pub(crate) ratio_to_haproxy: Option<Spread>,
    /// To the plain plimsoll in the same round, for plimsoll with something besides.
    pub(crate) ratio_to_plain: Option<Spread>,
    pub(crate) requests_per_second: Spread,
    pub(crate) p99_ms: Spread,
    pub(crate) peak_rss_mb: f64,
    /// The share of a CPU that it takes while no request comes, 0 to 1.
    pub(crate) idle_cpu: f64,
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
    with: Option<Feature>,
    started: Started,
    rounds: Vec<Round>,
    idle_cpu: f64,
    /// Who is there meanwhile.
    _company: JoinSet<()>,
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
    let (backends, addresses) = answering::start(args.body()).await?;
    let (collector, _collecting) = feature::collector().await?;
    let place = Place { folder: folder.path(), backends: &addresses, collector, tcp: args.tcp };
    let mut settings = Vec::new();
    for connections in &args.connections {
        settings.push(setting(*connections, args, &programs, &place).await?);
    }
    backends.end(PATIENCE).await?;
    Ok(Comparison {
        rounds: args.rounds,
        round_seconds: args.round.as_secs().max(1) as f64,
        body_bytes: args.body(),
        settings,
    })
}

async fn setting(
    connections: u16,
    args: &CompareArgs,
    programs: &[Program],
    place: &Place<'_>,
) -> anyhow::Result<Setting> {
    let mut contenders = Vec::new();
    for program in programs {
        contenders.push(Contender::enter(program, None, place).await?);
        if program.kind == Kind::Plimsoll {
            for feature in &args.with {
                contenders.push(Contender::enter(program, Some(*feature), place).await?);
            }
        }
    }
    for contender in &contenders {
        // Opens connections, fills pools; not measured.
        wrk::run(contender.started.address, connections, Duration::from_secs(1)).await?;
    }
    for round in 0..usize::from(args.rounds) {
        // Who goes first changes with the round, so that nobody always follows the same one.
        let count = contenders.len();
        for turn in 0..count {
            contenders[(round + turn) % count].go(connections, args.round).await?;
        }
    }
    watch_idle(&mut contenders).await?;
    let peers = measured(&contenders);
    for contender in contenders {
        contender.started.running.end(PATIENCE).await?;
    }
    Ok(Setting { connections, peers })
}

/// Sends nothing, and measures what each contender takes of the CPU meanwhile.
async fn watch_idle(contenders: &mut [Contender<'_>]) -> anyhow::Result<()> {
    let used = |contender: &Contender<'_>| proc::cpu_ns(contender.pid());
    let before: Vec<u64> = contenders.iter().map(used).collect::<anyhow::Result<_>>()?;
    let since = Instant::now();
    sleep(SILENCE).await;
    let silence = since.elapsed().as_nanos() as f64;
    for (contender, before) in contenders.iter_mut().zip(before) {
        contender.idle_cpu = proc::cpu_ns(contender.pid())?.saturating_sub(before) as f64 / silence;
    }
    Ok(())
}

impl<'a> Contender<'a> {
    async fn enter(
        program: &'a Program,
        with: Option<Feature>,
        place: &Place<'_>,
    ) -> anyhow::Result<Contender<'a>> {
        let started = program.start(place, with).await?;
        let company = match with {
            Some(feature) => feature.company(started.admin).await?,
            None => JoinSet::new(),
        };
        Ok(Contender { program, with, started, rounds: Vec::new(), idle_cpu: 0.0, _company: company })
    }

    fn pid(&self) -> u32 {
        self.started.running.pid()
    }

    async fn go(&mut self, connections: u16, length: Duration) -> anyhow::Result<()> {
        let before = proc::cpu_ns(self.pid())?;
        let run = wrk::run(self.started.address, connections, length).await?;
        let used_us = proc::cpu_ns(self.pid())?.saturating_sub(before) as f64 / 1000.0;
        anyhow::ensure!(run.requests > 0, "{:?} answered nothing", self.program.kind);
        self.rounds.push(Round { cpu_us_per_request: used_us / run.requests as f64, run });
        Ok(())
    }

    /// Its CPU time per request in each round as a ratio to the other's in the same round.
    fn ratio_to(&self, other: &Contender<'_>) -> Spread {
        let pairs = self.rounds.iter().zip(&other.rounds);
        Spread::of(pairs.map(|(mine, theirs)| mine.cpu_us_per_request / theirs.cpu_us_per_request))
    }
}

fn measured(contenders: &[Contender<'_>]) -> Vec<Measured> {
    let plain = |kind| contenders.iter().find(|other| other.program.kind == kind && other.with.is_none());
    let (haproxy, plimsoll) = (plain(Kind::Haproxy), plain(Kind::Plimsoll));
    let measure = |contender: &Contender<'_>| {
        let rounds = &contender.rounds;
        Measured {
            peer: contender.program.kind,
            version: contender.program.version.clone(),
            with: contender.with,
            cpu_us_per_request: Spread::of(rounds.iter().map(|round| round.cpu_us_per_request)),
            ratio_to_haproxy: haproxy.map(|haproxy| contender.ratio_to(haproxy)),
            ratio_to_plain: contender.with.and(plimsoll).map(|plain| contender.ratio_to(plain)),
            requests_per_second: Spread::of(rounds.iter().map(|round| round.run.requests_per_second)),
            p99_ms: Spread::of(rounds.iter().map(|round| round.run.p99_ms)),
            peak_rss_mb: proc::peak_rss(contender.pid()) as f64 / 1e6,
            idle_cpu: contender.idle_cpu,
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
