//! An entry as one JSON object. Every line has the same fields: what is absent is `null`.
//!
//! Written by hand, since a serialiser takes twice as long for fields that never change.

use std::net::SocketAddr;
use std::time::Duration;

use super::entry::{Entry, LoggedTry};
use super::fields::{self, Fields, Key, Stage};
use super::stamp::Stamp;
use super::text::Bounded;
use crate::telemetry::decisions::Stages;

/// Appends an entry, without a newline.
pub(super) fn line(entry: &Entry<'_>, stamp: &mut Stamp, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"time\":\"");
    stamp.rfc3339(entry.time, out);
    out.push(b'"');
    fields::visit(entry, &mut Object(out));
    out.push(b'}');
}

struct Object<'o>(&'o mut Vec<u8>);

impl Object<'_> {
    #[inline(always)]
    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    #[inline(always)]
    fn optional(&mut self, key: &str, duration: Option<Duration>) {
        self.raw(key);
        match duration {
            Some(duration) => fields::milliseconds(duration, self.0),
            None => self.raw("null"),
        }
    }

    #[inline(always)]
    fn quoted(&mut self, word: Option<&str>) {
        let Some(word) = word else { return self.raw("null") };
        self.0.push(b'"');
        self.raw(word);
        self.0.push(b'"');
    }

    fn times(&mut self, one: &LoggedTry<'_>) {
        self.raw(",\"start_ms\":");
        fields::milliseconds(one.start, self.0);
        let Stages { connect, send, wait, relay, total } = one.stages;
        self.optional(",\"connect_ms\":", connect);
        self.optional(",\"send_ms\":", send);
        self.optional(",\"wait_ms\":", wait);
        self.optional(",\"relay_ms\":", relay);
        self.optional(",\"total_ms\":", total);
    }
}

impl Fields for Object<'_> {
    #[inline(always)]
    fn text(&mut self, key: Key, text: Option<Bounded<'_>>) {
        self.raw(key.json);
        match text {
            Some(text) => text.quoted(self.0),
            None => self.raw("null"),
        }
    }

    #[inline(always)]
    fn word(&mut self, key: Key, word: Option<&str>) {
        self.raw(key.json);
        self.quoted(word);
    }

    #[inline(always)]
    fn address(&mut self, key: Key, address: SocketAddr) {
        self.raw(key.json);
        self.0.push(b'"');
        fields::address(address, self.0);
        self.0.push(b'"');
    }

    #[inline(always)]
    fn number(&mut self, key: Key, number: u64) {
        self.raw(key.json);
        fields::number(number, self.0);
    }

    #[inline(always)]
    fn milliseconds(&mut self, key: Key, duration: Duration) {
        self.raw(key.json);
        fields::milliseconds(duration, self.0);
    }

    fn tries(&mut self, key: Key, tries: &[Option<LoggedTry<'_>>]) {
        self.raw(key.json);
        // The times of the only one are those of the exchange, which the line tells anyway.
        let several = tries.iter().flatten().count() > 1;
        let mut before = "[";
        for one in tries.iter().flatten() {
            self.raw(before);
            self.raw("{\"backend\":");
            self.quoted(Some(one.backend));
            self.raw(",\"pick\":");
            self.quoted(Some(one.pick));
            self.raw(",\"outcome\":");
            self.quoted(one.outcome);
            if several {
                self.times(one);
            }
            self.raw("}");
            before = ",";
        }
        self.raw(if before == "[" { "[]" } else { "]" });
    }

    #[inline(always)]
    fn begin_stages(&mut self) {
        self.raw(",\"timings_ms\":{");
    }

    #[inline(always)]
    fn stage(&mut self, stage: Stage, duration: Option<Duration>) {
        self.optional(stage.json, duration);
    }

    #[inline(always)]
    fn end_stages(&mut self) {
        self.0.push(b'}');
    }
}
