//! Headers of the PROXY protocol: more bytes change no verdict, and what was read is read again when it is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::data_plane::proxy_protocol::{Header, parse, write};
use plimsoll::upstream::ProxyVersion;

fuzz_target!(|input: &[u8]| {
    let verdict = parse(input);
    match verdict {
        Ok(None) => {}
        Err(_) => assert_eq!(parse(&[input, b"\r\n"].concat()), verdict, "what is no header does not become one"),
        Ok(Some((header, len))) => {
            assert!((1..=input.len()).contains(&len), "a header has its bytes");
            assert_eq!(parse(&input[..len]), verdict, "what follows is no part of it");
            let Header::Proxied(told) = header else { return };
            for version in [ProxyVersion::V1, ProxyVersion::V2] {
                let mut bytes = Vec::new();
                write(version, Some(told), &mut bytes);
                let Ok(Some((Header::Proxied(again), all))) = parse(&bytes) else { panic!("{bytes:?} is one") };
                assert_eq!(all, bytes.len());
                let canonical = |address: std::net::SocketAddr| (address.ip().to_canonical(), address.port());
                assert_eq!(canonical(again.source), canonical(told.source));
                assert_eq!(canonical(again.destination), canonical(told.destination));
            }
        }
    }
});
