//! Labels that say how an upstream picks backends.

use super::{Cell, Label};

label! {
    /// The balance rule of an upstream.
    BalanceRule as "balance" {
        /// By turns, in proportion to the weights.
        RoundRobin = "round_robin",
        /// The less busy of two.
        LeastRequests = "least_requests",
        /// The cheaper of two, by their latency.
        PeakEwma = "peak_ewma",
        /// By lot, in proportion to the weights.
        Random = "random",
        /// The backend that a key of the request hashes to.
        ConsistentHash = "consistent_hash",
    }
}

label! {
    /// Whether clients stay with the backend that answered them first.
    Stickiness as "sticky" {
        /// They do, by a cookie.
        Sticky = "true",
        /// Each request is picked for anew.
        Free = "false",
    }
}
