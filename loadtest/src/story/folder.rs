//! Where a report goes: a folder with the page, the Markdown and the pictures. What is not a report is never
//! overwritten.
//!
//! It is the only part of the story that touches files.

use super::graph::{self, GraphKind, WIDE};
use super::{GraphError, Story, markdown, page};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The page.
const PAGE: &str = "index.html";

/// The Markdown.
const MARKDOWN: &str = "report.md";

/// What every file of a report has near its beginning.
const MARK: &str = "plimsoll-report";

/// How far into a file the mark is looked for.
const MARK_WITHIN: u64 = 1024;

/// Why a report cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder cannot be made or written to.
    #[error("cannot write to the folder {}: {source}; name another one for the report", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file that the report would replace was made by somebody else.
    #[error("{} is not from a report, and would be overwritten; name another folder, or move it away", .0.display())]
    NotOurs(PathBuf),
    /// A file cannot be read or written.
    #[error("cannot write {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A graph could not be drawn.
    #[error("cannot draw a graph: {0}")]
    Graph(#[from] GraphError),
}

/// A folder that a report may be written to.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder if it is missing, and sees that a report may be written to it: better now than after the
    /// run.
    ///
    /// # Errors
    /// When the folder cannot be made or written to, or holds files that a report would overwrite and that are
    /// none.
    pub fn claim(path: &Path) -> Result<Folder, FolderError> {
        let unusable = |source| FolderError::Folder { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(unusable)?;
        let folder = Folder { path: path.to_owned() };
        folder.check()?;
        let probe = path.join(format!(".{MARK}-{}", std::process::id()));
        fs::write(&probe, "").and_then(|()| fs::remove_file(&probe)).map_err(unusable)?;
        Ok(folder)
    }

    /// The file to open first.
    pub fn page(&self) -> PathBuf {
        self.path.join(PAGE)
    }

    /// Writes the report, in place of an earlier one.
    ///
    /// # Errors
    /// When a file cannot be written, or one that is not of a report has appeared meanwhile.
    pub fn write(&self, story: &Story) -> Result<(), FolderError> {
        self.check()?;
        for (name, text) in files(story)? {
            let path = self.path.join(name);
            // In one piece: whoever looks at an earlier report reads that or this one.
            let unfinished = self.path.join(format!(".{MARK}-{}", std::process::id()));
            let written = fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, &path));
            written.map_err(|source| {
                let _ = fs::remove_file(&unfinished); // nothing more can be done about it
                FolderError::File { path, source }
            })?;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), FolderError> {
        let pictures = GraphKind::ALL.into_iter().map(picture);
        for name in [PAGE.to_owned(), MARKDOWN.to_owned()].into_iter().chain(pictures) {
            let path = self.path.join(name);
            match is_ours(&path) {
                Ok(true) => {}
                Ok(false) => return Err(FolderError::NotOurs(path)),
                Err(source) => return Err(FolderError::File { path, source }),
            }
        }
        Ok(())
    }
}

fn picture(kind: GraphKind) -> String {
    format!("{}.svg", kind.name())
}

/// The files of a report, by their names.
pub(super) fn files(story: &Story) -> Result<Vec<(String, String)>, GraphError> {
    let mut files = vec![
        (PAGE.to_owned(), page::write(story, MARK)?),
        (MARKDOWN.to_owned(), markdown::write(story, MARK, PAGE, picture)),
    ];
    for kind in GraphKind::ALL {
        let svg = graph::draw(story, kind, &WIDE, kind.name(), true)?;
        files.push((picture(kind), format!("<!-- {MARK} -->\n{svg}")));
    }
    Ok(files)
}

/// Whether the file may be overwritten: it is missing, or of a report.
fn is_ours(path: &Path) -> io::Result<bool> {
    let mut beginning = Vec::new();
    match fs::File::open(path) {
        Ok(file) => file.take(MARK_WITHIN).read_to_end(&mut beginning)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    Ok(String::from_utf8_lossy(&beginning).contains(MARK))
}

#[cfg(test)]
mod tests;
