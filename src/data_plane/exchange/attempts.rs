//! Attempts on backends, one after the other, until one answers or none may follow.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::plan::Plan;
use super::refusal::Refusal;
use super::{Connection, PLAIN_TEXT};
use crate::data_plane::balance::Keys;
use crate::data_plane::connect::connect;
use crate::data_plane::forward::{Attempt, Download, Failure, Finish, Patience, Upload};
use crate::data_plane::http1::answer::Answer;
use crate::data_plane::record::Record;
use crate::data_plane::snapshot::Listener;
use crate::data_plane::tunnel;
use crate::telemetry::{AttemptOutcome, Label as _, RefusalReason, RetryRefusal};
use crate::upstream::{
    Attempted, Backend, Balancer, Decision, Failure as Kind, HostHeader, Pick, Sign, Tried, Upstream,
};

/// One request on its way through an upstream.
struct Forwarding<'c, 's> {
    connection: &'c mut Connection,
    listener: &'s Listener,
    upstream: &'s Upstream,
    plan: Plan<'s>,
    upload: Upload,
    record: Record<'s>,
    tried: Tried,
}

/// What follows a failed attempt.
enum Next {
    /// The same backend, on a new connection.
    Fresh,
    /// Another backend.
    Elsewhere,
    /// Nothing.
    End(Failure),
}

impl Connection {
    /// Sends a request to an upstream and its answer back; returns whether the connection takes another request.
    pub(super) async fn forward<'s>(
        &mut self,
        listener: &'s Listener,
        upstream: &'s Upstream,
        mut plan: Plan<'s>,
        outbound: Vec<u8>,
        mut record: Record<'s>,
    ) -> bool {
        record.routed_to(upstream);
        let replay_max = outbound.len() + upstream.exchange.replay_buffer;
        let body = std::mem::take(&mut plan.body);
        let upload = Upload::new(outbound, body, listener.limits.body, replay_max);
        let tried = Tried::new();
        let mut forwarding = Forwarding { connection: self, listener, upstream, plan, upload, record, tried };
        forwarding.run().await
    }
}

