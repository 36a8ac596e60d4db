//! The experiment itself: load, a kill, a start, and what was seen of it.

use crate::Args;
use crate::balancer::Balancer;
use crate::prometheus::{Prometheus, Series};
use crate::{ready, record, say, unix_time};
use anyhow::Context as _;
use loadtest::actor::{self, Actor};
use loadtest::load::{Load, Observer};
use loadtest::plan::Plan;
use loadtest::report::Report;
use loadtest::story::recording::{Act, Deed, Recording};
use loadtest::story::{Story, seconds_since};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep, sleep_until};

/// How far before and after the load samples are asked for: one scrape of the slowest usual interval.
const MARGIN: f64 = 60.0;

/// How long to wait for the scrape after the load, beside two intervals.
const SCRAPE_PATIENCE: Duration = Duration::from_secs(5);

/// From one look for that scrape to the next.
const LOOK: Duration = Duration::from_millis(250);

/// What the run left behind.
struct Run {
    began: SystemTime,
    client: Report,
    killed: SystemTime,
    started: SystemTime,
}

/// Runs the experiment on what is up, and tells its story. Whoever calls puts the actor's changes back, however it
/// ends.
///
/// # Errors
/// What was missing or failed.
pub(crate) async fn conduct(args: &Args, actor: &mut Actor) -> anyhow::Result<Story> {
    let balancer = Balancer { admin: args.admin.clone(), upstream: args.upstream.clone() };
    say("waiting until everything is ready")?;
    let names = ready::wait(args, &balancer).await?;
    let run = run(args, actor).await?;
    say("waiting for the last scrape")?;
    let ended = unix_time(run.began) + args.length().as_secs_f64();
    let counters = scraped(args, unix_time(run.began), ended).await?;
    let prometheus = Prometheus::new(&args.prometheus);
    let cpu = prometheus.samples(&args.cpu, unix_time(run.began) - MARGIN, ended).await?;
    let changes =
        balancer.changes(&names, run.began).await.context("asking for the balancer's transitions")?;
    let backend = names.iter().position(|name| *name == args.backend).unwrap_or_default();
    let act = |at, deed| Act { at: seconds_since(run.began, at), backend, deed };
    let began = unix_time(run.began);
    Ok(Story::tell(&Recording {
        command: command(),
        source: source(args, &counters),
        began: run.began,
        seconds: args.length().as_secs_f64(),
        samples: record::samples(&counters, &names, began)?,
        cpu: record::cpu(&cpu, &names, began),
        acts: vec![act(run.killed, Deed::Killed), act(run.started, Deed::Started)],
        changes,
        client: run.client,
        backends: names,
    }))
}

async fn run(args: &Args, actor: &mut Actor) -> anyhow::Result<Run> {
    let mut plan = Plan::new(&args.url, args.rate, args.length())?;
    plan.bucket = Duration::from_millis(500);
    plan.first_phase = "before".to_owned();
    plan.allow_remote = args.allow_remote;
    let load = Load::new(plan).await?;
    let observer = load.observer();
    say(&format!("load: {} requests per second on {}", args.rate, args.url))?;
    let (began, start) = (SystemTime::now(), Instant::now());
    let mut acting = Box::pin(act(args, actor, &observer, start));
    let mut acted = None;
    let load = load.run();
    tokio::pin!(load);
    // Not joined: an actor that fails ends the load at once.
    let client = loop {
        tokio::select! {
            client = &mut load => break client,
            moments = &mut acting, if acted.is_none() => acted = Some(moments?),
        }
    };
    let (killed, started) = acted.context("the backend was not started again before the load ended")?;
    Ok(Run { began, client, killed, started })
}

async fn act(
    args: &Args,
    actor: &mut Actor,
    observer: &Observer,
    start: Instant,
) -> anyhow::Result<(SystemTime, SystemTime)> {
    sleep_until(start + args.before).await;
    observer.mark("during");
    let killed = actor.act(actor::Deed::Kill).await.with_context(|| format!("killing {}", args.backend))?;
    say(&format!("{} is killed", args.backend))?;
    sleep_until(start + args.before + args.outage).await;
    observer.mark("after");
    let started =
        actor.act(actor::Deed::Start).await.with_context(|| format!("starting {} again", args.backend))?;
    say(&format!("{} is started again", args.backend))?;
    Ok((killed, started))
}

/// The balancer's counters, once there is a scrape from after the load.
async fn scraped(args: &Args, began: f64, ended: f64) -> anyhow::Result<Vec<Series>> {
    let prometheus = Prometheus::new(&args.prometheus);
    let since = Instant::now();
    loop {
        let now = unix_time(SystemTime::now());
        let series = prometheus.samples(&args.counters(), began - MARGIN, now).await?;
        let last = last_scrape(&series);
        if last >= ended {
            return Ok(series);
        }
        let patience = Duration::from_secs_f64(2.0 * interval(&series).min(MARGIN)) + SCRAPE_PATIENCE;
        anyhow::ensure!(
            since.elapsed() < patience,
            "Prometheus has no sample from after the load; its last one is from {:.0} s before its end. Does it still \
             scrape the balancer?",
            (ended - last).min(ended - began)
        );
        sleep(LOOK).await;
    }
}

fn last_scrape(series: &[Series]) -> f64 {
    let lasts = series.iter().filter_map(|series| Some(series.samples.last()?.0));
    lasts.fold(f64::NEG_INFINITY, f64::max)
}

/// The usual time from one scrape to the next, in seconds; 0 when that cannot be told.
fn interval(series: &[Series]) -> f64 {
    let longest = series.iter().map(|series| &series.samples).max_by_key(|samples| samples.len());
    let mut gaps: Vec<f64> = longest
        .map(|samples| samples.windows(2).map(|pair| pair[1].0 - pair[0].0).collect())
        .unwrap_or_default();
    gaps.sort_by(f64::total_cmp);
    gaps.get(gaps.len() / 2).copied().unwrap_or(0.0)
}

fn source(args: &Args, counters: &[Series]) -> String {
    format!(
        "Load: {} requests per second on {}. Counters and CPU usage are the samples of Prometheus, scraped every {} s; \
         the moments of the balancer's decisions are its own; failures, gaps and latency are what the client saw.",
        args.rate,
        args.url,
        (interval(counters) * 10.0).round() / 10.0
    )
}

/// What was typed, without the place of the program.
fn command() -> String {
    let args = std::env::args().skip(1);
    ["experiment".to_owned()].into_iter().chain(args).collect::<Vec<_>>().join(" ")
}
