//! Signs: what live traffic tells about a backend, noted by every worker without a lock.
//!
//! Apart from the availability because a sign is a hint and no verdict: it makes the next picks prefer others, has the
//! backend checked at once, and may add up to the wish that it be ejected, which the control plane grants or not. An
//! answer from a backend that is in no trouble costs one load of a word that nobody writes.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::Upstream;
use super::backend::Backend;
use super::settings::OutlierRules;
use crate::telemetry::EjectionReason;

/// How long a backend is suspect to which no connection came about, unless a check or an answer ends it: the time after
/// which live traffic tries again a backend that nobody checks.
pub const SUSPICION_LASTS: Duration = Duration::from_secs(5);

/// How long a backend is suspect that takes connections and does not answer, unless an answer ends it. Short, because
/// no check ends it: that a port is open says nothing about answers.
pub const DOUBT_LASTS: Duration = Duration::from_secs(1);

/// What live traffic tells about a backend: one for each attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// No connection came about in time.
    ConnectFailed,
    /// A connection broke, stayed without an answer for too long, or carried garbage.
    Broke,
    /// Another backend that was asked in parallel answered first.
    Overtaken,
    /// It answered with a 5xx.
    ServerError,
    /// It answered with anything else.
    Answered,
}

/// What keeps others preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suspicion {
    /// It could not be connected to: a passed check proves the contrary.
    Unreachable,
    /// It did not answer: only an answer does.
    Silent,
}

/// What was noted of one backend. Times are milliseconds on the backend's own clock, which never shows 0.
///
/// All relaxed: two workers that note at the same time may lose one of two signs, and the next one makes up for it.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// Whether anything below is to be cleared by an answer. Stored after what it announces, and cleared before.
    troubled: AtomicBool,
    failures: AtomicU32,
    errors: AtomicU32,
    /// Bits, by the index of the reason.
    wishes: AtomicU8,
    /// Twice the time at which the suspicion ends, plus 1 if only an answer ends it early; 0 for none.
    suspect: AtomicU64,
    /// 0 for none.
    trouble_since: AtomicU64,
}

impl Signs {
    pub(super) fn is_suspect(&self, now: impl FnOnce() -> u64) -> bool {
        match self.suspect.load(Relaxed) {
            0 => false,
            word => now() < word >> 1,
        }
    }

    /// Returns whether it was not suspect before.
    pub(super) fn suspect(&self, suspicion: Suspicion, since: u64, now: u64) -> bool {
        let (lasts, bit) = match suspicion {
            Suspicion::Unreachable => (SUSPICION_LASTS, 0),
            Suspicion::Silent => (DOUBT_LASTS, 1),
        };
        let until = now + lasts.as_millis() as u64;
        let before = self.suspect.swap(until << 1 | bit, Relaxed);
        self.begin_trouble(since);
        before >> 1 <= now
    }

    pub(super) fn begin_trouble(&self, since: u64) {
        // Somebody else's first sign stays the first.
        let _ = self.trouble_since.compare_exchange(0, since, Relaxed, Relaxed);
        self.troubled.store(true, Relaxed);
    }

    pub(super) fn trouble_since(&self) -> Option<u64> {
        Some(self.trouble_since.load(Relaxed)).filter(|&since| since != 0)
    }

    /// An answer: all is well again, except that the beginning of the trouble is kept while the backend is out. A wish
    /// stays, or it would depend on who is faster, the control plane or the next request.
    pub(super) fn answered(&self, is_in_service: impl FnOnce() -> bool) {
        if self.troubled.load(Relaxed) {
            if is_in_service() {
                self.troubled.store(false, Relaxed);
                self.trouble_since.store(0, Relaxed);
            }
            self.failures.store(0, Relaxed);
            self.errors.store(0, Relaxed);
            self.suspect.store(0, Relaxed);
        }
    }

    /// Takes back everything.
    pub(super) fn clear(&self) {
        self.answered(|| true);
        self.wishes.store(0, Relaxed);
    }

