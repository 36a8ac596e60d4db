//! The live feed: what the balancer does now, told once a second to everybody who looks at it.
//!
//! One task looks at everything once a second, whether or not somebody watches, and remembers it in a
//! [`History`]: a page that is opened later shows the time before as well. What is told is rendered once for all
//! viewers, on a thread that may take its time.
//!
//! - `events`: what is told, as JSON.
//! - `viewers`: to whom. Few enough, and none that cannot keep up.

mod events;
mod viewers;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::guard::{Peer, may_change};
use super::status::complain;
use super::upstreams::Known;
use super::{AdminState, CurrentUpstreams};
use crate::control_plane::health::Board;
use crate::control_plane::now::Now;
use crate::control_plane::push::LoadOfBackend;
use crate::telemetry::{History, Scene, Telemetry, UpstreamScene};
use viewers::{Feed, NoRoom, Viewers};

/// From one look to the next.
const EVERY: Duration = Duration::from_secs(1);

/// What is told to viewers, and the history that it comes from.
pub struct LiveFeed {
    telemetry: Arc<Telemetry>,
    upstreams: CurrentUpstreams,
    board: Arc<Board>,
    load: LoadOfBackend,
    /// When the process began to be watched: as good as its start.
    begin: Instant,
    past: Mutex<Past>,
}

/// What is known by now, and who is told. One look, and one new viewer, after the other.
#[derive(Debug, Default)]
struct Past {
    history: History,
    viewers: Viewers,
    /// How many transitions there were when viewers were last told of them.
    transitions: u64,
    /// What a viewer is told first: rendered for the first one who comes within a second.
    greeting: Option<Bytes>,
}

impl fmt::Debug for LiveFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveFeed").field("past", &self.past).finish_non_exhaustive()
    }
}

impl LiveFeed {
    /// Makes the feed of a process. Nothing is looked at before it [runs](Self::run).
    #[must_use]
    pub fn new(
        telemetry: Arc<Telemetry>,
        upstreams: CurrentUpstreams,
        board: Arc<Board>,
        load: LoadOfBackend,
    ) -> Self {
        Self { telemetry, upstreams, board, load, begin: Instant::now(), past: Mutex::default() }
    }

    /// Looks once a second, and tells of transitions at once. Never returns; dropping it ends it.
    pub async fn run(self: Arc<Self>) {
        let mut seconds = interval(EVERY);
        // After a pause of the whole process, the next look is a second away from this one.
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut transitions = self.board.changes();
        loop {
            let feed = Arc::clone(&self);
            let told = tokio::select! {
                _ = seconds.tick() => tokio::task::spawn_blocking(move || feed.look(Now::read())).await,
                // The board lives as long as the feed, so there is always a sender.
                Ok(()) = transitions.changed() => {
                    tokio::task::spawn_blocking(move || feed.tell_transitions()).await
                }
            };
            if let Err(error) = told {
                tracing::error!(%error, "the live feed could not be told");
            }
        }
    }

    /// Looks at everything, remembers it, and tells the viewers. Takes milliseconds with many backends.
    pub(super) fn look(&self, now: Now) {
        let upstreams = (self.upstreams)();
        let mut past = self.lock();
        let scene = Scene {
            upstreams: upstreams
                .iter()
                .map(|upstream| UpstreamScene {
                    series: &upstream.series,
                    backends: upstream
                        .backends
                        .iter()
                        .map(|backend| {
                            let report = (self.load)(&upstream.name, &backend.name, now);
                            (&*backend.series, report.map(|report| report.cpu_percent))
                        })
                        .collect(),
                })
                .collect(),
            unrouted: self.telemetry.unrouted(),
            worker_cpu_seconds: self
                .telemetry
                .process()
                .worker_cpu_seconds()
                .iter()
                .map(|(_, cpu)| cpu)
                .sum(),
        };
        past.history.look(&scene, now.time, now.instant);
        past.greeting = None;
        if !past.viewers.is_empty() {
            let tick = events::tick(&past.history, &upstreams, &self.telemetry, self.known(now), self.begin);
            past.viewers.tell(&tick);
        }
        self.count(&mut past);
    }

