//! Deadlines of one worker's connections: a cell each, and one sweep every quarter of a second over all of them.
//!
//! A timer per request would be set and cancelled on the hot path; here arming a deadline is one store. The price is
//! precision: a deadline fires up to [`TICK`] late. Patience shorter than a second (connecting) uses real timers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The time between two sweeps.
pub const TICK: Duration = Duration::from_millis(250);

const TICKS_PER_SECOND: u64 = 4;

/// The deadlines of one worker.
#[derive(Debug, Default)]
pub struct Deadlines {
    now: Cell<u64>,
    slots: RefCell<Vec<Rc<Slot>>>,
}

#[derive(Debug, Default)]
struct Slot {
    /// The tick at which the deadline passes; 0 while disarmed.
    due: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

/// One deadline, owned by one task, armed again for each wait.
#[derive(Debug)]
pub struct Deadline {
    owner: Rc<Deadlines>,
    slot: Rc<Slot>,
}

impl Deadlines {
    /// Makes a disarmed deadline.
    #[must_use]
    pub fn register(self: &Rc<Self>) -> Deadline {
        let slot = Rc::<Slot>::default();
        self.slots.borrow_mut().push(Rc::clone(&slot));
        Deadline { owner: Rc::clone(self), slot }
    }

    /// Advances the clock by one tick and wakes every task whose deadline has passed. Called once per [`TICK`].
    pub fn tick(&self) {
        let now = self.now.get() + 1;
        self.now.set(now);
        let mut expired = Vec::new();
        self.slots.borrow_mut().retain(|slot| {
            if slot.passed(now) {
                expired.extend(slot.waker.borrow_mut().take());
            }
            // The task has dropped its half: the connection is gone.
            Rc::strong_count(slot) > 1
        });
        // Woken after the borrow ends: a waker may run code that registers or drops deadlines.
        expired.into_iter().for_each(Waker::wake);
    }

    /// Wakes every task that waits, to look at what has changed.
    pub fn wake_all(&self) {
        let wakers: Vec<_> =
            self.slots.borrow().iter().filter_map(|slot| slot.waker.borrow_mut().take()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Slot {
    fn passed(&self, now: u64) -> bool {
        (1..=now).contains(&self.due.get())
    }
}

impl Deadline {
    /// Lets the deadline pass after `patience`, rounded up to the next tick. [`Duration::MAX`] disarms it.
    pub fn arm(&self, patience: Duration) {
        // Armed several times per exchange: whole seconds and a small division, no 128-bit one.
        let in_second = u64::from(patience.subsec_nanos().div_ceil(TICK.subsec_nanos()));
        let ticks = patience.as_secs().saturating_mul(TICKS_PER_SECOND).saturating_add(in_second);
        // One more, because the present tick has partly passed; a deadline beyond the end of time is none.
        let due = self.owner.now.get().checked_add(ticks).and_then(|due| due.checked_add(1));
        self.slot.due.set(due.unwrap_or(0));
    }

    /// Is ready once the deadline has passed; otherwise the task is woken when it does.
    pub fn poll_passed(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.slot.passed(self.owner.now.get()) {
            return Poll::Ready(());
        }
        let mut waker = self.slot.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(deadline: &Deadline) -> bool {
        deadline.poll_passed(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_deadline_passes_never_early_and_at_most_one_tick_late() {
        let deadlines = Rc::<Deadlines>::default();
        let deadline = deadlines.register();
        deadline.arm(TICK * 2);
        deadlines.tick();
        deadlines.tick();
        assert!(!passed(&deadline), "it was armed somewhere inside a tick, two full ones have not passed");
        deadlines.tick();
        assert!(passed(&deadline));
    }

    #[test]
    fn arming_again_forgets_the_earlier_deadline() {
        let deadlines = Rc::<Deadlines>::default();
        let deadline = deadlines.register();
        deadline.arm(TICK);
        deadline.arm(Duration::MAX);
        (0..10).for_each(|_| deadlines.tick());
        assert!(!passed(&deadline));
    }

    #[test]
    fn the_deadline_of_a_connection_that_is_gone_is_swept_away() {
        let deadlines = Rc::<Deadlines>::default();
        drop(deadlines.register());
        deadlines.tick();
        assert!(deadlines.slots.borrow().is_empty());
    }
}
