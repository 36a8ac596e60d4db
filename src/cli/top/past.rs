//! The last minutes of each backend, second by second, for the graphs and for sums.

use std::collections::{BTreeMap, VecDeque};

use super::told::{History, Place, Sample, Tick, Track};

/// How many seconds are kept: more than the widest graph shows.
const SECONDS_MAX: usize = 300;

/// How many backends have a past, and how many bytes that takes at most: as many as the balancer remembers, 4.6 MB.
const TRACKS_MAX: usize = 960;

/// The seconds that errors and retries are summed over.
const MINUTE: usize = 60;

/// One second of one backend, or of everything. What is not known is not a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) rate: f32,
    pub(super) p99_ms: f32,
    pub(super) failed: f32,
    pub(super) retries: f32,
}

impl Point {
    const NONE: Self = Self { rate: f32::NAN, p99_ms: f32::NAN, failed: f32::NAN, retries: f32::NAN };

    fn of(sample: Option<&Sample>) -> Self {
        let Some(sample) = sample else { return Self::NONE };
        let known = |number: Option<f32>| number.unwrap_or(f32::NAN);
        Self {
            rate: sample.rate(),
            p99_ms: known(sample.p99_ms),
            failed: known(sample.failed),
            retries: known(sample.retries),
        }
    }

    /// The one at this position of a track's lists.
    fn at(track: &Track, at: usize) -> Self {
        let number = |list: &[Option<f32>]| list.get(at).copied().flatten();
        let sample = Sample {
            success: number(&track.success),
            redirect: number(&track.redirect),
            client_error: number(&track.client_error),
            server_error: number(&track.server_error),
            p99_ms: number(&track.p99_ms),
            failed: number(&track.failed),
            retries: number(&track.retries),
            ..Sample::default()
        };
        if sample == Sample::default() { Self::NONE } else { Self::of(Some(&sample)) }
    }
}

/// The points under one name, oldest first; the last is that of the latest second.
pub(super) type Points = VecDeque<Point>;

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// When the latest second ended, in milliseconds since 1970.
    at: u64,
    /// The number of the latest second, so that what is drawn over several seconds does not flicker.
    second: u64,
    total: Points,
    backends: BTreeMap<Place, Points>,
}

impl Past {
    /// Begins again with what the balancer remembers.
    pub(super) fn begin(&mut self, history: &History) {
        let count = history.times.len();
        let at = history.times.last().copied().unwrap_or_default();
        *self = Self { at, second: count as u64, ..Self::default() };
        for track in &history.tracks {
            let first = count.saturating_sub(SECONDS_MAX).max(track.from);
            let points: Points = (first..count).map(|at| Point::at(track, at - track.from)).collect();
            match (&track.upstream, &track.backend) {
                (None, None) => self.total = points,
                (Some(upstream), Some(backend)) if self.backends.len() < TRACKS_MAX => {
                    let place = Place { upstream: upstream.clone(), backend: backend.clone() };
                    self.backends.insert(place, points);
                }
                _ => {}
            }
        }
    }

    /// Takes in another second. The one that follows a history is in it already.
    pub(super) fn add(&mut self, tick: &Tick) {
        let Some(at) = tick.at.filter(|at| *at != self.at) else { return };
        self.at = at;
        self.second += 1;
        push(&mut self.total, Point::of(tick.total.as_ref()));
        let mut earlier = std::mem::take(&mut self.backends);
        for upstream in &tick.upstreams {
            for backend in &upstream.backends {
                if self.backends.len() == TRACKS_MAX {
                    return;
                }
                let place = Place { upstream: upstream.name.clone(), backend: backend.name.clone() };
                let mut points = earlier.remove(&place).unwrap_or_default();
                push(&mut points, Point::of(backend.sample.as_ref()));
                self.backends.insert(place, points);
            }
        }
    }

    /// The number of the latest second.
    pub(super) fn second(&self) -> u64 {
        self.second
    }

    /// The points of everything.
    pub(super) fn total(&self) -> &Points {
        &self.total
    }

    /// The points of a backend.
    pub(super) fn of(&self, place: &Place) -> &Points {
        static NONE: Points = Points::new();
        self.backends.get(place).unwrap_or(&NONE)
    }

    /// How many attempts on a backend failed within the last minute, and how many requests were tried again elsewhere.
    pub(super) fn last_minute(&self, place: &Place) -> (f32, f32) {
        let points = self.of(place).iter().rev().take(MINUTE);
        let known = |number: f32| if number.is_nan() { 0.0 } else { number };
        points.fold((0.0, 0.0), |(failed, retries), point| {
            (failed + known(point.failed), retries + known(point.retries))
        })
    }
}

fn push(points: &mut Points, point: Point) {
    if points.len() == SECONDS_MAX {
        points.pop_front();
    }
    points.push_back(point);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::top::plain::Plain;

    fn place(backend: &str) -> Place {
        Place { upstream: Plain::of("app"), backend: Plain::of(backend) }
    }

    fn tick(at: u64, backends: &[&str]) -> Tick {
        let sample = json!({ "success": 10, "server_error": 1, "failed": 2, "retries": 1, "p99_ms": null });
        let backends: Vec<_> =
            backends.iter().map(|name| json!({ "name": name, "sample": sample })).collect();
        let upstreams = json!([{ "name": "app", "backends": backends }]);
        let tick = json!({ "at": at, "process": {}, "total": sample, "upstreams": upstreams });
        serde_json::from_value(tick).expect("a tick")
    }

    fn rates(points: &Points) -> Vec<f32> {
        points.iter().map(|point| point.rate).collect()
    }

    #[test]
    fn the_past_begins_with_what_the_balancer_remembers_and_goes_on() {
        let history: History = serde_json::from_value(json!({
            "times": [1000, 2000, 3000],
            "tracks": [
                { "upstream": null, "backend": null, "from": 0, "success": [1, 2, 3] },
                { "upstream": "app", "backend": null, "from": 0, "success": [1, 2, 3] },
                { "upstream": "app", "backend": "a", "from": 1, "success": [2, null], "client_error": [1, null] },
                { "upstream": "app", "backend": "wrong", "from": 9, "success": [2] },
            ],
        }))
        .expect("a history");
        let mut past = Past::default();
        past.begin(&history);
        assert_eq!(rates(past.total()), [1.0, 2.0, 3.0]);
        assert_eq!(past.of(&place("a"))[0].rate, 3.0);
        assert!(past.of(&place("a"))[1].rate.is_nan(), "nothing is known of it");
        past.add(&tick(3000, &["a"]));
        assert_eq!(past.total().len(), 3, "that second is in the history");
        past.add(&tick(4000, &["a", "b"]));
        assert_eq!(rates(past.total()), [1.0, 2.0, 3.0, 11.0]);
        assert_eq!((past.of(&place("a")).len(), past.of(&place("b")).len()), (3, 1));
        past.add(&tick(5000, &["b"]));
        assert!(past.of(&place("a")).is_empty(), "it is gone");
    }

    #[test]
    fn a_long_look_keeps_no_more_than_its_bound() {
        let mut past = Past::default();
        (1..=2 * SECONDS_MAX as u64).for_each(|second| past.add(&tick(second * 1000, &["a"])));
        assert_eq!((past.total().len(), past.of(&place("a")).len()), (SECONDS_MAX, SECONDS_MAX));
        assert_eq!(past.last_minute(&place("a")), (120.0, 60.0));
        let names: Vec<String> = (0..TRACKS_MAX + 10).map(|number| number.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        past.add(&tick(1, &names));
        assert_eq!(past.backends.len(), TRACKS_MAX);
    }
}
