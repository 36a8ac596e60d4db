//! Parts of HTTP messages that a configuration names: methods, status codes, header names and values.

use std::fmt;
use std::ops::RangeInclusive;

use super::Invalid;

/// A request method, such as `GET`. Case matters (RFC 9110 section 9.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Method(String);

/// The name of a header field, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HeaderName(String);

/// The value of a header field: visible ASCII, spaces and tabs, not at either end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HeaderValue(String);

impl Method {
    /// Reads a method.
    ///
    /// # Errors
    /// When the text is not a token (RFC 9110 section 5.6.2), or is a standard method in the wrong case.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if !is_token(text) {
            return Err(
                Invalid::new(format!("`{text}` is not an HTTP method")).hint("write `GET` or `[GET, HEAD]`")
            );
        }
        let upper = text.to_ascii_uppercase();
        let standard = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
            .contains(&upper.as_str());
        if standard && upper != text {
            return Err(Invalid::new(format!(
                "the method `{text}` never arrives: methods are case-sensitive"
            ))
            .hint(format!("write `{upper}`")));
        }
        Ok(Self(text.to_owned()))
    }

    /// The method as it stands in a request.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl HeaderName {
    /// Reads the name of a header; upper case becomes lower case.
    ///
    /// # Errors
    /// When the text is not a token (RFC 9110 section 5.6.2).
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if is_token(text) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(Invalid::new(format!("`{}` is not a header name", text.escape_debug()))
                .hint("a header name has letters, digits and `-`, and no space or colon"))
        }
    }

    /// The name, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl HeaderValue {
    /// Reads the value of a header.
    ///
    /// # Errors
    /// When the text has control characters, is not ASCII, or begins or ends with a space.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let visible = text.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b));
        if visible && text.trim() == text {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new(format!("`{}` is not a header value", text.escape_debug()))
                .hint("a header value has visible ASCII characters, and spaces only between them"))
        }
    }

    /// The value as it stands on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a status code, 200 to 599: an interim (1xx) answer never ends an exchange.
///
/// # Errors
/// When the text is no such number.
pub fn status(text: &str) -> Result<u16, Invalid> {
    match text.parse::<u16>() {
        Ok(code) if (200..=599).contains(&code) => Ok(code),
        _ => {
            Err(Invalid::new(format!("`{text}` is not a status code"))
                .hint("a final status code is 200 to 599"))
        }
    }
}

/// Reads a range of status codes, `200-399`, or a single one.
///
/// # Errors
/// When one of the two is no status code, or the first is above the last.
pub fn status_range(text: &str) -> Result<RangeInclusive<u16>, Invalid> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (status(first.trim())?, status(last.trim())?);
    if first > last {
        return Err(
            Invalid::new(format!("the range `{text}` is empty")).hint(format!("write `{last}-{first}`"))
        );
    }
    Ok(first..=last)
}

/// Whether the text is a token (RFC 9110 section 5.6.2).
pub(in super::super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
