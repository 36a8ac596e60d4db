use std::sync::Arc;

use super::*;
use crate::telemetry::{AttemptOutcome, BackendState, RetryReason, Telemetry, WorkerId};

/// A balancer with upstreams of so many backends each, looked at second by second.
struct Fleet {
    telemetry: Arc<Telemetry>,
    upstreams: Vec<(Arc<UpstreamSeries>, Vec<Arc<BackendSeries>>)>,
    history: History,
    start: Instant,
    second: u64,
}

const WORKER: WorkerId = WorkerId(0);

impl Fleet {
    fn of(sizes: &[usize]) -> Self {
        let telemetry = Telemetry::new(1);
        let upstreams = sizes.iter().enumerate().map(|(at, size)| {
            let upstream = format!("upstream-{at}");
            let backends = (1..=*size).map(|n| telemetry.backend(&upstream, &format!("backend-{n}")));
            (telemetry.upstream(&upstream), backends.collect())
        });
        let upstreams = upstreams.collect();
        Self { telemetry, upstreams, history: History::default(), start: Instant::now(), second: 0 }
    }

    /// Looks once, so many seconds after the start.
    fn look_at(&mut self, seconds: f64) -> bool {
        let since = Duration::from_secs_f64(seconds);
        let scene = Scene {
            upstreams: self
                .upstreams
                .iter()
                .map(|(series, backends)| UpstreamScene {
                    series,
                    backends: backends.iter().map(|backend| (&**backend, Some(12.5))).collect(),
                })
                .collect(),
            unrouted: self.telemetry.unrouted(),
            worker_cpu_seconds: seconds / 4.0,
        };
        self.history.look(
            &scene,
            SystemTime::UNIX_EPOCH + Duration::from_secs(1000) + since,
            self.start + since,
        )
    }

    fn look(&mut self) {
        self.look_at(self.second as f64);
        self.second += 1;
    }

    fn backend(&self, upstream: usize, number: usize) -> &BackendSeries {
        &self.upstreams[upstream].1[number - 1]
    }

    fn latest(&self, name: &TrackName) -> Sample {
        *self.history.latest(name).expect("it is remembered")
    }

    fn samples(&self, name: &TrackName) -> Vec<Sample> {
        let track = self.history.tracks().find(|(known, ..)| *known == name);
        track.map(|(_, _, track)| track.samples().copied().collect()).unwrap_or_default()
    }
}

fn backend(number: usize) -> TrackName {
    TrackName::Backend("upstream-0".into(), format!("backend-{number}").into())
}

fn upstream(number: usize) -> TrackName {
    TrackName::Upstream(format!("upstream-{number}").into())
}

#[test]
fn a_sample_is_what_happened_since_the_last_look() {
    let mut fleet = Fleet::of(&[2]);
    let shard = fleet.backend(0, 1).shard(WORKER);
    shard.requests.inc(200);
    assert!(!fleet.look_at(0.0), "the first look has nothing to compare with");
    let shard = fleet.backend(0, 1).shard(WORKER);
    [200, 204, 301, 404, 502, 700].into_iter().for_each(|status| shard.requests.inc(status));
    shard.request_duration.record(Duration::from_millis(20));
    shard.attempts.inc(AttemptOutcome::Ok);
    shard.attempts.inc(AttemptOutcome::Reset);
    shard.attempts.inc(AttemptOutcome::Overtaken);
    shard.retries.inc(RetryReason::Reset);
    fleet.backend(0, 2).shard(WORKER).rescues.inc();
    assert!(fleet.look_at(2.0));
    let sample = fleet.latest(&backend(1));
    assert_eq!(sample.answers, [1.0, 0.5, 0.5, 1.0], "per second, over two seconds");
    assert_eq!((sample.failed, sample.retries, sample.rescues), (0.5, 0.5, 0.0));
    assert!((10.0..=25.0).contains(&sample.p99_ms), "{} ms", sample.p99_ms);
    assert_eq!(sample.cpu, 12.5);
    let sum = fleet.latest(&upstream(0));
    assert_eq!((sum.answers, sum.rescues), ([1.0, 0.5, 0.5, 1.0], 0.5));
    assert_eq!(fleet.latest(&TrackName::Total).cpu, 25.0, "a quarter of a core");
    fleet.look_at(3.0);
    let quiet = fleet.latest(&backend(1));
    assert_eq!(quiet.rate(), 0.0);
    assert!(quiet.p99_ms.is_nan(), "nothing was answered, so nothing took any time");
}

