//! Text from the network in a line of the log: of bounded length, and whatever its bytes, unable to end its field.

/// What stands for the rest of a text that is too long.
const CUT: &[u8] = "…".as_bytes();

/// A set of bytes, as a table: one look for each byte of a text.
pub(super) struct Bytes([bool; 256]);

impl Bytes {
    /// Makes the set of all that are printable ASCII, blanks excepted, and none of `others`.
    pub(super) const fn graphic_without(others: &[u8]) -> Self {
        let mut set = [false; 256];
        let mut byte = b'!';
        while byte <= b'~' {
            set[byte as usize] = true;
            byte += 1;
        }
        let mut at = 0;
        while at < others.len() {
            set[others[at] as usize] = false;
            at += 1;
        }
        Self(set)
    }

    const fn and(mut self, byte: u8) -> Self {
        self.0[byte as usize] = true;
        self
    }
}

/// Says whether each of eight bytes stands for itself in a JSON string: none is below a blank, a quote, a backslash, DEL
/// or beyond ASCII. By arithmetic on all at once (Sean Anderson's "Bit Twiddling Hacks": a word with a byte less than n, with
/// a byte equal to n): the highest bit of a byte says that something is wrong with it, or with one below it.
fn are_unquoted(bytes: [u8; 8]) -> bool {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let word = u64::from_le_bytes(bytes);
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (word | below(word, u64::from(b' ')) | is(b'"') | is(b'\\') | is(0x7f)) & HIGH == 0
}

/// What stands for itself in a JSON string.
static UNQUOTED: Bytes = Bytes::graphic_without(b"\"\\").and(b' ');

/// A text of bounded length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounded<'a> {
    bytes: &'a [u8],
    is_cut: bool,
}

impl<'a> Bounded<'a> {
    /// Takes at most `limit` bytes of a text, without a part of a character at their end.
    pub(super) fn new(text: &'a [u8], limit: usize) -> Self {
        if text.len() <= limit {
            return Self { bytes: text, is_cut: false };
        }
        Self { bytes: whole_characters(&text[..limit]), is_cut: true }
    }

    pub(super) fn is_empty(self) -> bool {
        self.bytes.is_empty() && !self.is_cut
    }

    /// Says whether each byte is one of those, and nothing was cut.
    pub(super) fn is_all(self, harmless: &Bytes) -> bool {
        !self.is_cut && self.bytes.iter().all(|byte| harmless.0[usize::from(*byte)])
    }

    /// Says the same of what stands for itself in a JSON string; most bytes of a line are asked this, so eight at a time.
    fn is_unquoted(self) -> bool {
        let (eights, rest) = self.bytes.as_chunks::<8>();
        let rest = Self { bytes: rest, ..self };
        rest.is_all(&UNQUOTED) && eights.iter().all(|eight| are_unquoted(*eight))
    }

    /// Appends the text as it is; for one that [`is_all`](Self::is_all) harmless.
    pub(super) fn plain(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.bytes);
    }

    /// Appends a JSON string (RFC 8259 §7), quotes included. What is no UTF-8 becomes U+FFFD. Escaped is also what JSON
    /// would leave: DEL and the control characters above ASCII, which terminals obey; the separators of lines that some
    /// readers split at; what changes the direction of the text around it.
    pub(super) fn quoted(self, out: &mut Vec<u8>) {
        out.push(b'"');
        if self.is_unquoted() {
            self.plain(out);
        } else {
            self.bytes.utf8_chunks().for_each(|chunk| {
                chunk.valid().chars().for_each(|c| escape(c, out));
                if !chunk.invalid().is_empty() {
                    out.extend_from_slice("\u{fffd}".as_bytes());
                }
            });
            if self.is_cut {
                out.extend_from_slice(CUT);
            }
        }
        out.push(b'"');
    }

    /// Appends the text as HAProxy writes it into its log: each byte that does not stay is `#` and two hexadecimal digits.
    /// What `stays` must not contain `#`: then no two texts look alike.
    pub(super) fn hash_encoded(self, stays: &Bytes, out: &mut Vec<u8>) {
        if self.is_all(stays) {
            return self.plain(out);
        }
        let cut = if self.is_cut { CUT } else { b"" };
        for &byte in self.bytes.iter().chain(cut) {
            if stays.0[usize::from(byte)] {
                out.push(byte);
            } else {
                let digit = |nibble: u8| b"0123456789ABCDEF"[usize::from(nibble & 15)];
                out.extend([b'#', digit(byte >> 4), digit(byte)]);
            }
        }
    }
}

