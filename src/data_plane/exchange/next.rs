//! What follows an attempt: another one, its rival, or the end of the exchange.

use tokio::time::Instant;

use super::attempts::{Forwarding, Next, Underway};
use crate::data_plane::contact::Contact;
use crate::data_plane::forward::Failure;
use crate::telemetry::{AttemptOutcome, RetryReason};
use crate::upstream::{Attempted, Decision, Failure as Kind, Pick, Sign};

impl<'s> Forwarding<'_, 's> {
    /// Decides what follows an attempt that did not get its answer; says so as well.
    pub(super) fn after(&mut self, mut attempt: Underway<'s>, failure: Failure) -> Next<'s> {
        let failure = match failure {
            // It broke all the same, and whoever asked will hear of it.
            Failure::Stale if !self.may_begin_anew() => Failure::Reset,
            other => other,
        };
        match failure {
            Failure::Overdue => return self.hedge(attempt),
            Failure::Overtaken => {
                self.settle(&mut attempt, AttemptOutcome::Overtaken);
                return self.take_up_rival().unwrap_or(Next::End(failure, Some(attempt)));
            }
            _ => self.settle(&mut attempt, failure.outcome()),
        }
        let pick = attempt.contact.pick;
        match failure {
            Failure::Stale => {
                pick.backend.series.shard(self.connection.worker.id).connections_stale.inc();
            }
            // A stream that pauses has been answered.
            Failure::Timeout if attempt.download.started => {}
            Failure::Reset | Failure::Timeout | Failure::BadResponse(_) => {
                self.upstream.note(pick.backend, Sign::Broke, Instant::now());
            }
            Failure::Status(_) => self.upstream.note(pick.backend, Sign::ServerError, Instant::now()),
            _ => {}
        }
        self.follow(&pick, failure, Some(attempt))
    }

    /// Decides what follows a failure that has been counted.
    pub(super) fn follow(
        &mut self,
        pick: &Pick<'s>,
        failure: Failure,
        attempt: Option<Underway<'s>>,
    ) -> Next<'s> {
        let started = attempt.as_ref().is_some_and(|attempt| attempt.download.started);
        let decision = match &failure {
            // Decided when the head was there: an answer that is not repeated would have gone to the client.
            Failure::Status(_) => Decision::Elsewhere(RetryReason::Status),
            Failure::Connect(_) => self.decide(Kind::Connect, pick.index, started),
            Failure::Stale => self.decide(Kind::Stale, pick.index, started),
            Failure::Reset | Failure::Drained => self.decide(Kind::Reset, pick.index, started),
            Failure::Timeout => self.decide(Kind::Timeout, pick.index, started),
            Failure::BadResponse(_) => self.decide(Kind::BadResponse, pick.index, started),
            _of_the_client => {
                self.drop_rival(false);
                return Next::End(failure, attempt);
            }
        };
        match decision {
            Decision::Fresh => {
                self.upload.rewind(&self.connection.worker.buffers);
                match attempt {
                    // It keeps its place.
                    Some(Underway { contact: Contact { pick, in_flight, .. }, .. }) => {
                        Next::Fresh((pick, in_flight))
                    }
                    None => Next::Elsewhere,
                }
            }
            Decision::Elsewhere(reason) => {
                self.retried(pick, reason);
                let left = self.others_than(pick.index);
                self.tried.add(pick.index);
                if !left && let Some(rival) = self.take_up_rival() {
                    return rival;
                }
                self.upload.rewind(&self.connection.worker.buffers);
                Next::Elsewhere
            }
            Decision::GiveUp(_) if !started && self.rival.is_some() => {
                self.take_up_rival().unwrap_or(Next::End(failure, attempt))
            }
            Decision::GiveUp(_) => Next::End(failure, attempt),
        }
    }

    /// Asks the rules what follows an attempt that failed so.
    pub(super) fn decide(&mut self, kind: Kind, index: usize, answer_started: bool) -> Decision {
        let attempted = self.attempted(kind, answer_started);
        self.reach().decide(&attempted, index)
    }

    /// Tells whether a request that met a stale connection may be sent again.
    fn may_begin_anew(&self) -> bool {
        self.upstream.retries.decide(&self.attempted(Kind::Stale, false)) == Decision::Fresh
    }

    fn attempted(&self, failure: Kind, answer_started: bool) -> Attempted {
        Attempted {
            failure,
            repeatable: self.plan.idempotent,
            request_written: self.upload.has_begun(),
            body_intact: self.upload.is_replayable(),
            answer_started,
            attempts: self.record.attempts,
        }
    }

    /// Sets an attempt aside that is overdue, so that another backend is asked beside it.
    fn hedge(&mut self, mut attempt: Underway<'s>) -> Next<'s> {
        let pick = attempt.contact.pick;
        // An alarm that comes later asks again: the budget may have grown.
        attempt.contact.alarm = pick.backend.alarm();
        attempt.impatient = self.rival.is_none();
        // The time that it takes asks once.
        attempt.unhurried = false;
        let possible = attempt.impatient && self.upload.is_complete();
        if !possible || !matches!(self.decide(Kind::Overdue, pick.index, false), Decision::Elsewhere(_)) {
            return Next::Resume(attempt);
        }
        self.retried(&pick, RetryReason::Overdue);
        self.tried.add(pick.index);
        attempt.impatient = false;
        attempt.sent_bytes = self.upload.sent_bytes();
        self.upload.rewind(&self.connection.worker.buffers);
        self.rival = Some(Box::new(attempt));
        Next::Elsewhere
    }

    /// Goes back to the rival, which is answered first or is the last hope.
    pub(super) fn take_up_rival(&mut self) -> Option<Next<'s>> {
        let rival = *self.rival.take()?;
        self.upload.was_sent_before();
        self.record.picked(rival.contact.pick.backend);
        Some(Next::Resume(rival))
    }

    /// Ends the attempt that was set aside; `overtaken` by another, or because nobody waits any more.
    pub(super) fn drop_rival(&mut self, overtaken: bool) {
        let Some(mut rival) = self.rival.take() else { return };
        let backend = rival.contact.pick.backend;
        if overtaken {
            self.upstream.note(backend, Sign::Overtaken, Instant::now());
        }
        let outcome = if overtaken { AttemptOutcome::Overtaken } else { AttemptOutcome::ClientAbort };
        self.settle_sent(&mut rival, outcome);
    }

    /// Tells whether a backend is left that may be picked and has not been tried, besides the one at `index`.
    pub(super) fn others_than(&self, index: usize) -> bool {
        self.upstream.has_other(index, &self.tried)
    }
}
