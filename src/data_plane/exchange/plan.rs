//! The part of an exchange that needs no waiting: parse the head, find the route, write the head for the backend.
//!
//! One synchronous step, so that everything parsed can borrow from the buffer that was read, and nothing but the
//! rewritten head outlives it.

use std::net::IpAddr;

use super::refusal::Refusal;
use crate::data_plane::balance::Words;
use crate::data_plane::buffer::Buffer;
use crate::data_plane::forward::Asked;
use crate::data_plane::http1::Violation;
use crate::data_plane::http1::body::Body;
use crate::data_plane::http1::chunked::Keep;
use crate::data_plane::http1::head::{Name, field_slots};
use crate::data_plane::http1::request::RequestHead;
use crate::data_plane::http1::rewrite::{self, ClientLines, Onward};
use crate::data_plane::http1::source::source;
use crate::data_plane::route::{RequestFacts, Route, Target};
use crate::data_plane::snapshot::Listener;
use crate::data_plane::worker::Worker;
use crate::telemetry::{Sampling, TraceContext, TraceParent};
use crate::upstream::{HostHeader, Upstream, is_idempotent, is_safe};

/// What planning reads besides the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planning<'s, 'c> {
    /// The worker, for buffers and randomness.
    pub(super) worker: &'c Worker,
    /// The rules of the listener.
    pub(super) listener: &'s Listener,
    /// About the client.
    pub(super) lines: &'c ClientLines,
    /// Whether the connection is to end after this exchange.
    pub(super) last: bool,
}

/// How an exchange is to go.
#[derive(Debug)]
pub(super) struct Plan<'s> {
    /// The route that matched.
    pub(super) route: Option<&'s Route>,
    /// Where it leads.
    pub(super) destination: Destination<'s>,
    /// Who sent it, as far as the listener believes it.
    pub(super) source: IpAddr,
    /// The lines that the route puts into its answer, the backend's name left open. Allocates nothing without such a route.
    pub(super) answer_lines: Vec<u8>,
    /// What the request says about its answer.
    pub(super) asked: Asked,
    /// Whether it may be repeated: the method is idempotent (RFC 9110 §9.2.2), or the route says so.
    pub(super) idempotent: bool,
    /// Whether two backends may be asked at the same time: the method is safe (RFC 9110 §9.2.1), or the route says that
    /// it may be repeated. A `PUT` that one of two carries out late would undo the next one.
    pub(super) hedgeable: bool,
    /// What is left of the body.
    pub(super) body: Body,
    /// Where the words of the request stand.
    pub(super) words: Words,
    /// Its place in a trace; None when there are no traces.
    pub(super) trace: Option<TraceContext>,
    /// Where in the rewritten head the parent id stands that the backend is told.
    pub(super) parent_at: Option<usize>,
}

/// Where a request goes.
#[derive(Debug)]
pub(super) enum Destination<'s> {
    /// To a backend of this upstream.
    Upstream(&'s Upstream),
    /// Back, with the answer of a route that answers by itself.
    Answer(OwnAnswer<'s>),
    /// Back, because no route matches.
    Nowhere,
}

/// An answer that a route gives by itself.
#[derive(Debug)]
pub(super) struct OwnAnswer<'s> {
    /// The status code.
    pub(super) status: u16,
    /// Complete header lines.
    pub(super) lines: String,
    /// The body.
    pub(super) body: &'s [u8],
}

/// Plans the request at the front of `inbound`, and takes it from there; `None` while its head is incomplete.
///
/// The second value is what goes to the backend: the head, and what has come of the body.
///
/// # Errors
/// Why the request is refused.
pub(super) fn plan<'s>(
    planning: Planning<'s, '_>,
    inbound: &mut Buffer,
) -> Result<Option<(Plan<'s>, Vec<u8>)>, Refusal> {
    let mut slots = field_slots();
    let Some(head) = RequestHead::parse(inbound.filled(), &mut slots, &planning.listener.limits)? else {
        return Ok(None);
    };
    let facts = facts(planning, &head);
    let route = planning.listener.routes.find(&facts);
    let destination = route.map_or(Destination::Nowhere, |route| destination(route, &facts));
    let mut outbound = planning.worker.buffers.take_small();
    let request_id = new_request_id(planning, &head);
    let trace = planning.listener.sampling.as_ref().map(|sampling| trace(planning, sampling, &head));
    let rules = route.and_then(|route| route.request_headers.as_ref()).map(|rules| (rules, &facts));
    let onward = Onward { client: planning.lines, host: host_for(&destination), request_id, trace, rules };
    let parent_at = rewrite::request(&head, &onward, &mut outbound);
    let declared = route.is_some_and(|route| route.idempotent);
    let mut plan = Plan {
        route,
        destination,
        source: facts.source,
        answer_lines: route.map_or_else(Vec::new, |route| answer_lines(route, &facts)),
        asked: Asked {
            head: head.method == "HEAD",
            minor: head.minor,
            persistent: head.persistent() && !planning.last,
            wished_persistent: head.persistent(),
            upgrade: head.upgrade().is_some(),
        },
        idempotent: declared || is_idempotent(head.method.as_bytes()),
        hedgeable: declared || is_safe(head.method.as_bytes()),
        body: Body::new(head.framing, Keep::Framed),
        words: Words {
            method: head.method.len(),
            target: head.target.len(),
            minor: head.minor,
            received: head.len as u64,
        },
        trace,
        parent_at,
    };
    let len = head.len;
    inbound.consume(len);
    plan.words.received += take_body(planning.listener, &mut plan.body, inbound, &mut outbound)?;
    Ok(Some((plan, outbound)))
}

