//! A docker compose project: brought up, acted on and taken down by the commands that one would type.

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::SystemTime;
use tokio::process::Command;

/// How many lines of what a failed command said are shown.
const SAID_LINES: usize = 12;

/// A project and the program that runs it.
#[derive(Debug, Clone)]
pub struct Compose {
    /// The docker program.
    pub docker: PathBuf,
    /// The name of the project; None for that of the files.
    pub project: Option<String>,
    /// Its files; empty for those that compose looks for.
    pub files: Vec<PathBuf>,
}

impl Compose {
    /// Sees that nothing of the project is there, so that everything may be removed at the end.
    ///
    /// # Errors
    /// When it has containers, or docker is missing.
    pub async fn check_absent(&self) -> anyhow::Result<()> {
        let running = self.run(&["ps", "--all", "--quiet"]).await?;
        let name = self.project.as_deref().unwrap_or("the project");
        anyhow::ensure!(
            running.trim().is_empty(),
            "{name} has containers already; experiment on them with --no-up, remove them with `docker compose \
             --project-name {name} --profile '*' down`, or choose another --project"
        );
        Ok(())
    }

    /// Brings the project up, and returns once all of it is healthy. What docker says goes to stderr.
    ///
    /// # Errors
    /// When something does not become healthy.
    pub async fn up(&self) -> anyhow::Result<()> {
        self.show(&["up", "--detach", "--wait"]).await
    }

    /// Takes the project down, with what it has recorded; also what is in a profile, which compose leaves alone otherwise.
    ///
    /// # Errors
    /// When docker cannot.
    pub async fn down(&self) -> anyhow::Result<()> {
        self.show(&["--profile", "*", "down", "--volumes", "--remove-orphans"]).await
    }

    /// Runs a command of compose, and returns what it wrote.
    ///
    /// # Errors
    /// When docker is missing or the command fails, with what it said.
    pub async fn run(&self, args: &[&str]) -> anyhow::Result<String> {
        self.output(self.command(args), args).await
    }

    /// A time in the state of a service's container, such as `FinishedAt`, to the millisecond and better.
    ///
    /// # Errors
    /// When there is no such container, or docker says no time.
    pub async fn container_time(&self, service: &str, which: &str) -> anyhow::Result<SystemTime> {
        let ids = self.run(&["ps", "--all", "--quiet", service]).await?;
        let id = ids.lines().next().with_context(|| format!("{service} has no container"))?;
        let format = format!("{{{{.State.{which}}}}}");
        let args = ["inspect", "--format", &format, id];
        let mut command = Command::new(&self.docker);
        command.args(args);
        let said = self.output(command, &args).await?;
        let time = humantime::parse_rfc3339(said.trim());
        time.with_context(|| format!("docker says that {service} has {which} `{}`", said.trim()))
    }

    async fn output(&self, mut command: Command, args: &[&str]) -> anyhow::Result<String> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = finish(command).await.with_context(|| self.missing())?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "docker {} fails: {}", args.join(" "), last_lines(&said));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn show(&self, args: &[&str]) -> anyhow::Result<()> {
        let mut command = self.command(args);
        command.stdout(Stdio::null());
        let output = finish(command).await.with_context(|| self.missing())?;
        anyhow::ensure!(
            output.status.success(),
            "docker compose {} fails; what it said is above",
            args.join(" ")
        );
        Ok(())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.docker);
        command.arg("compose");
        if let Some(project) = &self.project {
            command.args(["--project-name", project]);
        }
        for file in &self.files {
            command.arg("--file").arg(file);
        }
        command.args(args);
        command
    }

    fn missing(&self) -> String {
        format!(
            "cannot start {}; install Docker with its compose plugin, or name the program by --docker",
            self.docker.display()
        )
    }
}

/// Runs a command to its end. Dropped before, it ends the command with all that it has started: docker runs compose as
/// a child, which would go on bringing up what is about to be taken down.
async fn finish(mut command: Command) -> io::Result<Output> {
    let child = command.stdin(Stdio::null()).process_group(0).kill_on_drop(true).spawn()?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    let output = child.wait_with_output().await;
    group.0 = None;
    output
}

/// Processes that were started together; killed when dropped. None once they have ended.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL); // they may have ended by themselves
        }
    }
}

fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.trim().lines().collect();
    lines[lines.len().saturating_sub(SAID_LINES)..].join("\n")
}
