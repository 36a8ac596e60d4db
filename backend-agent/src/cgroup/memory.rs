//! The memory of a control group.

use std::path::{Path, PathBuf};

use super::Version;
use crate::reading::{ReadError, text_if_any};

/// The memory of a control group, as far as it can be seen.
#[derive(Debug)]
pub(super) struct Memory {
    version: Version,
    /// The group's own folder and those above it.
    folders: Vec<PathBuf>,
}

impl Memory {
    pub(super) fn new(version: Version, folders: Vec<PathBuf>) -> Self {
        Self { version, folders }
    }

    /// Returns the bytes in use, less the cached pages of files that were not used for long: those are freed as soon as
    /// somebody needs the room, so that a group full of them is not full. `None` when nobody counts them.
    pub(super) fn used(&self) -> Result<Option<u64>, ReadError> {
        let Some(own) = self.folders.first() else { return Ok(None) };
        let (current, inactive) = match self.version {
            Version::One => ("memory.usage_in_bytes", "total_inactive_file "),
            Version::Two => ("memory.current", "inactive_file "),
        };
        let used = number(&own.join(current))?;
        let inactive = stat(own, inactive)?.unwrap_or_default();
        Ok(used.map(|used| used.saturating_sub(inactive)))
    }

    /// Returns the smallest limit of the group and those above it, in bytes; `None` when there is none.
    pub(super) fn limit(&self) -> Result<Option<u64>, ReadError> {
        match self.version {
            // The kernel has looked upwards, further than can be seen from inside a container.
            Version::One => {
                self.folders.first().map_or(Ok(None), |own| stat(own, "hierarchical_memory_limit "))
            }
            Version::Two => {
                let mut smallest: Option<u64> = None;
                for folder in &self.folders {
                    // `max`, which is no number, is no limit.
                    if let Some(limit) = number(&folder.join("memory.max"))? {
                        smallest = Some(smallest.map_or(limit, |other| other.min(limit)));
                    }
                }
                Ok(smallest)
            }
        }
    }
}

fn number(file: &Path) -> Result<Option<u64>, ReadError> {
    Ok(text_if_any(file)?.and_then(|text| text.trim().parse().ok()))
}

/// Returns what `memory.stat` says under a key, which ends with a space.
fn stat(folder: &Path, key: &str) -> Result<Option<u64>, ReadError> {
    let text = text_if_any(&folder.join("memory.stat"))?;
    Ok(text.and_then(|text| text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok())))
}
