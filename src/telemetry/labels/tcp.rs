//! Labels of connections that are relayed as they are.

use super::{Cell, Label};

label! {
    /// How a connection of a listener with `protocol: tcp` ended.
    TcpOutcome as "outcome" {
        /// Both sides ended their streams.
        Ok = "ok",
        /// The client broke the connection.
        ClientReset = "client_reset",
        /// The backend broke the connection.
        BackendReset = "backend_reset",
        /// Nothing moved for as long as nothing may.
        IdleTimeout = "idle_timeout",
        /// The backend drains, and its deadline passed before the connection ended.
        Drained = "drained",
        /// The host of the last backend that was tried refused the connection.
        ConnectRefused = "connect_refused",
        /// The last backend that was tried did not answer in time.
        ConnectTimeout = "connect_timeout",
        /// No connection for another reason (unreachable, no local port, too many descriptors).
        ConnectError = "connect_error",
        /// The upstream has no available backend, and refuses.
        NoneAvailable = "none_available",
        /// Every backend has as many connections as it takes, and none had room in time.
        Overloaded = "overloaded",
        /// The client left before there was a connection to a backend.
        ClientAbort = "client_abort",
        /// The process ended before the connection did.
        ShuttingDown = "shutting_down",
    }
}
