//! Orders: what the admin server has done by the one that owns the configuration, so that a change, a reload and a name
//! that is looked up come one after the other, and none undoes another.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::reload::Reloaded;
use crate::control_plane::changes::{Change, Refused};
use crate::upstream::{Backend, Upstream};

/// How long is waited for the end of an order. Names are looked up for five seconds at most; less than any change may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// What is asked of the owner of the configuration, and where the answer goes. Whoever asked may have left.
#[derive(Debug)]
pub enum Order {
    /// Read the file again. An error is why nothing has changed, in the log's words.
    Reload(oneshot::Sender<Result<Reloaded, String>>),
    /// Make this change.
    Change(Change, oneshot::Sender<Result<Changed, Refused>>),
}

/// Takes orders, which are carried out one after the other.
pub type Orders = mpsc::Sender<Order>;

/// A change that is in force.
#[derive(Debug)]
pub struct Changed {
    /// The upstream.
    pub upstream: Arc<Upstream>,
    /// The backend that was changed; also one that has been removed.
    pub backend: Arc<Backend>,
    /// Why the change could not be kept for the next start. None when it was, and where none is.
    pub not_kept: Option<String>,
}

/// Why there is no answer to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// Nobody is there any more.
    Ending,
    /// It takes too long. It may still come to pass.
    Late,
}

/// Gives an order and waits for the answer.
pub(super) async fn give<T>(
    orders: &Orders,
    order: impl FnOnce(oneshot::Sender<T>) -> Order,
) -> Result<T, Unanswered> {
    let (answer, answered) = oneshot::channel();
    let told = async {
        orders.send(order(answer)).await.ok()?;
        answered.await.ok()
    };
    match timeout(PATIENCE, told).await {
        Ok(Some(told)) => Ok(told),
        Ok(None) => Err(Unanswered::Ending),
        Err(_) => Err(Unanswered::Late),
    }
}