#[test]
fn sums_hold_what_no_backend_answered() {
    let mut fleet = Fleet::of(&[1, 1]);
    let listener = fleet.telemetry.listener("web");
    fleet.look();
    fleet.upstreams[0].0.shard(WORKER).requests_no_backend.inc(503);
    fleet.backend(1, 1).shard(WORKER).requests.inc(200);
    listener.unrouted(WORKER).inc(400);
    fleet.look();
    assert_eq!(fleet.latest(&upstream(0)).answers, [0.0, 0.0, 0.0, 1.0]);
    assert_eq!(fleet.latest(&upstream(1)).answers, [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(fleet.latest(&TrackName::Total).answers, [1.0, 0.0, 1.0, 1.0]);
}

#[test]
fn how_things_stand_is_kept_with_what_happened() {
    let mut fleet = Fleet::of(&[1]);
    fleet.look();
    let series = fleet.backend(0, 1);
    series.show_state(BackendState::SlowStart);
    series.effective_weight.set(0.5);
    series.intended_share.set(0.25);
    series.inflight.inc();
    fleet.look();
    let sample = fleet.latest(&backend(1));
    assert_eq!(sample.state(), Some(BackendState::SlowStart));
    assert_eq!((sample.weight, sample.share, sample.in_flight), (0.5, 0.25, 1.0));
    assert_eq!(fleet.latest(&upstream(0)).in_flight, 1.0);
    assert_eq!(fleet.latest(&upstream(0)).state(), None);
}

#[test]
fn a_quarter_of_an_hour_is_kept_and_no_more() {
    let mut fleet = Fleet::of(&[3]);
    (0..2000).for_each(|_| fleet.look());
    let times: Vec<u64> = fleet.history.times().collect();
    assert_eq!(times.len(), SECONDS_MAX);
    assert_eq!((times[0], times[SECONDS_MAX - 1]), ((1000 + 1100) * 1000, (1000 + 1999) * 1000));
    for (name, from, track) in fleet.history.tracks() {
        assert_eq!((from, track.samples().len()), (0, SECONDS_MAX), "{name:?}");
    }
}

#[test]
fn with_more_tracks_less_time_is_kept_and_memory_stays_bounded() {
    // With the upstream's own and the total: twice as many tracks as have the whole time.
    let mut fleet = Fleet::of(&[126]);
    (0..500).for_each(|_| fleet.look());
    assert_eq!(fleet.history.times().len(), SECONDS_MAX / 2);
    let samples: usize = fleet.history.tracks().map(|(_, _, track)| track.samples().len()).sum();
    assert_eq!(samples, SAMPLES_MAX);

    let mut fleet = Fleet::of(&[TRACKS_MAX + 100]);
    (0..62).for_each(|_| fleet.look());
    fleet.backend(0, TRACKS_MAX + 100).shard(WORKER).requests.inc(200);
    fleet.look();
    assert_eq!(fleet.history.tracks().count(), TRACKS_MAX);
    assert_eq!(fleet.history.times().len(), SECONDS_MIN);
    assert!(fleet.history.latest(&backend(TRACKS_MAX + 100)).is_none(), "no track of its own");
    let sum: f32 = [upstream(0), TrackName::Total]
        .iter()
        .filter_map(|name| fleet.history.latest(name))
        .map(Sample::rate)
        .sum();
    assert_eq!(sum, 2.0, "both sums have their tracks, and know of it");
}

#[test]
fn a_backend_that_is_gone_is_remembered_as_long_as_its_seconds_are() {
    let mut fleet = Fleet::of(&[2]);
    (0..11).for_each(|_| fleet.look());
    let gone = fleet.upstreams[0].1.pop();
    (0..5).for_each(|_| fleet.look());
    assert!(fleet.history.latest(&backend(2)).is_none(), "it has no present");
    assert_eq!(fleet.samples(&backend(2)).len(), 10);
    fleet.upstreams[0].1.extend(gone);
    fleet.look();
    let samples = fleet.samples(&backend(2));
    assert_eq!(samples.len(), 16, "the time without it is filled");
    assert_eq!(samples.iter().filter(|sample| sample.state().is_none()).count(), 5);
    fleet.upstreams[0].1.pop();
    (0..SECONDS_MAX).for_each(|_| fleet.look());
    assert_eq!(fleet.samples(&backend(2)), []);
}

#[test]
fn a_backend_that_comes_later_begins_later() {
    let mut fleet = Fleet::of(&[1]);
    (0..4).for_each(|_| fleet.look());
    let second = fleet.telemetry.backend("upstream-0", "backend-2");
    fleet.upstreams[0].1.push(second);
    fleet.look();
    let (_, from, track) =
        fleet.history.tracks().find(|(name, ..)| **name == backend(2)).expect("it has a track");
    assert_eq!((from, track.samples().len()), (3, 1));
}

#[test]
fn a_clock_that_is_set_back_begins_a_new_history() {
    let mut fleet = Fleet::of(&[1]);
    (0..10).for_each(|_| fleet.look());
    let scene = Scene { upstreams: Vec::new(), unrouted: StatusTotal::default(), worker_cpu_seconds: 0.0 };
    let now = fleet.start + Duration::from_secs(10);
    assert!(fleet.history.look(&scene, SystemTime::UNIX_EPOCH + Duration::from_secs(5), now));
    assert_eq!(fleet.history.times().collect::<Vec<_>>(), [5000]);
    assert_eq!(fleet.samples(&backend(1)), []);
}

#[test]
fn two_looks_at_the_same_moment_are_one() {
    let mut fleet = Fleet::of(&[1]);
    assert!(!fleet.look_at(0.0));
    fleet.backend(0, 1).shard(WORKER).requests.inc(200);
    assert!(!fleet.look_at(0.05));
    assert!(fleet.look_at(1.0));
    assert_eq!(fleet.latest(&backend(1)).rate(), 1.0, "nothing is lost by it");
}
