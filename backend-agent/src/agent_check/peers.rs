//! Who has asked, and since when. Pure; time is an argument.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// How long an address is new: HAProxy asks every two seconds unless told otherwise, so it is told more than once.
const NEW_FOR: Duration = Duration::from_secs(5);
/// How many addresses are remembered. One that is forgotten is new again.
const PEERS_MAX: usize = 64;

/// The addresses that have asked, the first at the front.
#[derive(Debug, Default)]
pub(super) struct Peers(VecDeque<(IpAddr, Instant)>);

impl Peers {
    /// Takes in that an address asks and returns whether it has done so for a short time only.
    pub(super) fn is_new(&mut self, peer: IpAddr, now: Instant) -> bool {
        if let Some((_, first)) = self.0.iter().find(|(known, _)| *known == peer) {
            return now.duration_since(*first) < NEW_FOR;
        }
        if self.0.len() == PEERS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((peer, now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_new_for_a_while_whoever_else_asks() {
        let mut peers = Peers::default();
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let (one, two) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert!(peers.is_new(one, start));
        assert!(peers.is_new(one, after(4_999)));
        assert!(!peers.is_new(one, after(5_000)));
        assert!(peers.is_new(two, after(6_000)), "another one");
        assert!(!peers.is_new(one, after(86_400_000)));
    }

    #[test]
    fn no_more_than_some_addresses_are_remembered() {
        let mut peers = Peers::default();
        let start = Instant::now();
        for last in 0..=u8::MAX {
            peers.is_new(IpAddr::from([10, 0, 0, last]), start);
        }
        assert_eq!(peers.0.len(), PEERS_MAX);
        assert!(!peers.is_new(IpAddr::from([10, 0, 0, 255]), start + NEW_FOR));
        assert!(peers.is_new(IpAddr::from([10, 0, 0, 0]), start + NEW_FOR), "forgotten");
    }
}
