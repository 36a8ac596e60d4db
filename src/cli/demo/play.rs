//! What happens while the load runs: look at the balancer, follow the scenario, show it.
//!
//! The load is a task of its own, so that nothing done here delays a request that is due.

use super::fleet::Fleet;
use super::history::{self, History};
use super::recent::Recent;
use super::scenario::{Act, Restart, Seen};
use super::screen::Screen;
use super::table::{Row, State, View};
use super::{Arguments, Interrupts, scrape};
use loadtest::load::{Load, Observer};
use loadtest::plan::Plan;
use loadtest::report::Report;
use loadtest::story::recording::Deed;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How often one looks at the balancer.
const LOOK: Duration = Duration::from_millis(100);

/// How often while the scenario waits for what is seen: the error of the times that are reported.
const LOOK_CLOSELY: Duration = Duration::from_millis(10);

/// How often the view is drawn.
const DRAW: Duration = Duration::from_secs(1);

/// How much of the past the view's figures cover.
const SHOWN: Duration = Duration::from_secs(2);

/// How many events are remembered for the view.
const EVENTS_MAX: usize = 20;

/// Without a scenario, a backend that has ended is started again after this long.
const ABSENCE: Duration = Duration::from_secs(10);

/// At the end a balancer that is slow to answer is asked again so often.
const TRIES: usize = 5;

/// The demo while the load runs.
pub(super) struct Play<'a> {
    args: &'a Arguments,
    fleet: &'a mut Fleet,
    screen: &'a mut Screen,
    names: Vec<String>,
    restart: Option<Restart>,
    recent: Recent,
    start: Instant,
    last_draw: Option<Instant>,
    states: Vec<State>,
    /// The last state of each that was told of as an event.
    told: Vec<State>,
    /// Attempts on each backend that the balancer repeated on another.
    retried: Vec<u64>,
    /// CPU usage of each backend, as its agent has pushed it to the balancer.
    cpu: Vec<Option<f64>>,
    /// When each backend was found to have no process.
    absent_since: Vec<Option<Instant>>,
    /// Whose process is known to have ended.
    gone: Vec<bool>,
    /// What is kept for the report; None when none is wanted.
    history: Option<History>,
    events: Vec<String>,
    requests: u64,
    failed: u64,
}

/// What came of it.
pub(super) struct Outcome {
    pub(super) report: Report,
    pub(super) restart: Option<Restart>,
    pub(super) interrupted: bool,
    pub(super) history: Option<History>,
}

