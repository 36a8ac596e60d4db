//! The history: what every backend did in each of the last seconds, in memory, for those who have nothing but the program.
//!
//! Apart from the exposition because it remembers: a scrape shows totals and leaves it to others to store them. Nothing is
//! counted for it on the way of a request; once a second the control plane reads the cells that are there anyway and keeps
//! what has changed. Time is an argument.
//!
//! **How much it keeps.** A *track* is what is remembered of one backend, of one upstream as a whole, or of everything. All
//! tracks together hold at most [`SAMPLES_MAX`] samples of 56 bytes, which is 3.1 MiB: with up to 64 tracks that is
//! [`SECONDS_MAX`] each, with more of them less, down to [`SECONDS_MIN`] for [`TRACKS_MAX`] tracks. What comes after those in
//! the order of the configuration has no track of its own; it still counts in the sums.
//!
//! - `reading`: what the cells of one series add up to now.
//! - `sample`: what happened within one second.

mod reading;
mod sample;

pub use reading::Reading;
pub use sample::{Column, Sample};

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::series::{BackendSeries, UpstreamSeries};
use super::status::StatusTotal;

/// The most samples of one track: a quarter of an hour.
pub const SECONDS_MAX: usize = 900;

/// How many samples of a track are kept however many tracks there are.
pub const SECONDS_MIN: usize = 60;

/// The most samples of all tracks together.
pub const SAMPLES_MAX: usize = 64 * SECONDS_MAX;

/// The most tracks.
pub const TRACKS_MAX: usize = SAMPLES_MAX / SECONDS_MIN;

/// Two looks that are closer to each other than this are one: a rate over less would be noise.
const APART: Duration = Duration::from_millis(100);

/// Whose track it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrackName {
    /// All upstreams, and what was answered without one.
    Total,
    /// All backends of an upstream, and what was answered without one of them.
    Upstream(Box<str>),
    /// A backend, after its upstream.
    Backend(Box<str>, Box<str>),
}

/// What there is to look at: everything that is in force.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The upstreams, in the order of the configuration.
    pub upstreams: Vec<UpstreamScene<'a>>,
    /// Final answers without an upstream so far.
    pub unrouted: StatusTotal,
    /// Seconds of CPU time that the workers have used so far.
    pub worker_cpu_seconds: f64,
}

/// One upstream with its backends, in the order of the configuration.
#[derive(Debug)]
pub struct UpstreamScene<'a> {
    /// Its series.
    pub series: &'a UpstreamSeries,
    /// The series of its backends, each with the CPU usage in percent that its agent told last.
    pub backends: Vec<(&'a BackendSeries, Option<f64>)>,
}

/// What is remembered under one name.
#[derive(Debug, Clone, Default)]
pub struct Track {
    samples: VecDeque<Sample>,
    /// The number of the second after the last sample.
    end: u64,
}

impl Track {
    /// Returns the samples, oldest first.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = &Sample> {
        self.samples.iter()
    }

    fn begin(&self) -> u64 {
        self.end - self.samples.len() as u64
    }

    /// Appends the sample of the second `now`. Seconds in which the name was not there are filled with nothing.
    fn push(&mut self, now: u64, sample: Sample) {
        if self.samples.is_empty() {
            self.end = now;
        }
        while self.end < now {
            self.samples.push_back(Sample::NONE);
            self.end += 1;
        }
        self.samples.push_back(sample);
        self.end = now + 1;
    }

    fn forget_before(&mut self, first: u64) {
        let old = first.saturating_sub(self.begin()) as usize;
        self.samples.drain(..old.min(self.samples.len()));
    }
}

/// The last seconds of all tracks, on one time axis.
#[derive(Debug, Default)]
pub struct History {
    /// When each second that is kept was looked at, in milliseconds since 1970.
    times: VecDeque<u64>,
    /// The number of the first of them.
    first: u64,
    tracks: BTreeMap<TrackName, Track>,
    /// What the cells showed at the last look, of everything that was there.
    readings: BTreeMap<TrackName, Reading>,
    last_look: Option<(Instant, f64)>,
}

impl History {
    /// Takes note of what has happened since the last look: to be called about once a second. `time` and `now` are the
    /// same moment on both clocks. Returns whether there is another sample now: there is none of the first look, which
    /// is what the others count from, nor of one that follows the last within 100 ms.
    ///
    /// A clock that was set back begins a new history, since times must grow.
    pub fn look(&mut self, scene: &Scene<'_>, time: SystemTime, now: Instant) -> bool {
        let elapsed = match self.last_look {
            Some((last, _)) if now.saturating_duration_since(last) < APART => return false,
            Some((last, cpu)) => Some((now.duration_since(last), scene.worker_cpu_seconds - cpu)),
            None => None,
        };
        self.last_look = Some((now, scene.worker_cpu_seconds));
        let at = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        if self.times.back().is_some_and(|last| at <= *last) {
            self.clear();
        }
        self.read(scene, elapsed);
        if elapsed.is_some() {
            self.times.push_back(at);
            self.forget();
        }
        elapsed.is_some()
    }

