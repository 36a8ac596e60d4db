//! Promises of the chunked decoder: strict, indifferent to how the bytes were split, and silent about extensions.

use proptest::prelude::*;

use super::*;

/// Decodes `input` in pieces of `step` bytes; returns what was kept, and how much was consumed if the body ended.
fn decode(input: &[u8], step: usize, keep: Keep) -> Result<(Vec<u8>, Option<usize>), Violation> {
    let mut decoder = Chunked::new();
    let (mut out, mut consumed) = (Vec::new(), 0);
    for piece in input.chunks(step) {
        let mut piece = piece.to_vec();
        let decoded = decoder.decode(&mut piece, keep)?;
        out.extend_from_slice(&piece[..decoded.kept]);
        consumed += decoded.consumed;
        if decoded.done {
            if keep == Keep::Framed {
                out.extend(decoder.take_trailers()?.unwrap_or_default());
            }
            return Ok((out, Some(consumed)));
        }
    }
    Ok((out, None))
}

#[test]
fn a_plain_body_passes_unchanged_and_stops_at_its_end() {
    let input = b"4\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\nGET / HTTP/1.1\r\n";
    let (out, consumed) = decode(input, input.len(), Keep::Framed).expect("well-formed");
    assert_eq!(consumed, Some(24));
    assert_eq!(out, &input[..24]);
}

#[test]
fn extensions_are_dropped_and_data_moves_up() {
    let input = b"4;a=b;c=\"d e\"\r\nWiki\r\n0;last\r\n\r\n";
    let (out, _) = decode(input, input.len(), Keep::Framed).expect("well-formed");
    assert_eq!(out, b"4\r\nWiki\r\n0\r\n\r\n");
}

#[test]
fn an_old_client_gets_the_data_alone() {
    let (out, _) = decode(b"4\r\nWiki\r\n0\r\nx: y\r\n\r\n", 3, Keep::Data).expect("well-formed");
    assert_eq!(out, b"Wiki");
}

#[test]
fn trailers_are_passed_on_without_the_fields_that_frame_or_identify() {
    let input = b"0\r\nDigest: abc\r\nTransfer-Encoding: chunked\r\nAuthorization: me\r\n\r\n";
    let (out, consumed) = decode(input, 7, Keep::Framed).expect("well-formed");
    assert_eq!(out, b"0\r\nDigest: abc\r\n\r\n");
    assert_eq!(consumed, Some(input.len()));
}

#[test]
fn what_two_parsers_could_read_in_two_ways_is_refused() {
    let cases: [(&[u8], Violation); 17] = [
        (b"\r\n", Violation::ChunkSize),
        (b"g\r\n", Violation::ChunkSize),
        (b"-1\r\n", Violation::ChunkSize),
        (b"+1\r\n", Violation::ChunkSize),
        (b"0x4\r\n", Violation::ChunkSize),
        (b" 4\r\nWiki\r\n", Violation::ChunkSize),
        (b"4 \r\nWiki\r\n", Violation::ChunkSize),
        (b"4 ;a\r\nWiki\r\n", Violation::ChunkSize),
        (b"4\nWiki\r\n", Violation::ChunkSize),
        (b"4\rWiki\r\n", Violation::ChunkSize),
        (b"00000000000000000\r\n", Violation::ChunkSize),
        (b"4;a\nb\r\n", Violation::ChunkExtension),
        (b"4;a\0b\r\n", Violation::ChunkExtension),
        (b"4\r\nWiki5\r\n", Violation::ChunkEnd),
        (b"4\r\nWiki\n", Violation::ChunkEnd),
        (b"0\r\nx y: z\r\n\r\n", Violation::Trailer),
        (b"0\r\nx: y\nz: a\r\n\r\n", Violation::Trailer),
    ];
    for (input, violation) in cases {
        for step in [1, input.len()] {
            let result = decode(input, step, Keep::Framed);
            assert_eq!(result, Err(violation), "{:?} in steps of {step}", String::from_utf8_lossy(input));
        }
    }
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let endless = [b"1;".as_slice(), &vec![b'x'; 5000]].concat();
    assert_eq!(decode(&endless, 100, Keep::Framed), Err(Violation::ChunkExtension));
    let endless = [b"0\r\nx: ".as_slice(), &vec![b'y'; 9000]].concat();
    assert_eq!(decode(&endless, 100, Keep::Framed), Err(Violation::Trailer));
}

proptest! {
    #[test]
    fn how_the_bytes_are_split_changes_nothing(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        step in 1_usize..50,
    ) {
        let mut input = Vec::new();
        for chunk in &chunks {
            input.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            input.extend(chunk);
            input.extend(b"\r\n");
        }
        input.extend(b"0\r\n\r\n");
        prop_assert_eq!(decode(&input, step, Keep::Framed), Ok((input.clone(), Some(input.len()))));
        prop_assert_eq!(decode(&input, step, Keep::Data), Ok((chunks.concat(), Some(input.len()))));
    }

    #[test]
    fn no_input_makes_it_panic_or_keep_more_than_it_consumed(
        mut input in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        if let Ok(decoded) = Chunked::new().decode(&mut input, Keep::Framed) {
            prop_assert!(decoded.kept <= decoded.consumed && decoded.consumed <= input.len());
        }
    }
}
