//! Attempts on backends, one after the other and sometimes two at a time, until one answers or none may follow.

use std::task::{Context, Poll};

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::Connection;
use super::plan::Plan;
use super::refusal::Refusal;
use crate::data_plane::balance::Keys;
use crate::data_plane::contact::{Claim, Contact, Purpose, Reach};
use crate::data_plane::forward::{Attempt, Download, Failure, Finish, Patience, Race, Upload, poll_client};
use crate::data_plane::proxy_protocol::Endpoints;
use crate::data_plane::record::Record;
use crate::data_plane::route::name_backend;
use crate::data_plane::snapshot::Listener;
use crate::telemetry::{AttemptOutcome, RetryReason};
use crate::upstream::{
    Backend, Balancer, Decision, ExchangeSettings, Failure as Kind, Hedge, HostHeader, NoPick, Pick, Tried,
    Upstream,
};

/// One request on its way through an upstream.
pub(super) struct Forwarding<'c, 's> {
    pub(super) connection: &'c mut Connection,
    pub(super) listener: &'s Listener,
    pub(super) upstream: &'s Upstream,
    pub(super) plan: Plan<'s>,
    pub(super) upload: Upload,
    pub(super) record: Record<'s>,
    pub(super) tried: Tried,
    /// An earlier attempt that may still be answered, while another backend is asked. Boxed, because it is rare.
    pub(super) rival: Option<Box<Underway<'s>>>,
}

/// An attempt from its connection to its end.
pub(super) struct Underway<'s> {
    pub(super) contact: Contact<'s>,
    pub(super) download: Download,
    /// Whether silence, or the time that it takes, still asks for a rival.
    pub(super) impatient: bool,
    /// Whether it was not yet found to be overdue by itself.
    pub(super) unhurried: bool,
    /// Bytes sent to the backend; known when the attempt is set aside or over.
    pub(super) sent_bytes: u64,
}