/// Moves what has come of the body behind the head; returns how many bytes that took.
fn take_body(
    listener: &Listener,
    body: &mut Body,
    inbound: &mut Buffer,
    outbound: &mut Vec<u8>,
) -> Result<u64, Refusal> {
    if body.is_done() {
        return Ok(0);
    }
    let mut trailers = Vec::new();
    let taken = body.take(inbound.filled_mut(), &mut trailers)?;
    if body.data_bytes() > listener.limits.body {
        return Err(Violation::BodyTooLarge.into());
    }
    outbound.extend_from_slice(&inbound.filled()[..taken.kept]);
    outbound.append(&mut trailers);
    inbound.consume(taken.consumed);
    Ok(taken.consumed as u64)
}

fn facts<'a>(planning: Planning<'a, '_>, head: &'a RequestHead<'_, '_>) -> RequestFacts<'a> {
    let listener = planning.listener;
    let (path, query) = head.path_and_query();
    RequestFacts {
        listener: &listener.name,
        source: source(head, planning.lines, &listener.forward),
        method: head.method,
        host: head.authority,
        path,
        query,
        headers: head,
    }
}

fn destination<'s>(route: &'s Route, facts: &RequestFacts<'_>) -> Destination<'s> {
    match &route.target {
        Target::Upstream(upstream) => Destination::Upstream(upstream),
        Target::Redirect(redirect) => {
            let lines = with_rules(route, facts, format!("location: {}\r\n", redirect.location(facts)));
            Destination::Answer(OwnAnswer { status: redirect.status, lines, body: b"" })
        }
        Target::Respond(fixed) => {
            let lines = fixed.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let lines = with_rules(route, facts, lines);
            Destination::Answer(OwnAnswer { status: fixed.status, lines, body: &fixed.body })
        }
    }
}

/// Returns the lines that a route puts into a backend's answer.
fn answer_lines(route: &Route, facts: &RequestFacts<'_>) -> Vec<u8> {
    let mut lines = Vec::new();
    if let (Some(rules), Target::Upstream(_)) = (&route.response_headers, &route.target) {
        rules.write_lines(facts, &mut lines);
    }
    lines
}

/// Applies the rules of a route to the lines of its own answer.
fn with_rules(route: &Route, facts: &RequestFacts<'_>, lines: String) -> String {
    let Some(rules) = &route.response_headers else { return lines };
    let mut lines = lines.into_bytes();
    rules.apply(facts, 0, &mut lines);
    String::from_utf8(lines).unwrap_or_default()
}

fn host_for<'s>(destination: &Destination<'s>) -> Option<&'s str> {
    let Destination::Upstream(upstream) = destination else { return None };
    match &upstream.exchange.host {
        HostHeader::Preserve => None,
        // Holds the place at the front of the head; the address of the backend depends on the pick.
        HostHeader::Backend => Some("backend"),
        HostHeader::Literal(host) => Some(host),
    }
}

/// Returns the place of the request in the trace that it brings, or in a new one: that is what an invalid `traceparent`
/// leads to, and one that comes twice.
fn trace(planning: Planning<'_, '_>, sampling: &Sampling, head: &RequestHead<'_, '_>) -> TraceContext {
    let mut lines = head.fields.iter().filter(|field| field.name.eq_ignore_ascii_case("traceparent"));
    let brought = match (lines.next(), lines.next()) {
        (Some(only), None) => TraceParent::parse(only.value),
        _ => None,
    };
    let mut rng = planning.worker.rng.borrow_mut();
    TraceContext::new(brought, planning.lines.trusted(), sampling, || rng.u64(..))
}

fn new_request_id(planning: Planning<'_, '_>, head: &RequestHead<'_, '_>) -> Option<u64> {
    let brought = planning.lines.trusted() && head.facts.has(Name::XRequestId);
    (planning.listener.forward.request_id && !brought).then(|| planning.worker.rng.borrow_mut().u64(..))
}
