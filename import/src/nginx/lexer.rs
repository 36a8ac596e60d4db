//! Tokens of nginx's configuration: words, `;`, `{`, `}`, and blocks of Lua, which have a syntax of their own.

use std::iter::Peekable;
use std::str::Chars;

use crate::word::{Place, Word};

/// A token.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    Word(Word),
    End(Place),
    Open(Place),
    Close(Place),
    /// What stands between the braces of a directive whose name ends in `_by_lua_block`.
    Lua(Word),
}

/// Parts a text into tokens. What is not closed by its end is closed there.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { rest: text.chars().peekable(), place: Place { line: 1, column: 1 } };
    let mut tokens = Vec::new();
    // Whether the directive that is being read has a block of Lua.
    let (mut lua, mut begins) = (false, true);
    while let Some(c) = lexer.peek() {
        let place = lexer.place;
        match c {
            c if c.is_whitespace() => {
                lexer.next();
            }
            '#' => while lexer.next().is_some_and(|c| c != '\n') {},
            ';' => {
                lexer.next();
                (lua, begins) = (false, true);
                tokens.push(Token::End(place));
            }
            '{' if lua => {
                lexer.next();
                let place = lexer.place;
                tokens.push(Token::Lua(Word { text: lexer.lua(), place }));
                (lua, begins) = (false, true);
            }
            '{' | '}' => {
                lexer.next();
                (lua, begins) = (false, true);
                tokens.push(if c == '{' { Token::Open(place) } else { Token::Close(place) });
            }
            _ => {
                let text = lexer.word();
                lua |= std::mem::take(&mut begins) && text.ends_with("_by_lua_block");
                tokens.push(Token::Word(Word { text, place }));
            }
        }
    }
    tokens
}

struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
    place: Place,
}

impl Lexer<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest.peek().copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            self.place = Place { line: self.place.line + 1, column: 1 };
        } else {
            self.place.column += 1;
        }
        Some(c)
    }

    /// A word, in quotes or not.
    fn word(&mut self) -> String {
        match self.peek() {
            Some(quote @ ('"' | '\'')) => {
                self.next();
                self.quoted(quote)
            }
            _ => self.bare(),
        }
    }

    fn quoted(&mut self, quote: char) -> String {
        let mut text = String::new();
        while let Some(c) = self.next() {
            match c {
                '\\' => self.escape(&mut text),
                c if c == quote => break,
                c => text.push(clean(c)),
            }
        }
        text
    }

    /// A word without quotes ends at a space, `;`, or an opening brace that is not `${`.
    fn bare(&mut self) -> String {
        let mut text = String::new();
        let mut in_variable = false;
        while let Some(c) = self.peek() {
            match c {
                '{' if text.ends_with('$') => in_variable = true,
                '}' if in_variable => in_variable = false,
                c if c.is_whitespace() || matches!(c, ';' | '{') => break,
                _ => {}
            }
            self.next();
            match c {
                '\\' => self.escape(&mut text),
                c => text.push(clean(c)),
            }
        }
        // What can begin no word must be taken all the same, or the lexer would stand still.
        if text.is_empty() {
            text.extend(self.next().map(clean));
        }
        text
    }

    /// nginx takes the backslash away before quotes, and before the letter of a control character.
    fn escape(&mut self, text: &mut String) {
        match self.peek() {
            Some(c @ ('"' | '\'' | '\\')) => text.push(c),
            Some('t') => text.push('\t'),
            Some('r') => text.push('\r'),
            Some('n') => text.push('\n'),
            _ => return text.push('\\'),
        }
        self.next();
    }

    /// The text up to the brace that closes the block. Braces in Lua's strings and comments do not count.
    fn lua(&mut self) -> String {
        let (mut text, mut depth) = (String::new(), 1_usize);
        while let Some(c) = self.next() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                '"' | '\'' => {
                    text.push(c);
                    self.lua_string(c, &mut text);
                    continue;
                }
                '-' if self.peek() == Some('-') => {
                    text.push(c);
                    while let Some(c) = self.peek().filter(|c| *c != '\n') {
                        text.push(c);
                        self.next();
                    }
                    continue;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
            text.push(c);
        }
        text
    }

    fn lua_string(&mut self, quote: char, text: &mut String) {
        while let Some(c) = self.next() {
            text.push(c);
            if c == '\\' {
                text.extend(self.next());
            } else if c == quote || c == '\n' {
                break;
            }
        }
    }
}

/// A control character is no part of any name or value.
fn clean(c: char) -> char {
    if c.is_control() && !matches!(c, '\n' | '\r' | '\t') { '\u{fffd}' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let one = |token: Token| match token {
            Token::Word(word) => format!("<{}>", word.text),
            Token::Lua(word) => format!("lua<{}>", word.text.trim()),
            Token::End(_) => ";".to_owned(),
            Token::Open(_) => "{".to_owned(),
            Token::Close(_) => "}".to_owned(),
        };
        tokens(text).into_iter().map(one).collect()
    }

    #[test]
    fn words_are_parted_as_nginx_parts_them() {
        assert_eq!(shown("server { listen 80; } # x"), "<server>{<listen><80>;}");
        assert_eq!(shown("a 'b;c' \"d\\\"e\" f\\.g;"), "<a><b;c><d\"e><f\\.g>;");
        assert_eq!(shown("set $a ${b}c;"), "<set><$a><${b}c>;");
    }

    #[test]
    fn lua_is_taken_whole_with_the_braces_in_it() {
        let text = "init_worker_by_lua_block { f{ a = \"}\", -- }\n b = {1} } } x;";
        assert_eq!(shown(text), "<init_worker_by_lua_block>lua<f{ a = \"}\", -- }\n b = {1} }><x>;");
    }

    #[test]
    fn places_count_lines_and_columns() {
        let places: Vec<String> = tokens("a\n  b")
            .into_iter()
            .filter_map(
                |token| if let Token::Word(word) = token { Some(word.place.to_string()) } else { None },
            )
            .collect();
        assert_eq!(places, ["1:1", "2:3"]);
    }
}
