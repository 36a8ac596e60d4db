//! The last seconds of answers, in slices, for what the table and the scenario show of the present.

use loadtest::record::{Span, Tally, Window};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How much of the past is kept.
const KEPT: Duration = Duration::from_secs(10);

/// A share is told of at least this many answers: fewer would swing by whole tenths.
const ANSWERS_MIN: u64 = 60;

/// The slices of the last seconds, newest last.
#[derive(Default)]
pub(super) struct Recent {
    slices: VecDeque<Window>,
    errors: BTreeMap<String, u64>,
}

/// What one backend, or all of them, answered over some seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Figures {
    /// Successful answers per second.
    pub(super) rps: f64,
    /// Its part of all answers that name a backend, 0 to 1.
    pub(super) share: f64,
    /// Half of the answers were not slower; None when there was none.
    pub(super) p50_ms: Option<f64>,
    /// 99 of 100 answers were not slower; None when there was none.
    pub(super) p99_ms: Option<f64>,
}

impl Recent {
    /// Adds the newest slice and forgets what is too old.
    pub(super) fn push(&mut self, slice: Window) {
        for (name, tally) in
            slice.names.iter().zip(&slice.span.backends).filter(|(_, tally)| tally.failed() > 0)
        {
            *self.errors.entry(name.clone()).or_default() += tally.failed();
        }
        self.slices.push_back(slice);
        let mut kept: Duration = self.slices.iter().map(|slice| slice.length).sum();
        while let Some(oldest) = self.slices.front().filter(|oldest| kept - oldest.length >= KEPT) {
            kept -= oldest.length;
            self.slices.pop_front();
        }
    }

    /// The figures of each of the backends called `names`, and of all requests, over the last `length`.
    pub(super) fn figures(&self, names: &[String], length: Duration) -> (Vec<Figures>, Figures) {
        let (slices, covered) = self.last(|_, covered| covered >= length);
        let Some(span) = merged(slices) else {
            return (vec![Figures::default(); names.len()], Figures::default());
        };
        let answered: u64 = span.backends.iter().map(Tally::successes).sum();
        let of = |tally: &Tally| Figures {
            rps: tally.successes() as f64 / covered.as_secs_f64().max(0.001),
            share: tally.successes() as f64 / answered.max(1) as f64,
            p50_ms: tally.quantile_ms(0.5),
            p99_ms: tally.quantile_ms(0.99),
        };
        let each = names.iter().map(|name| self.tally(&span, name).map(of).unwrap_or_default()).collect();
        (each, of(&span.all))
    }

    /// The share of the backend called `name` in the most recent answers; None while there are too few.
    pub(super) fn share(&self, name: &str) -> Option<f64> {
        let (slices, _) = self.last(|answers, _| answers >= ANSWERS_MIN);
        let span = merged(slices)?;
        let answered: u64 = span.backends.iter().map(Tally::successes).sum();
        let own = self.tally(&span, name).map_or(0, Tally::successes);
        (answered >= ANSWERS_MIN).then(|| own as f64 / answered as f64)
    }

    /// How many requests that the backend called `name` answered have failed since the start.
    pub(super) fn errors(&self, name: &str) -> u64 {
        self.errors.get(name).copied().unwrap_or(0)
    }

    /// The newest slices up to the one with which `enough`, given their answers and their length, holds.
    fn last(&self, enough: impl Fn(u64, Duration) -> bool) -> (impl Iterator<Item = &Window>, Duration) {
        let (mut count, mut answers, mut covered) = (0, 0, Duration::ZERO);
        for slice in self.slices.iter().rev() {
            if enough(answers, covered) {
                break;
            }
            count += 1;
            answers += slice.span.backends.iter().map(Tally::successes).sum::<u64>();
            covered += slice.length;
        }
        (self.slices.iter().rev().take(count), covered)
    }

    fn tally<'a>(&self, span: &'a Span, name: &str) -> Option<&'a Tally> {
        let names = &self.slices.back()?.names; // in the order of first answers, so the newest knows them all
        span.backends.get(names.iter().position(|known| known == name)?)
    }
}

fn merged<'a>(mut slices: impl Iterator<Item = &'a Window>) -> Option<Span> {
    let mut span = slices.next()?.span.clone();
    slices.for_each(|slice| span.merge(&slice.span));
    Some(span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;
    use loadtest::record::{Outcome, Recorder};
    use tokio::time::Instant;

    const SLICE: Duration = Duration::from_millis(100);

    /// A hundred slices of 100 ms; backend-2 answers in all of them, backend-1 only from the sixtieth on.
    fn recent() -> Recent {
        let start = Instant::now();
        let mut recorder = Recorder::new(start, "steady", SLICE, SLICE);
        let mut recent = Recent::default();
        for slice in 0..100 {
            let due = start + SLICE * slice;
            let done = due + SLICE / 10;
            for backend in if slice < 60 { vec!["backend-2"] } else { vec!["backend-1", "backend-2"] } {
                let backend = Some(HeaderValue::from_static(backend));
                recorder.record(&Outcome { number: 0, due, done, result: Ok(()), backend });
            }
            recent.push(recorder.take_window(due + SLICE));
        }
        recent
    }

    #[test]
    fn figures_cover_the_time_asked_for() {
        let names = ["backend-1".to_owned(), "backend-2".to_owned(), "backend-3".to_owned()];
        let (each, all) = recent().figures(&names, Duration::from_secs(1));
        assert_eq!((each[0].rps, each[1].rps, each[2].rps, all.rps), (10.0, 10.0, 0.0, 20.0));
        assert_eq!((each[0].share, each[2].share), (0.5, 0.0));
        assert!(each[0].p50_ms.is_some_and(|ms| (10.0..10.2).contains(&ms)), "{each:?}");
        assert_eq!(each[2].p50_ms, None);
        let (each, _) = recent().figures(&names, Duration::from_secs(8));
        assert_eq!((each[0].rps, each[1].rps), (5.0, 10.0));
    }

    #[test]
    fn a_share_is_told_of_enough_answers_or_not_at_all() {
        assert_eq!(recent().share("backend-1"), Some(0.5));
        assert_eq!(Recent::default().share("backend-1"), None);
    }
}
