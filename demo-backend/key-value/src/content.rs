//! What is in a file: keys in the order in which they came, each with its values in the order in which they were added.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::collections::HashMap;

use crate::error::Flaw;

/// All keys with their values.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    lists: Vec<(String, Vec<String>)>,
    places: HashMap<String, usize>,
}

impl Content {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// When it is no JSON object of lists of texts, or a key stands in it twice: whichever were taken, the other's values
    /// would be lost with the next that is added.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Flaw> {
        serde_json::from_slice(text).map_err(|error| Flaw::new(&error))
    }

    /// Returns the text of the file.
    pub(crate) fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("invariant: texts can be written to memory")
    }

    /// Returns the values of a key in their order; none for a key that is not there.
    pub(crate) fn values(&self, key: &str) -> &[String] {
        self.places.get(key).map_or(&[], |place| &self.lists[*place].1)
    }

    /// Adds a value behind those that the key has.
    pub(crate) fn add(&mut self, key: &str, value: &str) {
        if let Some(place) = self.places.get(key) {
            self.lists[*place].1.push(value.to_owned());
        } else {
            self.insert(key.to_owned(), vec![value.to_owned()]);
        }
    }

    /// Puts in a key that is not there yet; false when it is.
    fn insert(&mut self, key: String, values: Vec<String>) -> bool {
        let is_new = self.places.insert(key.clone(), self.lists.len()).is_none();
        self.lists.push((key, values));
        is_new
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.lists.iter().map(|(key, values)| (key, values)))
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Lists;
        impl<'de> Visitor<'de> for Lists {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of lists of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
                let mut content = Content::default();
                while let Some((key, values)) = map.next_entry::<String, Vec<String>>()? {
                    let shown: String = key.chars().take(40).collect();
                    if !content.insert(key, values) {
                        return Err(A::Error::custom(format!("the key {shown:?} stands there twice")));
                    }
                }
                Ok(content)
            }
        }
        deserializer.deserialize_map(Lists)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, expected) in [
            ("", "1:0: EOF while parsing a value"),
            ("{\"a\": [\"b\"", "1:10: EOF while parsing a list"),
            ("[]", "1:0: invalid type: sequence, expected an object of lists of texts"),
            ("{\n \"a\": \"b\"}", "2:9: invalid type: string \"b\", expected a sequence"),
            ("{\n \"a\": [1]}", "2:8: invalid type: integer `1`, expected a string"),
            ("{\"a\": [],\n\"a\": []}", "2:8: the key \"a\" stands there twice"),
            ("{} {}", "1:4: trailing characters"),
        ] {
            assert_eq!(Content::parse(text.as_bytes()).unwrap_err().to_string(), expected, "{text}");
        }
        assert!(Content::parse(b"{\"a\": [\"\xff\"]}").is_err(), "what is not UTF-8");
    }

    #[test]
    fn the_file_of_another_program_is_read() {
        // As Python's `json.dump` writes it: spaces, and what is not ASCII escaped.
        let content = Content::parse(br#"{"key": ["v1", "v2"], "\u043a": ["\ud83d\ude00"]}"#).unwrap();
        assert_eq!(content.values("key"), ["v1", "v2"]);
        assert_eq!(content.values("к"), ["😀"]);
        assert!(content.values("other").is_empty());
    }

    proptest! {
        #[test]
        fn what_is_added_is_read_back_in_order(
            // Few keys, so that they come again.
            entries in prop::collection::vec(("[ak\"\u{43a}]{0,1}", ".{0,4}"), 0..12),
        ) {
            let mut content = Content::default();
            for (key, value) in &entries {
                content.add(key, value);
            }
            let back = Content::parse(&content.text()).unwrap();
            prop_assert_eq!(&back, &content);
            for (key, _) in &entries {
                let added: Vec<&String> =
                    entries.iter().filter(|(other, _)| other == key).map(|(_, value)| value).collect();
                prop_assert_eq!(back.values(key).iter().collect::<Vec<_>>(), added);
            }
        }
    }
}
