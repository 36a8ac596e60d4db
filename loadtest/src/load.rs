//! Runs a plan: waits until a request is due, hands it to a free connection or a new one, and never waits for an answer.
//!
//! It stands apart from the record and the connections because it alone decides *when*; everything is polled by the
//! runtime it is started on, which may be a current-thread one.

use crate::arrivals::Schedule;
use crate::connection::{self, Idle, Job, Target, Template};
use crate::mix;
use crate::pacer::Pacer;
use crate::plan::{Plan, PlanError};
use crate::record::{Failure, Outcome, Recorder, Window};
use crate::report::Report;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// How long a client of a closed loop waits after a failure: one that is refused would ask without end.
const REST: Duration = Duration::from_millis(10);

/// A run that is ready to start: its plan is valid and its target has an address.
pub struct Load {
    plan: Plan,
    shared: Arc<Shared>,
    /// The servers, each once.
    targets: Vec<Arc<Target>>,
    /// What is asked for, by turns: the position of the server, and that of the request.
    turns: Vec<(usize, usize)>,
}

/// Looks at a run and speaks to it while it is going on. Cheap to clone; outlives the run.
#[derive(Clone)]
pub struct Observer {
    shared: Arc<Shared>,
}

struct Shared {
    /// None before the run starts and after it has been reported.
    recorder: Mutex<Option<Recorder>>,
    in_flight: AtomicUsize,
    stop: watch::Sender<bool>,
    /// Told each time an outcome has been recorded, for one who waits for it before the next request.
    recorded: Notify,
    /// Given whether each request succeeded, in a closed loop.
    answered: OnceLock<mpsc::UnboundedSender<bool>>,
    witness: OnceLock<Box<Witness>>,
}

/// Sees every outcome as it is recorded.
type Witness = dyn Fn(&Outcome) + Send + Sync;

impl Load {
    /// Checks `plan` and looks up its target; sends nothing yet.
    ///
    /// # Errors
    /// When the plan cannot be carried out.
    pub async fn new(plan: Plan) -> Result<Load, PlanError> {
        let addresses = plan.resolve().await?;
        let asks = plan.asks();
        let weights: Vec<u32> = asks.iter().map(|ask| ask.weight).collect();
        let turns = mix::turns(&weights).map_err(PlanError::Mix)?;
        let mut templates = Vec::new();
        for ask in asks {
            let target = ask.target.to_string();
            templates.push(Template::new(ask, plan.keep_alive).ok_or(PlanError::Target(target))?);
        }
        let mut servers = addresses.clone();
        servers.sort_unstable();
        servers.dedup();
        let server = |ask: usize| servers.iter().position(|server| *server == addresses[ask]);
        let turns = turns.into_iter().map(|ask| (server(ask).unwrap_or_default(), ask)).collect();
        let templates: Arc<[Template]> = templates.into();
        let targets = servers.iter().map(|address| {
            Arc::new(Target {
                address: *address,
                asks: Arc::clone(&templates),
                keep_alive: plan.keep_alive,
                number_header: plan.number_header.clone(),
                backend_headers: plan.backend_headers.clone(),
                idle: Idle::new(),
            })
        });
        let targets = targets.collect();
        let shared = Shared {
            recorder: Mutex::new(None),
            in_flight: AtomicUsize::new(0),
            stop: watch::Sender::new(false),
            recorded: Notify::new(),
            answered: OnceLock::new(),
            witness: OnceLock::new(),
        };
        Ok(Load { plan, shared: Arc::new(shared), targets, turns })
    }

    /// Gives a handle for looking at the run and dividing it into phases.
    pub fn observer(&self) -> Observer {
        Observer { shared: Arc::clone(&self.shared) }
    }

    /// Calls `witness` with every outcome, in the order in which they come about. It must not block: requests wait for it.
    pub fn with_witness(self, witness: impl Fn(&Outcome) + Send + Sync + 'static) -> Load {
        let _ = self.shared.witness.set(Box::new(witness)); // the first witness stays
        self
    }

    /// Sends every request of the plan when it is due, and returns once the last is answered or has failed.
    ///
    /// Dropped half way, it closes its connections and reports nothing.
    pub async fn run(self) -> Report {
        self.run_with(None).await
    }

    /// Asks as one patient client does, instead of at the plan's rate: a request is due `pause` after the answer to the
    /// one before, or after its failure. The longest gap of the report is then what such a client waited.
    ///
    /// Dropped half way, it closes its connection and reports nothing.
    pub async fn run_in_turn(self, pause: Duration) -> Report {
        self.run_with(Some(pause)).await
    }