    /// Returns when each second that is kept was looked at, in milliseconds since 1970, oldest first.
    pub fn times(&self) -> impl ExactSizeIterator<Item = u64> {
        self.times.iter().copied()
    }

    /// Visits the tracks by name, each with the position of its first sample among the [times](Self::times). Those of
    /// names that are not there any more stay as long as their seconds do.
    pub fn tracks(&self) -> impl Iterator<Item = (&TrackName, usize, &Track)> {
        let kept = self.tracks.iter().filter(|(_, track)| !track.samples.is_empty());
        kept.map(|(name, track)| (name, track.begin().saturating_sub(self.first) as usize, track))
    }

    /// Returns what happened in the last second under this name. None where nothing is remembered of it.
    pub fn latest(&self, name: &TrackName) -> Option<&Sample> {
        let track = self.tracks.get(name)?;
        (track.end == self.next()).then(|| track.samples.back())?
    }

    /// The number of the next second.
    fn next(&self) -> u64 {
        self.first + self.times.len() as u64
    }

    fn clear(&mut self) {
        self.first = self.next();
        self.times.clear();
        self.tracks.values_mut().for_each(|track| track.samples.clear());
    }

    /// Reads all cells, and appends a sample to each track when time has passed since the last look.
    fn read(&mut self, scene: &Scene<'_>, elapsed: Option<(Duration, f64)>) {
        if elapsed.is_some() {
            self.make_room_for_sums(scene);
        }
        let before = std::mem::take(&mut self.readings);
        let mut sum = Reading::default();
        let mut in_flight = 0;
        for UpstreamScene { series, backends } in &scene.upstreams {
            let mut within = Reading::default();
            let mut load = 0;
            for (backend, cpu) in backends {
                let name = TrackName::Backend(series.upstream.clone(), backend.backend.clone());
                let gained = self.gained(&before, &name, Reading::of_backend(backend));
                within.add(&gained);
                load += backend.inflight.get();
                if let Some((elapsed, _)) = elapsed {
                    self.append(name, Sample::of_backend(&gained, elapsed, backend, *cpu));
                }
            }
            let name = TrackName::Upstream(series.upstream.clone());
            within.add(&self.gained(&before, &name, Reading::of_refused(series)));
            sum.add(&within);
            in_flight += load;
            if let Some((elapsed, _)) = elapsed {
                self.append(name, Sample::of_sum(&within, elapsed, load));
            }
        }
        sum.add(&self.gained(&before, &TrackName::Total, Reading::of_answers(&scene.unrouted)));
        if let Some((elapsed, cpu)) = elapsed {
            let percent = (100.0 * cpu / elapsed.as_secs_f64()) as f32;
            self.append(
                TrackName::Total,
                Sample { cpu: percent, ..Sample::of_sum(&sum, elapsed, in_flight) },
            );
        }
    }

    /// Returns what has come since the last reading under this name, and keeps the new one. Nothing the first time.
    fn gained(
        &mut self,
        before: &BTreeMap<TrackName, Reading>,
        name: &TrackName,
        reading: Reading,
    ) -> Reading {
        self.readings.insert(name.clone(), reading);
        before.get(name).map(|earlier| reading.since(earlier)).unwrap_or_default()
    }

    /// Appends to the track of this name, and begins one where there is room for it.
    fn append(&mut self, name: TrackName, sample: Sample) {
        let now = self.next();
        if let Some(track) = self.track(name) {
            track.push(now, sample);
        }
    }

    fn track(&mut self, name: TrackName) -> Option<&mut Track> {
        let room = self.tracks.len() < TRACKS_MAX || self.tracks.contains_key(&name);
        room.then(|| self.tracks.entry(name).or_default())
    }

    /// Begins the tracks of the sums before those of backends could take all the room.
    fn make_room_for_sums(&mut self, scene: &Scene<'_>) {
        let upstreams = scene.upstreams.iter().map(|at| TrackName::Upstream(at.series.upstream.clone()));
        for name in [TrackName::Total].into_iter().chain(upstreams) {
            self.track(name);
        }
    }

    /// Forgets what is too old, or too much.
    fn forget(&mut self) {
        let kept = (SAMPLES_MAX / self.tracks.len().max(1)).clamp(SECONDS_MIN, SECONDS_MAX);
        while self.times.len() > kept {
            self.times.pop_front();
            self.first += 1;
        }
        let first = self.first;
        self.tracks.retain(|_, track| {
            track.forget_before(first);
            !track.samples.is_empty()
        });
    }
}

#[cfg(test)]
mod tests;
