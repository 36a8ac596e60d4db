//! The usual `process_*` metrics: from the `prometheus` crate, under our help texts, with finer CPU time.

use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Counter, MetricFamily};

use crate::telemetry::catalogue::{ALL, Metric, PROCESS_CPU};

/// Collects what the kernel knows of this process.
pub(super) struct RunningProcess {
    collector: ProcessCollector,
    descs: Vec<Desc>,
}

impl RunningProcess {
    pub(super) fn new() -> Self {
        Self { collector: ProcessCollector::for_self(), descs: listed().map(super::desc).collect() }
    }
}

/// The catalogue's metrics that come from here.
pub(super) fn listed() -> impl Iterator<Item = &'static Metric> {
    ALL.iter().copied().filter(|metric| metric.name.starts_with("process_"))
}

impl Collector for RunningProcess {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.collector.collect();
        families.retain_mut(|family| {
            let Some(metric) = listed().find(|metric| metric.name == family.name()) else { return false };
            family.set_help(metric.help.to_owned());
            if metric == &PROCESS_CPU {
                refine_cpu(family);
            }
            true
        });
        families
    }
}

/// Replaces whole seconds of CPU time, which is all that the crate gives, by the kernel's ticks of 10 ms: a rate over
/// a few scrapes would show steps instead of a line.
fn refine_cpu(family: &mut MetricFamily) {
    let Some(seconds) = std::fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds)
    else {
        return;
    };
    for sample in family.mut_metric() {
        let mut counter = Counter::default();
        counter.set_value(seconds);
        sample.set_counter(counter);
    }
}

/// Reads user and system time from the text of `/proc/self/stat`, see proc_pid_stat(5); `None` when it has another form.
fn cpu_seconds(stat: &str) -> Option<f64> {
    /// Linux exports `USER_HZ` as 100 on every architecture that we build for.
    const TICKS_PER_SECOND: f64 = 100.0;
    // The program's name, in parentheses, may contain anything; utime and stime are fields 14 and 15.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut times = after_name.split_ascii_whitespace().skip(11).map_while(|field| field.parse::<f64>().ok());
    Some((times.next()? + times.next()?) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_past_a_name_with_spaces_and_parentheses() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 25 0 0 20 0 4 0 100 1000 10 184467";
        assert_eq!(cpu_seconds(stat), Some(1.75));
        assert_eq!(cpu_seconds("7 (plimsoll) S 1"), None);
        assert_eq!(cpu_seconds(""), None);
    }
}