impl<'s> Forwarding<'_, 's> {
    async fn run(&mut self) -> bool {
        let mut again: Option<Pick<'s>> = None;
        loop {
            let fresh = again.is_some();
            let Some(pick) = again.take().or_else(|| self.pick()) else {
                self.record.refused(RefusalReason::NoneAvailable);
                let text = "no backend of this upstream is available";
                return Box::pin(self.answer(503, text)).await;
            };
            self.record.picked(pick.backend);
            self.record.attempts += u32::from(!fresh);
            let extra = self.extra_lines(&pick);
            let mut download = Download::new(self.plan.asked, extra);
            let failure = match self.attempt(pick.backend, fresh, &mut download).await {
                Ok((stream, finish)) => return self.complete(pick.backend, stream, finish, &download).await,
                Err(failure) => failure,
            };
            match self.after(failure, &pick, &download) {
                Next::Fresh => again = Some(pick),
                Next::Elsewhere => {}
                // Boxed, as everything rare: its state would make every connection's task larger.
                Next::End(failure) => return Box::pin(self.fail(&failure, &download)).await,
            }
            self.upload.rewind(&self.connection.worker.buffers);
        }
    }

    fn pick(&mut self) -> Option<Pick<'s>> {
        let client = self.connection.client.ip();
        let keys = Keys { source: client, head: self.upload.outbound(), words: self.plan.words };
        let first = self.record.attempts == 0;
        let now = if first { self.record.planned_at() } else { Instant::now() };
        self.upstream.pick(&keys, &self.tried, &mut self.connection.worker.rng.borrow_mut(), now)
    }

    /// Returns the lines that the answer gains; allocates nothing where there are none.
    fn extra_lines(&self, pick: &Pick<'_>) -> Vec<u8> {
        let mut lines = Vec::new();
        if self.upstream.exchange.response_header {
            lines.extend_from_slice(b"x-plimsoll-backend: ");
            lines.extend_from_slice(pick.backend.name.as_bytes());
            lines.extend_from_slice(b"\r\n");
        }
        if let Some(cookie) = pick.set_cookie {
            lines.extend_from_slice(b"set-cookie: ");
            lines.extend_from_slice(cookie.as_bytes());
            lines.extend_from_slice(b"\r\n");
        }
        lines
    }

    /// Makes one attempt, and counts it.
    async fn attempt(
        &mut self,
        backend: &Arc<Backend>,
        fresh: bool,
        download: &mut Download,
    ) -> Result<(TcpStream, Finish), Failure> {
        let _in_flight = backend.begin_exchange();
        let result = self.converse(backend, fresh, download).await;
        let shard = backend.series.shard(self.connection.worker.id);
        shard.sent_bytes.add(self.upload.sent_bytes());
        shard.received_bytes.add(download.received_bytes);
        shard.attempts.inc(match &result {
            Ok(_) if download.status >= 500 => AttemptOutcome::ServerError,
            Ok(_) => AttemptOutcome::Ok,
            Err(failure) => failure.outcome(),
        });
        if let (Some(sent), Some(first)) = (download.sent, download.first_byte) {
            // An answer that began before the request was whole says nothing about how fast it was.
            if let Some(wait) = first.checked_duration_since(sent) {
                shard.response_wait.record(wait);
                // The cell is shared by all workers: written only where a balancer reads it.
                if matches!(self.upstream.balancer(), Balancer::PeakEwma) {
                    backend.latency.record(wait, first);
                }
            }
        }
        result
    }

    async fn converse(
        &mut self,
        backend: &Arc<Backend>,
        fresh: bool,
        download: &mut Download,
    ) -> Result<(TcpStream, Finish), Failure> {
        let worker = &self.connection.worker;
        let shard = backend.series.shard(worker.id);
        // What cannot be sent again must not meet a connection that has just been closed.
        let only_once = !self.plan.idempotent || !self.upload.is_received();
        let pooled = if fresh { None } else { worker.pool.take(backend, only_once) };
        let mut stream = match pooled {
            Some(stream) => {
                shard.connections_reused.inc();
                download.reused = true;
                stream
            }
            None => {
                let begun = Instant::now();
                let stream = connect(backend.address, self.upstream.exchange.connect_timeout).await?;
                let now = Instant::now();
                shard.connections_opened.inc();
                shard.connect_duration.record(now.duration_since(begun));
                self.record.connected(begun, now);
                stream
            }
        };
        if self.upstream.exchange.host == HostHeader::Backend {
            self.upload.set_host(&backend.address.to_string());
        }
        let timeouts = self.listener.timeouts;
        self.record.body_came_later |= !self.upload.is_received();
        let mut attempt = Attempt {
            worker: &self.connection.worker,
            client: &mut self.connection.stream,
            backend: &mut stream,
            upload: &mut self.upload,
            deadline: &self.connection.deadline,
            patience: Patience {
                body: timeouts.body,
                write: timeouts.write,
                response: self.upstream.exchange.response_timeout,
            },
            watch: self.connection.ahead.is_none(),
            sent_bytes: 0,
        };
        let result = download.run(&mut attempt).await;
        self.record.sent_bytes += attempt.sent_bytes;
        Ok((stream, result?))
    }

    /// Decides what follows a failed attempt, and charges the backend with it.
    fn after(&mut self, failure: Failure, pick: &Pick<'s>, download: &Download) -> Next {
        let kind = match &failure {
            Failure::Connect(_) => Kind::Connect,
            Failure::Stale => Kind::Stale,
            Failure::Reset => Kind::Reset,
            Failure::Timeout => Kind::Timeout,
            Failure::BadResponse(_) => Kind::BadResponse,
            Failure::ClientGone | Failure::ClientTimeout | Failure::ClientBody(_) => {
                return Next::End(failure);
            }
        };
        let worker = self.connection.worker.id;
        let shard = pick.backend.series.shard(worker);
        match kind {
            Kind::Connect => {
                self.upstream.note(pick.backend, Sign::ConnectFailed, Instant::now());
            }
            Kind::Stale => shard.connections_stale.inc(),
            _ => {}
        }
        let decision = self.upstream.retries.decide(&Attempted {
            failure: kind,
            idempotent: self.plan.idempotent,
            request_written: self.upload.has_begun(),
            body_intact: self.upload.is_replayable(),
            answer_started: download.started,
            attempts: self.record.attempts,
        });
        match decision {
            Decision::Fresh => Next::Fresh,
            Decision::Elsewhere(_) if kind == Kind::Timeout && !self.others_than(pick.index) => {
                // It may be at its limit: asking it again would only add to that, and keep the client waiting.
                self.upstream.series.shard(worker).retries_refused.inc(RetryRefusal::NoBackend);
                Next::End(failure)
            }
            Decision::Elsewhere(reason) => {
                shard.retries.inc(reason);
                self.tried.add(pick.index);
                self.record.retried(&pick.backend.name);
                Next::Elsewhere
            }
            Decision::GiveUp(refusal) => {
                if let Some(refusal) = refusal {
                    self.upstream.series.shard(worker).retries_refused.inc(refusal);
                }
                Next::End(failure)
            }
        }
    }

    /// Tells whether a backend is left that may be picked and has not been tried, besides the one at `index`.
    fn others_than(&self, index: usize) -> bool {
        let fleet = self.upstream.fleet();
        let untried = |other: usize| other != index && !self.tried.contains(other) && fleet.accepts(other);
        (0..self.upstream.backends.len()).any(untried)
    }

    /// Ends an exchange that was answered: both connections go where their next request comes from.
    async fn complete(
        &mut self,
        backend: &'s Arc<Backend>,
        mut stream: TcpStream,
        finish: Finish,
        download: &Download,
    ) -> bool {
        self.record.answered(download.sent, download.first_byte, download.head_sent);
        if self.record.attempts > 1 {
            backend.series.shard(self.connection.worker.id).rescues.inc();
        }
        self.upstream.note(backend, Sign::Answered, self.record.planned_at());
        if finish.upgraded {
            return Box::pin(self.tunnel(backend, stream, download.status)).await;
        }
        let now = download.ended.unwrap_or_else(Instant::now);
        if finish.backend_persistent {
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

    async fn tunnel(&mut self, backend: &'s Arc<Backend>, mut stream: TcpStream, status: u16) -> bool {
        let _in_flight = backend.begin_exchange();
        let connection = &mut *self.connection;
        let ahead = connection.ahead.take();
        let (buffers, deadline) = (&connection.worker.buffers, &connection.deadline);
        let carried = tunnel::run(&mut connection.stream, &mut stream, ahead, buffers, deadline).await;
        let shard = backend.series.shard(self.connection.worker.id);
        shard.sent_bytes.add(carried.up);
        shard.received_bytes.add(carried.down);
        self.record.received_bytes += carried.up;
        self.record.sent_bytes += carried.down;
        // How long the two talked says nothing about how fast the answer was: the exchange took until its head.
        let answered = self.record.head_sent_at().unwrap_or_else(Instant::now);
        self.end(status, answered);
        false
    }

    /// Ends an exchange whose last attempt failed: an error for the client if it has seen nothing yet.
    async fn fail(&mut self, failure: &Failure, download: &Download) -> bool {
        self.record.answered(download.sent, download.first_byte, download.head_sent);
        if download.started {
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

    /// Gives an answer of our own to a request that was well-formed.
    async fn answer(&mut self, status: u16, text: &str) -> bool {
        let persistent = self.plan.asked.keeps_after_own_answer() && self.upload.is_received();
        let body = format!("{status} {text}\n");
        let own = Answer { status, lines: PLAIN_TEXT, body: body.as_bytes() };
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