fn escape(c: char, out: &mut Vec<u8>) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        c if c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
            // All of them are below U+10000: one unit of UTF-16.
            out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
        }
        c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Leaves out a character at the end that a cut has split.
fn whole_characters(cut: &[u8]) -> &[u8] {
    // A character has at most four bytes; what is further in front is none of the cut's business.
    let tail = cut.len().saturating_sub(3);
    let split = (tail..cut.len()).rev().find(|at| {
        let length = match cut[*at] {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        at + length > cut.len()
    });
    &cut[..split.unwrap_or(cut.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        Bounded::new(bytes, 8).quoted(&mut out);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    fn hashed(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        Bounded::new(bytes, 8).hash_encoded(&Bytes::graphic_without(b"\"#"), &mut out);
        String::from_utf8(out).expect("it is ASCII")
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(json(b"12345678"), r#""12345678""#);
        assert_eq!(json(b"123456789"), r#""12345678…""#);
        for (text, whole) in
            [("1234567é", "1234567"), ("123456ééé", "123456é"), ("12345😀", "12345"), ("€€€", "€€")]
        {
            assert_eq!(json(text.as_bytes()), format!("\"{whole}…\""));
        }
        assert_eq!(json(b"1234567\xff9"), "\"1234567\u{fffd}…\"");
        assert_eq!(hashed(b"123456789"), "12345678#E2#80#A6");
    }

    #[test]
    fn bytes_that_would_forge_a_line_are_escaped() {
        assert_eq!(json(b"a\n\"\x1b\xff"), "\"a\\n\\\"\\u001b\u{fffd}\"");
        assert_eq!(json("\u{7f}\u{85}\u{202e}".as_bytes()), r#""\u007f\u0085\u202e""#);
        assert_eq!(json("\u{2028}é".as_bytes()), r#""\u2028é""#);
        assert_eq!(hashed(b"a\n\"# \xff"), "a#0A#22#23#20#FF");
    }

    proptest! {
        #[test]
        fn eight_bytes_at_a_time_are_judged_as_one_by_one(bytes in any::<[u8; 8]>(), odd in any::<u8>(), at in 0_usize..8) {
            let mut plain = bytes.map(|byte| b' ' + byte % 95);
            plain[at] = odd;
            for eight in [bytes, plain] {
                let each = eight.iter().all(|byte| UNQUOTED.0[usize::from(*byte)]);
                prop_assert_eq!(are_unquoted(eight), each, "{:?}", eight);
            }
        }

        #[test]
        fn any_bytes_become_one_valid_json_string(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let json = json(&bytes);
            prop_assert!(!json.contains(|c: char| c.is_control()), "{json}");
            let text: String = serde_json::from_str(&json).expect("it is a JSON string");
            let kept = Bounded::new(&bytes, 8);
            let shown = String::from_utf8_lossy(kept.bytes).into_owned() + if kept.is_cut { "…" } else { "" };
            prop_assert_eq!(text, shown);
        }

        #[test]
        fn any_bytes_are_read_back_from_what_haproxy_makes_of_them(bytes in prop::collection::vec(any::<u8>(), 0..8)) {
            let text = hashed(&bytes);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"'), "{text}");
            let mut parts = text.split('#');
            let mut back = parts.next().unwrap_or_default().as_bytes().to_vec();
            for part in parts {
                back.push(u8::from_str_radix(&part[..2], 16).expect("two digits"));
                back.extend_from_slice(&part.as_bytes()[2..]);
            }
            prop_assert_eq!(back, bytes);
        }

        #[test]
        fn a_cut_never_splits_a_character(text in ".{0,12}", limit in 0_usize..20) {
            let kept = Bounded::new(text.as_bytes(), limit).bytes;
            prop_assert!(std::str::from_utf8(kept).is_ok());
            prop_assert!(kept.len() <= limit && kept.len() + 3 >= limit.min(text.len()));
        }
    }
}
