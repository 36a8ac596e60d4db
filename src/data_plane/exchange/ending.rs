//! How an exchange with an upstream ends: answered, broken off, or refused.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::PLAIN_TEXT;
use super::attempts::{Forwarding, Underway};
use super::refusal::Refusal;
use crate::data_plane::contact::Contact;
use crate::data_plane::forward::{Failure, Finish};
use crate::data_plane::http1::answer::Answer;
use crate::data_plane::tunnel::{Carried, Tunnel};
use crate::telemetry::{AttemptOutcome, Label as _, RefusalReason};
use crate::upstream::{Backend, Sign};

/// What a client that was turned away is asked to wait. Longer than it had to wait here would be a guess.
const RETRY_AFTER_S: u32 = 1;

impl<'s> Forwarding<'_, 's> {
    /// Ends an exchange that was answered: both connections go where their next request comes from.
    pub(super) async fn complete(&mut self, mut attempt: Underway<'s>, finish: Finish) -> bool {
        let failed = attempt.download.status >= 500;
        self.settle(&mut attempt, if failed { AttemptOutcome::ServerError } else { AttemptOutcome::Ok });
        let Underway { contact: Contact { pick, mut stream, in_flight, drains, .. }, download, .. } = attempt;
        let backend = pick.backend;
        self.record.answered(download.sent, download.first_byte, download.head_sent);
        if !failed && self.tried.others_than(pick.index) {
            backend.series.shard(self.connection.worker.id).rescues.inc();
        }
        // An answer without an error needs no exact time, so no clock is read for it.
        let (sign, at) = if failed {
            (Sign::ServerError, Instant::now())
        } else {
            (Sign::Answered, self.record.planned_at())
        };
        self.upstream.note(backend, sign, at);
        if finish.upgraded {
            let _in_flight = in_flight;
            return Box::pin(self.tunnel(backend, stream, drains, download.status)).await;
        }
        // Before the next request, which may wait for the place.
        drop(in_flight);
        let now = download.ended.unwrap_or_else(Instant::now);
        if finish.backend_persistent && self.upstream.exchange.proxy_protocol.is_none() {
            let settings = &self.upstream.exchange;
            self.connection.worker.pool.put(backend, stream, now, settings.idle_connections);
        } else {
            let _ = rustix::net::shutdown(&mut stream, rustix::net::Shutdown::Write);
        }
        let received = self.upload.is_received();
        self.end(download.status, now);
        // Where the client does not expect the end, or is still sending, a plain close could take the answer with it.
        let surprised = self.plan.asked.wished_persistent || self.connection.ahead.is_some() || !received;
        if !finish.client_persistent && surprised {
            Box::pin(self.connection.linger()).await;
        }
        finish.client_persistent
    }

    async fn tunnel(
        &mut self,
        backend: &'s Arc<Backend>,
        mut stream: TcpStream,
        drains: u32,
        status: u16,
    ) -> bool {
        let connection = &mut *self.connection;
        let ahead = connection.ahead.take();
        let shard = backend.series.shard(connection.worker.id);
        // Whoever waits is woken when the backend was to have finished.
        let drained =
            poll_fn(|_| if backend.drains_ended() == drains { Poll::Pending } else { Poll::Ready(()) });
        let tunnel = Tunnel {
            worker: &connection.worker,
            deadline: &connection.deadline,
            idle: self.listener.timeouts.tunnel,
            client: &mut connection.stream,
            backend: &mut stream,
            resets: false,
        };
        let moved = |carried: Carried| {
            shard.sent_bytes.add(carried.up);
            shard.received_bytes.add(carried.down);
        };
        let (carried, _) = tunnel.run(ahead, drained, moved).await;
        self.record.received_bytes += carried.up;
        self.record.sent_bytes += carried.down;
        // How long the two talked says nothing about how fast the answer was: the exchange took until its head.
        let answered = self.record.head_sent_at().unwrap_or_else(Instant::now);
        self.end(status, answered);
        false
    }

    /// Ends an exchange whose last attempt failed: an error for the client if it has seen nothing yet.
    pub(super) async fn fail(&mut self, failure: &Failure, attempt: Option<Underway<'s>>) -> bool {
        if let Some(Underway { download, .. }) = &attempt {
            self.record.answered(download.sent, download.first_byte, download.head_sent);
        }
        if let Some(Underway { download, .. }) = attempt.filter(|attempt| attempt.download.started) {
            // The client has a part of the answer; that its connection ends early is the only thing left to say.
            self.record.because(failure.outcome().as_str());
            let client_left = matches!(failure, Failure::ClientGone | Failure::ClientTimeout);
            if client_left {
                self.record.client_left();
            }
            self.end(download.status, Instant::now());
            if !client_left && self.plan.asked.minor == 1 {
                // Answers before this one may still be on their way to a client that sends ahead.
                self.connection.linger().await;
            }
            return false;
        }
        let refusal = match failure {
            Failure::ClientGone => Refusal::GONE,
            Failure::ClientTimeout => {
                Refusal::new(408, RefusalReason::BodyTimeout, "request body took too long")
            }
            Failure::ClientBody(violation) => Refusal::from(*violation),
            other => return self.answer_failure(other).await,
        };
        self.refuse(&refusal).await
    }

    /// Answers that the last attempt failed.
    async fn answer_failure(&mut self, failure: &Failure) -> bool {
        let outcome = failure.outcome();
        let status = match outcome {
            AttemptOutcome::Timeout | AttemptOutcome::ConnectTimeout => 504,
            _ => 502,
        };
        self.record.because(outcome.as_str());
        self.answer(status, &failure.to_string()).await
    }

    /// Answers that no backend is available.
    pub(super) async fn refuse_for_want_of_backends(&mut self) -> bool {
        self.record.refused(RefusalReason::NoneAvailable);
        self.answer(503, "no backend of this upstream is available").await
    }

    /// Answers that every backend has as much as it takes.
    pub(super) async fn turn_away(&mut self, refusal: Refusal) -> bool {
        if refusal.status == 0 {
            return self.refuse(&refusal).await;
        }
        self.record.refused(refusal.reason);
        let lines = format!("{PLAIN_TEXT}retry-after: {RETRY_AFTER_S}\r\n");
        self.answer_with(refusal.status, &lines, refusal.words).await
    }

    /// Gives an answer of our own to a request that was well-formed.
    async fn answer(&mut self, status: u16, text: &str) -> bool {
        self.answer_with(status, PLAIN_TEXT, text).await
    }

    async fn answer_with(&mut self, status: u16, lines: &str, text: &str) -> bool {
        let persistent = self.plan.asked.keeps_after_own_answer() && self.upload.is_received();
        let body = format!("{status} {text}\n");
        let own = Answer { status, lines, body: body.as_bytes() };
        self.record.received_bytes += self.upload.received_bytes();
        let head = self.upload.outbound();
        let (head_only, record) = (self.plan.asked.head, &mut self.record);
        let stays = Box::pin(self.connection.conclude(&own, head_only, persistent, head, record)).await;
        self.release();
        stays
    }

    async fn refuse(&mut self, refusal: &Refusal) -> bool {
        self.record.received_bytes += self.upload.received_bytes();
        let head = self.upload.outbound();
        Box::pin(self.connection.refuse(refusal, self.plan.asked.head, head, &mut self.record)).await;
        self.release();
        false
    }

    /// Writes the record, and gives back what the request held.
    fn end(&mut self, status: u16, now: Instant) {
        self.record.received_bytes += self.upload.received_bytes();
        self.record.end(status, self.upload.outbound(), now);
        self.release();
    }

    /// Gives back what the request held; what the client sent after it comes next.
    fn release(&mut self) {
        if let Some(surplus) = self.upload.release(&self.connection.worker.buffers) {
            self.connection.ahead = Some(surplus);
        }
    }
}
