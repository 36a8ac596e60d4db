//! What a route does to header fields.

use super::super::read::{list_of, text};
use super::super::section::Section;
use super::super::tree::Entry;
use super::super::value::Invalid;
use super::super::value::http::HeaderName;
use super::template::TextPart;

/// What happens to the header fields of a request, or of an answer: first some are removed, then others come in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderRules {
    /// Fields of which there is this one value afterwards, in file order.
    pub set: Vec<(HeaderName, Vec<TextPart>)>,
    /// Fields that come in besides those that are there.
    pub add: Vec<(HeaderName, Vec<TextPart>)>,
    /// Fields that are taken out.
    pub remove: Vec<HeaderName>,
}

impl HeaderRules {
    /// Decodes `request_headers` or `response_headers`, in whose values these parts may stand.
    pub(super) fn decode(section: &Section<'_>, known: &[TextPart]) -> Self {
        let value = text(|value: &str| TextPart::parse_all(value, known));
        let name = |entry: &Entry| {
            let name = HeaderName::parse(&entry.key).and_then(settable).and_then(untraced);
            name.map_err(|invalid| section.problems.invalid(entry.place, invalid)).ok()
        };
        let mut set: Vec<(HeaderName, Vec<TextPart>)> = Vec::new();
        for entry in section.named("set") {
            let (Some(name), Some(value)) = (name(entry), value(&entry.value, section.problems)) else {
                continue;
            };
            if set.iter().any(|(earlier, _)| *earlier == name) {
                let hint = "names of headers have no case; keep one of the two, or write `add`";
                section.problems.error(entry.place, format!("`{name}` is set twice"), Some(hint.to_owned()));
            }
            set.push((name, value));
        }
        let mut add = Vec::new();
        for entry in section.named("add") {
            let values = list_of(&value)(&entry.value, section.problems).unwrap_or_default();
            if let Some(name) = name(entry) {
                add.extend(values.into_iter().map(|value| (name.clone(), value)));
            }
        }
        let removable = text(|name: &str| HeaderName::parse(name).and_then(settable));
        let remove = section.optional("remove", list_of(removable)).unwrap_or_default();
        for name in remove.iter().filter(|name| set.iter().any(|(set, _)| set == *name)) {
            section.missing(format!("`{name}` is both set and removed"), "what is set needs no `remove`");
        }
        Self { set, add, remove }
    }

    /// Whether nothing happens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Refuses the headers that say where a message ends, or belong to one connection alone (RFC 9110 section 7.6.1): they
/// are the balancer's to write.
pub(super) fn settable(name: HeaderName) -> Result<HeaderName, Invalid> {
    let hint = match name.as_str() {
        "content-length" | "transfer-encoding" | "trailer" => {
            "leave it out: the balancer frames each message itself"
        }
        "connection" | "keep-alive" | "proxy-connection" | "te" => {
            "leave it out: it is about one connection, and never passed on"
        }
        "upgrade" => "leave it out: it is passed on where client and backend agree on another protocol",
        "host" => "write `host_header` in the upstream",
        "expect" => "leave it out: the balancer passes it on where it still means something",
        _ => return Ok(name),
    };
    Err(Invalid::new(format!("`{name}` is written by the balancer itself")).hint(hint))
}

/// Refuses to write the place in a trace.
fn untraced(name: HeaderName) -> Result<HeaderName, Invalid> {
    if name.as_str() == "traceparent" {
        return Err(
            Invalid::new("`traceparent` is written by the balancer itself").hint("see `telemetry.traces`")
        );
    }
    Ok(name)
}
