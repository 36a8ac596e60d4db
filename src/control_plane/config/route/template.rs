//! Texts with parts of a request in braces.

use super::super::value::Invalid;
use super::super::value::http::HeaderValue;

/// A part of a redirection's `Location`, or of a header's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextPart {
    /// Text taken as it is.
    Literal(String),
    /// `{host}`: the request's host, without its port.
    Host,
    /// `{authority}`: the request's host with its port, as it was sent.
    Authority,
    /// `{path}`: the request's path, from its first `/` up to a `?`.
    Path,
    /// `{query}`: the request's query with its `?`, or nothing.
    Query,
    /// `{client}`: the address of who sent the request.
    Client,
    /// `{backend}`: the name of the backend that answers.
    Backend,
}

impl TextPart {
    /// What a `Location` may hold.
    pub(super) const IN_LOCATION: &'static [Self] = &[Self::Host, Self::Authority, Self::Path, Self::Query];
    /// What the value of a request's header may hold.
    pub(super) const IN_REQUEST: &'static [Self] =
        &[Self::Host, Self::Authority, Self::Path, Self::Query, Self::Client];
    /// What the value of an answer's header may hold.
    pub(super) const IN_ANSWER: &'static [Self] =
        &[Self::Host, Self::Authority, Self::Path, Self::Query, Self::Client, Self::Backend];

    /// Reads a text in which these parts may stand.
    pub(super) fn parse_all(text: &str, known: &[Self]) -> Result<Vec<Self>, Invalid> {
        HeaderValue::parse(text)?;
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            if !literal.is_empty() {
                parts.push(Self::Literal(literal.to_owned()));
            }
            let named = after.split_once('}');
            let part = named.and_then(|(name, _)| known.iter().find(|part| part.name() == name));
            let (Some(part), Some((_, tail))) = (part, named) else {
                return Err(Self::unknown(named.map_or(after, |(name, _)| name), known));
            };
            parts.push(part.clone());
            rest = tail;
        }
        if !rest.is_empty() {
            parts.push(Self::Literal(rest.to_owned()));
        }
        Ok(parts)
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Literal(_) => "",
            Self::Host => "host",
            Self::Authority => "authority",
            Self::Path => "path",
            Self::Query => "query",
            Self::Client => "client",
            Self::Backend => "backend",
        }
    }

    fn unknown(name: &str, known: &[Self]) -> Invalid {
        let about = |part: &Self| match part {
            Self::Authority => "{authority} (the host with its port)".to_owned(),
            Self::Path => "{path} (with its first `/`)".to_owned(),
            Self::Query => "{query} (with its `?`)".to_owned(),
            Self::Client => "{client} (its address)".to_owned(),
            part => format!("{{{}}}", part.name()),
        };
        let known: Vec<String> = known.iter().map(about).collect();
        let (last, before) = known.split_last().map_or(("", &[][..]), |(last, before)| (last, before));
        Invalid::new(format!("`{{{}}}` is no part of a request", name.escape_debug()))
            .hint(format!("write {} or {last}", before.join(", ")))
    }
}
