//! `loadtest scenario`: reads a file, does what it says, and tells whether what must hold did.

use crate::interrupted;
use crate::run;
use crate::screen::Screen;
use crate::stage::{Done, Stage};
use anyhow::Context as _;
use loadtest::actor;
use loadtest::csv;
use loadtest::http;
use loadtest::load::Load;
use loadtest::plan::parse_duration;
use loadtest::report::Report;
use loadtest::scenario::check::{self, Verdict};
use loadtest::scenario::tell::{self, Circumstances, Told};
use loadtest::scenario::{Admin, Deed, Scenario, read};
use loadtest::story::folder::Folder;
use loadtest::story::recording::{Act, Deed as Deeds};
use loadtest::story::{Story, read_transitions, seconds_since};
use serde::Serialize;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// What to do, and where to tell of it.
#[derive(clap::Args)]
#[command(after_help = "\
Examples, of which loadtest/scenarios has the files:
  loadtest scenario restart.yaml                             on the compose stack that is up
  loadtest scenario restart.yaml --set outage=5s --set rate=100
  loadtest scenario loadtest/scenarios/restart-processes.yaml --report DIR
      after `cargo build --release`: starts a balancer and three backends itself

Exits with 0 when everything held, with 1 when something did not, and with 2 when it could not be carried out.
Whatever it killed, started, drained or switched is put back, also when it is interrupted.")]
pub(crate) struct Args {
    /// The scenario.
    file: PathBuf,
    /// Takes the place of one of its settings; repeatable.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// Write a report to this folder: index.html, report.md and pictures. An earlier report in it is replaced.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Write a line per second and backend to this file.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Show no progress, which is a line per second on stderr.
    #[arg(long)]
    quiet: bool,
    /// Allow targets that are not on this machine.
    #[arg(long)]
    allow_remote: bool,
    /// How long to wait until everything that must answer does.
    #[arg(long, default_value = "30s", value_parser = parse_duration)]
    wait: Duration,
    /// The docker program.
    #[arg(long, value_name = "PROGRAM", default_value = "docker")]
    docker: PathBuf,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as outage=5s")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What happened.
struct Outcome {
    began: SystemTime,
    report: Report,
    done: Vec<Done>,
    told: Option<Told>,
}

/// The run as one JSON object.
#[derive(Serialize)]
struct Json<'a> {
    title: &'a str,
    held: bool,
    assertions: &'a [Verdict],
    acts: Vec<Performed>,
    #[serde(flatten)]
    report: &'a Report,
}

/// Something that was done, in JSON.
#[derive(Serialize)]
struct Performed {
    at_seconds: f64,
    act: String,
}

/// Exits with 1 when something that must hold did not.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let scenario = scenario(args)?;
    let folder = args.report.as_deref().map(Folder::claim).transpose()?;
    let table = args.csv.as_deref().map(create).transpose()?;
    let screen = Screen::new(args.quiet);
    let outcome = play(args, &scenario, &screen).await?;
    let verdicts = check::verdicts(&scenario, &outcome.report);
    if let Some(mut table) = table {
        table.write_all(csv::write(&outcome.report).as_bytes()).context("writing the table")?;
    }
    if let Some(folder) = folder {
        folder.write(&story(&scenario, &outcome, &verdicts))?;
        screen.say(&format!("report: {}", folder.page().display()));
    }
    let text = if args.json { json(&scenario, &outcome, &verdicts)? } else { text(&outcome, &verdicts)? };
    writeln!(std::io::stdout().lock(), "{}", text.trim_end()).context("writing the report")?;
    let held = verdicts.iter().all(|verdict| verdict.held);
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn scenario(args: &Args) -> anyhow::Result<Scenario> {
    let name = args.file.display();
    let text = std::fs::read_to_string(&args.file).with_context(|| format!("cannot read {name}"))?;
    let parent = args.file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let here = parent.unwrap_or(Path::new(".")).display().to_string();
    let read = read::read(&text, &args.settings, &[("here".to_owned(), here)]);
    let mut scenario = read.map_err(|error| anyhow::anyhow!("{name}:{error}"))?;
    scenario.plan.allow_remote = args.allow_remote;
    Ok(scenario)
}

fn create(path: &Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("cannot write {}", path.display()))
}

/// Runs the scenario, and leaves nothing changed that it has changed.
async fn play(args: &Args, scenario: &Scenario, screen: &Screen) -> anyhow::Result<Outcome> {
    if !args.allow_remote {
        for address in scenario.addresses() {
            check_loopback(address).await?;
        }
    }
    let load = Load::new(scenario.plan.clone()).await?;
    let mut stage = Stage::new(scenario, &args.docker)?;
    let played = tokio::select! {
        played = conduct(args, scenario, load, &mut stage, screen) => played,
        () = interrupted() => Err(anyhow::anyhow!("interrupted; there is no report")),
    };
    let done = std::mem::take(&mut stage.done);
    let back = stage.put_back().await;
    // What went wrong first is what to mend; what could not be put back must be known all the same.
    match (played, back) {
        (Ok((began, report, told)), Ok(())) => Ok(Outcome { began, report, done, told }),
        (Ok(_), Err(back)) => Err(back),
        (Err(first), Ok(())) => Err(first),
        (Err(first), Err(back)) => Err(first.context(format!("{back:#}"))),
    }
}

