//! The file that brings changes through a restart: JSON, for people to read and for this program to write.
//!
//! ```json
//! {
//!   "version": 1,
//!   "changes": [
//!     { "upstream": "app", "backend": "backend-1", "weight": { "now": 5, "configured": 1 }, "drained": true },
//!     { "upstream": "app", "backend": "backend-2", "removed": { "address": "127.0.0.1:5002" } },
//!     { "upstream": "app", "backend": "backend-4", "added": { "address": "127.0.0.1:5004", "weight": 1 } }
//!   ]
//! }
//! ```

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Changes, Entry};
use crate::control_plane::config::value::Invalid;

/// The form that is written, and the only one that is read.
const VERSION: u32 = 1;

/// The largest file that is read, in bytes; changes of ten thousand backends are smaller.
const SIZE_MAX: u64 = 4 << 20;

/// The heaviest weight, as in the configuration.
const WEIGHT_MAX: u16 = 1000;

/// Why the file cannot be used. It is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// It is there and cannot be read.
    #[error("cannot read {}: {source}; let plimsoll read it, or name another under `admin.changes`", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It does not hold what this program writes.
    #[error("{}:{place} {what}; mend it, or move it away to start without the changes in it", .path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// The line and the column, as `3:5:`.
        place: String,
        /// What is wrong.
        what: String,
    },
}

/// A file of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept(PathBuf);

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form<E> {
    version: u32,
    changes: E,
}

/// The part that every version has.
#[derive(Debug, Deserialize)]
struct Versioned {
    version: u32,
}

impl Kept {
    /// The file at `path`, which need not be there.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Reads the file. One that is not there holds no changes.
    ///
    /// # Errors
    /// When it cannot be read, or holds anything else, with the place.
    pub fn read(&self) -> Result<Changes, KeptError> {
        let mut text = String::new();
        let read = File::open(&self.0).and_then(|file| file.take(SIZE_MAX + 1).read_to_string(&mut text));
        match read {
            Ok(_) => self.parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Changes::default()),
            Err(source) => Err(KeptError::Unreadable { path: self.0.clone(), source }),
        }
    }

    fn parse(&self, text: &str) -> Result<Changes, KeptError> {
        let invalid = |place: String, what: String| KeptError::Invalid { path: self.0.clone(), place, what };
        if text.len() as u64 > SIZE_MAX {
            return Err(invalid(String::new(), format!("more than {SIZE_MAX} bytes are no changes of ours")));
        }
        let misread = |error: serde_json::Error| {
            let (line, column, text) = (error.line(), error.column(), error.to_string());
            let what = text.split(" at line ").next().unwrap_or_default().to_owned();
            invalid(format!("{line}:{column}:"), what)
        };
        // First the version: another may have other fields.
        let Versioned { version } = serde_json::from_str(text).map_err(misread)?;
        if version != VERSION {
            let what = format!("version {version} is not {VERSION}, the one that this plimsoll writes");
            return Err(invalid(String::new(), what));
        }
        let Form { changes, .. } = serde_json::from_str::<Form<Vec<Entry>>>(text).map_err(misread)?;
        for (at, entry) in changes.iter().enumerate() {
            let names = format!("{}/{}", entry.upstream, entry.backend);
            let is_second = changes[..at]
                .iter()
                .any(|other| other.is_about(entry.upstream.as_str(), entry.backend.as_str()));
            let weights =
                entry.added.iter().map(|added| added.weight).chain(entry.weight.map(|weighed| weighed.now));
            let what = if is_second {
                format!("{names} has two entries")
            } else if entry.added.is_some() && entry.removed.is_some() {
                format!("{names} is both added and removed")
            } else if let Some(weight) = weights.into_iter().find(|weight| *weight > WEIGHT_MAX) {
                format!("the weight {weight} of {names} is more than {WEIGHT_MAX}")
            } else {
                continue;
            };
            return Err(invalid(String::new(), what));
        }
        Ok(Changes(changes))
    }

    /// Writes the file anew: whoever reads it finds the changes before or these, also after a crash. Blocks.
    ///
    /// # Errors
    /// What the system said; the file is as it was.
    pub fn write(&self, changes: &Changes) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(&Form { version: VERSION, changes: &changes.0 })?;
        text.push('\n');
        // A link stays one: the file that it leads to is replaced.
        let path = fs::canonicalize(&self.0).unwrap_or_else(|_| self.0.clone());
        // In the same directory: a rename does not cross file systems.
        let mut beside = OsString::from(&path);
        beside.push(".new");
        let beside = PathBuf::from(beside);
        // What a process left that was killed.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let former = fs::metadata(&path).ok();
        let renamed = write_new(&beside, text.as_bytes(), former).and_then(|()| fs::rename(&beside, &path));
        if let Err(error) = renamed {
            // It may not be there.
            let _ = fs::remove_file(&beside);
            return Err(error);
        }
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new("."))).and_then(|directory| directory.sync_all())
    }
}

/// Writes a file that is not there yet, so that a link somebody put there is not followed; with the permissions of the
/// former one, or for its owner alone.
fn write_new(path: &Path, text: &[u8], former: Option<fs::Metadata>) -> io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    if let Some(former) = former {
        file.set_permissions(former.permissions())?;
    }
    file.write_all(text)?;
    file.sync_all()
}

/// A name as text.
pub(super) mod name {
    use serde::{Deserializer, Serializer};

    use crate::control_plane::config::value::text::Name;

    pub(in super::super) fn serialize<S: Serializer>(name: &Name, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(name.as_str())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Name, D::Error> {
        super::parsed(from, Name::parse)
    }
}

/// An address as text.
pub(super) mod address {
    use serde::{Deserializer, Serializer};

    use crate::control_plane::config::value::address::BackendAddress;

    pub(in super::super) fn serialize<S: Serializer>(
        address: &BackendAddress,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(address)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BackendAddress, D::Error> {
        super::parsed(from, BackendAddress::parse)
    }
}

fn parsed<'de, D: serde::Deserializer<'de>, T>(
    from: D,
    parse: impl Fn(&str) -> Result<T, Invalid>,
) -> Result<T, D::Error> {
    let text = String::deserialize(from)?;
    parse(&text).map_err(|invalid| serde::de::Error::custom(invalid.message))
}
