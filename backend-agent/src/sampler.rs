//! Looks at a target again and again and keeps the metrics up to date.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::agent_check::{Outlook, Weight};
use crate::metrics::{Growth, Metrics};
use crate::reading::{Meter, ReadError, Reading, Target, Traffic};

/// How soon after the first look the second one follows, so that there is a percentage before a full interval.
const FIRST_INTERVAL: Duration = Duration::from_millis(100);
/// The shortest interval; a ticker cannot have none.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// Samples `target` every `interval`, for ever, and tells agent checks what to expect of it.
///
/// Cancel safety: may be dropped at any time; the metrics keep the last sample.
pub(crate) async fn sample(
    mut target: Box<dyn Target>,
    metrics: Arc<Metrics>,
    outlook: watch::Sender<Outlook>,
    interval: Duration,
) -> Infallible {
    let interval = interval.max(MIN_INTERVAL);
    let mut sampler = Sampler::new(metrics, outlook);
    // On this thread, because a look is a few small reads, and a scrape can wait for those.
    sampler.take_in(Instant::now(), target.read());
    let mut ticks = tokio::time::interval_at(Instant::now() + FIRST_INTERVAL.min(interval), interval);
    // After a pause of the machine one sample over the whole pause is true; a burst of short ones is noise.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        sampler.take_in(Instant::now(), target.read());
    }
}

/// Turns the looks at one target into metrics, and logs when it goes and comes.
struct Sampler {
    metrics: Arc<Metrics>,
    meter: Meter,
    /// What the counters stand at.
    counted: Counted,
    weight: Weight,
    outlook: watch::Sender<Outlook>,
    /// Whether the last look yielded something; `None` before the first.
    up: Option<bool>,
}

/// What the counters have taken in, so that what is read becomes what is added.
#[derive(Debug, Default)]
struct Counted {
    cpu: Duration,
    network: Traffic,
    disk: Traffic,
}

impl Counted {
    /// Returns what was used since the reading before; all of it at the first.
    fn growth(&mut self, reading: &Reading) -> Growth {
        let cpu = reading.cpu.saturating_sub(self.cpu);
        self.cpu = self.cpu.max(reading.cpu);
        let grown = |counted: &mut Traffic, traffic: Option<Traffic>| {
            // Unlike CPU time, traffic goes back for good when an interface is taken away: the next step starts there.
            traffic.map(|traffic| traffic.since(std::mem::replace(counted, traffic)))
        };
        let network = grown(&mut self.network, reading.network);
        Growth { cpu, network, disk: grown(&mut self.disk, reading.disk) }
    }
}

impl Sampler {
    fn new(metrics: Arc<Metrics>, outlook: watch::Sender<Outlook>) -> Self {
        let (meter, counted, weight) = (Meter::default(), Counted::default(), Weight::default());
        Self { metrics, meter, counted, weight, outlook, up: None }
    }

