//! Lines of words, as HAProxy parts them: quotes, escapes, environment variables, comments.

use crate::word::{Place, VARIABLE, Word};

/// A line that says something.
pub(crate) type Line = Vec<Word>;

/// The lines of a file that are not empty.
pub(crate) fn lines(text: &str) -> Vec<Line> {
    let numbered = text.lines().enumerate();
    let lexed = numbered.map(|(index, line)| Lexer::new(index + 1, line).words());
    lexed.filter(|line| !line.is_empty()).collect()
}

struct Lexer<'a> {
    rest: std::iter::Peekable<std::iter::Enumerate<std::str::Chars<'a>>>,
    line: usize,
    words: Line,
    word: Option<Word>,
}

impl<'a> Lexer<'a> {
    fn new(line: usize, text: &'a str) -> Self {
        Self { rest: text.chars().enumerate().peekable(), line, words: Vec::new(), word: None }
    }

    fn words(mut self) -> Line {
        while let Some((index, c)) = self.rest.next() {
            match c {
                '#' => break,
                ' ' | '\t' => self.words.extend(self.word.take()),
                '"' => self.quoted(index),
                '\'' => self.single_quoted(index),
                '\\' => self.escape(index),
                c => self.push(index, c),
            }
        }
        self.words.extend(self.word.take());
        self.words
    }

    /// Adds a character to the word, which begins with it if none is open.
    fn push(&mut self, index: usize, c: char) {
        self.begin(index);
        // A control character is no part of any name or value, and one of them stands for a variable here.
        let c = if c.is_control() && c != '\n' && c != '\r' && c != '\t' { '\u{fffd}' } else { c };
        self.push_raw(c);
    }

    fn begin(&mut self, index: usize) {
        let place = Place { line: self.line, column: index + 1 };
        self.word.get_or_insert_with(|| Word { text: String::new(), place });
    }

    fn push_raw(&mut self, c: char) {
        if let Some(word) = &mut self.word {
            word.text.push(c);
        }
    }

    fn single_quoted(&mut self, start: usize) {
        self.begin(start);
        for (index, c) in self.rest.by_ref().take_while(|(_, c)| *c != '\'').collect::<Vec<_>>() {
            self.push(index, c);
        }
    }

    fn quoted(&mut self, start: usize) {
        self.begin(start);
        while let Some((index, c)) = self.rest.next() {
            match c {
                '"' => return,
                '\\' => self.escape(index),
                '$' => self.variable(index),
                c => self.push(index, c),
            }
        }
    }

    /// `\` before what would mean something else, or before the letter of a control character.
    fn escape(&mut self, start: usize) {
        let Some((index, c)) = self.rest.next() else { return self.push(start, '\\') };
        match c {
            'n' => self.push(start, '\n'),
            'r' => self.push(start, '\r'),
            't' => self.push(start, '\t'),
            'x' => self.hexadecimal(start),
            ' ' | '#' | '\\' | '"' | '\'' | '$' => self.push(start, c),
            // HAProxy keeps what it does not know, as in a regular expression.
            _ => {
                self.push(start, '\\');
                self.push(index, c);
            }
        }
    }

    fn hexadecimal(&mut self, start: usize) {
        let digits: String = self.rest.clone().take(2).map(|(_, c)| c).collect();
        match u8::from_str_radix(&digits, 16) {
            Ok(byte) if digits.len() == 2 => {
                self.push(start, char::from(byte));
                self.rest.nth(1);
            }
            _ => {
                self.push(start, '\\');
                self.push(start, 'x');
            }
        }
    }

    /// `$NAME`, `${NAME}` or `${NAME-default}` within double quotes, in plimsoll's form.
    fn variable(&mut self, start: usize) {
        let braced = self.rest.next_if(|(_, c)| *c == '{').is_some();
        let mut name = String::new();
        while let Some((_, c)) = self.rest.next_if(|(_, c)| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
        }
        if name.is_empty() {
            self.push(start, '$');
            if braced {
                self.push(start, '{');
            }
            return;
        }
        let mut default = String::new();
        if braced {
            while let Some((_, c)) = self.rest.next_if(|(_, c)| !matches!(c, '}' | '"')) {
                default.push(if c.is_control() { '\u{fffd}' } else { c });
            }
            self.rest.next_if(|(_, c)| *c == '}');
        }
        let default = default.trim_start_matches(':').strip_prefix('-').map(|text| format!(":-{text}"));
        self.begin(start);
        self.push_raw(VARIABLE);
        for c in format!("{{{name}{}}}", default.unwrap_or_default()).chars() {
            self.push_raw(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        lines(text).into_iter().flatten().map(|word| word.text).collect()
    }

    #[test]
    fn words_are_parted_as_haproxy_parts_them() {
        assert_eq!(texts("  server a\\ b 'x # y' \"z\\n\" # said"), ["server", "a b", "x # y", "z\n"]);
        assert_eq!(texts("path_reg ^/a\\.b$ \\x41"), ["path_reg", "^/a\\.b$", "A"]);
        assert_eq!(texts("a''b ''"), ["ab", ""]);
    }

    #[test]
    fn variables_are_kept_for_plimsoll_where_haproxy_fills_them_in() {
        assert_eq!(
            texts("bind \"${IP}:80\" \"$X\" '$X' $X"),
            ["bind", "\u{1}{IP}:80", "\u{1}{X}", "$X", "$X"]
        );
        assert_eq!(texts("\"${A-b}\""), ["\u{1}{A:-b}"]);
    }

    #[test]
    fn places_are_those_of_the_first_character() {
        let lines = lines("\n\tbind  :80\n");
        let places: Vec<_> = lines[0].iter().map(|word| word.place.to_string()).collect();
        assert_eq!(places, ["2:2", "2:8"]);
    }
}
