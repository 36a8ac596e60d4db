//! What a text is made of: tokens, numbers, escapes. Errors are words, to which the caller adds the line.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::Wrong;

/// A text and how far it was read.
pub(super) struct Scan<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Scan<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// Returns the next byte without taking it. Every line has its end, so that there is one.
    pub(super) fn peek(&self) -> Result<u8, Wrong> {
        self.text.get(self.at).copied().ok_or_else(|| "unexpected end of input stream".to_owned())
    }

    /// Takes a byte that was looked at.
    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    pub(super) fn skip_blanks(&mut self) {
        self.take_while(|byte| matches!(byte, b' ' | b'\t'));
    }

    /// Takes what stands before a blank or the end of the line.
    pub(super) fn word(&mut self) -> Result<&'t [u8], Wrong> {
        let word = self.take_while(|byte| !matches!(byte, b' ' | b'\t' | b'\n'));
        self.peek().map(|_| word)
    }

    /// Takes what stands before the end of the line.
    pub(super) fn rest_of_line(&mut self) -> Result<&'t [u8], Wrong> {
        let rest = self.take_while(|byte| byte != b'\n');
        self.peek().map(|_| rest)
    }

    /// Takes the name of a metric; empty when something else stands there.
    pub(super) fn metric_name(&mut self) -> &'t str {
        self.name(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':'))
    }

    /// Takes the name of a label of `metric`, and the `=` behind it.
    pub(super) fn label_name(&mut self, metric: &str) -> Result<&'t str, Wrong> {
        let name = self.name(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        if name.is_empty() {
            return Err(format!("invalid label name for metric {metric}"));
        }
        let next = self.peek()?;
        if name == "__name__" {
            return Err("label name \"__name__\" is reserved".to_owned());
        }
        if matches!(next, b' ' | b'\t') {
            self.skip_blanks();
        }
        match self.peek()? {
            b'=' => self.advance(),
            other => return Err(format!("expected '=' after label name, found {}", quoted_byte(other))),
        }
        Ok(name)
    }

    /// Takes the value of a label in its quotes, and the blanks behind it: what follows is a comma or a brace.
    pub(super) fn label_value(&mut self) -> Result<Cow<'t, str>, Wrong> {
        self.skip_blanks();
        match self.peek()? {
            b'"' => self.advance(),
            other => {
                return Err(format!("expected '\"' at start of label value, found {}", quoted_byte(other)));
            }
        }
        let value = self.escaped(b'"')?;
        if self.peek()? == b'\n' {
            return Err(format!("label value {} contains unescaped new-line", quoted(&value)));
        }
        self.advance();
        let value = match value {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| bytes.to_vec()),
            Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|error| error.into_bytes()),
        };
        let value = value.map_err(|bytes| format!("invalid label value {}", quoted(&bytes)))?;
        self.skip_blanks();
        match self.peek()? {
            b',' | b'}' => Ok(value),
            _ => Err(format!("unexpected end of label value {}", quoted(value.as_bytes()))),
        }
    }

    /// Takes the text of a `HELP` line. One that is not UTF-8 is refused, unlike by the Pushgateway, whose own page is not
    /// UTF-8 then.
    pub(super) fn help(&mut self) -> Result<String, Wrong> {
        let help = self.escaped(b'\n')?.into_owned();
        String::from_utf8(help).map_err(|error| format!("invalid help text {}", quoted(error.as_bytes())))
    }

    /// Takes the value of a sample.
    pub(super) fn value(&mut self) -> Result<f64, Wrong> {
        let word = self.word()?;
        number(word).ok_or_else(|| format!("expected float as value, got {}", quoted(word)))
    }

    /// Takes a timestamp, and whatever else stands on the line.
    pub(super) fn timestamp(&mut self) -> Result<i64, Wrong> {
        self.skip_blanks();
        let word = self.word()?;
        let timestamp = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
        let timestamp =
            timestamp.ok_or_else(|| format!("expected integer as timestamp, got {}", quoted(word)))?;
        match self.rest_of_line()? {
            [] => Ok(timestamp),
            rest => Err(format!("spurious string after timestamp: {}", quoted(rest))),
        }
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'t [u8] {
        let rest = &self.text[self.at.min(self.text.len())..];
        let length = rest.iter().position(|byte| !wanted(*byte)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// Takes a name that begins with such a byte; digits may follow.
    fn name(&mut self, begins: impl Fn(u8) -> bool) -> &'t str {
        let first = self.at;
        let name = self.take_while(|byte| begins(byte) || byte.is_ascii_digit());
        if name.first().is_some_and(u8::is_ascii_digit) {
            self.at = first;
            return "";
        }
        std::str::from_utf8(name).unwrap_or_default()
    }

    /// Takes text up to `end` or the end of the line, without either, and resolves its escapes: `\n`, `\\`, and before the end
    /// the end itself.
    fn escaped(&mut self, end: u8) -> Result<Cow<'t, [u8]>, Wrong> {
        let plain = |byte| !matches!(byte, b'\\' | b'\n') && byte != end;
        let mut taken = Cow::Borrowed(self.take_while(plain));
        while self.peek()? == b'\\' {
            self.advance();
            let byte = match self.peek()? {
                b'n' => b'\n',
                b'\\' => b'\\',
                other if other == end && end != b'\n' => end,
                other => return Err(format!("invalid escape sequence '\\{}'", char::from(other))),
            };
            self.advance();
            let owned = taken.to_mut();
            owned.push(byte);
            owned.extend_from_slice(self.take_while(plain));
        }
        Ok(taken)
    }
}

/// Reads a number as Go's `strconv.ParseFloat` does, without what the format forbids: hexadecimals and underscores. None for
/// one that does not fit.
pub(super) fn number(word: &[u8]) -> Option<f64> {
    let number = std::str::from_utf8(word).ok()?.parse::<f64>().ok()?;
    let signed_nan = number.is_nan() && !word[0].is_ascii_alphabetic();
    let overflows = number.is_infinite() && word.iter().any(u8::is_ascii_digit);
    (!signed_nan && !overflows).then_some(number)
}

/// Shows bytes in quotes, as Go's `%q` does.
pub(in super::super) fn quoted(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len() + 2);
    shown.push('"');
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '"' | '\\' => shown.extend(['\\', char]),
                _ => push_shown(&mut shown, char),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}"); // to a String, which cannot fail
        }
    }
    shown.push('"');
    shown
}

fn quoted_byte(byte: u8) -> String {
    let mut shown = String::from("'");
    match byte {
        b'\'' | b'\\' => shown.extend(['\\', char::from(byte)]),
        _ => push_shown(&mut shown, char::from(byte)),
    }
    shown.push('\'');
    shown
}

fn push_shown(shown: &mut String, char: char) {
    let _ = match char {
        '\u{7}' => shown.write_str("\\a"),
        '\u{8}' => shown.write_str("\\b"),
        '\u{b}' => shown.write_str("\\v"),
        '\u{c}' => shown.write_str("\\f"),
        '\n' => shown.write_str("\\n"),
        '\r' => shown.write_str("\\r"),
        '\t' => shown.write_str("\\t"),
        _ if char.is_ascii_control() => write!(shown, "\\x{:02x}", u32::from(char)),
        _ if char.is_control() => write!(shown, "\\u{:04x}", u32::from(char)),
        _ => shown.write_char(char),
    };
}
