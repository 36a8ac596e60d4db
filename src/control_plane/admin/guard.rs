//! The guard: who may change what runs. To look is free.
//!
//! - Who knows the token may, from anywhere, and on any page: no page of another site knows it.
//! - Others may from this host alone, since who can run programs here is trusted with more than that. What a proxy passes on
//!   does not count as from here, as far as the proxy says that it is one.
//! - Who may open the Unix socket may: its permissions say who that is, and no browser can.
//! - A page of another site may not: a browser sends what any page tells it to, also to loopback. Nor may one that names the
//!   host by anything but an address or `localhost`: another site may have its own name lead to loopback (DNS
//!   rebinding), and a browser then takes its pages for ours.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::time::timeout;

use super::AdminState;
use super::origin::{comes_from_another_site, names_no_domain};
use crate::control_plane::config::admin::Token;

/// What a proxy adds to a request that it passes on.
const BY_A_PROXY: [HeaderName; 6] = [
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
];

/// How long a change may take, its body included. A drain is begun, not waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who is at the other end of a request's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// A host.
    Host(IpAddr),
    /// A user of this host, who may open the Unix socket; None if the system does not say which.
    User(Option<u32>),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(address) => address.fmt(f),
            Self::User(Some(uid)) => write!(f, "uid {uid}"),
            Self::User(None) => f.write_str("a user of the socket"),
        }
    }
}

/// Why a change is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A page of another site asks for it.
    AnotherSite,
    /// The token is missing or wrong.
    TokenNeeded,
    /// It comes from elsewhere, and there is no token by which it could be allowed.
    FromElsewhere,
}

impl Refusal {
    /// Says it to whom it concerns.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::AnotherSite => "a page of another site may not change what runs",
            Self::TokenNeeded => {
                "this change needs the token of `admin.token`, sent as `Authorization: Bearer TOKEN`; \
                 plimsoll ctl takes it from PLIMSOLL_TOKEN"
            }
            Self::FromElsewhere => {
                "changes are taken from this host alone, asked for at an address or at `localhost`; \
                 configure `admin.token` to take them from elsewhere"
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.words() }));
        match self {
            Self::TokenNeeded => {
                (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], body).into_response()
            }
            Self::AnotherSite | Self::FromElsewhere => (StatusCode::FORBIDDEN, body).into_response(),
        }
    }
}

/// Lets a request pass unless it would change something that its sender may not.
pub(super) async fn guard(State(state): State<AdminState>, request: Request, next: Next) -> Response {
    let looks = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !looks && request.uri().path().starts_with("/api/") {
        let peer = request.extensions().get::<Peer>().copied();
        if let Err(refusal) = may_change(state.token.as_ref(), peer, request.headers()) {
            return refusal.into_response();
        }
        let late = Json(json!({ "error": "the request was not there within 10 s" }));
        let changed = timeout(PATIENCE, next.run(request)).await;
        return changed.unwrap_or_else(|_| (StatusCode::REQUEST_TIMEOUT, late).into_response());
    }
    next.run(request).await
}

/// Tells whether who sends a request with these headers may change something.
pub(super) fn may_change(
    token: Option<&Token>,
    peer: Option<Peer>,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    let given = headers.get(header::AUTHORIZATION).map(|value| bearer(value.as_bytes()));
    let page = comes_from_another_site(headers);
    // No name leads to a socket. A proxy that passes on what others send to it is another matter.
    if matches!(peer, Some(Peer::User(_))) && !page && !is_passed_on(headers) {
        return Ok(());
    }
    match (token, given) {
        (Some(token), Some(given)) if given.is_some_and(|given| token.is(given)) => Ok(()),
        // Also from this host: who means to show a token should hear that it is wrong.
        (Some(_), Some(_)) => Err(Refusal::TokenNeeded),
        _ if is_from_here(peer, headers) && !page => Ok(()),
        (Some(_), None) => Err(Refusal::TokenNeeded),
        (None, _) if page => Err(Refusal::AnotherSite),
        (None, _) => Err(Refusal::FromElsewhere),
    }
}

/// Takes the token out of `Bearer TOKEN` (RFC 6750, section 2.1; the scheme's case does not matter, RFC 9110, section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn is_from_here(peer: Option<Peer>, headers: &HeaderMap) -> bool {
    let loopback = matches!(peer, Some(Peer::Host(address)) if address.to_canonical().is_loopback());
    loopback && !is_passed_on(headers) && names_no_domain(headers)
}

