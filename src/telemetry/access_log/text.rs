//! Text from the network in a line of the log: of bounded length, and whatever its bytes, valid.

use serde::Serializer;

/// What stands for the rest of a text that is too long.
const CUT: &str = "…";

/// Text that may be absent.
pub(super) trait MaybeText {
    /// Returns the bytes; `None` when absent.
    fn bytes(&self) -> Option<&[u8]>;
}

impl MaybeText for &[u8] {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl MaybeText for Option<&[u8]> {
    fn bytes(&self) -> Option<&[u8]> {
        *self
    }
}

/// Serialises at most `LIMIT` bytes; what is no UTF-8 becomes U+FFFD, control characters are escaped by JSON.
pub(super) fn bounded<const LIMIT: usize, S: Serializer>(
    text: &impl MaybeText,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let Some(bytes) = text.bytes() else { return serializer.serialize_none() };
    if bytes.len() <= LIMIT {
        return serializer.serialize_str(&String::from_utf8_lossy(bytes));
    }
    let whole = whole_characters(&bytes[..LIMIT]);
    serializer.serialize_str(&(String::from_utf8_lossy(whole).into_owned() + CUT))
}

/// Leaves out a character at the end that a cut has split.
fn whole_characters(cut: &[u8]) -> &[u8] {
    match std::str::from_utf8(cut) {
        Err(error) if error.error_len().is_none() => &cut[..error.valid_up_to()],
        _ => cut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(bytes: &[u8]) -> String {
        let mut line = Vec::new();
        bounded::<8, _>(&bytes, &mut serde_json::Serializer::new(&mut line)).expect("text can be written");
        String::from_utf8(line).expect("JSON is UTF-8")
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(json(b"12345678"), r#""12345678""#);
        assert_eq!(json(b"123456789"), r#""12345678…""#);
        assert_eq!(json("1234567é".as_bytes()), r#""1234567…""#);
    }

    #[test]
    fn bytes_that_would_forge_a_line_are_escaped() {
        assert_eq!(json(b"a\n\"\x1b\xff"), "\"a\\n\\\"\\u001b\u{fffd}\"");
    }

    proptest! {
        #[test]
        fn any_bytes_become_one_valid_json_string(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let json = json(&bytes);
            prop_assert!(!json.contains('\n'));
            let text: String = serde_json::from_str(&json).expect("it is a JSON string");
            prop_assert!(text.chars().count() <= 9);
        }
    }
}
