//! What is told about a pick afterwards: the backends of an upstream as they stand at this moment.

use tokio::time::Instant;

use super::pick::Tried;
use super::{Backend, Balancer, Upstream};
use crate::telemetry::{CANDIDATES_SHOWN, Candidate, Candidates, Offset};

/// Of the backends that are shown, so many are to be such that get no new work, if there are any: who asks why nobody
/// else was picked wants to see them.
const OUT_SHOWN: usize = 2;

impl Upstream {
    /// Returns the backends as they stand now, for an exchange whose moment `at` this is.
    ///
    /// Shown are the one that was `picked`, those that the exchange has `tried`, others that get new work and some that get
    /// none. Takes no lock; allocates, and looks at no more backends than it shows unless all of them get work.
    #[must_use]
    pub fn candidates(&self, picked: Option<usize>, tried: &Tried, now: Instant, at: Offset) -> Candidates {
        let fleet = self.fleet.load();
        let count = self.backends.len();
        let gets_work = |n: &usize| fleet.weight(*n) > 0.0;
        let mut shown = Vec::with_capacity(CANDIDATES_SHOWN);
        fill(&mut shown, picked.into_iter().chain(tried.iter()), CANDIDATES_SHOWN);
        let members = fleet.members.iter().map(|n| *n as usize);
        let out = || (0..count).filter(|n| !gets_work(n));
        let kept_free = out().filter(|n| !shown.contains(n)).take(OUT_SHOWN).count();
        fill(&mut shown, members, CANDIDATES_SHOWN - kept_free);
        fill(&mut shown, out(), CANDIDATES_SHOWN);
        shown.sort_unstable();
        let in_shown = shown.iter().filter(|n| gets_work(n)).count();
        let one = |n: &usize| Candidate {
            picked: picked == Some(*n),
            tried: tried.contains(*n),
            weight: fleet.weight(*n) as f32,
            share: fleet.share(*n) as f32,
            ..self.candidate(&self.backends[*n], now)
        };
        Candidates {
            before_try: None,
            at,
            others: (count - shown.len()) as u32,
            others_in: (fleet.len() - in_shown) as u32,
            shown: shown.iter().map(one).collect(),
        }
    }

    fn candidate(&self, backend: &Backend, now: Instant) -> Candidate {
        let in_flight = backend.in_flight();
        let is_asked = matches!(self.balancer, Balancer::PeakEwma);
        Candidate {
            backend: backend.series.id,
            state: backend.series.state(),
            picked: false,
            tried: false,
            suspect: backend.is_suspect(now),
            in_flight: u32::try_from(in_flight).unwrap_or(u32::MAX),
            limit: backend.in_flight_limit(),
            weight: 0.0,
            share: 0.0,
            latency: is_asked.then(|| backend.latency.estimate(now, in_flight == 0)).flatten(),
        }
    }
}

/// Adds more to what is shown until there are `most`.
fn fill(shown: &mut Vec<usize>, more: impl Iterator<Item = usize>, most: usize) {
    for n in more {
        if shown.len() >= most {
            return;
        }
        if !shown.contains(&n) {
            shown.push(n);
        }
    }
}
