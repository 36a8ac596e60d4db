//! An entry as `key=value` pairs, as Loki and others read them. What is absent is left out.
//!
//! A value is bare where it cannot be mistaken for anything else, and a JSON string otherwise; so the first byte of a
//! value tells where it ends.

use std::net::SocketAddr;
use std::time::Duration;

use super::entry::{Entry, LoggedTry};
use super::fields::{self, Fields, Key, Stage};
use super::stamp::Stamp;
use super::text::{Bounded, Bytes};

/// What a value without quotes consists of.
static BARE: Bytes = Bytes::graphic_without(b"\"=\\");

/// Appends an entry, without a newline.
pub(super) fn line(entry: &Entry<'_>, stamp: &mut Stamp, out: &mut Vec<u8>) {
    out.extend_from_slice(b"time=");
    stamp.rfc3339(entry.time, out);
    fields::visit(entry, &mut Pairs(out));
}

struct Pairs<'o>(&'o mut Vec<u8>);

impl Pairs<'_> {
    #[inline(always)]
    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }
}

impl Fields for Pairs<'_> {
    #[inline(always)]
    fn text(&mut self, key: Key, text: Option<Bounded<'_>>) {
        let Some(text) = text else { return };
        self.raw(key.logfmt);
        if !text.is_empty() && text.is_all(&BARE) { text.plain(self.0) } else { text.quoted(self.0) }
    }

    #[inline(always)]
    fn word(&mut self, key: Key, word: Option<&str>) {
        let Some(word) = word else { return };
        self.raw(key.logfmt);
        self.raw(if word.is_empty() { "\"\"" } else { word });
    }

    #[inline(always)]
    fn address(&mut self, key: Key, address: SocketAddr) {
        self.raw(key.logfmt);
        fields::address(address, self.0);
    }

    #[inline(always)]
    fn number(&mut self, key: Key, number: u64) {
        self.raw(key.logfmt);
        fields::number(number, self.0);
    }

    #[inline(always)]
    fn milliseconds(&mut self, key: Key, duration: Duration) {
        self.raw(key.logfmt);
        fields::milliseconds(duration, self.0);
    }

    /// As `backend-1:balanced:connect_refused:0.090,backend-2:balanced:ok:7.200`: whom, why, how it ended and how long it
    /// took in milliseconds; the last two are empty for a try that was cut.
    fn tries(&mut self, key: Key, tries: &[Option<LoggedTry<'_>>]) {
        let mut before = key.logfmt;
        for one in tries.iter().flatten() {
            for part in [before, one.backend, ":", one.pick, ":", one.outcome.unwrap_or_default(), ":"] {
                self.raw(part);
            }
            if let Some(total) = one.stages.total {
                fields::milliseconds(total, self.0);
            }
            before = ",";
        }
    }

    fn begin_stages(&mut self) {}

    #[inline(always)]
    fn stage(&mut self, stage: Stage, duration: Option<Duration>) {
        let Some(duration) = duration else { return };
        self.raw(stage.logfmt);
        fields::milliseconds(duration, self.0);
    }

    fn end_stages(&mut self) {}
}