fn is_passed_on(headers: &HeaderMap) -> bool {
    BY_A_PROXY.iter().any(|name| headers.contains_key(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    fn from(peer: &str, token: Option<&str>, fields: &[(&'static str, &'static str)]) -> Result<(), Refusal> {
        let token = token.map(|token| Token::parse(token).expect("a token"));
        may_change(token.as_ref(), Some(Peer::Host(peer.parse().expect("an address"))), &headers(fields))
    }

    const TOKEN: Option<&str> = Some("correct-horse-battery");
    const RIGHT: (&str, &str) = ("authorization", "Bearer correct-horse-battery");
    const HOST: (&str, &str) = ("host", "127.0.0.1:9900");

    #[test]
    fn who_is_on_this_host_may_change_things_without_a_token() {
        for peer in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            for host in ["127.0.0.1:9900", "localhost:9900", "LOCALHOST", "[::1]:9900", "a.localhost", ""] {
                assert_eq!(from(peer, None, &[("host", host)]), Ok(()), "{peer} {host}");
                assert_eq!(from(peer, TOKEN, &[("host", host)]), Ok(()), "{peer} {host}");
            }
            assert_eq!(from(peer, None, &[]), Ok(()));
        }
    }

    #[test]
    fn who_may_open_the_socket_needs_no_token_and_a_proxy_of_others_does() {
        let by_socket = |token: Option<&str>, fields: &[(&'static str, &'static str)]| {
            let token = token.map(|token| Token::parse(token).expect("a token"));
            may_change(token.as_ref(), Some(Peer::User(Some(1000))), &headers(fields))
        };
        for token in [None, TOKEN] {
            assert_eq!(by_socket(token, &[HOST]), Ok(()));
            assert_eq!(by_socket(token, &[("host", "any.example.org")]), Ok(()));
            let other = [HOST, ("authorization", "Bearer that-of-another-balancer")];
            assert_eq!(by_socket(token, &other), Ok(()), "that of another balancer, in the environment");
        }
        let passed_on = [HOST, ("x-forwarded-for", "203.0.113.7")];
        assert_eq!(by_socket(None, &passed_on), Err(Refusal::FromElsewhere));
        assert_eq!(by_socket(TOKEN, &passed_on), Err(Refusal::TokenNeeded));
        assert_eq!(by_socket(TOKEN, &[passed_on[0], passed_on[1], RIGHT]), Ok(()));
        let page = [HOST, ("origin", "https://example.org")];
        assert_eq!(by_socket(None, &page), Err(Refusal::AnotherSite));
    }

    #[test]
    fn from_elsewhere_it_takes_the_token() {
        for peer in ["10.0.0.1", "2001:db8::1", "0.0.0.0", "::ffff:10.0.0.1"] {
            assert_eq!(from(peer, None, &[HOST]), Err(Refusal::FromElsewhere));
            assert_eq!(from(peer, None, &[HOST, RIGHT]), Err(Refusal::FromElsewhere), "there is none");
            assert_eq!(from(peer, TOKEN, &[HOST]), Err(Refusal::TokenNeeded));
            assert_eq!(from(peer, TOKEN, &[HOST, RIGHT]), Ok(()));
            assert_eq!(from(peer, TOKEN, &[("host", "lb.example.org"), RIGHT]), Ok(()), "by any name");
        }
        assert_eq!(
            may_change(None, None, &HeaderMap::new()),
            Err(Refusal::FromElsewhere),
            "nobody knows who"
        );
    }

    #[test]
    fn a_token_that_is_shown_must_be_right() {
        let given = [
            "Bearer wrong-horse-battery",
            "Bearer correct-horse-batter",
            "Bearer correct-horse-battery2",
            "Bearer ",
            "Bearer",
            "",
            "Basic correct-horse-battery",
            "correct-horse-battery",
        ];
        for value in given {
            for peer in ["10.0.0.1", "127.0.0.1"] {
                let refused = from(peer, TOKEN, &[HOST, ("authorization", value)]);
                assert_eq!(refused, Err(Refusal::TokenNeeded), "{value}");
            }
        }
        assert_eq!(from("10.0.0.1", TOKEN, &[("authorization", "bearer  correct-horse-battery ")]), Ok(()));
    }

    #[test]
    fn a_page_of_another_site_may_not() {
        for origin in ["https://example.org", "null", "http://localhost:9900", "https://127.0.0.1:9900"] {
            let page = [HOST, ("origin", origin)];
            assert_eq!(from("127.0.0.1", None, &page), Err(Refusal::AnotherSite), "{origin}");
            assert_eq!(from("127.0.0.1", TOKEN, &page), Err(Refusal::TokenNeeded), "{origin}");
        }
        assert_eq!(
            from("127.0.0.1", None, &[HOST, ("origin", "http://127.0.0.1:9900")]),
            Ok(()),
            "our own may"
        );
    }

    #[test]
    fn a_page_that_knows_the_token_is_ours_by_whatever_name() {
        let behind_tls = [("host", "lb.example.org"), ("origin", "https://lb.example.org"), RIGHT];
        assert_eq!(from("127.0.0.1", TOKEN, &behind_tls), Ok(()));
        assert_eq!(from("127.0.0.1", TOKEN, &behind_tls[..2]), Err(Refusal::TokenNeeded));
    }

    #[test]
    fn a_name_that_leads_to_loopback_is_not_this_host() {
        for host in ["evil.example.org:9900", "localhost.example.org", "127.0.0.1.nip.io", "1.example", "x:y"]
        {
            let refused = from("127.0.0.1", None, &[("host", host)]);
            assert_eq!(refused, Err(Refusal::FromElsewhere), "{host}");
        }
    }

    #[test]
    fn what_a_proxy_passes_on_is_not_from_this_host() {
        for name in ["forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-real-ip"] {
            let refused = from("127.0.0.1", None, &[HOST, (name, "203.0.113.7")]);
            assert_eq!(refused, Err(Refusal::FromElsewhere), "{name}");
        }
    }
}
