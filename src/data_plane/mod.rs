//! The data plane: the life of a request, from an accepted connection to the recorded exchange.
//!
//! # The life of a request
//!
//! 1. [`listener`] accepts the connection on one worker and [`admission`] says whether it may stay; the connection is a
//!    task of that worker until it ends.
//! 2. [`exchange`] waits without a buffer until bytes come, reads them into a [`buffer`], and has the head parsed
//!    ([`http1::request`]). Whatever two parsers could read in two ways is answered with 400 and goes nowhere.
//! 3. [`route`] finds the first route that matches; it answers by itself or names an upstream.
//! 4. The head for the backend is written ([`http1::rewrite`]) into a small buffer of its own, which is kept until the
//!    answer is there: from it the request can be sent again.
//! 5. [`balance`] asks the upstream for a backend that has not been tried.
//! 6. [`pool`] gives an idle connection of this worker, or [`connect`] opens one; after a short patience with a silent
//!    host, another backend is tried beside it.
//! 7. [`forward`] sends the request and, beside it, relays the answer: interim responses, the rewritten head in front of
//!    the body that was read with it, the rest as it comes. A `101` becomes a [`tunnel`].
//! 8. A failure goes to the one place that decides about retries ([`crate::upstream::RetryRules`]) and, if it says so,
//!    back to 5. So does the alarm of a backend that has fallen silent, but then the attempt goes on as the *rival* of
//!    the next one, and the first answer is taken.
//! 9. [`record`] is the one exit: metrics and access log, exactly once, however the exchange ended.
//!
//! A connection that is relayed as it is ([`tcp`]) goes from 1 to 5, 6, [`tunnel`] and 9. On a listener that wants it, both
//! kinds begin with a header of the [`proxy_protocol`].
//!
//! # What holds everywhere
//!
//! - A [`worker`] (begun and ended by [`commands`]) shares nothing that a request touches, except what must be one number for all: exchanges in flight,
//!   the turn of round robin, the state of a backend. These are relaxed atomics.
//! - The rules are an immutable [`snapshot`]; an exchange keeps the one it began with.
//! - Every wait on a client or a backend has a [`deadline`].
//! - Nothing here waits for the control plane.

pub mod admission;
pub mod balance;
pub mod buffer;
pub mod commands;
pub mod connect;
mod contact;
pub mod deadline;
pub mod exchange;
pub mod forward;
pub mod http1;
pub mod listener;
pub mod pool;
pub mod proxy_protocol;
pub mod record;
pub mod route;
pub mod snapshot;
pub mod tcp;
pub mod tunnel;
pub mod worker;