    async fn run_with(self, pause: Option<Duration>) -> Report {
        let start = Instant::now();
        let mut recorder = Recorder::new(start, &self.plan.first_phase, self.plan.bucket, self.plan.timeout);
        self.plan.phases.iter().for_each(|(begin, name)| recorder.mark(name, start + *begin));
        *self.shared.lock() = Some(recorder);
        let mut stop = self.shared.stop.subscribe();
        let mut connections = JoinSet::new();
        let send = async {
            match (pause, self.plan.connections) {
                (Some(pause), _) => self.send_in_turn(start, pause, &mut connections).await,
                (None, Some(clients)) => self.send_in_loop(start, clients, &mut connections).await,
                (None, None) => self.send_all(start, &mut connections).await,
            }
        };
        let end = tokio::select! {
            () = send => start + self.plan.duration,
            _ = stop.wait_for(|stop| *stop) => Instant::now(),
        };
        self.targets.iter().for_each(|target| target.idle.close());
        while connections.join_next().await.is_some() {}
        let recorder = self.shared.lock().take();
        recorder.expect("invariant: only a run puts the recorder in and takes it out, once").finish(end)
    }

    async fn send_all(&self, start: Instant, connections: &mut JoinSet<()>) {
        let pacer = Pacer::new();
        for (number, offset) in (0..).zip(Schedule::new(&self.plan)) {
            let due = start + offset;
            pacer.wait_until(due).await;
            self.send(number, due, connections);
        }
        pacer.wait_until(start + self.plan.duration).await;
    }

    async fn send_in_turn(&self, start: Instant, pause: Duration, connections: &mut JoinSet<()>) {
        let pacer = Pacer::new();
        let end = start + self.plan.duration;
        for number in 0.. {
            let due = Instant::now();
            if due >= end {
                return;
            }
            self.send(number, due, connections);
            self.shared.recorded.notified().await;
            pacer.wait_until(Instant::now() + pause).await;
        }
    }

    /// Keeps as many requests in flight as there are clients: each asks again once it has its answer.
    async fn send_in_loop(&self, start: Instant, clients: usize, connections: &mut JoinSet<()>) {
        let (answered, mut answers) = mpsc::unbounded_channel();
        let _ = self.shared.answered.set(answered); // nobody else does
        let mut over = pin!(sleep_until(start + self.plan.duration));
        let mut resting = JoinSet::new();
        let mut numbers = 0..;
        let mut ask = |connections: &mut JoinSet<()>| {
            self.send(numbers.next().unwrap_or_default(), Instant::now(), connections);
        };
        (0..clients).for_each(|_| ask(connections));
        loop {
            tokio::select! {
                biased;
                () = &mut over => return,
                Some(_) = resting.join_next() => ask(connections),
                succeeded = answers.recv() => match succeeded {
                    Some(true) => ask(connections),
                    _ => drop(resting.spawn(sleep(REST))),
                },
            }
        }
    }

    fn send(&self, number: u64, due: Instant, connections: &mut JoinSet<()>) {
        let (server, ask) = self.turns[(number % self.turns.len() as u64) as usize];
        let target = &self.targets[server];
        let job = Job { number, ask, due, deadline: due + self.plan.timeout };
        let now = Instant::now();
        let in_flight = self.shared.in_flight.fetch_add(1, Ordering::Relaxed);
        self.shared.with_recorder(|recorder| recorder.lag(now.saturating_duration_since(job.due)));
        if in_flight >= self.plan.connections.unwrap_or(self.plan.max_in_flight) {
            let result = Err(Failure::Overrun);
            let Job { number, due, .. } = job;
            return self.shared.record(&Outcome { number, due, done: now, result, backend: None });
        }
        let Err(job) = target.idle.hand_over(job) else { return };
        while connections.try_join_next().is_some() {} // forget the connections that have ended
        let (target, shared) = (Arc::clone(target), Arc::clone(&self.shared));
        connections.spawn(async move {
            connection::serve(job, &target, &|outcome| shared.record(&outcome)).await;
        });
    }
}

impl Observer {
    /// Starts the phase `name`: requests due from now on belong to it. Does nothing unless the run is going on.
    pub fn mark(&self, name: &str) {
        self.shared.with_recorder(|recorder| recorder.mark(name, Instant::now()));
    }

    /// Takes what was answered since the last call, for one reader that draws it about once a second. None unless the
    /// run is going on.
    pub fn take_window(&self) -> Option<Window> {
        self.shared.with_recorder(|recorder| recorder.take_window(Instant::now()))
    }

    /// How many requests await their answers.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Relaxed)
    }

    /// Ends the run early: no further request is sent, those in flight get their answers, the report covers what was.
    pub fn stop(&self) {
        self.shared.stop.send_replace(true);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Recorder>> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_recorder<T>(&self, act: impl FnOnce(&mut Recorder) -> T) -> Option<T> {
        self.lock().as_mut().map(act)
    }

    fn record(&self, outcome: &Outcome) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.with_recorder(|recorder| recorder.record(outcome));
        if let Some(witness) = self.witness.get() {
            witness(outcome);
        }
        self.recorded.notify_one();
        if let Some(answered) = self.answered.get() {
            let _ = answered.send(outcome.result.is_ok()); // nobody asks again once the run is over
        }
    }
}