impl<'a> Play<'a> {
    pub(super) fn new(args: &'a Arguments, fleet: &'a mut Fleet, screen: &'a mut Screen) -> Play<'a> {
        let names = fleet.names();
        Play {
            args,
            fleet,
            screen,
            restart: args.scenario.map(|_| Restart::new(args.duration, names.len())),
            recent: Recent::default(),
            start: Instant::now(),
            last_draw: None,
            states: vec![State::Up; names.len()],
            told: vec![State::Up; names.len()],
            retried: vec![0; names.len()],
            cpu: vec![None; names.len()],
            absent_since: vec![None; names.len()],
            gone: vec![false; names.len()],
            history: None,
            names,
            events: Vec::new(),
            requests: 0,
            failed: 0,
        }
    }

    /// Puts the load on the balancer and returns when it is over. An interrupt ends it early.
    ///
    /// # Errors
    /// When the load cannot be put on, the balancer ends, or a backend cannot be started again.
    pub(super) async fn run(mut self, interrupts: &mut Interrupts) -> anyhow::Result<Outcome> {
        let load = Load::new(self.plan()?).await?;
        let observer = load.observer();
        // In a set, so that the load ends with this function also when it fails.
        let mut loading = JoinSet::new();
        self.begin().await?;
        loading.spawn(load.run());
        let mut interrupted = false;
        loop {
            let close = self.restart.as_ref().is_some_and(Restart::is_watching);
            tokio::select! {
                Some(report) = loading.join_next() => {
                    let report = report?;
                    (self.requests, self.failed) = (report.requests, report.failed);
                    self.draw(&observer)?;
                    self.keep_the_end().await;
                    let Play { restart, history, .. } = self;
                    return Ok(Outcome { report, restart, interrupted, history });
                }
                backend = self.fleet.next_end(&self.gone) => {
                    self.gone[backend] = true;
                    self.keep(|history, elapsed| history.note_act(elapsed, backend, Deed::Killed));
                }
                () = interrupts.next() => {
                    interrupted = true;
                    observer.stop();
                }
                () = sleep(if close { LOOK_CLOSELY } else { LOOK }) => self.look(&observer).await?,
            }
        }
    }

    /// Begins to count the time, and to keep what happens if that is wanted.
    async fn begin(&mut self) -> anyhow::Result<()> {
        let page = match &self.args.report {
            Some(_) => Some(scrape::page(self.fleet.admin, "/metrics").await?),
            None => None,
        };
        self.start = Instant::now();
        self.history = page.map(|page| {
            let mut history = History::begin(&self.names, self.args.duration);
            history.note_metrics(Duration::ZERO, &page);
            history
        });
        Ok(())
    }

    fn plan(&self) -> anyhow::Result<Plan> {
        let target = format!("http://{}{}", self.fleet.web, self.args.path);
        let mut plan = Plan::new(&target, self.args.rate, self.args.duration)?;
        if self.args.report.is_some() {
            plan.bucket = history::slice(self.args.duration);
        }
        plan.first_phase = if self.restart.is_some() { "before" } else { "steady" }.to_owned();
        Ok(plan)
    }

    async fn look(&mut self, observer: &Observer) -> anyhow::Result<()> {
        let Some(window) = observer.take_window() else { return Ok(()) };
        (self.requests, self.failed) = (window.requests, window.failed);
        self.recent.push(window);
        self.fleet.balancer_pid()?;
        let page = scrape::page(self.fleet.admin, "/metrics").await.unwrap_or_default();
        self.keep(|history, elapsed| history.note_metrics(elapsed, &page));
        if self.note(&page)? {
            self.keep_transitions().await;
        }
        match self.next_act() {
            Some(act) => self.act(act, observer).await?,
            None if self.restart.is_none() => self.restart_the_absent().await?,
            None => {}
        }
        if self.last_draw.is_none_or(|last| last.elapsed() >= DRAW) {
            self.draw(observer)?;
        }
        Ok(())
    }

    fn draw(&mut self, observer: &Observer) -> anyhow::Result<()> {
        self.last_draw = Some(Instant::now());
        let view = self.view(observer);
        Ok(self.screen.draw(&view)?)
    }

    /// Takes from the balancer's metrics what is shown of each backend. Says whether a state has changed.
    fn note(&mut self, page: &str) -> anyhow::Result<bool> {
        let mut changed = false;
        for index in 0..self.names.len() {
            let member = &self.fleet.members[index];
            if let Some(retried) = member.value(page, "plimsoll_retries_total") {
                self.retried[index] = retried as u64;
            }
            self.cpu[index] = member.cpu(page);
            let state = State::of(member.value(page, "plimsoll_backend_state"));
            self.states[index] = state;
            if state != State::Unknown && std::mem::replace(&mut self.told[index], state) != state {
                self.tell(&format!("the balancer shows {} {}", self.names[index], state.word()))?;
                changed = true;
            }
        }
        Ok(changed)
    }

    /// Keeps something for the report, if one is wanted.
    fn keep(&mut self, note: impl FnOnce(&mut History, Duration)) {
        let elapsed = self.start.elapsed();
        if let Some(history) = &mut self.history {
            note(history, elapsed);
        }
    }

    /// Keeps the exact moments of the changes of state, if the balancer tells them now; it remembers the last
    /// ones.
    async fn keep_transitions(&mut self) -> bool {
        let Some(history) = &mut self.history else { return true };
        let page = scrape::page(self.fleet.admin, "/api/v1/transitions").await;
        page.is_ok_and(|page| history.note_transitions(&page).is_ok())
    }

    async fn keep_the_end(&mut self) {
        if self.history.is_some() {
            let page = scrape::page(self.fleet.admin, "/metrics").await.unwrap_or_default();
            self.keep(|history, elapsed| history.note_end(elapsed, &page));
            for _ in 0..TRIES {
                if self.keep_transitions().await {
                    break;
                }
            }
        }
    }

    fn next_act(&mut self) -> Option<Act> {
        let up = match self.states[0] {
            State::Unknown => None,
            state => Some(state != State::Down),
        };
        let seen = Seen { up, share: self.recent.share(&self.names[0]) };
        self.restart.as_mut()?.step(self.start.elapsed(), seen)
    }

    async fn act(&mut self, act: Act, observer: &Observer) -> anyhow::Result<()> {
        let name = self.names[0].clone();
        match act {
            Act::Kill => {
                observer.mark("detecting");
                self.gone[0] = true;
                self.keep(|history, elapsed| history.note_act(elapsed, 0, Deed::Killed));
                self.fleet.kill(0).await?;
                self.tell(&format!("{name} is killed"))
            }
            Act::Detected => {
                observer.mark("during");
                Ok(())
            }
            Act::Start => {
                observer.mark("recovering");
                self.start_again(0).await?;
                self.tell(&format!("{name} is started again"))
            }
            Act::Recovered => {
                observer.mark("after");
                self.tell(&format!("{name} has its share back"))
            }
        }
    }

    async fn start_again(&mut self, backend: usize) -> anyhow::Result<()> {
        self.keep(|history, elapsed| history.note_act(elapsed, backend, Deed::Started));
        self.fleet.start_again(backend).await?;
        self.gone[backend] = false;
        Ok(())
    }

    async fn restart_the_absent(&mut self) -> anyhow::Result<()> {
        for index in 0..self.names.len() {
            let name = self.names[index].clone();
            match (self.fleet.members[index].pid(), self.absent_since[index]) {
                (Some(_), _) => self.absent_since[index] = None,
                (None, None) => {
                    self.absent_since[index] = Some(Instant::now());
                    self.tell(&format!("{name} has ended; it is started again in {} s", ABSENCE.as_secs()))?;
                }
                (None, Some(since)) if since.elapsed() >= ABSENCE => {
                    self.start_again(index).await?;
                    self.tell(&format!("{name} is started again"))?;
                }
                (None, Some(_)) => {}
            }
        }
        Ok(())
    }

    fn tell(&mut self, event: &str) -> anyhow::Result<()> {
        let event = format!("{:>6.2} s  {event}", self.start.elapsed().as_secs_f64());
        self.screen.tell(&event)?;
        if self.events.len() == EVENTS_MAX {
            self.events.remove(0);
        }
        self.events.push(event);
        Ok(())
    }

    fn view(&mut self, observer: &Observer) -> View {
        let members = self.fleet.members.iter_mut().zip(&self.cpu);
        // What was pushed of a process that is gone is still held for a moment.
        let cpu: Vec<_> = members.map(|(member, cpu)| cpu.filter(|_| member.pid().is_some())).collect();
        self.keep(|history, elapsed| history.note_cpu(elapsed, &cpu));
        let (each, total) = self.recent.figures(&self.names, SHOWN);
        let members = self.fleet.members.iter_mut().zip(&self.states).zip(&self.retried).zip(each).zip(cpu);
        let rows = members.map(|((((member, state), retried), figures), cpu)| Row {
            name: member.name.clone(),
            pid: member.pid(),
            state: *state,
            figures,
            errors: self.recent.errors(&member.name),
            retried: *retried,
            cpu,
        });
        View {
            elapsed: self.start.elapsed(),
            duration: self.args.duration,
            rows: rows.collect(),
            total,
            requests: self.requests,
            failed: self.failed,
            in_flight: observer.in_flight(),
            events: self.events.clone(),
        }
    }
}
