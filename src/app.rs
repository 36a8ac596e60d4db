//! The composition root: puts the parts together, and takes them apart again.
//!
//! Everything that can fail at the start fails here, before the first connection is accepted: the configuration, the
//! addresses, the log. Nothing is decided about requests.

mod access_log;
mod admin;
mod changes;
mod descriptors;
mod ending;
mod fleet;
mod names;
mod signals;
mod sockets;
mod traces;
mod watched;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::control_plane::admin::{Order, Orders, Reloaded};
use crate::control_plane::changes::{Changes, KeptError, in_force};
use crate::control_plane::compile::compile;
use crate::control_plane::config::report::Report;
use crate::control_plane::config::{self, Config, Workers};
use crate::control_plane::discovery::{Discovery, forget_others};
use crate::control_plane::health::{Board, Checks};
use crate::control_plane::push::Pushes;
use crate::control_plane::watch::Watch;
use crate::data_plane::worker::Shared;
use crate::telemetry::{
    AccessLog, AccessLogError, ReloadResult, SharedTraces, Telemetry, Traces, TracesError,
};
use admin::Admin;
use admin::socket::SocketError;
use changes::Operated;
use fleet::WorkerFleet;
use signals::{Signal, Signals};
use sockets::{BindError, Change, Sockets, Wanted};
use watched::{still_watched, watched};

