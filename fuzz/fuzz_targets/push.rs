//! Pushed metrics: no body and no path makes the receiver panic, and what it shows of a body can be pushed again and is then
//! shown the same.
#![no_main]

use std::time::{Duration, SystemTime};

use libfuzzer_sys::fuzz_target;
use plimsoll::control_plane::now::Now;
use plimsoll::control_plane::push::{GroupKey, Mode, PushLimits, Pushes};
use plimsoll::telemetry::{PageForm, Telemetry};

/// Shows what the receiver holds after one push, without what it says itself of the group. None when it was refused.
fn shown(key: &GroupKey, body: &[u8]) -> Option<String> {
    let limits = PushLimits { expiry: Duration::from_secs(30), groups: 2, body: 1 << 20 };
    let pushes = Pushes::new(limits, Telemetry::new(1));
    let now = Now { instant: Now::read().instant, time: SystemTime::UNIX_EPOCH };
    let taken = pushes.push(key.clone(), body, Mode::Replace, now);
    let mut page = String::new();
    pushes.expose(&mut page, PageForm::OpenMetrics, now);
    page.clear();
    pushes.expose(&mut page, PageForm::Classic, now);
    let end = page.find("# HELP push_failure_time_seconds").unwrap_or(0);
    page.truncate(end);
    taken.map_err(|refusal| assert!(!refusal.words.is_empty(), "a refusal has a reason")).ok().map(|()| page)
}

fuzz_target!(|input: &[u8]| {
    let line = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (path, body) = input.split_at(line);
    let Ok(path) = std::str::from_utf8(path) else { return };
    let Ok(key) = GroupKey::of_path(path) else { return };
    if let Some(page) = shown(&key, body) {
        assert_eq!(shown(&key, page.as_bytes()).as_ref(), Some(&page), "it is shown the same");
    }
});
