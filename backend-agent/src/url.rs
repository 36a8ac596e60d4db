//! The URL of an HTTP server, as the options take it: `http://host:port/path`.
//!
//! No TLS: the agent talks to a gateway in the same network, and a TLS stack would be most of its size and memory.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;
use hyper::http::uri::Scheme;

/// A URL that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// A name or an address, without the brackets of IPv6.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Host and port as they were written, for the header `Host`.
    pub(crate) authority: String,
    /// Begins with `/`; with the query, if there is one.
    pub(crate) path: String,
}

/// Why a text is no URL that can be asked.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum UrlError {
    #[error("`{0}` is no URL; write for example `http://pushgateway:9091`")]
    Unclear(String),
    #[error("`{0}` has no http:// in front; write `http://{0}`")]
    NoScheme(String),
    #[error(
        "`{0}` asks for TLS, which the agent does not speak; use http://, to a TLS proxy beside it if need be"
    )]
    Tls(String),
    // Without the URL: an error may end up in a log.
    #[error("the URL holds credentials, which the agent does not send; leave out what stands before the @")]
    Credentials,
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.contains("://") && !text.is_empty() {
            return Err(UrlError::NoScheme(text.to_owned()));
        }
        let unclear = || UrlError::Unclear(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| unclear())?;
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => {}
            Some(scheme) if *scheme == Scheme::HTTPS => return Err(UrlError::Tls(text.to_owned())),
            _ => return Err(unclear()),
        }
        let authority = uri.authority().ok_or_else(unclear)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::Credentials);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        // A port that is there and not a number that fits is no reason to take another one.
        let port = match authority.as_str().strip_prefix(authority.host()).ok_or_else(unclear)? {
            "" => 80,
            port => port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or_else(unclear)?,
        };
        if host.is_empty() || port == 0 {
            return Err(unclear());
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            host: host.to_owned(),
            port,
            authority: authority.as_str().to_owned(),
            path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, u16, String) {
        let url: Url = text.parse().unwrap();
        (url.host, url.port, url.path)
    }

    #[test]
    fn host_port_and_path_are_taken_apart() {
        assert_eq!(parts("http://push:9091"), ("push".into(), 9091, "/".into()));
        assert_eq!(parts("http://push/"), ("push".into(), 80, "/".into()));
        assert_eq!(parts("HTTP://[::1]:81/a/b?c=d"), ("::1".into(), 81, "/a/b?c=d".into()));
        assert_eq!(parts("http://10.0.0.1?c"), ("10.0.0.1".into(), 80, "/?c".into()));
        assert_eq!("http://push:9091/x".parse::<Url>().unwrap().to_string(), "http://push:9091/x");
    }

    #[test]
    fn what_cannot_be_asked_is_refused_with_what_to_write() {
        let said = |text: &str| text.parse::<Url>().unwrap_err().to_string();
        assert!(said("pushgateway:9091").contains("write `http://pushgateway:9091`"));
        assert!(said("pushgateway").contains("write `http://pushgateway`"));
        assert!(said("https://pushgateway:9091").contains("TLS"));
        assert!(said("http://me:secret@pushgateway").contains("what stands before the @"));
        for text in [
            "",
            "http://",
            "http:///x",
            "http://a b",
            "ftp://a",
            "http://a:x",
            "http://a:65536",
            "http://a:0",
        ] {
            assert!(said(text).contains("is no URL"), "{text:?}: {}", said(text));
        }
    }
}