    fn take_in(&mut self, now: Instant, look: Result<Reading, ReadError>) {
        let was_up = self.up.replace(look.is_ok());
        match look {
            Ok(reading) => {
                let usage = self.meter.usage(now, &reading);
                self.metrics.show(&reading, &self.counted.growth(&reading), usage.as_ref());
                let weight = usage.map(|usage| self.weight.follow(now, usage.percent));
                self.outlook.send_replace(weight.map_or(Outlook::Unknown, Outlook::Weight));
                if was_up == Some(false) {
                    tracing::info!("the target can be read again");
                }
            }
            Err(error) => {
                self.meter.clear();
                self.weight.clear();
                self.metrics.clear();
                if matches!(error, ReadError::Gone { .. }) {
                    self.outlook.send_replace(Outlook::Gone);
                } else {
                    self.outlook.send_replace(Outlook::Unknown);
                    self.metrics.count_error();
                }
                if was_up != Some(false) {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, cause, "the target cannot be read");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn reading(cpu_ms: u64) -> Reading {
        Reading {
            cpu: Duration::from_millis(cpu_ms),
            capacity_cores: 2.0,
            memory_bytes: Some(10),
            ..Reading::default()
        }
    }

    fn sampler(metrics: &Arc<Metrics>) -> Sampler {
        Sampler::new(Arc::clone(metrics), watch::Sender::new(Outlook::Unknown))
    }

    fn value(metrics: &Metrics, name: &str) -> Option<f64> {
        let text = String::from_utf8(metrics.render()).unwrap();
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    #[test]
    fn a_target_that_is_gone_leaves_no_last_value_behind() {
        let metrics = Arc::new(Metrics::new("process"));
        let mut sampler = sampler(&metrics);
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        sampler.take_in(start, Ok(reading(5_000)));
        assert_eq!(value(&metrics, "agent_target_up"), Some(1.0));
        assert_eq!(value(&metrics, "cpu_usage"), None, "one look is no percentage");
        assert_eq!(value(&metrics, "agent_cpu_seconds_total"), Some(5.0));

        sampler.take_in(after(1), Ok(reading(6_000)));
        assert_eq!(value(&metrics, "cpu_usage"), Some(50.0));
        assert_eq!(value(&metrics, "agent_memory_bytes"), Some(10.0));
        assert_eq!(value(&metrics, "agent_cpu_seconds_total"), Some(6.0));

        sampler.take_in(after(2), Err(ReadError::Gone { pid: 1 }));
        assert_eq!(value(&metrics, "agent_target_up"), Some(0.0));
        assert_eq!(value(&metrics, "cpu_usage"), None);
        assert_eq!(value(&metrics, "agent_memory_bytes"), None);
        assert_eq!(value(&metrics, "agent_cpu_seconds_total"), Some(6.0), "a counter keeps what it counted");
        assert_eq!(value(&metrics, "agent_sample_errors_total"), Some(0.0), "to end is no error");
    }

    #[test]
    fn agent_checks_are_told_what_is_known_and_nothing_else() {
        let metrics = Arc::new(Metrics::new("process"));
        let mut sampler = sampler(&metrics);
        let outlook = sampler.outlook.subscribe();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        sampler.take_in(start, Ok(reading(1_000)));
        assert_eq!(*outlook.borrow(), Outlook::Unknown, "one look is no percentage");
        sampler.take_in(after(1), Ok(reading(3_000)));
        assert_eq!(*outlook.borrow(), Outlook::Weight(20));
        sampler.take_in(after(2), Err(ReadError::unclear(Path::new("/proc/stat"), "anything")));
        assert_eq!(*outlook.borrow(), Outlook::Unknown);
        sampler.take_in(after(3), Err(ReadError::Gone { pid: 1 }));
        assert_eq!(*outlook.borrow(), Outlook::Gone);
        sampler.take_in(after(4), Ok(reading(3_000)));
        sampler.take_in(after(5), Ok(reading(3_000)));
        assert_eq!(*outlook.borrow(), Outlook::Weight(100), "what was before is forgotten");
    }

    #[test]
    fn after_an_error_no_percentage_spans_the_gap() {
        let metrics = Arc::new(Metrics::new("host"));
        let mut sampler = sampler(&metrics);
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        sampler.take_in(start, Ok(reading(1_000)));
        sampler.take_in(after(1), Err(ReadError::unclear(Path::new("/proc/stat"), "anything")));
        assert_eq!(value(&metrics, "agent_sample_errors_total"), Some(1.0));
        sampler.take_in(after(2), Ok(reading(3_000)));
        assert_eq!(value(&metrics, "cpu_usage"), None);
        sampler.take_in(after(3), Ok(reading(3_200)));
        assert_eq!(value(&metrics, "cpu_usage"), Some(10.0));
        assert_eq!(value(&metrics, "agent_cpu_seconds_total"), Some(3.2));
    }

    #[test]
    fn traffic_never_counts_down_and_is_not_shown_where_nobody_counts_it() {
        let metrics = Arc::new(Metrics::new("host"));
        let mut sampler = sampler(&metrics);
        let start = Instant::now();
        sampler.take_in(start, Ok(reading(1_000)));
        assert_eq!(value(&metrics, "agent_network_received_bytes_total"), None);
        for (received, counted) in [(100, 100.0), (150, 150.0), (20, 150.0), (25, 155.0)] {
            let network = Some(Traffic { inward: received, outward: 7 });
            sampler.take_in(start, Ok(Reading { network, ..reading(1_000) }));
            assert_eq!(value(&metrics, "agent_network_received_bytes_total"), Some(counted));
        }
        assert_eq!(value(&metrics, "agent_network_sent_bytes_total"), Some(7.0));
        assert_eq!(value(&metrics, "agent_disk_read_bytes_total"), None);
    }

    #[test]
    fn a_core_that_is_taken_away_leaves_no_last_value_behind() {
        let metrics = Arc::new(Metrics::new("host"));
        let mut sampler = sampler(&metrics);
        let start = Instant::now();
        let with = |cores: &[(u32, u64)]| Reading {
            cores: cores.iter().map(|(core, ms)| (*core, Duration::from_millis(*ms))).collect(),
            ..reading(1_000)
        };
        for (second, cores) in [(0, &[(0, 0), (1, 0)][..]), (1, &[(0, 500), (1, 250)])] {
            sampler.take_in(start + Duration::from_secs(second), Ok(with(cores)));
        }
        assert_eq!(value(&metrics, "agent_cpu_core_usage{core=\"1\"}"), Some(25.0));
        sampler.take_in(start + Duration::from_secs(2), Ok(with(&[(0, 600)])));
        assert_eq!(value(&metrics, "agent_cpu_core_usage{core=\"0\"}"), Some(10.0));
        assert_eq!(value(&metrics, "agent_cpu_core_usage{core=\"1\"}"), None);
    }

    /// Uses half a core of two, as far as the paused clock goes.
    struct HalfBusy(Instant);

    impl Target for HalfBusy {
        fn kind(&self) -> &'static str {
            "host"
        }

        fn read(&mut self) -> Result<Reading, ReadError> {
            Ok(Reading { cpu: self.0.elapsed() / 2, capacity_cores: 2.0, ..Reading::default() })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_percentage_comes_before_a_full_interval() {
        let metrics = Arc::new(Metrics::new("host"));
        let target = Box::new(HalfBusy(Instant::now()));
        let outlook = watch::Sender::new(Outlook::Unknown);
        let sampling = sample(target, Arc::clone(&metrics), outlook, Duration::from_secs(60));
        let a_moment = FIRST_INTERVAL + Duration::from_millis(1);
        assert!(tokio::time::timeout(a_moment, sampling).await.is_err(), "sampling never ends");
        assert_eq!(value(&metrics, "cpu_usage"), Some(25.0));
    }
}
