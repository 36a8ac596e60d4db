//! What is told about pushes that fail: each kind of trouble once, and its end. Pure; time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// A trouble that was told is not told again within this time, also if pushes worked in between: a gateway that takes
/// one push and refuses the next one must not fill the log.
const QUIET: Duration = Duration::from_secs(60);

/// The troubles of one gateway. `K` tells kinds of them apart, and has few values.
#[derive(Debug)]
pub(super) struct Troubles<K> {
    /// Since when no push was accepted; `None` while all is well.
    since: Option<Instant>,
    /// What was told, and when.
    told: Vec<(K, Instant)>,
    accepted_before: bool,
}

/// What is to be told about a push that was accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// It is the first.
    First,
    /// It is the first after a trouble that was told and lasted this long.
    Again(Duration),
    /// It is like the one before.
    AsBefore,
}

impl<K: PartialEq> Troubles<K> {
    /// Makes the troubles of a gateway that was not asked yet.
    pub(super) fn new() -> Self {
        Self { since: None, told: Vec::new(), accepted_before: false }
    }

    /// Takes in that a push failed and returns whether to tell.
    pub(super) fn failed(&mut self, now: Instant, kind: K) -> bool {
        let since = *self.since.get_or_insert(now);
        // Told in this trouble, or a short while ago in the one before.
        self.told.retain(|(_, at)| *at >= since || now.duration_since(*at) < QUIET);
        let known = self.told.iter().any(|(told, _)| *told == kind);
        if !known {
            self.told.push((kind, now));
        }
        !known
    }

    /// Takes in that a push was accepted and returns what to tell.
    pub(super) fn accepted(&mut self, now: Instant) -> Accepted {
        let first = !std::mem::replace(&mut self.accepted_before, true);
        match self.since.take() {
            Some(since) if self.told.iter().any(|(_, at)| *at >= since) => {
                Accepted::Again(now.duration_since(since))
            }
            _ if first => Accepted::First,
            _ => Accepted::AsBefore,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells what happens at a second, and returns what is told.
    fn story(events: &[(u64, Option<char>)]) -> Vec<String> {
        let start = Instant::now();
        let mut troubles = Troubles::new();
        let mut told = Vec::new();
        for (second, event) in events {
            let now = start + Duration::from_secs(*second);
            match event {
                Some(kind) if troubles.failed(now, *kind) => told.push(format!("{second}: {kind}")),
                Some(_) => {}
                None => match troubles.accepted(now) {
                    Accepted::First => told.push(format!("{second}: first")),
                    Accepted::Again(lasted) => {
                        told.push(format!("{second}: again after {}", lasted.as_secs()))
                    }
                    Accepted::AsBefore => {}
                },
            }
        }
        told
    }

    #[test]
    fn a_trouble_is_told_once_and_its_end_with_how_long_it_lasted() {
        let events =
            [(0, None), (5, None), (10, Some('a')), (15, Some('a')), (9_000, Some('a')), (9_010, None)];
        assert_eq!(story(&events), ["0: first", "10: a", "9010: again after 9000"]);
    }

    #[test]
    fn another_kind_of_trouble_is_told_but_not_each_turn_of_two() {
        let events =
            [(0, Some('a')), (5, Some('b')), (10, Some('a')), (80, Some('b')), (90, None), (95, None)];
        assert_eq!(story(&events), ["0: a", "5: b", "90: again after 90"]);
    }

    #[test]
    fn a_gateway_that_fails_every_other_time_is_told_once_a_minute() {
        let events: Vec<_> = (0..24).map(|turn| (turn * 5, (turn % 2 == 0).then_some('a'))).collect();
        assert_eq!(story(&events), ["0: a", "5: again after 5", "60: a", "65: again after 5"]);
    }

    #[test]
    fn a_trouble_that_stays_is_told_though_one_like_it_was_a_moment_ago() {
        let events =
            [(0, Some('a')), (5, None), (10, Some('a')), (50, Some('a')), (70, Some('a')), (90, None)];
        assert_eq!(story(&events), ["0: a", "5: again after 5", "70: a", "90: again after 80"]);
    }
}
