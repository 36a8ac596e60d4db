//! What the keys of a request promise.

use std::net::Ipv4Addr;

use super::*;

struct Request {
    source: IpAddr,
    query: &'static str,
    cookies: Option<&'static str>,
}

impl RequestKeys for Request {
    fn source(&self) -> IpAddr {
        self.source
    }

    fn path(&self) -> &[u8] {
        b"/cart"
    }

    fn query(&self) -> &[u8] {
        self.query.as_bytes()
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.cookies.filter(|_| name.eq_ignore_ascii_case("cookie")).map(str::as_bytes)
    }
}

fn request(query: &'static str, cookies: Option<&'static str>) -> Request {
    Request { source: Ipv4Addr::LOCALHOST.into(), query, cookies }
}

#[test]
fn a_cookie_is_found_among_others() {
    let value = |cookies| cookie(&request("", Some(cookies)), "id").map(<[u8]>::to_vec);
    assert_eq!(value("id=1").as_deref(), Some(&b"1"[..]));
    assert_eq!(value("xid=0; id=a=b;z=2").as_deref(), Some(&b"a=b"[..]));
    assert_eq!(value("xid=1; i=2; id"), None);
    assert_eq!(value(""), None);
}

#[test]
fn a_query_parameter_is_found_among_others() {
    let value = |query: &'static str| query_parameter(query.as_bytes(), b"user");
    assert_eq!(value("a=1&user=7&user=8"), Some(&b"7"[..]));
    assert_eq!(value("user"), Some(&b""[..]));
    assert_eq!(value("users=1&xuser=2"), None);
}

#[test]
fn each_key_hashes_what_it_names() {
    let request = request("user=7", Some("id=1"));
    assert_eq!(HashKey::Query("user".into()).of(&request), Some(hash(b"7")));
    assert_eq!(HashKey::Cookie("id".into()).of(&request), Some(hash(b"1")));
    assert_eq!(HashKey::Header("Cookie".into()).of(&request), Some(hash(b"id=1")));
    assert_eq!(HashKey::Path.of(&request), Some(hash(b"/cart")));
    assert_eq!(HashKey::Header("x-user".into()).of(&request), None);
}

#[test]
fn a_client_is_the_same_over_both_address_families() {
    let v4 = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let v6 = IpAddr::V6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped());
    assert_eq!(HashKey::Source.of(&v4), HashKey::Source.of(&v6));
}
