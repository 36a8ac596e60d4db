//! What can go wrong with a file of keys and values.

use std::io;
use std::path::PathBuf;

/// Why something could not be stored or read. The file is as it was before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key is longer than [`KEY_MAX`](crate::KEY_MAX).
    #[error("the key has {length} bytes; at most {max} are kept", max = crate::KEY_MAX)]
    KeyTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A value is longer than [`VALUE_MAX`](crate::VALUE_MAX).
    #[error("the value has {length} bytes; at most {max} are kept", max = crate::VALUE_MAX)]
    ValueTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The file would become, or is, larger than [`FILE_MAX`](crate::FILE_MAX).
    #[error("{path} is full: at most {max} bytes are kept in one file; use another one", max = crate::FILE_MAX)]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The file is not what this program writes. It is left as it is.
    #[error(
        "{path}:{source}: the file is damaged; it must hold one object of lists of texts, as \
         {{\"key\": [\"value\"]}}. It was left as it is: mend it, or move it away"
    )]
    Damaged {
        /// The file; the source says line and column.
        path: PathBuf,
        /// What is wrong with it, and where.
        source: Flaw,
    },
    /// The path leads to a folder, a device or the like.
    #[error("{path} is not a file")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {doing} {path}: {source}")]
    System {
        /// What was tried, such as `read`.
        doing: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// What is wrong with the text of a file, and where: `3:17: what`.
#[derive(Debug)]
pub struct Flaw {
    line: usize,
    column: usize,
    what: String,
}

impl Flaw {
    /// Takes the place out of what the parser says, where it stands at the end.
    pub(crate) fn new(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let said = error.to_string();
        let place = format!(" at line {line} column {column}");
        Self { line, column, what: said.strip_suffix(&place).unwrap_or(&said).to_owned() }
    }
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.what)
    }
}

impl std::error::Error for Flaw {}
