use std::time::Duration;

use proptest::prelude::*;

use super::address::{BackendAddress, Cidr, listen_address};
use super::http::{HeaderName, HeaderValue, Method, status};
use super::quantity::{Ratio, duration, size};
use super::text::{Name, Pattern};

#[test]
fn a_duration_has_a_number_and_a_unit() {
    let cases = [
        ("250ms", Duration::from_millis(250)),
        ("10s", Duration::from_secs(10)),
        ("1.5m", Duration::from_secs(90)),
        ("1 h", Duration::from_secs(3600)),
        ("30d", Duration::from_secs(30 * 86_400)),
        ("0", Duration::ZERO),
    ];
    for (text, expected) in cases {
        assert_eq!(duration(text), Ok(expected), "{text}");
    }
    for text in
        ["", "s", "10", "-1s", "1e3s", "inf s", "NaNs", "1.2.3s", "1S", "31d", "99999999999999999999s"]
    {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn a_size_counts_in_powers_of_two_only_with_an_i() {
    for (text, expected) in
        [("512B", 512), ("64KiB", 65_536), ("1.5MiB", 1_572_864), ("10MB", 10_000_000), ("0", 0)]
    {
        assert_eq!(size(text), Ok(expected), "{text}");
    }
    for text in ["", "B", "64", "64K", "64kb", "-1B", "9999999999999GiB"] {
        assert!(size(text).is_err(), "{text}");
    }
}

#[test]
fn a_ratio_stays_within_the_whole() {
    for (text, expected) in [("20%", 0.2), ("0.2", 0.2), ("0%", 0.0), ("100%", 1.0), ("1", 1.0)] {
        assert_eq!(Ratio::parse(text).map(Ratio::get), Ok(expected), "{text}");
    }
    for text in ["", "%", "101%", "2", "-1%", "x"] {
        assert!(Ratio::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_listener_binds_to_an_address_of_this_machine() {
    let cases = [
        ("127.0.0.1:80", "127.0.0.1:80"),
        (":80", "0.0.0.0:80"),
        ("*:80", "0.0.0.0:80"),
        ("localhost:0", "127.0.0.1:0"),
        ("[::1]:80", "[::1]:80"),
    ];
    for (text, expected) in cases {
        assert_eq!(listen_address(text).unwrap().to_string(), expected, "{text}");
    }
    for text in
        ["", ":", "80", "127.0.0.1", "::1", "example.org:80", "127.0.0.1:+80", "127.0.0.1:65536", "[::1:80"]
    {
        assert!(listen_address(text).is_err(), "{text}");
    }
}

#[test]
fn a_backend_has_a_host_and_a_port() {
    for (text, expected) in [
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("App_1.Internal:80", "app_1.internal:80"),
        ("[::1]:80", "[::1]:80"),
    ] {
        assert_eq!(BackendAddress::parse(text).unwrap().to_string(), expected, "{text}");
    }
    for text in [
        ":80",
        "*:80",
        "app",
        "app:0",
        "-app:80",
        "a..b:80",
        "1.2.3:80",
        "http://app:80",
        "app:80/x",
        "a b:80",
    ] {
        assert!(BackendAddress::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_range_of_addresses_has_no_bits_outside_its_prefix() {
    for (text, expected) in
        [("10.0.0.0/8", "10.0.0.0/8"), ("::/0", "::/0"), ("0.0.0.0/0", "0.0.0.0/0"), ("::1", "::1/128")]
    {
        assert_eq!(Cidr::parse(text).unwrap().to_string(), expected, "{text}");
    }
    for text in ["", "10.0.0.1/8", "10.0.0.0/33", "::/129", "10.0.0.0/", "10/8"] {
        assert!(Cidr::parse(text).is_err(), "{text}");
    }
}

#[test]
fn what_goes_onto_the_wire_cannot_break_a_message() {
    assert_eq!(HeaderName::parse("X-Canary").unwrap().as_str(), "x-canary");
    for text in ["", "a b", "a:", "a\r\n", "é"] {
        assert!(HeaderName::parse(text).is_err(), "{text:?}");
        assert!(Method::parse(text).is_err(), "{text:?}");
    }
    for text in [" a", "a ", "a\nb", "a\0b", "é"] {
        assert!(HeaderValue::parse(text).is_err(), "{text:?}");
    }
    assert!(Method::parse("get").is_err());
    assert!(Method::parse("PURGE").is_ok());
    assert_eq!(status("204"), Ok(204));
    assert!(status("100").is_err());
}

#[test]
fn a_name_can_be_a_label() {
    for text in ["web", "backend-1", "a.b_c", "1"] {
        assert!(Name::parse(text).is_ok(), "{text}");
    }
    for text in ["", "-a", "a b", "a/b", "é", &"a".repeat(65)] {
        assert!(Name::parse(text).is_err(), "{text}");
    }
}

#[test]
fn an_expression_is_bounded_in_size() {
    assert!(Pattern::compile("^/v[0-9]+/", false).unwrap().regex().is_match(b"/v1/x"));
    assert!(Pattern::compile("^/API", true).unwrap().regex().is_match(b"/api"));
    assert!(Pattern::compile("(a{1000}){1000}", false).is_err());
}

proptest! {
    #[test]
    fn every_whole_number_of_a_unit_is_read_exactly(number in 0_u64..40_000) {
        prop_assert_eq!(duration(&format!("{number}ms")), Ok(Duration::from_millis(number)));
        prop_assert_eq!(duration(&format!("{number}s")), Ok(Duration::from_secs(number)));
        prop_assert_eq!(size(&format!("{number}KiB")), Ok(number * 1024));
        prop_assert_eq!(size(&format!("{number}MB")), Ok(number * 1_000_000));
    }

    #[test]
    fn no_text_makes_a_constructor_panic(text in ".{0,40}") {
        let _ = (duration(&text), size(&text), Ratio::parse(&text), listen_address(&text), Cidr::parse(&text));
        let _ = (BackendAddress::parse(&text), HeaderName::parse(&text), HeaderValue::parse(&text), Name::parse(&text));
        let _ = (Method::parse(&text), Pattern::compile(&text, true), status(&text));
    }
}
