//! What the values of a scenario file may be. Each says what is wrong with it; where it stands, the reader knows.

use crate::plan::parse_duration;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode, Uri};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

/// A span of time with its unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span(pub(super) Duration);

/// An absolute `http://` address.
#[derive(Debug, Clone)]
pub(super) struct Address(pub(super) Uri);

/// One address or several.
#[derive(Debug)]
pub(super) struct Targets(pub(super) Vec<Uri>);

/// A method of HTTP.
#[derive(Debug, Clone)]
pub(super) struct Verb(pub(super) Method);

/// A status of HTTP.
#[derive(Debug, Clone, Copy)]
pub(super) struct Code(pub(super) StatusCode);

/// Header fields.
#[derive(Debug, Clone, Default)]
pub(super) struct Headers(pub(super) HeaderMap);

/// A process id, or nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pid(pub(super) Option<i32>);

/// A command and its arguments: a list, or words in one line.
#[derive(Debug, Clone, Default)]
pub(super) struct Words(pub(super) Vec<OsString>);

/// Requests per second: a number, a list of steps of the same length, or a ramp.
#[derive(Debug, Clone)]
pub(super) enum Rate {
    Steps(Vec<f64>),
    Ramp(f64, f64),
}

/// Reads a type from a word.
macro_rules! from_word {
    ($type:ident, $read:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = String::deserialize(deserializer)?;
                let read: fn(&str) -> Result<$type, String> = $read;
                read(&word).map_err(D::Error::custom)
            }
        }
    };
}

from_word!(Span, |word| parse_duration(word).map(Span));
from_word!(Address, |word| address(word).map(Address));
from_word!(Verb, |word| {
    let wrong = |_| format!("`{word}` is not a method; write one such as GET or POST");
    word.parse().map(Verb).map_err(wrong)
});
from_word!(Code, |word| {
    let wrong = |_| format!("`{word}` is not a status; write a number such as 200");
    word.parse().map(Code).map_err(wrong)
});
from_word!(Pid, |word| {
    if word.is_empty() {
        return Ok(Pid(None));
    }
    let id = word.parse().ok().filter(|id| *id > 0);
    id.map(|id| Pid(Some(id))).ok_or_else(|| format!("`{word}` is not a process id"))
});

fn address(word: &str) -> Result<Uri, String> {
    let uri = word.parse::<Uri>().ok();
    let fits = |uri: &Uri| uri.scheme_str() == Some("http") && uri.host().is_some();
    uri.filter(fits)
        .ok_or_else(|| format!("`{word}` is not of the form http://host:port/path; write it out in full"))
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut headers = HeaderMap::new();
        for (name, value) in BTreeMap::<String, String>::deserialize(deserializer)? {
            let wrong = |what| D::Error::custom(format!("`{name}: {value}` has no valid {what}"));
            let key: HeaderName = name.parse().map_err(|_| wrong("name of a header"))?;
            headers.append(key, HeaderValue::from_str(&value).map_err(|_| wrong("value of a header"))?);
        }
        Ok(Headers(headers))
    }
}

impl<'de> Deserialize<'de> for Targets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Targets;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address or a list of addresses")
            }
            fn visit_str<E: Error>(self, word: &str) -> Result<Targets, E> {
                address(word).map(|uri| Targets(vec![uri])).map_err(E::custom)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Targets, A::Error> {
                let list = Vec::<Address>::deserialize(SeqAccessDeserializer::new(list))?;
                Ok(Targets(list.into_iter().map(|Address(uri)| uri).collect()))
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LineOrList;
        impl<'de> Visitor<'de> for LineOrList {
            type Value = Words;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command with its arguments, in one line or as a list")
            }
            fn visit_str<E: Error>(self, line: &str) -> Result<Words, E> {
                Ok(Words(line.split_whitespace().map(OsString::from).collect()))
            }
            fn visit_unit<E: Error>(self) -> Result<Words, E> {
                Ok(Words::default())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Words, A::Error> {
                let list = Vec::<String>::deserialize(SeqAccessDeserializer::new(list))?;
                Ok(Words(list.into_iter().map(OsString::from).collect()))
            }
        }
        deserializer.deserialize_any(LineOrList)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RateVisitor)
    }
}

struct RateVisitor;

impl<'de> Visitor<'de> for RateVisitor {
    type Value = Rate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("requests per second: a number, a list of steps, or `{from: 10, to: 500}`")
    }

    fn visit_f64<E: Error>(self, rate: f64) -> Result<Rate, E> {
        Ok(Rate::Steps(vec![rate]))
    }

    fn visit_u64<E: Error>(self, rate: u64) -> Result<Rate, E> {
        Ok(Rate::Steps(vec![rate as f64]))
    }

    fn visit_i64<E: Error>(self, rate: i64) -> Result<Rate, E> {
        Ok(Rate::Steps(vec![rate as f64]))
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Rate, E> {
        let wrong = |_| E::custom(format!("`{word}` is no number of requests per second"));
        word.parse().map(|rate| Rate::Steps(vec![rate])).map_err(wrong)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Rate, A::Error> {
        let steps = Vec::deserialize(SeqAccessDeserializer::new(list))?;
        if steps.is_empty() {
            return Err(A::Error::custom("a list of steps has at least one"));
        }
        Ok(Rate::Steps(steps))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Rate, A::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Ramp {
            from: f64,
            to: f64,
        }
        let Ramp { from, to } = Ramp::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Rate::Ramp(from, to))
    }
}
