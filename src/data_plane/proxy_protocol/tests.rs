//! Promises: what is written is read back, wherever the network cuts it, and nothing else is taken for a header.

use proptest::prelude::*;

use super::*;

fn endpoints(source: &str, destination: &str) -> Endpoints {
    let parsed = |text: &str| text.parse().expect("an address");
    Endpoints { source: parsed(source), destination: parsed(destination) }
}

#[test]
fn headers_of_the_specification_are_read() {
    let v4 = endpoints("255.255.255.255:65535", "0.0.0.0:0");
    let v6 = endpoints("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[::1]:80");
    for (line, header) in [
        ("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n", Header::Proxied(v4)),
        ("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ::1 65535 80\r\n", Header::Proxied(v6)),
        ("PROXY UNKNOWN\r\n", Header::Local),
        ("PROXY UNKNOWN ffff::ffff ::1 65535 65535\r\n", Header::Local),
    ] {
        assert_eq!(parse(line.as_bytes()), Ok(Some((header, line.len()))), "{line}");
    }
}

#[test]
fn what_is_no_header_is_refused_at_the_first_byte_that_shows_it() {
    for bytes in [
        &b"G"[..],
        b"PROXX",
        b"\r\n\r\n\0\r\nQUIT\r",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 +2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 02\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c",
        b"\r\n\r\n\0\r\nQUIT\n\x22\x11\0\x0c",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x41\0\x0c",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x13\0\x0c",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0babcdefghijk",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x10\x00",
    ] {
        assert_eq!(parse(&bytes[..bytes.len() - 1]), Ok(None), "{bytes:?} could still be one");
        assert_eq!(parse(bytes), Err(Malformed), "{bytes:?}");
    }
    let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; V1_MAX]].concat();
    assert_eq!(parse(&endless[..V1_MAX - 1]), Ok(None));
    assert_eq!(parse(&endless[..V1_MAX]), Err(Malformed));
}

#[test]
fn sockets_without_an_address_of_ours_are_the_proxys_own() {
    for (command, family, len) in [(0x20, 0x00, 0), (0x20, 0x11, 12), (0x21, 0x31, 216), (0x21, 0x12, 12)] {
        let fixed = [SIGNATURE.as_slice(), &[command, family, 0, len]].concat();
        let bytes = [fixed, vec![b'a'; usize::from(len)], b"rest".to_vec()].concat();
        assert_eq!(parse(&bytes), Ok(Some((Header::Local, V2_FIXED + usize::from(len)))));
    }
}

#[test]
fn one_address_of_each_family_makes_two_of_the_newer() {
    let mixed = endpoints("192.0.2.7:1", "[2001:db8::1]:2");
    let mut line = Vec::new();
    write(ProxyVersion::V1, Some(mixed), &mut line);
    assert_eq!(String::from_utf8_lossy(&line), "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1 2\r\n");
    line.clear();
    write(ProxyVersion::V1, Some(endpoints("[::ffff:192.0.2.7]:1", "[::ffff:192.0.2.8]:2")), &mut line);
    assert_eq!(String::from_utf8_lossy(&line), "PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n");
}

fn any_endpoints() -> impl Strategy<Value = Option<Endpoints>> {
    let v4 = any::<([u8; 4], u16, [u8; 4], u16)>()
        .prop_map(|(from, a, to, b)| Endpoints { source: (from, a).into(), destination: (to, b).into() });
    let v6 = any::<([u8; 16], u16, [u8; 16], u16)>()
        .prop_map(|(from, a, to, b)| Endpoints { source: (from, a).into(), destination: (to, b).into() });
    prop::option::of(prop_oneof![v4, v6])
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_wherever_it_is_cut(
        told in any_endpoints(),
        is_v1 in any::<bool>(),
        rest in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let version = if is_v1 { ProxyVersion::V1 } else { ProxyVersion::V2 };
        let mut bytes = Vec::new();
        write(version, told, &mut bytes);
        let len = bytes.len();
        bytes.extend(rest);
        for cut in 0..len {
            prop_assert_eq!(parse(&bytes[..cut]), Ok(None));
        }
        let header = told.map_or(Header::Local, Header::Proxied);
        prop_assert_eq!(parse(&bytes), Ok(Some((header, len))));
    }

    #[test]
    fn whatever_comes_more_bytes_change_no_verdict(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            "PROXY (TCP4|TCP6|UNKNOWN)[ 0-9a-f.:]{0,40}\r\n.{0,10}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..60).prop_map(|rest| [SIGNATURE.as_slice(), &rest].concat()),
        ],
    ) {
        let mut verdict = Ok(None);
        for end in 0..=bytes.len() {
            let now = parse(&bytes[..end]);
            if verdict != Ok(None) {
                prop_assert_eq!(now, verdict);
            }
            if let Ok(Some((_, len))) = now {
                prop_assert!((1..=end).contains(&len));
            }
            verdict = now;
        }
    }
}
