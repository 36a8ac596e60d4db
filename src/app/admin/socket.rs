//! The admin server's Unix socket: a file that only those may open who may change what runs.
//!
//! It is made under another name, gets its permissions, begins to listen, and only then takes its name: nobody can connect
//! before the permissions are set, and a socket that a killed process left is replaced in one step. One that somebody
//! serves, or a file that is no socket, is left alone.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use crate::control_plane::config::admin::SocketConfig;

/// How many connections wait in the kernel.
const BACKLOG: i32 = 128;

/// Why the socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody serves it.
    #[error(
        "a process that lives serves the admin socket {}; stop it, or choose another path under `admin.socket`",
        .0.display()
    )]
    InUse(PathBuf),
    /// Something else has its name.
    #[error("{} is no socket; remove it, or choose another path under `admin.socket`", .0.display())]
    NoSocket(PathBuf),
    /// The system refuses.
    #[error(
        "admin cannot listen on the socket {}: {source}; `admin.socket` needs a directory that is there and that \
         plimsoll may write to",
        .path.display()
    )]
    System {
        /// Which socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A socket that this process serves. Its file is removed when this is dropped.
#[derive(Debug)]
pub(super) struct AdminSocket {
    path: PathBuf,
    /// The device and the number of the file, by which another's of the same name is told from ours.
    file: (u64, u64),
}

impl AdminSocket {
    /// Makes the socket and listens on it.
    ///
    /// # Errors
    /// When somebody serves it already, something else has its name, or the system refuses.
    ///
    /// # Panics
    /// When called outside of a tokio runtime.
    pub(super) fn bind(config: &SocketConfig) -> Result<(Self, UnixListener), SocketError> {
        let path = config.path.as_path();
        let failed = |source| SocketError::System { path: path.to_owned(), source };
        if !is_free(path).map_err(failed)? {
            return Err(if is_socket(path) {
                SocketError::InUse(path.to_owned())
            } else {
                SocketError::NoSocket(path.to_owned())
            });
        }
        let made = listen_beside(path, config.mode).map_err(failed)?;
        tracing::info!(socket = %path.display(), mode = format!("{:04o}", config.mode), "admin socket ready");
        Ok(made)
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Another process may have taken the name over since.
        if fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Tells whether nothing is at `path` but perhaps a socket that nobody serves.
fn is_free(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => return Ok(false),
        Ok(_) => {}
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // One whose queue is full does not answer at once, and lives.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(true),
        // It has just gone.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        Ok(()) | Err(_) => Ok(false),
    }
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// Makes a socket under another name, listens, and gives it the name `path`.
fn listen_beside(path: &Path, mode: u32) -> io::Result<(AdminSocket, UnixListener)> {
    let mut beside = OsString::from(path);
    beside.push(format!(".{}", std::process::id()));
    // Of a process of the same number that was killed between two lines of this function.
    let _ = fs::remove_file(&beside);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(&beside)?)?;
    let listening = fs::set_permissions(&beside, Permissions::from_mode(mode)).and_then(|()| {
        socket.listen(BACKLOG)?;
        let file = fs::symlink_metadata(&beside).map(|made| (made.dev(), made.ino()))?;
        let listener = UnixListener::from_std(socket.into())?;
        fs::rename(&beside, path)?;
        Ok((AdminSocket { path: path.to_owned(), file }, listener))
    });
    if listening.is_err() {
        let _ = fs::remove_file(&beside);
    }
    listening
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn config(directory: &tempfile::TempDir) -> SocketConfig {
        SocketConfig { path: directory.path().join("admin.sock"), mode: 0o640 }
    }

    #[tokio::test]
    async fn a_socket_has_its_permissions_and_is_gone_at_the_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = config(&directory);
        let (socket, _listener) = AdminSocket::bind(&config).expect("nothing is in its way");
        let found = fs::metadata(&config.path).expect("it is there");
        assert_eq!(found.permissions().mode() & 0o7777, 0o640);
        UnixStream::connect(&config.path).expect("somebody listens");
        assert_eq!(
            fs::read_dir(directory.path()).expect("it can be read").count(),
            1,
            "nothing is left over"
        );
        drop(socket);
        assert!(!config.path.exists());
    }

    #[tokio::test]
    async fn a_socket_that_nobody_serves_is_taken_over_and_one_that_somebody_serves_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = config(&directory);
        drop(std::os::unix::net::UnixListener::bind(&config.path).expect("it can be made"));
        assert!(config.path.exists(), "what a killed process leaves");
        let (socket, _listener) = AdminSocket::bind(&config).expect("it is stale");
        let error = AdminSocket::bind(&config).expect_err("it is served");
        assert!(error.to_string().contains("a process that lives serves"), "{error}");
        UnixStream::connect(&config.path).expect("the first one was left alone");
        fs::remove_file(&config.path).expect("it can be removed");
        fs::write(&config.path, "mine").expect("it can be written");
        drop(socket);
        assert!(config.path.exists(), "what is another's stays");
        let error = AdminSocket::bind(&config).expect_err("it is a file");
        assert!(error.to_string().contains("is no socket"), "{error}");
        assert_eq!(fs::read_to_string(&config.path).expect("it is there"), "mine");
    }

    #[tokio::test]
    async fn where_no_socket_can_be_made_the_error_says_what_to_do() {
        let config = SocketConfig { path: "/nowhere/at/all/admin.sock".into(), mode: 0o600 };
        let error = AdminSocket::bind(&config).expect_err("there is no directory").to_string();
        assert!(error.contains("/nowhere/at/all/admin.sock") && error.contains("directory"), "{error}");
    }
}
