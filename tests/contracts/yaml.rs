//! Reads YAML as Docker Compose does, with merge keys, into values that are easy to compare.
//!
//! What is about the lines of a file is in `monitoring::yaml`.

use saphyr::{LoadableYamlNode as _, MappingOwned, ScalarOwned, YamlOwned};
use serde_json::{Map, Value};

use crate::tree;

/// Reads a file of the repository that holds one document. Fails the calling test when it is missing or no YAML.
#[track_caller]
pub(crate) fn read(path: &str) -> Value {
    parse(&tree::read(path).text).map_err(|why| format!("{path}: {why}")).expect("the file is YAML")
}

fn parse(text: &str) -> Result<Value, String> {
    let documents = YamlOwned::load_from_str(text).map_err(|error| error.to_string())?;
    match &documents[..] {
        [document] => Ok(value(document)),
        others => Err(format!("{} documents", others.len())),
    }
}

fn value(node: &YamlOwned) -> Value {
    match node {
        YamlOwned::Sequence(items) => items.iter().map(value).collect(),
        YamlOwned::Mapping(entries) => merged(entries),
        YamlOwned::Value(ScalarOwned::Boolean(truth)) => (*truth).into(),
        YamlOwned::Value(ScalarOwned::Integer(number)) => (*number).into(),
        YamlOwned::Value(ScalarOwned::FloatingPoint(number)) => number.into_inner().into(),
        YamlOwned::Value(ScalarOwned::String(text)) => text.as_str().into(),
        _ => Value::Null,
    }
}

/// What stands in the mapping itself wins over what it merges (yaml.org/type/merge.html).
fn merged(mapping: &MappingOwned) -> Value {
    let mut entries = Map::new();
    let mut sources = Vec::new();
    for (key, node) in mapping {
        match (key.as_str(), value(node)) {
            (Some("<<"), Value::Array(several)) => sources.extend(several),
            (Some("<<"), one) => sources.push(one),
            (Some(key), value) => drop(entries.insert(key.to_owned(), value)),
            (None, _) => {}
        }
    }
    for (key, value) in sources.iter().filter_map(Value::as_object).flatten() {
        entries.entry(key).or_insert_with(|| value.clone());
    }
    Value::Object(entries)
}

#[test]
fn merges_mean_what_compose_takes_them_for() {
    let text = "base: &base {a: 1, b: [x]}\nnext: &next\n  <<: *base\n  a: \"1\"\nlast: {<<: [*next], c: ~, d: *base}";
    let value = parse(text).expect("it is YAML");
    assert_eq!(value["next"], serde_json::json!({"a": "1", "b": ["x"]}));
    assert_eq!(value["last"]["a"], "1");
    assert_eq!((&value["last"]["c"], &value["last"]["d"]["a"]), (&Value::Null, &1.into()));
    for wrong in ["a: [", "a: 1\n---\nb: 2", ""] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}
