//! The usual `process_*` metrics: from the `prometheus` crate, under our help texts, with finer CPU time.

use prometheus::core::Collector as _;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;

use crate::telemetry::catalogue::{ALL, Kind, Metric, PROCESS_CPU};

/// Reads what the kernel knows of this process.
#[derive(Debug)]
pub(in super::super) struct RunningProcess(ProcessCollector);

/// The catalogue's metrics that come from here.
pub(super) fn listed() -> impl Iterator<Item = &'static Metric> {
    ALL.iter().copied().filter(|metric| metric.name.starts_with("process_"))
}

impl RunningProcess {
    pub(in super::super) fn new() -> Self {
        Self(ProcessCollector::for_self())
    }

    /// Returns the metrics with their values. Reads `/proc`.
    pub(super) fn read(&self) -> Vec<(&'static Metric, f64)> {
        let families = self.0.collect();
        let value = |family: &MetricFamily| {
            let metric = listed().find(|metric| metric.name == family.name())?;
            let sample = family.get_metric().first()?;
            let value = match metric.kind {
                Kind::Counter => sample.get_counter().get_value(),
                Kind::Gauge | Kind::Histogram => sample.get_gauge().get_value(),
            };
            // Whole seconds are all that the crate gives: a rate over a few scrapes would show steps instead of a line.
            let ticks = (metric == &PROCESS_CPU).then(cpu).flatten();
            Some((metric, ticks.unwrap_or(value)))
        };
        families.iter().filter_map(value).collect()
    }
}

/// Reads the CPU time by the kernel's ticks of 10 ms.
fn cpu() -> Option<f64> {
    std::fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds)
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
