//! The word that it is time to end: said once, heard by everybody who waits for it.

use tokio::sync::watch;

/// Makes both ends of the word.
pub(crate) fn pair() -> (Asking, Ending) {
    let (asking, ending) = watch::channel(false);
    (Asking(asking), Ending(ending))
}

/// Says that it is time to end. Dropping it says so too: whoever could have asked is gone.
#[derive(Debug)]
pub(crate) struct Asking(watch::Sender<bool>);

impl Asking {
    /// Says it; again has no effect.
    pub(crate) fn ask(&self) {
        self.0.send_replace(true);
    }
}

/// Hears that it is time to end.
#[derive(Clone, Debug)]
pub(crate) struct Ending(watch::Receiver<bool>);

impl Ending {
    /// Tells whether it was said.
    pub(crate) fn is_asked(&self) -> bool {
        // An error is a sender that was dropped.
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Returns once it was said, at once if it was said before. Cancel safe.
    pub(crate) async fn asked(&mut self) {
        // An error is a sender that was dropped.
        let _ = self.0.wait_for(|asked| *asked).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_said_before_is_heard_too() {
        let (asking, mut ending) = pair();
        asking.ask();
        ending.asked().await;
        ending.clone().asked().await;
        assert!(ending.is_asked());
    }

    #[test]
    fn before_it_was_said_nobody_is_asked() {
        let (asking, ending) = pair();
        assert!(!ending.is_asked());
        asking.ask();
        assert!(ending.is_asked());
    }

    #[tokio::test]
    async fn who_is_gone_cannot_ask_any_more_and_is_not_waited_for() {
        let (asking, mut ending) = pair();
        drop(asking);
        ending.asked().await;
        assert!(ending.is_asked());
    }
}
