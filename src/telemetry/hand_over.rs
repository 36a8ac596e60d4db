//! Handing a message to a queue that may be full, for the end of the process: what is asked then must not be dropped.

use std::time::Duration;

/// How long a full queue is left alone before the next try.
const PAUSE: Duration = Duration::from_millis(1);

/// Tries until a queue has taken the message, at most `patience`. `try_send` gives back a message for which there is no room
/// now, and nothing when nobody takes any. Returns how much of the patience is left; None when the queue did not take it.
///
/// Blocks the calling thread.
pub(super) fn hand_over<M>(
    mut message: M,
    patience: Duration,
    mut try_send: impl FnMut(M) -> Result<(), Option<M>>,
) -> Option<Duration> {
    let mut left = patience;
    while let Err(refused) = try_send(message) {
        message = refused.filter(|_| !left.is_zero())?;
        std::thread::park_timeout(PAUSE);
        left = left.saturating_sub(PAUSE);
    }
    Some(left)
}
