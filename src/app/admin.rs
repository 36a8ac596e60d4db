//! The admin server: bound before anything is served, the last to go.

pub(super) mod socket;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinHandle};

use super::AppError;
use crate::control_plane::admin::{self, AdminState, CurrentUpstreams, LiveFeed, Orders, PastExchanges};
use crate::control_plane::config::admin::AdminConfig;
use crate::control_plane::health::Board;
use crate::control_plane::push::{PushLimits, Pushes};
use crate::data_plane::worker::Shared;
use crate::telemetry::Telemetry;
use socket::AdminSocket;

/// Makes the receiver of pushed metrics. None when the configuration wants none.
pub(super) fn pushes(config: &AdminConfig, telemetry: &Arc<Telemetry>) -> Option<Arc<Pushes>> {
    let push = config.push.as_ref()?;
    let body = usize::try_from(push.body).unwrap_or(usize::MAX);
    let limits = PushLimits { expiry: push.expiry, groups: push.groups, body };
    Some(Arc::new(Pushes::new(limits, Arc::clone(telemetry))))
}

/// The running admin server.
pub(super) struct Admin {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
    live: Arc<LiveFeed>,
    looking: AbortHandle,
    /// Removes the socket's file when it is dropped.
    socket: Option<AdminSocket>,
}

impl Admin {
    /// Binds the configured address, and the socket if one is configured, and serves.
    ///
    /// # Errors
    /// When the address or the socket cannot be listened on.
    pub(super) async fn start(
        config: &AdminConfig,
        pushes: Option<Arc<Pushes>>,
        shared: &Shared,
        board: Arc<Board>,
        past_exchanges: PastExchanges,
        orders: Orders,
    ) -> Result<Self, AppError> {
        let address = config.address;
        let failed = |source| AppError::Admin { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let socket = config.socket.as_ref().map(AdminSocket::bind).transpose()?;
        tracing::info!(%address, "admin listening");
        let snapshot = Arc::clone(&shared.snapshot);
        let telemetry = Arc::clone(&shared.telemetry);
        let load = Pushes::loads(pushes.clone());
        let upstreams: CurrentUpstreams = Arc::new(move || snapshot.load().upstreams.clone());
        let live = Arc::new(LiveFeed::new(
            Arc::clone(&telemetry),
            Arc::clone(&upstreams),
            Arc::clone(&board),
            Arc::clone(&load),
        ));
        let looking = tokio::spawn(Arc::clone(&live).run()).abort_handle();
        let state = AdminState {
            telemetry,
            upstreams,
            board,
            past_exchanges,
            live: Arc::clone(&live),
            pushes,
            load,
            token: config.token.clone(),
            orders,
        };
        let (end, ended) = oneshot::channel();
        let shutdown = async {
            // An error means that nobody is left to say it, which is an end as well.
            let _ = ended.await;
        };
        let (socket, unix_listener) = socket.unzip();
        let task = tokio::spawn(admin::serve(listener, unix_listener, state, shutdown));
        Ok(Self { end, task, live, looking, socket })
    }

    /// Ends the server after the requests that it is answering.
    pub(super) async fn stop(self) {
        self.looking.abort();
        self.live.end();
        let _ = self.end.send(());
        let _ = self.task.await;
        drop(self.socket);
    }
}