    fn known(&self, now: Now) -> Known<'_> {
        Known { board: &self.board, load: &self.load, now }
    }

    /// Tells the viewers of the transitions since the last time.
    fn tell_transitions(&self) {
        let mut past = self.lock();
        let (transitions, count) = self.board.transitions_after(past.transitions);
        past.transitions = count;
        // Who comes now must find them in the history.
        past.greeting = None;
        if past.viewers.is_empty() {
            return;
        }
        for transition in transitions {
            past.viewers.tell(&events::transition(transition));
        }
        self.count(&mut past);
    }

    /// Takes in another viewer. Its feed begins with all that is remembered, which takes milliseconds to render.
    fn join(&self) -> Result<Feed, NoRoom> {
        let mut past = self.lock();
        let mut feed = past.viewers.join()?;
        let greeting = past.greeting.clone().unwrap_or_else(|| {
            let upstreams = (self.upstreams)();
            let known = self.known(Now::read());
            events::greeting(&past.history, &upstreams, &self.telemetry, known, self.begin)
        });
        past.greeting = Some(greeting.clone());
        feed.begin_with(greeting);
        self.count(&mut past);
        Ok(feed)
    }

    /// Says goodbye to the viewers, and takes in no others: the process is about to end.
    pub fn end(&self) {
        let mut past = self.lock();
        past.viewers.tell(&events::bye());
        past.viewers.close();
    }

    /// Shows how many watch, and who could not keep up.
    fn count(&self, past: &mut Past) {
        let process = self.telemetry.process();
        process.live_viewers.set(past.viewers.len() as i64);
        process.live_viewers_dropped.add(past.viewers.take_dropped());
    }

    fn lock(&self) -> MutexGuard<'_, Past> {
        // Nothing is half done after a panic elsewhere: the history is behind by a second at worst.
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers `GET /api/v1/live`: server-sent events (HTML, section 9.2), until either side ends it. Times are
/// milliseconds since 1970 unless they are texts, which are RFC 3339 in UTC.
///
/// - `history`, once: `times` of the seconds that are remembered, oldest first, and `tracks`: of each backend, of each
///   upstream as a whole (`backend` is null) and of everything (`upstream` is null as well) a list of numbers for each
///   name below. The first number belongs to the time at position `from`. Of what there is none the list is missing.
///   `transitions` are as at `/api/v1/transitions`.
/// - `access`, first: whether this viewer may change things, as `changes`: allowed, token (with the token), or refused; and
///   why not, in `words`.
/// - `tick`, at once and then each second: `at`, `process` (`version`, `ready`, `generation`, `uptime_seconds`), `upstreams` as at
///   `/api/v1/upstreams`, where each, and each of its backends, also has a `sample`: what happened in the last second;
///   `total` is the sample of everything. A sample is null before the first second is over, and for what is beyond the
///   960 tracks that are kept.
/// - `transition`, at once: one of `transitions`.
/// - `bye`: the process ends now.
///
/// Numbers of a sample: final answers per second by class (`success` is 1xx and 2xx, `redirect`, `client_error`,
/// `server_error`), `p50_ms` and `p99_ms` of the requests that ended, `failed` attempts per second, `retries` charged to
/// the backend that failed and `rescues` credited to the one that answered, `in_flight`, the effective `weight`, the
/// intended `share`, `cpu` in percent (of the workers in the total), and `state` as `plimsoll_backend_state` shows it.
///
/// At most 64 viewers are served, others are answered 503; who does not read eight events is cut off. Either may come
/// back after a second, and finds everything in the history.
pub(super) async fn live(
    State(state): State<AdminState>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let feed = Arc::clone(&state.live);
    let access = may_change(state.token.as_ref(), peer.map(|Extension(peer)| peer), &headers);
    let joined = tokio::task::spawn_blocking(move || feed.join()).await;
    let Ok(joined) = joined else {
        return complain(StatusCode::INTERNAL_SERVER_ERROR, &uri, "the history could not be rendered");
    };
    match joined {
        Ok(mut feed) => {
            feed.begin_with(events::access(access));
            let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
            (headers, Body::new(feed)).into_response()
        }
        Err(no_room) => {
            let mut answer = complain(StatusCode::SERVICE_UNAVAILABLE, &uri, no_room.words());
            answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
            answer
        }
    }
}
