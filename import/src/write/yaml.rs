//! YAML text: keys, values and comments, indented.

use crate::word::{VARIABLE, escaped};

/// Where comments are broken.
const WIDTH: usize = 110;

/// How far an open key indents what it holds.
const STEP: usize = 2;

/// A YAML document while it is written.
#[derive(Debug, Default)]
pub(crate) struct Yaml {
    out: String,
    depth: usize,
    /// Keys that are open, and where the text ended before each. One that holds nothing is taken back.
    open: Vec<Open>,
    /// Whether the next line begins an item of a list.
    dash: bool,
}

#[derive(Debug)]
struct Open {
    before: usize,
    after: usize,
    /// Whether its line began an item, which the next one does if it is taken back.
    dash: bool,
}

impl Yaml {
    /// An empty line.
    pub(crate) fn gap(&mut self) {
        self.out.push('\n');
    }

    /// A comment, on as many lines as it takes.
    pub(crate) fn comment(&mut self, text: &str) {
        self.wrapped("#", "#", text);
    }

    /// A comment that is an item of a list.
    pub(crate) fn item_comment(&mut self, text: &str) {
        self.wrapped("# -", "#  ", text);
    }

    fn wrapped(&mut self, first: &str, next: &str, text: &str) {
        let text = escaped(text);
        let mut line = first.to_owned();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let too_long = self.depth + line.len() + 1 + word.len() > WIDTH;
            if too_long && line.len() > next.len() {
                self.line(&line);
                next.clone_into(&mut line);
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(&line);
    }

    /// A key that holds others, until [`Yaml::close`]. One that comes to hold nothing is not written.
    pub(crate) fn open(&mut self, key: &str) {
        let (before, dash) = (self.out.len(), self.dash);
        self.line(&format!("{}:", scalar(key)));
        self.depth += STEP;
        self.open.push(Open { before, after: self.out.len(), dash });
    }

    pub(crate) fn close(&mut self) {
        self.depth = self.depth.saturating_sub(STEP);
        if let Some(open) = self.open.pop()
            && open.after == self.out.len()
        {
            self.out.truncate(open.before);
            self.dash = open.dash;
        }
    }

    /// Begins an item of a list that has keys; ends with [`Yaml::end_item`].
    pub(crate) fn item(&mut self) {
        self.dash = true;
        self.depth += STEP;
    }

    pub(crate) fn end_item(&mut self) {
        self.depth = self.depth.saturating_sub(STEP);
        self.dash = false;
    }

    /// A key with a value.
    pub(crate) fn value(&mut self, key: &str, value: &str) {
        self.line(&format!("{}: {}", scalar(key), scalar(value)));
    }

    /// A key with a value, unless there is none.
    pub(crate) fn given<T: ToString>(&mut self, key: &str, value: Option<T>) {
        if let Some(value) = value {
            self.value(key, &value.to_string());
        }
    }

    /// A key with a list of values, unless it is empty. A single one stands for itself.
    pub(crate) fn list<T: AsRef<str>>(&mut self, key: &str, values: &[T]) {
        match values {
            [] => {}
            [one] => self.value(key, one.as_ref()),
            many => self.line(&format!("{}: {}", scalar(key), flow(many))),
        }
    }

    /// A line of text that is YAML already.
    pub(crate) fn line(&mut self, text: &str) {
        let indent = if self.dash { self.depth.saturating_sub(STEP) } else { self.depth };
        self.out.extend(std::iter::repeat_n(' ', indent));
        if std::mem::take(&mut self.dash) {
            self.out.push_str("- ");
        }
        self.out.push_str(text);
        self.out.push('\n');
    }

    pub(crate) fn finish(self) -> String {
        self.out
    }
}

/// Values in brackets, on one line.
pub(crate) fn flow<T: AsRef<str>>(values: &[T]) -> String {
    let values: Vec<String> = values.iter().map(|value| scalar(value.as_ref())).collect();
    format!("[{}]", values.join(", "))
}

/// A value as a YAML scalar: in quotes where YAML would read something else. A dollar sign that plimsoll would take for
/// a variable is doubled.
pub(crate) fn scalar(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            VARIABLE => value.push('$'),
            '$' if matches!(rest.peek(), Some('{' | '$' | &VARIABLE)) => value.push_str("$$"),
            c => value.push(c),
        }
    }
    if is_plain(&value) { value } else { quoted(&value) }
}

fn is_plain(text: &str) -> bool {
    let words = ["true", "false", "null", "yes", "no", "y", "n", "~"];
    let first =
        text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_'));
    let safe = text.chars().all(|c| c.is_ascii_alphanumeric() || "_./@%+-:".contains(c));
    first
        && safe
        && !text.ends_with(':')
        && (!words.contains(&text.to_ascii_lowercase().as_str()) || matches!(text, "true" | "false"))
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_where_yaml_would_read_something_else() {
        assert_eq!(scalar("127.0.0.1:80"), "127.0.0.1:80");
        assert_eq!(scalar(":80"), "\":80\"");
        assert_eq!(scalar("*.example.org"), "\"*.example.org\"");
        assert_eq!(scalar("a: b"), "\"a: b\"");
        assert_eq!(scalar("null"), "\"null\"");
        assert_eq!(scalar(""), "\"\"");
        assert_eq!(scalar("a\nb\"c\\"), "\"a\\nb\\\"c\\\\\"");
    }

    #[test]
    fn a_dollar_sign_stays_one_and_a_variable_stays_one() {
        assert_eq!(scalar("^/a$"), "\"^/a$\"");
        assert_eq!(scalar("a${B}"), "\"a$${B}\"");
        assert_eq!(scalar("\u{1}{HOST}:80"), "\"${HOST}:80\"");
    }

    #[test]
    fn a_key_that_comes_to_hold_nothing_is_not_written() {
        let mut yaml = Yaml::default();
        yaml.open("a");
        yaml.open("b");
        yaml.close();
        yaml.value("c", "1");
        yaml.close();
        assert_eq!(yaml.finish(), "a:\n  c: 1\n");
    }

    #[test]
    fn an_item_keeps_its_dash_when_its_first_key_is_taken_back() {
        let mut yaml = Yaml::default();
        yaml.open("a");
        for value in ["1", "2"] {
            yaml.item();
            yaml.open("b");
            yaml.close();
            yaml.value("c", value);
            yaml.value("d", value);
            yaml.end_item();
        }
        yaml.close();
        assert_eq!(yaml.finish(), "a:\n  - c: 1\n    d: 1\n  - c: 2\n    d: 2\n");
    }

    #[test]
    fn no_text_gets_out_of_its_comment() {
        let mut yaml = Yaml::default();
        yaml.comment("a\nb: c\r\u{2028}d");
        assert_eq!(yaml.finish().lines().count(), 1);
    }
}
