//! The admin server: bound before anything is served, the last to go.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinHandle};

use super::AppError;
use crate::control_plane::admin::{self, AdminState, CurrentUpstreams, LiveFeed, PastExchanges};
use crate::control_plane::health::Board;
use crate::data_plane::worker::Shared;

/// The running admin server.
pub(super) struct Admin {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
    live: Arc<LiveFeed>,
    looking: AbortHandle,
}

impl Admin {
    /// Binds `address` and serves.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub(super) async fn start(
        address: SocketAddr,
        shared: &Shared,
        board: Arc<Board>,
        past_exchanges: PastExchanges,
    ) -> Result<Self, AppError> {
        let failed = |source| AppError::Admin { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        tracing::info!(%address, "admin listening");
        let snapshot = Arc::clone(&shared.snapshot);
        let telemetry = Arc::clone(&shared.telemetry);
        let upstreams: CurrentUpstreams = Arc::new(move || snapshot.load().upstreams.clone());
        let live = Arc::new(LiveFeed::new(
            Arc::clone(&telemetry),
            Arc::clone(&upstreams),
            Arc::clone(&board),
            Arc::new(|_| None),
        ));
        let state = AdminState { telemetry, upstreams, board, past_exchanges, live: Arc::clone(&live) };
        let looking = tokio::spawn(Arc::clone(&live).run()).abort_handle();
        let (end, ended) = oneshot::channel();
        let shutdown = async {
            // An error means that nobody is left to say it, which is an end as well.
            let _ = ended.await;
        };
        Ok(Self { end, task: tokio::spawn(admin::serve(listener, state, shutdown)), live, looking })
    }

    /// Ends the server after the requests that it is answering.
    pub(super) async fn stop(self) {
        self.looking.abort();
        self.live.end();
        let _ = self.end.send(());
        let _ = self.task.await;
    }
}
