//! One file of keys and values: how it is read, and how a new one takes its place.
//!
//! Who adds a value holds the lock of a file beside it, reads the whole content, writes it with the value to a new file in
//! the same folder, has the disk keep that, and renames it over the old one, which is atomic. So a process that is killed
//! leaves the old content or the new one; the lock of a process that ended is gone with it; and a reader needs no lock.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::content::Content;

/// The longest key, in bytes. A name, not a document; and the whole file is read for each use.
pub const KEY_MAX: usize = 1024;
/// The longest value, in bytes.
pub const VALUE_MAX: usize = 64 * 1024;
/// The largest file, in bytes. It is written anew for each value.
pub const FILE_MAX: u64 = 16 * 1024 * 1024;

/// A file of keys and values, which need not be there yet.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
}

impl Store {
    /// Uses the file at `path`. Nothing is opened before it is used.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns `storage.data` in the folder for temporary files.
    pub fn default_path() -> PathBuf {
        std::env::temp_dir().join("storage.data")
    }

    /// Returns the values of a key in the order in which they were added; none for a key that is not there.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged. A file that is not there is one without keys.
    pub fn values(&self, key: &str) -> Result<Vec<String>, Error> {
        Ok(read(&self.path)?.values(key).to_vec())
    }

    /// Adds a value behind those that the key has, and returns all of them. Once it has returned, the value is on the disk.
    ///
    /// Waits while other processes add theirs.
    ///
    /// # Errors
    /// When a bound is passed, the file is damaged or the system refuses. The file is then as it was before.
    pub fn add(&self, key: &str, value: &str) -> Result<Vec<String>, Error> {
        if key.len() > KEY_MAX {
            return Err(Error::KeyTooLong { length: key.len() });
        }
        if value.len() > VALUE_MAX {
            return Err(Error::ValueTooLong { length: value.len() });
        }
        // A link stays one: the file that it leads to is replaced.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let _lock = lock(&beside(&path, ".lock"))?;
        let mut content = read(&path)?;
        content.add(key, value);
        let text = content.text();
        if text.len() as u64 > FILE_MAX {
            return Err(Error::Full { path });
        }
        replace(&path, &text)?;
        Ok(content.values(key).to_vec())
    }
}

fn read(path: &Path) -> Result<Content, Error> {
    // Asked before it is opened: to open a pipe would wait for whoever writes to it.
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => return Err(Error::NotAFile { path: path.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Content::default()),
        Ok(_) | Err(_) => {}
    }
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut text))
        .map_err(|source| refused("read", path, source))?;
    if text.len() as u64 > FILE_MAX {
        return Err(Error::Full { path: path.to_owned() });
    }
    Content::parse(&text).map_err(|source| Error::Damaged { path: path.to_owned(), source })
}

/// Waits for the lock, which ends when the file is dropped or the process ends, however it does. The file stays: one that
/// is taken away could be locked by somebody who has opened it before, and anew by somebody else.
fn lock(path: &Path) -> Result<File, Error> {
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    opened.and_then(|file| file.lock().map(|()| file)).map_err(|source| refused("lock", path, source))
}

/// Puts a file with this text in the place of another. The caller holds the lock.
fn replace(path: &Path, text: &[u8]) -> Result<(), Error> {
    let new = beside(path, ".new");
    // What a process left that was killed. Nobody else writes it, because of the lock.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(refused("remove", &new, error)),
        Ok(()) | Err(_) => {}
    }
    let written = write(&new, text, fs::metadata(path).ok().as_ref());
    if let Err(source) = written {
        let _ = fs::remove_file(&new);
        return Err(refused("write", &new, source));
    }
    fs::rename(&new, path).map_err(|source| refused("replace", path, source))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    keep_names(folder).map_err(|source| refused("have the disk keep", folder, source))
}

fn write(path: &Path, text: &[u8], former: Option<&fs::Metadata>) -> io::Result<()> {
    // A new one: in a folder that everybody may write to, a link that somebody put there is not followed.
    let mut file = OpenOptions::new().create_new(true).write(true).open(path)?;
    if let Some(former) = former {
        file.set_permissions(former.permissions())?;
    }
    file.write_all(text)?;
    file.sync_all()
}

/// Has the disk keep a folder's names, without which a power failure could take back a rename.
#[cfg(unix)]
fn keep_names(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Does nothing where a folder cannot be opened as a file; such systems keep the order of renames by themselves.
#[cfg(not(unix))]
fn keep_names(_: &Path) -> io::Result<()> {
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn refused(doing: &'static str, path: &Path, source: io::Error) -> Error {
    Error::System { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
