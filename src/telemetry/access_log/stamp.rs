//! The time of a line, as each format writes it.

use std::io::Write as _;
use std::time::SystemTime;

use crate::telemetry::timestamp::Civil;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Writes points in time; keeps the text of the last second, since at full load thousands of lines share one.
#[derive(Debug)]
pub(super) struct Stamp {
    second: u64,
    text: Vec<u8>,
}

impl Default for Stamp {
    fn default() -> Self {
        Self { second: u64::MAX, text: Vec::new() }
    }
}

impl Stamp {
    /// Appends `2026-11-21T09:51:00.250Z` (RFC 3339). A stamp is used for one notation only.
    pub(super) fn rfc3339(&mut self, at: SystemTime, out: &mut Vec<u8>) {
        self.write(at, out, |Civil { year, month, day, hour, minute, second }, text| {
            let _ = write!(text, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.");
        });
        out.push(b'Z');
    }

    /// Appends `21/Nov/2026:09:51:00.250`, as HAProxy does, but always in UTC. A stamp is used for one notation only.
    pub(super) fn haproxy(&mut self, at: SystemTime, out: &mut Vec<u8>) {
        self.write(at, out, |Civil { year, month, day, hour, minute, second }, text| {
            let month = MONTHS[month as usize - 1];
            let _ = write!(text, "{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02}.");
        });
    }

    fn write(&mut self, at: SystemTime, out: &mut Vec<u8>, whole: impl FnOnce(Civil, &mut Vec<u8>)) {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if since.as_secs() != self.second {
            self.second = since.as_secs();
            self.text.clear();
            whole(Civil::of(self.second), &mut self.text);
        }
        out.extend_from_slice(&self.text);
        let millis = since.subsec_millis();
        out.extend([millis / 100, millis / 10 % 10, millis % 10].map(|digit| b'0' + digit as u8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::timestamp::rfc3339;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn known_moments_look_as_in_haproxy() {
        let mut stamp = Stamp::default();
        for (millis, shown) in [
            (0, "01/Jan/1970:00:00:00.000"),
            (1_795_291_372_673, "21/Nov/2026:20:02:52.673"),
            (1_795_291_372_007, "21/Nov/2026:20:02:52.007"),
            (1_709_251_199_999, "29/Feb/2024:23:59:59.999"),
        ] {
            let mut out = Vec::new();
            stamp.haproxy(SystemTime::UNIX_EPOCH + Duration::from_millis(millis), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), shown);
        }
    }

    proptest! {
        #[test]
        fn the_kept_second_is_never_shown_for_another(times in prop::collection::vec(0_u64..10_000, 1..20)) {
            let mut stamp = Stamp::default();
            for millis in times {
                let at = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
                let mut out = Vec::new();
                stamp.rfc3339(at, &mut out);
                prop_assert_eq!(String::from_utf8_lossy(&out).into_owned(), rfc3339(at).to_string());
            }
        }
    }
}
