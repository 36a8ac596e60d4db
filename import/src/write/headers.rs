//! Writes what a route does to header fields.

use super::yaml::Yaml;
use crate::model::Headers;

pub(crate) fn write(yaml: &mut Yaml, key: &str, headers: &Headers) {
    yaml.open(key);
    yaml.open("set");
    for (name, value) in &headers.set {
        yaml.value(name, value);
    }
    yaml.close();
    yaml.open("add");
    for (at, (name, _)) in headers.add.iter().enumerate() {
        let is_same = |(other, _): &&(String, String)| other == name;
        if !headers.add[..at].iter().any(|other| is_same(&other)) {
            let values: Vec<&String> = headers.add.iter().filter(is_same).map(|(_, value)| value).collect();
            yaml.list(name, &values);
        }
    }
    yaml.close();
    yaml.list("remove", &headers.remove);
    yaml.close();
}
