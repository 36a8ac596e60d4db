//! The admin interface: what the process says about itself over HTTP, to people, to Prometheus and to whoever starts it.
//!
//! Apart from traffic in every respect: its own port, its own runtime, its own HTTP implementation. A flood of requests
//! through the balancer cannot hide it, and nothing asked here can slow a request down. It reads what is published, and
//! changes nothing but what was pushed to it; what operators want changed it orders from the owner of the configuration.
//!
//! - `server`: connections, their limits and their end.
//! - `status`: `/live` and `/ready`, `/` and what is said to a wrong request; `scrape`: `/metrics`.
//! - `upstreams`: the JSON answers; `report`: the same for people, as plain text.
//! - `why`: the latest exchanges, and what was decided about each.
//! - `live`: what happens now and has happened lately, told each second to those who watch.
//! - `page`: the live page, and the files that it is made of.
//! - `drain`: takes a backend out of service, and brings it back; `weight`: gives it more or less of the work; `backends`:
//!   adds one, and removes one; `change`: what they have in common.
//! - `reload`: has the configuration file read again; `order`: how that and the changes are ordered.
//! - `guard`: who may change something.
//! - `pushes`: takes the metrics that agents push, and lists them.
//! - `origin`: whether a page of another site asks.

mod backends;
mod change;
mod drain;
mod guard;
mod live;
mod order;
mod origin;
mod page;
mod pushes;
mod reload;
mod report;
mod scrape;
mod server;
mod status;
mod upstreams;
mod weight;
mod why;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, delete, get, post};
use tokio::sync::oneshot;

pub use live::LiveFeed;
pub use order::{Changed, Order, Orders};
pub use reload::Reloaded;
pub use server::serve;

use crate::control_plane::config::admin::Token;
use crate::control_plane::health::Board;
use crate::control_plane::now::Now;
use crate::control_plane::push::{LoadOfBackend, Pushes};
use crate::telemetry::{CodeClass, PastExchange, Telemetry};
use crate::upstream::Upstream;
use upstreams::Known;

/// What there is to ask for: the path, with its method unless it is GET, and what it answers. Shown at `/` and to those who
/// ask for something else.
const ANSWERS: [(&str, &str); 18] = [
    ("/", "the live page for browsers, this list for others"),
    ("/live", "200 while the process lives"),
    ("/ready", "200 while it takes traffic, 503 before it serves and while it drains"),
    ("/metrics", "metrics for Prometheus, those that were pushed included"),
    (
        "PUT /metrics/job/{job}/{label}/{value}",
        "takes metrics as a Pushgateway does; POST and DELETE likewise",
    ),
    ("/check", "backends and their states, as plain text; for Prometheus with ?format=prometheus"),
    ("/api/v1/upstreams", "upstreams with their backends and all that is known of them, as JSON"),
    ("/api/v1/upstreams/{name}", "one upstream, as JSON"),
    (
        "POST /api/v1/upstreams/{name}/backends/{backend}/drain",
        "the backend finishes what it has, and gets no more",
    ),
    ("POST /api/v1/upstreams/{name}/backends/{backend}/ready", "the backend takes new work again"),
    (
        "POST /api/v1/upstreams/{name}/backends/{backend}/weight",
        "sets its weight, as {\"weight\": 0 to 1000}",
    ),
    (
        "POST /api/v1/upstreams/{name}/backends",
        "adds a backend, as {\"address\": \"HOST:PORT\"} with a \"name\" and a \"weight\" if wanted",
    ),
    ("DELETE /api/v1/upstreams/{name}/backends/{backend}", "removes a backend, which finishes what it has"),
    ("POST /api/v1/reload", "reads the configuration file again, and says what came of it"),
    ("/api/v1/live", "what happens now, after the last 15 minutes, as server-sent events"),
    ("/api/v1/pushes", "the groups of pushed metrics, with their age and how long they are kept, as JSON"),
    ("/api/v1/transitions", "the latest changes of backends' states, as JSON"),
    ("/api/v1/why", "the latest exchanges: where each went, why, and how that ended, as JSON"),
];

/// Returns the upstreams that are in force now.
pub type CurrentUpstreams = Arc<dyn Fn() -> Vec<Arc<Upstream>> + Send + Sync>;

/// Asks each worker what it remembers of its latest exchanges. Returns at once; the answers come in their time.
pub type PastExchanges = Arc<dyn Fn() -> Vec<oneshot::Receiver<Vec<Arc<PastExchange>>>> + Send + Sync>;

/// What the admin interface reads.
#[derive(Clone)]
pub struct AdminState {
    /// What is counted.
    pub telemetry: Arc<Telemetry>,
    /// Who serves.
    pub upstreams: CurrentUpstreams,
    /// What the checks found, in words.
    pub board: Arc<Board>,
    /// What the workers remember.
    pub past_exchanges: PastExchanges,
    /// What is told to those who watch.
    pub live: Arc<LiveFeed>,
    /// What was pushed. None when nothing may be.
    pub pushes: Option<Arc<Pushes>>,
    /// What of it is the load of a backend.
    pub load: LoadOfBackend,
    /// Who shows it may change things from other hosts. None lets nobody.
    pub token: Option<Token>,
    /// Where reloads and changes are ordered.
    pub orders: Orders,
}

impl AdminState {
    fn known(&self, now: Now) -> Known<'_> {
        Known { board: &self.board, load: &self.load, now }
    }
}

impl fmt::Debug for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminState").finish_non_exhaustive()
    }
}

/// Returns the admin interface without a port.
pub fn router(state: AdminState) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/assets/{name}", get(page::asset))
        .route("/live", get(status::live))
        .route("/ready", get(status::ready))
        .route("/metrics", get(scrape::metrics))
        .route("/metrics/{*group}", any(pushes::receive))
        .route("/api/v1/pushes", get(pushes::list))
        .route("/check", get(report::check))
        .route("/api/v1/upstreams", get(upstreams::all))
        .route("/api/v1/upstreams/{name}", get(upstreams::one))
        .route("/api/v1/upstreams/{name}/backends", post(backends::add))
        .route("/api/v1/upstreams/{name}/backends/{backend}", delete(backends::remove))
        .route("/api/v1/upstreams/{name}/backends/{backend}/drain", post(drain::drain))
        .route("/api/v1/upstreams/{name}/backends/{backend}/ready", post(drain::ready))
        .route("/api/v1/upstreams/{name}/backends/{backend}/weight", post(weight::set))
        .route("/api/v1/reload", post(reload::reload))
        .route("/api/v1/live", get(live::live))
        .route("/api/v1/transitions", get(upstreams::transitions))
        .route("/api/v1/why", get(why::why))
        .fallback(status::not_found)
        .method_not_allowed_fallback(status::method_not_allowed)
        .layer(middleware::from_fn_with_state(state.clone(), guard::guard))
        .layer(middleware::from_fn(page::protect))
        .layer(middleware::from_fn_with_state(state.clone(), count))
        .with_state(state)
}

async fn count(State(state): State<AdminState>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    state.telemetry.process().admin_requests.inc(CodeClass::of(response.status().as_u16()));
    response
}

#[cfg(test)]
mod tests;
