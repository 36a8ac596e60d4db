//! YAML with line numbers: as much as the files of Prometheus need.

use saphyr::{LoadableYamlNode as _, MarkedYamlOwned};

use crate::tree::File;

/// A node of a file.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a>(&'a MarkedYamlOwned);

/// Reads the only document of a file. Fails the calling test when the file is something else.
#[track_caller]
pub(crate) fn document(file: &File) -> MarkedYamlOwned {
    let mut documents = MarkedYamlOwned::load_from_str(&file.text).map_err(|error| error.to_string());
    let document = documents.as_mut().ok().filter(|documents| documents.len() == 1).and_then(Vec::pop);
    assert!(document.is_some(), "{} is not one document of YAML: {documents:?}", file.path);
    document.expect("invariant: just asserted")
}

impl<'a> Node<'a> {
    pub(crate) fn of(document: &'a MarkedYamlOwned) -> Self {
        Self(document)
    }

    /// The value of `key`, in a mapping that has it.
    pub(crate) fn get(self, key: &str) -> Option<Self> {
        self.0.data.as_mapping_get(key).map(Self)
    }

    /// The items of a list; of anything else none.
    pub(crate) fn items(self) -> impl Iterator<Item = Self> {
        self.0.data.as_sequence().into_iter().flatten().map(Self)
    }

    /// The items of the list at `key`; without one none.
    pub(crate) fn list(self, key: &str) -> impl Iterator<Item = Self> {
        self.get(key).into_iter().flat_map(Self::items)
    }

    /// The entries of a mapping whose keys and values are scalars; of anything else none.
    pub(crate) fn entries(self) -> impl Iterator<Item = (String, String)> {
        let entries = self.0.data.as_mapping().into_iter().flatten();
        entries.filter_map(|(key, value)| Some((Self(key).text()?, Self(value).text()?)))
    }

    /// A scalar as it is written.
    pub(crate) fn text(self) -> Option<String> {
        let data = &self.0.data;
        let text = data.as_str().map(str::to_owned);
        text.or_else(|| data.as_integer().map(|number| number.to_string()))
            .or_else(|| data.as_bool().map(|truth| truth.to_string()))
    }

    /// The line that it begins on, from 1.
    pub(crate) fn line(self) -> usize {
        self.0.span.start.line()
    }
}
