//! The balancers under test: where each lies, what it is told, how it is started.

use crate::fault::Balance;
use crate::network::{BACKENDS, backend_address};
use anyhow::Context;
use loadtest::child::{Running, with_parent};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

/// A program that can take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// plimsoll with its defaults.
    Plimsoll,
}

/// A balancer's program, the version that it tells, and what it is told.
pub(crate) struct Program {
    pub(crate) kind: Kind,
    version: String,
    path: PathBuf,
    /// What is added to the configuration of the upstream, or the whole configuration when it has an `upstreams` key.
    extra: String,
}

const PLIMSOLL: &str = include_str!("../../../peers/plimsoll.yaml");

impl Program {
    /// Finds the program and asks it for its version.
    pub(crate) async fn find(kind: Kind, args: &crate::Args) -> anyhow::Result<Program> {
        let path = match &args.plimsoll {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("plimsoll"),
        };
        let output = Command::new(&path).arg("--version").output().await;
        let output = output
            .with_context(|| format!("cannot start {}; build it or name it by --plimsoll", path.display()))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let number = said.split([' ', '\n']).find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        let extra = match &args.config {
            Some(file) => {
                std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?
            }
            None => String::new(),
        };
        Ok(Program { kind, version: number.unwrap_or("unknown").to_owned(), path, extra })
    }

    /// The program and its version.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", format!("{:?}", self.kind).to_lowercase(), self.version)
    }

    /// Starts the program with its configuration and log in `folder`; returns once it forwards.
    pub(crate) async fn start(
        &self,
        folder: &Path,
        balance: Balance,
        listener: SocketAddr,
    ) -> anyhow::Result<Running> {
        let file = folder.join("plimsoll.yaml");
        std::fs::write(&file, self.configuration(balance))?;
        let log = File::create(folder.join("log"))?;
        let mut command = with_parent()?;
        command.arg(&self.path).args(["run", "-c"]).arg(&file);
        command.env("LISTENER", listener.to_string());
        for index in 0..BACKENDS {
            command.env(format!("BACKEND_{}", index + 1), backend_address(index).to_string());
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let running = Running::start(&mut command).context("cannot start the balancer")?;
        let said = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        ready(listener).await.with_context(|| format!("{} does not forward:\n{}", self.title(), said()))?;
        Ok(running)
    }

    fn configuration(&self, balance: Balance) -> String {
        let balance = match balance {
            Balance::RoundRobin => "",
            Balance::LeastRequests => "    balance: least_requests\n",
            Balance::PeakEwma => "    balance: peak_ewma\n",
        };
        if self.extra.lines().any(|line| line.starts_with("upstreams:")) {
            return self.extra.replace("    # balance\n", balance);
        }
        let extra: String = self.extra.lines().map(|line| format!("    {line}\n")).collect();
        format!("{PLIMSOLL}{balance}{extra}")
    }
}

async fn ready(address: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut good = 0;
    // Several in a row, so that every backend has been asked.
    while good < BACKENDS {
        match timeout(Duration::from_secs(1), ask(address)).await {
            Ok(Ok(text)) if text.starts_with("HTTP/1.1 200") => good += 1,
            last if Instant::now() > deadline => anyhow::bail!("the last answer of {address} is {last:?}"),
            _ => {
                good = 0;
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
    Ok(())
}

async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: ready\r\nConnection: close\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}