    /// A check passed: it can be connected to. What began the trouble of a backend that is out is kept.
    pub(super) fn check_passed(&self, is_in_service: bool, now: u64) {
        let word = self.suspect.load(Relaxed);
        let holds = word & 1 == 1 && now < word >> 1;
        if !holds && word != 0 {
            // Another worker's new suspicion stays.
            let _ = self.suspect.compare_exchange(word, 0, Relaxed, Relaxed);
        }
        if !holds && is_in_service && self.trouble_since.load(Relaxed) != 0 {
            self.trouble_since.store(0, Relaxed);
        }
    }

    /// Counts a failed attempt; returns whether that makes `limit` in a row, or another as many.
    fn count(&self, sign: Sign, limits: &OutlierRules) -> bool {
        let (count, limit, reason) = match sign {
            Sign::Answered | Sign::Overtaken => return false,
            Sign::ServerError => (&self.errors, limits.consecutive_errors, EjectionReason::ConsecutiveErrors),
            Sign::ConnectFailed | Sign::Broke => {
                (&self.failures, limits.consecutive_failures, EjectionReason::ConsecutiveFailures)
            }
        };
        let in_a_row = count.fetch_add(1, Relaxed).wrapping_add(1);
        // At each multiple, so that a wish that could not be granted is repeated, but not by every request.
        let is_wish = limit > 0 && in_a_row.is_multiple_of(limit);
        if is_wish {
            self.wishes.fetch_or(1 << reason as u8, Relaxed);
        }
        is_wish
    }

    fn take_wish(&self) -> Option<EjectionReason> {
        if self.wishes.load(Relaxed) == 0 {
            return None;
        }
        let wishes = self.wishes.swap(0, Relaxed);
        let wished = [EjectionReason::ConsecutiveFailures, EjectionReason::ConsecutiveErrors];
        wished.into_iter().find(|&reason| wishes & 1 << reason as u8 != 0)
    }
}

impl Upstream {
    /// Takes note of what live traffic tells about one of its backends: a hint for the next picks on all workers, never a
    /// change of state. Takes no lock.
    ///
    /// | sign | others are preferred | counts towards an ejection |
    /// |---|---|---|
    /// | connect failed | 5 s, or until a check passes or it answers | as a failure |
    /// | broke | 1 s, or until it answers | as a failure |
    /// | overtaken | 1 s, or until it answers | no |
    /// | 5xx | 1 s, once that makes enough in a row | as an error |
    /// | any other answer | no longer | ends both rows |
    ///
    /// A 5xx neither ends nor lengthens the row of failures, nor a failure that of errors. Enough in a row are a wish,
    /// which waits for the control plane: see [`Backend::take_wish`].
    ///
    /// That another was faster is no failure: a process that pauses loses all who wait for it at the same moment, and is
    /// back before the next. [`Judge`](super::Judge) tells it from one that hangs.
    pub fn note(&self, backend: &Backend, sign: Sign, now: Instant) {
        if sign == Sign::Answered {
            backend.signs.answered(|| backend.series.is_up());
            return;
        }
        let wished = self.outliers.as_ref().is_some_and(|limits| backend.signs.count(sign, limits));
        match sign {
            Sign::ConnectFailed => backend.suspect(Suspicion::Unreachable, now, now),
            Sign::Broke | Sign::Overtaken => backend.suspect(Suspicion::Silent, now, now),
            Sign::ServerError if wished => backend.suspect(Suspicion::Silent, now, now),
            Sign::ServerError | Sign::Answered => backend.signs.begin_trouble(backend.milliseconds(now)),
        }
    }

    /// Takes note that a backend has answered nobody since `since`, for much longer than usual: it is suspect for
    /// [`DOUBT_LASTS`]. Takes no lock.
    pub fn note_silence(&self, backend: &Backend, since: Instant, now: Instant) {
        backend.suspect(Suspicion::Silent, since, now);
    }
}

impl Backend {
    /// Takes the wish of live traffic that the backend be ejected, if there is one.
    #[must_use]
    pub fn take_wish(&self) -> Option<EjectionReason> {
        self.signs.take_wish()
    }

    /// Returns when live traffic or a check first failed on this backend, without an answer since. While the backend is
    /// out of service an answer does not end it: what took it out is still what is measured.
    #[must_use]
    pub fn trouble_since(&self) -> Option<Instant> {
        self.signs.trouble_since().map(|since| self.instant(since))
    }
}

#[cfg(test)]
mod tests;