/// What comes next.
pub(super) enum Next<'s> {
    /// An attempt on this backend, on a new connection.
    Fresh(Claim<'s>),
    /// An attempt on another backend.
    Elsewhere,
    /// The attempt that is under way goes on.
    Resume(Underway<'s>),
    /// Nothing: this is how the exchange failed, and the attempt if it came to one.
    End(Failure, Option<Underway<'s>>),
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
        let upload = Upload::new(outbound, plan.parent_at, body, listener.limits.body, replay_max);
        let tried = Tried::new();
        let mut forwarding =
            Forwarding { connection: self, listener, upstream, plan, upload, record, tried, rival: None };
        forwarding.run().await
    }
}

impl<'s> Forwarding<'_, 's> {
    async fn run(&mut self) -> bool {
        let mut next = Next::Elsewhere;
        loop {
            let begun = match next {
                Next::Elsewhere => match self.reach().first_claim() {
                    Ok(claim) => self.begin(claim, false).await,
                    // Nobody else can take it: the attempt that was set aside is still the best hope.
                    Err(_) if let Some(rival) = self.take_up_rival() => {
                        next = rival;
                        continue;
                    }
                    Err(NoPick::NoneAvailable) => {
                        return Box::pin(self.refuse_for_want_of_backends()).await;
                    }
                    Err(NoPick::Full) => match Box::pin(self.queue()).await {
                        Ok(claim) => self.begin(claim, false).await,
                        Err(refusal) => return Box::pin(self.turn_away(refusal)).await,
                    },
                },
                Next::Fresh(claim) => self.begin(claim, true).await,
                Next::Resume(attempt) => Ok(attempt),
                // Boxed, as everything rare: its state would make every connection's task larger.
                Next::End(failure, attempt) => return Box::pin(self.fail(&failure, attempt)).await,
            };
            next = match begun {
                Err(failed) => failed,
                Ok(mut attempt) => match self.converse(&mut attempt).await {
                    Ok(finish) => return self.complete(attempt, finish).await,
                    Err(failure) => self.after(attempt, failure),
                },
            };
        }
    }

    /// Returns what it takes to reach a backend.
    pub(super) fn reach(&mut self) -> Reach<'_, 's, Keys<'_>> {
        self.reach_and_client().0
    }

    /// The same, and the client's connection.
    fn reach_and_client(&mut self) -> (Reach<'_, 's, Keys<'_>>, &mut TcpStream) {
        let Connection { worker, stream, client, local, .. } = &mut *self.connection;
        let exchange = &self.upstream.exchange;
        let whole = self.upload.is_received();
        let one_clients = exchange.proxy_protocol.is_some();
        let purpose = Purpose {
            only_once: !self.plan.idempotent || !whole,
            waits: whole,
            shared: !one_clients,
            unacknowledged: Some(exchange.response_timeout),
            endpoints: one_clients
                .then(|| {
                    Some(Endpoints {
                        source: *client,
                        destination: local.or_else(|| stream.local_addr().ok())?,
                    })
                })
                .flatten(),
        };
        let keys = Keys { source: self.plan.source, head: self.upload.outbound(), words: self.plan.words };
        let (upstream, record, tried) = (self.upstream, &mut self.record, &mut self.tried);
        (Reach { worker, upstream, record, tried, keys, purpose }, stream)
    }

    /// Waits for a backend to have room.
    ///
    /// # Errors
    /// What the client is told if it waits in vain, or cannot even wait.
    async fn queue(&mut self) -> Result<Claim<'s>, Refusal> {
        let mut watch = self.connection.ahead.is_none() && self.upload.is_received();
        let (mut reach, client) = self.reach_and_client();
        let gone = |cx: &mut Context<'_>| {
            if watch && let Poll::Ready(gone) = poll_client(client, cx) {
                if gone {
                    return Poll::Ready(());
                }
                watch = false;
            }
            Poll::Pending
        };
        reach.queue(gone).await.map_err(Refusal::from)
    }

    /// Makes contact with a backend.
    async fn begin(&mut self, claim: Claim<'s>, fresh: bool) -> Result<Underway<'s>, Next<'s>> {
        match self.reach().contact(claim, fresh).await {
            Ok(contact) => {
                let mut download = Download::new(self.plan.asked, self.extra_lines(&contact.pick));
                download.reused = contact.reused;
                if self.upstream.exchange.host == HostHeader::Backend
                    && let Some(address) = contact.pick.backend.address
                {
                    self.upload.set_host(&address.to_string());
                }
                if let Some(span) = self.record.span_of_try(contact.pick.backend) {
                    self.upload.set_parent(span);
                }
                Ok(Underway { contact, download, impatient: true, unhurried: true, sent_bytes: 0 })
            }
            Err((pick, error)) => {
                self.reach().failed(&pick, error.outcome());
                Err(self.follow(&pick, Failure::Connect(error), None))
            }
        }
    }

    /// Returns the lines that the answer gains; allocates nothing where there are none.
    fn extra_lines(&self, pick: &Pick<'_>) -> Vec<u8> {
        let mut lines = Vec::new();
        if self.upstream.exchange.response_header {
            lines.extend_from_slice(b"x-plimsoll-backend: ");
            lines.extend_from_slice(pick.backend.name.as_bytes());
            lines.extend_from_slice(b"\r\n");
        }
        if self.upstream.exchange.attempts_header {
            let attempts = self.record.attempts;
            lines.extend_from_slice(format!("x-plimsoll-attempts: {attempts}\r\n").as_bytes());
        }
        if !self.plan.answer_lines.is_empty() {
            name_backend(&self.plan.answer_lines, &pick.backend.name, &mut lines);
        }
        if let Some(cookie) = pick.set_cookie {
            lines.extend_from_slice(b"set-cookie: ");
            lines.extend_from_slice(cookie.as_bytes());
            lines.extend_from_slice(b"\r\n");
        }
        lines
    }

    /// Sends the request and relays the answer, unless another attempt is to follow or has been faster.
    async fn converse(&mut self, underway: &mut Underway<'s>) -> Result<Finish, Failure> {
        self.record.body_came_later |= !self.upload.is_received();
        let head = {
            let Underway { contact, download, impatient, unhurried, .. } = &mut *underway;
            let watched = *impatient && self.plan.hedgeable && self.upstream.retries.hedge != Hedge::Off;
            let overdue = self.upstream.overdue_after().filter(|_| watched && *unhurried);
            let per_try = self.upstream.retries.per_try_timeout;
            let mut attempt = self.attempt(contact, watched);
            attempt.patience.response = attempt.patience.response.min(per_try);
            // A timer, which only those pay for who have asked for it.
            attempt.race.overdue = overdue.map(|after| Box::pin(sleep(after)));
            let head = download.head(&mut attempt).await;
            let sent = attempt.sent_bytes;
            self.record.sent_bytes += sent;
            head?
        };
        let Underway { contact, download, .. } = underway;
        contact.waiting = None;
        contact.pick.backend.series.shard(self.connection.worker.id).answers.inc();
        if self.upstream.retries.statuses.contains(download.status)
            && let Decision::Elsewhere(_) =
                self.decide(Kind::Status(download.status), contact.pick.index, false)
        {
            return Err(Failure::Status(download.status));
        }
        self.drop_rival(true);
        let mut attempt = self.attempt(contact, false);
        let finish = download.relay(&mut attempt, head).await;
        let sent = attempt.sent_bytes;
        self.record.sent_bytes += sent;
        finish
    }

    /// Puts together what an attempt works with. If it is `watched`, it also ends with the backend's alarm, with an
    /// answer to the rival, or when it is overdue.
    fn attempt<'x>(&'x mut self, contact: &'x mut Contact<'s>, watched: bool) -> Attempt<'x> {
        let backend: &'x Backend = contact.pick.backend;
        let timeouts = self.listener.timeouts;
        let ExchangeSettings { response_timeout, .. } = self.upstream.exchange;
        Attempt {
            worker: &self.connection.worker,
            client: &mut self.connection.stream,
            backend: &mut contact.stream,
            upload: &mut self.upload,
            deadline: &self.connection.deadline,
            patience: Patience { body: timeouts.body, write: timeouts.write, response: response_timeout },
            watch: self.connection.ahead.is_none(),
            sent_bytes: 0,
            race: Race {
                rival: self.rival.as_mut().map(|rival| &mut rival.contact.stream),
                alarm: watched.then_some((backend, contact.alarm)),
                overdue: None,
            },
            rules: self.plan.route.and_then(|route| route.response_headers.as_ref()),
            drains: (backend, contact.drains),
        }
    }

    /// Counts the attempt that was under way.
    pub(super) fn settle(&mut self, attempt: &mut Underway<'s>, outcome: AttemptOutcome) {
        attempt.sent_bytes += self.upload.sent_bytes();
        self.settle_sent(attempt, outcome);
    }

    pub(super) fn settle_sent(&mut self, attempt: &mut Underway<'s>, outcome: AttemptOutcome) {
        let backend = attempt.contact.pick.backend;
        let download = &attempt.download;
        let shard = backend.series.shard(self.connection.worker.id);
        shard.sent_bytes.add(attempt.sent_bytes);
        shard.received_bytes.add(download.received_bytes);
        shard.attempts.inc(outcome);
        let ended = download.ended.unwrap_or_else(Instant::now);
        self.record.try_ended(backend, outcome, (download.sent, download.first_byte), ended);
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
    }

    /// Charges a backend with a retry.
    pub(super) fn retried(&mut self, pick: &Pick<'s>, reason: RetryReason) {
        self.reach().retried(pick, reason);
    }
}