/// Why the process cannot serve, or cannot take up a new configuration.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The file has problems.
    #[error("{0}")]
    Config(#[from] Box<Report>),
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The admin address cannot be listened on.
    #[error("admin cannot listen on {address}: {source}; choose another address under `admin.address`")]
    Admin {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The socket in the file system cannot be listened on.
    #[error(transparent)]
    AdminSocket(#[from] SocketError),
    /// What operators changed before cannot be read.
    #[error(transparent)]
    Changes(#[from] KeptError),
    /// The access log cannot be written.
    #[error(transparent)]
    AccessLog(#[from] AccessLogError),
    /// The collector of traces cannot be spoken to.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// A worker does not run.
    #[error("worker {worker} cannot start: {source}; raise the limit of open files, or lower `workers`")]
    Worker {
        /// The worker's number.
        worker: usize,
        /// What the system said.
        source: std::io::Error,
    },
    /// A worker does not accept connections.
    #[error("listener {listener} cannot accept on worker {worker}: {source}; raise the limit of open files")]
    Accept {
        /// The listener's name.
        listener: Box<str>,
        /// The worker's number.
        worker: usize,
        /// What the system said.
        source: std::io::Error,
    },
    /// The operating system refuses something that every process needs.
    #[error("cannot {doing}: {source}; check the limits of threads and open files")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A running balancer.
struct App {
    path: PathBuf,
    /// As the file says.
    file: Config,
    /// As it is in force: the file, and what operators have changed.
    config: Config,
    operated: Operated,
    shared: Shared,
    fleet: WorkerFleet,
    sockets: Sockets,
    admin: Admin,
    board: Arc<Board>,
    discovery: Discovery,
    checks: Checks,
    watch: Watch,
}

/// A configuration of which everything that can fail has succeeded, and that is not in force yet.
struct Prepared {
    file: Config,
    /// What is left of the changes by operators beside this file, and both together.
    changes: Changes,
    config: Config,
    /// What is doubtful in it, each logged already.
    warnings: Vec<String>,
    /// None leaves it as it is.
    access_log: Option<AccessLog>,
    /// None leaves them as they are.
    traces: Option<Traces>,
    change: Change,
}

/// How many who ask for a reload or a change wait for their turn; more wait to ask.
const ORDERS_WAITING: usize = 8;

/// Serves the configuration in `path` until a signal ends the process; returns when everything has drained.
///
/// `config` is the file as it was read a moment ago, `traces` the way to the collector that the program's log knows.
///
/// # Errors
/// When it cannot begin to serve. Once it serves, errors of a reload are logged and change nothing.
pub async fn run(path: &Path, config: Config, traces: SharedTraces) -> Result<(), AppError> {
    let mut signals = Signals::new()?;
    // Not inside the log line, whose fields are evaluated only where it is written.
    let open_files = descriptors::raise_limit();
    tracing::debug!(?open_files, "limit of open files");
    let (orders, mut given) = mpsc::channel(ORDERS_WAITING);
    let mut app = App::start(path, config, orders, SharedTraces::clone(&traces)).await?;
    loop {
        let answer = tokio::select! {
            signal = signals.next() => match signal {
                Signal::Reload => None,
                Signal::Reopen => {
                    app.shared.access_log.load().reopen();
                    continue;
                }
                Signal::End => break,
            },
            Some(order) = given.recv() => match order {
                Order::Reload(answer) => Some(answer),
                Order::Change(change, answer) => {
                    let changed = tokio::select! {
                        changed = app.change(change) => changed,
                        () = signals.end() => break,
                    };
                    // Whoever asked may have left.
                    let _ = answer.send(changed);
                    continue;
                }
            },
            () = app.discovery.news() => {
                app.follow_names();
                continue;
            }
        };
        // What is read anew may be elsewhere, and whoever asks for this has mostly moved the log away as well.
        app.shared.access_log.load().reopen();
        // Names may take seconds to look up, in which the process can still be told to end.
        let operation = tracing::info_span!("reload");
        let prepared = tokio::select! {
            prepared = app.prepare().instrument(operation.clone()) => prepared,
            () = signals.end() => break,
        };
        let reloaded = app.reload(prepared).instrument(operation).await;
        if let Some(answer) = answer {
            // Whoever asked may have left.
            let _ = answer.send(reloaded);
        }
    }
    // Nobody waits for what will not be.
    drop(given);
    app.drain(&mut signals).await;
    traces::flush(&traces);
    tracing::info!("ended");
    Ok(())
}

impl App {
    async fn start(
        path: &Path,
        file: Config,
        orders: Orders,
        traces: SharedTraces,
    ) -> Result<Self, AppError> {
        let operated = Operated::start(&file)?;
        let config = operated.changes.over(&file);
        let workers = count(&config.workers);
        let telemetry = Telemetry::new(workers);
        let access_log = access_log::start(&config.telemetry.access_log, &telemetry)?;
        traces.store(Arc::new(traces::start(config.telemetry.traces.as_ref(), &telemetry)?));
        let mut discovery = Discovery::new();
        discovery.look_up_all(&config).await;
        let mut sockets = Sockets::default();
        let change = sockets.prepare(&wanted(&config), workers)?;
        let snapshot = compile(&config, &discovery.addresses(), None, &telemetry, Instant::now());
        let shared = Shared {
            snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
            telemetry: Arc::clone(&telemetry),
            access_log: Arc::new(ArcSwap::from_pointee(access_log)),
            traces,
            alarms: Arc::default(),
        };
        let board = Arc::<Board>::default();
        names::tell(&mut discovery, &config, &telemetry, &board);
        names::announce_arrivals(&shared.snapshot.load(), None, &board);
        in_force::hold(&operated.changes, &shared.snapshot.load().upstreams, &board);
        let fleet = WorkerFleet::start(workers, &shared).await?;
        let past_exchanges = fleet.past_exchanges();
        let pushes = admin::pushes(&config.admin, &telemetry);
        let admin =
            Admin::start(&config.admin, pushes.clone(), &shared, Arc::clone(&board), past_exchanges, orders)
                .await?;
        let mut checks = Checks::new(Arc::clone(&board));
        checks.apply(&watched(&config, &shared.snapshot.load()));
        let watch = Watch::start(Arc::clone(&board), Arc::clone(&shared.alarms), Pushes::loads(pushes));
        watch.apply(watched(&config, &shared.snapshot.load()));
        let (_, openings) = sockets.apply(change);
        if let Some(failure) = fleet.open(openings).await.into_iter().next() {
            return Err(failure);
        }
        let now = std::time::SystemTime::now();
        telemetry.process().record_reload(ReloadResult::Ok, now);
        telemetry.process().ready.set(1);
        tracing::info!(workers, config = %path.display(), "serving");
        Ok(Self {
            path: path.to_owned(),
            file,
            config,
            operated,
            shared,
            fleet,
            sockets,
            admin,
            board,
            discovery,
            checks,
            watch,
        })
    }

    /// Reads the file as it is now and does everything that can fail. Touches nothing that is in force; cancel safe.
    async fn prepare(&mut self) -> Result<Prepared, AppError> {
        let (file, doubtful) = config::load(&self.path).map_err(Box::new)?;
        let mut changes = self.operated.changes.clone();
        let left_out = changes.settle(&file);
        let config = changes.over(&file);
        let doubtful = (!doubtful.is_empty()).then(|| doubtful.to_string().trim_end().to_owned());
        let fixed = self
            .changed_fixed_keys(&config)
            .map(|key| format!("`{key}` changed; it takes effect when the process is started again"));
        let warnings: Vec<_> = doubtful.into_iter().chain(fixed).chain(left_out).collect();
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        self.discovery.look_up_all(&config).await;
        let log_changed = config.telemetry.access_log != self.config.telemetry.access_log;
        let access_log = log_changed
            .then(|| access_log::start(&config.telemetry.access_log, &self.shared.telemetry))
            .transpose()?;
        let traces = self.changed_traces(&config)?;
        // Last: clients that connect to a new socket wait from now on.
        let change = self.sockets.prepare(&wanted(&config), self.fleet.len())?;
        Ok(Prepared { file, changes, config, warnings, access_log, traces, change })
    }

    /// Takes up what was prepared; whatever was wrong with it is logged and changes nothing.
    async fn reload(&mut self, prepared: Result<Prepared, AppError>) -> Result<Reloaded, String> {
        let warnings = match prepared {
            Ok(prepared) => {
                let warnings = self.put_into_force(prepared).await;
                tracing::info!(config = %self.path.display(), "configuration reloaded");
                Ok(warnings)
            }
            Err(error) => {
                let (path, error) = (self.path.display(), error.to_string());
                let error = format!("reload of {path} failed, nothing changed: {}", error.trim_end());
                tracing::error!("{error}");
                self.discovery.follow(&self.config);
                self.follow_names();
                Err(error)
            }
        };
        let result = if warnings.is_ok() { ReloadResult::Ok } else { ReloadResult::Failed };
        let process = self.shared.telemetry.process();
        process.record_reload(result, std::time::SystemTime::now());
        warnings.map(|warnings| Reloaded { generation: process.config_generation.get(), warnings })
    }

    /// Returns what there is to say about it.
    async fn put_into_force(&mut self, prepared: Prepared) -> Vec<String> {
        let Prepared { file, changes, config, mut warnings, access_log, traces, change } = prepared;
        if let Some(access_log) = access_log {
            self.shared.access_log.store(Arc::new(access_log));
        }
        if let Some(traces) = traces {
            self.shared.traces.store(Arc::new(traces));
        }
        let current = self.shared.snapshot.load_full();
        // Before the upstreams are carried over, so that what the end of checks changes is announced.
        self.checks.apply(&still_watched(&self.config, &current, &config));
        let addresses = self.discovery.addresses();
        let snapshot = compile(&config, &addresses, Some(&current), &self.shared.telemetry, Instant::now());
        self.discovery.follow(&config);
        forget_others(&config, &self.board);
        names::tell(&mut self.discovery, &config, &self.shared.telemetry, &self.board);
        in_force::hold(&changes, &snapshot.upstreams, &self.board);
        names::announce_arrivals(&snapshot, Some(&current), &self.board);
        self.checks.apply(&watched(&config, &snapshot));
        self.watch.apply(watched(&config, &snapshot));
        self.shared.snapshot.store(Arc::new(snapshot));
        // Each worker closes before it opens: two listeners may have swapped names. Clients wait in the sockets meanwhile.
        let (gone, openings) = self.sockets.apply(change);
        self.fleet.close(&gone);
        for failure in self.fleet.open(openings).await {
            let failure = format!("in force, but not on every worker: {failure}");
            tracing::error!("{failure}");
            warnings.push(failure);
        }
        (self.file, self.config) = (file, config);
        warnings.extend(self.operated.keep(changes).await);
        warnings
    }

    /// Says which keys have changed that only a new process takes up.
    fn changed_fixed_keys(&self, config: &Config) -> impl Iterator<Item = &'static str> {
        let fixed = [
            ("workers", config.workers != self.config.workers),
            ("admin", config.admin != self.config.admin),
            ("telemetry.log", config.telemetry.log != self.config.telemetry.log),
        ];
        fixed.into_iter().filter_map(|(key, changed)| changed.then_some(key))
    }
}

/// Returns how many workers the configuration wants.
fn count(workers: &Workers) -> usize {
    match workers {
        Workers::Auto => std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
        Workers::Count(count) => count.get(),
    }
}

/// Returns where the configuration wants to listen.
fn wanted(config: &Config) -> Vec<Wanted> {
    config.listeners.iter().map(|listener| (listener.name.to_string().into(), listener.address)).collect()
}