async fn check_loopback(address: &hyper::Uri) -> anyhow::Result<()> {
    let host = address.host().unwrap_or_default().trim_matches(['[', ']']);
    let mut found = tokio::net::lookup_host((host, 0)).await.with_context(|| format!("looking up {host}"))?;
    anyhow::ensure!(
        found.all(|found| found.ip().is_loopback()),
        "{address} is not on the loopback interface; say --allow-remote if you may change that machine"
    );
    Ok(())
}

async fn conduct(
    args: &Args,
    scenario: &Scenario,
    load: Load,
    stage: &mut Stage<'_>,
    screen: &Screen,
) -> anyhow::Result<(SystemTime, Report, Option<Told>)> {
    stage.set(args.wait, screen).await?;
    // Before the load as well: better an error now than after it.
    let before = match &scenario.admin {
        Some(admin) => Some(ask(admin, "/metrics").await?),
        None => None,
    };
    let observer = load.observer();
    let (began, start) = (SystemTime::now(), Instant::now());
    let mut acting = pin!(stage.act(start, screen));
    let mut following = pin!(screen.follow(&observer));
    let mut load = pin!(load.run());
    let mut acted = false;
    // Not joined: a deed that fails ends the load at once.
    let report = loop {
        tokio::select! {
            report = &mut load => break report,
            done = &mut acting, if !acted => { done?; acted = true; }
            never = &mut following => match never {},
        }
    };
    anyhow::ensure!(acted, "something was still being done when the load ended; make the last phase longer");
    let told = match (&scenario.admin, before) {
        (Some(admin), Some(before)) => {
            let transitions = ask(admin, "/api/v1/transitions").await?;
            let changes = read_transitions(&transitions, &admin.upstream, &tell::backends(&report), began)?;
            let metrics = [before, ask(admin, "/metrics").await?];
            Some(Told { upstream: admin.upstream.clone(), changes, metrics })
        }
        _ => None,
    };
    Ok((began, report, told))
}

async fn ask(admin: &Admin, path: &str) -> anyhow::Result<String> {
    let (_, page) = http::get(&admin.url.to_string(), path).await.context("look at `admin`")?;
    Ok(page)
}

fn story(scenario: &Scenario, outcome: &Outcome, verdicts: &[Verdict]) -> Story {
    let names = tell::backends(&outcome.report);
    let acts = outcome.done.iter().filter_map(|done| {
        let Deed::Program(program, deed) = scenario.acts[done.act].deed else { return None };
        let deed = match deed {
            actor::Deed::Kill | actor::Deed::Stop => Deeds::Killed,
            actor::Deed::Start => Deeds::Started,
            actor::Deed::Freeze | actor::Deed::Continue => return None,
        };
        let backend = names.iter().position(|name| *name == scenario.programs[program].name)?;
        Some(Act { at: seconds_since(outcome.began, done.at), backend, deed })
    });
    let circumstances = Circumstances {
        command: command(),
        source: source(scenario, verdicts),
        began: outcome.began,
        seconds: scenario.duration().as_secs_f64(),
        acts: acts.collect(),
        told: outcome.told.clone(),
    };
    Story::tell(&tell::recording(&outcome.report, circumstances))
}

fn source(scenario: &Scenario, verdicts: &[Verdict]) -> String {
    let broken: Vec<String> = verdicts.iter().filter(|verdict| !verdict.held).map(line).collect();
    let held = verdicts.len() - broken.len();
    let mut text = format!("{} {held} of {} assertions held", scenario.title, verdicts.len());
    if !broken.is_empty() {
        text += &format!("; broken: {}", broken.join("; "));
    }
    text += ". All counts are what the client saw; answers above 499 count as failed.";
    if scenario.admin.is_none() {
        text += " The balancer was not asked: a backend that was killed is taken for out while it does not answer, \
                 and attempts that it repeated are not counted.";
    }
    text
}

/// What was typed, without the place of the program.
fn command() -> String {
    ["loadtest".to_owned()].into_iter().chain(std::env::args().skip(1)).collect::<Vec<_>>().join(" ")
}

fn json(scenario: &Scenario, outcome: &Outcome, verdicts: &[Verdict]) -> anyhow::Result<String> {
    let acts = outcome.done.iter().map(|done| Performed {
        at_seconds: seconds_since(outcome.began, done.at),
        act: scenario.words(&scenario.acts[done.act].deed),
    });
    Ok(serde_json::to_string(&Json {
        title: &scenario.title,
        held: verdicts.iter().all(|verdict| verdict.held),
        assertions: verdicts,
        acts: acts.collect(),
        report: &outcome.report,
    })?)
}

fn text(outcome: &Outcome, verdicts: &[Verdict]) -> anyhow::Result<String> {
    let lines: Vec<String> = verdicts.iter().map(line).collect();
    Ok(format!("{}\n{}", run::text(&outcome.report)?, lines.join("\n")))
}

fn line(verdict: &Verdict) -> String {
    let word = if verdict.held { "held  " } else { "BROKEN" };
    let phase = verdict.phase.as_deref().unwrap_or("whole run");
    format!("{word}  {phase}: {}, measured {}", verdict.check, verdict.measured)
}
