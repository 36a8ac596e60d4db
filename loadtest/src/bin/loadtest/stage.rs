//! What is done to whom while a scenario runs, and put back however it ends.

use crate::screen::Screen;
use anyhow::Context as _;
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::{Method, StatusCode};
use loadtest::actor::compose::Compose;
use loadtest::actor::process::{Origin, Process};
use loadtest::actor::{self, Actor};
use loadtest::http::Call;
use loadtest::scenario::{Admin, Deed, Place, Program, Scenario};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep, sleep_until};

/// From one look to the next whether a program is ready.
const LOOK: Duration = Duration::from_millis(20);

/// Everybody who can act, and what has been changed by them.
pub(crate) struct Stage<'a> {
    scenario: &'a Scenario,
    actors: Vec<Actor>,
    /// The backends that the balancer was told to drain.
    drained: Vec<String>,
    /// The switches that do not stand where they stood.
    switched: Vec<Call>,
    /// What takes requests back, the last first.
    undo: Vec<Call>,
    /// What was done, and when.
    pub(crate) done: Vec<Done>,
}

/// Something that was done.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    /// The position of the act in the scenario.
    pub(crate) act: usize,
    /// When.
    pub(crate) at: SystemTime,
}

impl<'a> Stage<'a> {
    /// Gets hold of everybody; starts nothing yet.
    ///
    /// # Errors
    /// When a process is not there.
    pub(crate) fn new(scenario: &'a Scenario, docker: &Path) -> anyhow::Result<Stage<'a>> {
        let actors = scenario.programs.iter().map(|program| actor(program, docker));
        let actors = actors.collect::<anyhow::Result<_>>()?;
        let (drained, switched, undo, done) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Ok(Stage { scenario, actors, drained, switched, undo, done })
    }

    /// Starts the programs that the scenario brings along, and waits until what must answer does.
    ///
    /// # Errors
    /// What does not start, or does not answer in time.
    pub(crate) async fn set(&mut self, patience: Duration, screen: &Screen) -> anyhow::Result<()> {
        for (program, actor) in self.scenario.programs.iter().zip(&mut self.actors) {
            if let Place::Own { .. } = program.place {
                screen.say(&format!("starting {}", program.name));
                let started = actor.act(actor::Deed::Start).await;
                started.with_context(|| format!("starting {}", program.name))?;
            }
        }
        let deadline = Instant::now() + patience;
        for (program, actor) in self.scenario.programs.iter().zip(&mut self.actors) {
            if let Some(url) = &program.ready {
                let call = Call::new(Method::GET, &url.to_string())?;
                ready(&call, actor, deadline)
                    .await
                    .with_context(|| format!("waiting for {}", program.name))?;
            }
        }
        Ok(())
    }

    /// Does what the scenario says, each deed at its moment after `start`.
    ///
    /// # Errors
    /// What cannot be done; what comes after it is left out.
    pub(crate) async fn act(&mut self, start: Instant, screen: &Screen) -> anyhow::Result<()> {
        let scenario = self.scenario;
        for (number, act) in scenario.acts.iter().enumerate() {
            sleep_until(start + act.at).await;
            let words = scenario.words(&act.deed);
            let at = self.perform(&act.deed).await.with_context(|| words.clone())?;
            self.done.push(Done { act: number, at });
            screen.stress(&format!("{:>4}:{:02} {words}", act.at.as_secs() / 60, act.at.as_secs() % 60));
        }
        Ok(())
    }

    async fn perform(&mut self, deed: &Deed) -> anyhow::Result<SystemTime> {
        let at = SystemTime::now();
        match deed {
            Deed::Program(program, deed) => return self.actors[*program].act(*deed).await,
            Deed::Drain(backend) => {
                self.drained.push(backend.clone());
                send(&change(self.scenario.admin.as_ref(), backend, "drain")?, None).await?;
            }
            Deed::Ready(backend) => {
                send(&change(self.scenario.admin.as_ref(), backend, "ready")?, None).await?;
                self.drained.retain(|drained| drained != backend);
            }
            Deed::Switch(call) => {
                send(call, None).await?;
                match self.switched.iter().position(|switched| *switched == **call) {
                    Some(before) => drop(self.switched.remove(before)),
                    None => self.switched.push((**call).clone()),
                }
            }
            Deed::Call(request) => {
                self.undo.extend(request.undo.clone());
                send(&request.call, request.expect).await?;
            }
        }
        Ok(at)
    }

    /// Puts everything back, whatever of it fails.
    ///
    /// # Errors
    /// What could not be put back, all of it.
    pub(crate) async fn put_back(mut self) -> anyhow::Result<()> {
        let mut failed = Vec::new();
        for call in self.undo.iter().rev().chain(&self.switched) {
            let undone = send(call, None).await;
            failed.extend(undone.err().map(|error| format!("{} {}: {error:#}", call.method, call.url)));
        }
        for backend in &self.drained {
            let ready = match change(self.scenario.admin.as_ref(), backend, "ready") {
                Ok(call) => send(&call, None).await,
                Err(error) => Err(error),
            };
            failed.extend(ready.err().map(|error| format!("{backend} is still drained: {error:#}")));
        }
        // Whoever was started first may be needed by those after it.
        for (program, actor) in self.scenario.programs.iter().zip(&mut self.actors).rev() {
            let back = actor.put_back().await;
            failed.extend(back.err().map(|error| format!("{}: {error:#}", program.name)));
        }
        anyhow::ensure!(failed.is_empty(), "not everything could be put back: {}", failed.join("; "));
        Ok(())
    }
}

fn actor(program: &Program, docker: &Path) -> anyhow::Result<Actor> {
    let actor = match &program.place {
        Place::Own { command } => {
            // Ends with us, also when we are killed.
            let with_parent = [std::env::current_exe()?.into(), "with-parent".into(), "--".into()];
            Actor::process(Process::own(with_parent.into_iter().chain(command.iter().cloned()).collect()))
        }
        Place::Found { pid, command } => {
            let origin = if command.is_empty() { Origin::Supervised } else { Origin::Found };
            let process = Process::found(*pid, command.clone(), origin);
            Actor::process(process.with_context(|| format!("getting hold of {}", program.name))?)
        }
        Place::Compose { service, project, files } => {
            let (project, files): (Option<String>, Vec<PathBuf>) = (project.clone(), files.clone());
            Actor::compose(Compose { docker: docker.to_owned(), project, files }, service)
        }
    };
    Ok(actor)
}

/// Returns once the call is answered with a status below 500.
async fn ready(call: &Call, actor: &mut Actor, deadline: Instant) -> anyhow::Result<()> {
    loop {
        if let Some(process) = actor.as_process() {
            process.check()?;
        }
        match call.send().await {
            Ok((status, _)) if !status.is_server_error() => return Ok(()),
            Ok((status, _)) if Instant::now() > deadline => anyhow::bail!("{} answers {status}", call.url),
            Err(error) if Instant::now() > deadline => return Err(error),
            _ => sleep(LOOK).await,
        }
    }
}

/// The change of a backend at the balancer's admin interface.
fn change(admin: Option<&Admin>, backend: &str, verb: &str) -> anyhow::Result<Call> {
    let Admin { url, upstream, token } = admin.context("there is no `admin`")?;
    let base = url.to_string();
    let path = format!("/api/v1/upstreams/{upstream}/backends/{backend}/{verb}");
    let mut call = Call::new(Method::POST, &format!("{}{path}", base.trim_end_matches('/')))?;
    if !token.is_empty() {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).context("the admin's `token`")?;
        call.headers.insert(AUTHORIZATION, value);
    }
    Ok(call)
}

async fn send(call: &Call, expect: Option<StatusCode>) -> anyhow::Result<()> {
    let (status, text) = call.send().await?;
    let good = expect.map_or(status.as_u16() < 400, |expected| status == expected);
    anyhow::ensure!(good, "{} answers {status}: {}", call.url, text.trim());
    Ok(())
}
