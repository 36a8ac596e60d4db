//! What was known of the backends of an upstream when one was to be picked.

use super::Offset;
use crate::telemetry::labels::BackendState;
use crate::telemetry::series::SeriesId;

/// How many backends are told of at one moment; of the others only their number is.
pub const CANDIDATES_SHOWN: usize = 8;

/// The backends of an upstream as they stood at one moment of an exchange.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidates {
    /// Before which try, counted from 1; `None` when the exchange was over.
    pub before_try: Option<u16>,
    /// When.
    pub at: Offset,
    /// At most [`CANDIDATES_SHOWN`], in the order of the configuration.
    pub shown: Vec<Candidate>,
    /// How many others there are.
    pub others: u32,
    /// How many of the others got new work.
    pub others_in: u32,
}

/// One backend at that moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The backend.
    pub backend: SeriesId,
    /// Its state.
    pub state: BackendState,
    /// Whether it was the one picked.
    pub picked: bool,
    /// Whether this exchange had tried it already.
    pub tried: bool,
    /// Whether live traffic had just failed on it, so that others were preferred.
    pub suspect: bool,
    /// Exchanges in flight on it; before a try without this one.
    pub in_flight: u32,
    /// How many it takes at a time; 0 for any number.
    pub limit: u32,
    /// What it counts for in relation to the others, after slow start and load; 0 when it gets no new work.
    pub weight: f32,
    /// The part of new work that is meant for it, 0 to 1.
    pub share: f32,
    /// Its latency in seconds as the balancer estimates it; `None` where the balancer does not ask, or nobody knows.
    pub latency: Option<f32>,
}

impl Candidate {
    /// Tells whether it took no more exchanges.
    pub fn is_full(&self) -> bool {
        self.limit != 0 && self.in_flight >= self.limit
    }
}
