//! What the demo runs: three backends, an agent for each, and the balancer in front, every one a process of its
//! own.
//!
//! It stands apart from what is shown of them. The balancer runs from a configuration file like anyone's, which
//! stays readable while the demo runs.

use super::child::Child;
use super::scrape;
use anyhow::Context as _;
use std::fs::File;
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep};

/// How many backends there are.
const BACKENDS: usize = 3;

/// How long the balancer may take until it forwards to every backend.
const READY_TIMEOUT: Duration = Duration::from_secs(15);

/// The ports that people will look for first.
const WEB_PORT: u16 = 8080;
const ADMIN_PORT: u16 = 9900;

/// Everything that runs. Dropped, it is killed; see [`Fleet::end`] for the orderly end.
pub(super) struct Fleet {
    /// Where clients connect.
    pub(super) web: SocketAddr,
    /// Where the balancer tells of itself.
    pub(super) admin: SocketAddr,
    /// The backends in the order of the configuration.
    pub(super) members: Vec<Member>,
    balancer: Child,
    folder: Folder,
}

/// One backend and the agent that watches its process.
pub(super) struct Member {
    /// `backend-1` …, as in the configuration.
    pub(super) name: String,
    /// Where it answers; the same again after a restart.
    pub(super) address: SocketAddr,
    backend: Child,
    /// None while there is no process to watch.
    agent: Option<Child>,
    /// Keeps the address from other programs while the backend is down.
    _reserved: TcpSocket,
}

impl Fleet {
    /// Starts everything, and returns once the balancer sees all backends up. A port that is given must be free;
    /// otherwise the usual one is taken if it is free, or any.
    pub(super) async fn start(web: Option<u16>, admin: Option<u16>) -> anyhow::Result<Fleet> {
        let _turn = turn().await?; // until the balancer has its ports
        let web = free_address("--port", web, WEB_PORT)?;
        let admin = free_address("--admin-port", admin, ADMIN_PORT)?;
        let folder = Folder::new()?;
        let mut members = Vec::new();
        for number in 1..=BACKENDS {
            members.push(Member::start(number, &folder.path).await?);
        }
        let file = folder.path.join("plimsoll.yaml");
        std::fs::write(&file, configuration(web, admin, &members))?;
        let parent = parent_option();
        let role = ["demo-process", "balancer", &parent, "-c"].map(String::from);
        let args = role.into_iter().chain([file.display().to_string()]);
        let balancer = Child::start("balancer", args, &folder.path)?;
        let mut fleet = Fleet { web, admin, members, balancer, folder };
        fleet.ready().await?;
        // Now there is somebody to push to.
        for member in &mut fleet.members {
            member.start_agent(admin, &fleet.folder.path).await?;
        }
        Ok(fleet)
    }

    /// The file that the balancer runs from.
    pub(super) fn configuration_file(&self) -> PathBuf {
        self.folder.path.join("plimsoll.yaml")
    }

    /// The names of the backends.
    pub(super) fn names(&self) -> Vec<String> {
        self.members.iter().map(|member| member.name.clone()).collect()
    }

    /// The balancer's process id.
    ///
    /// # Errors
    /// When the balancer has ended, with what it wrote last.
    pub(super) fn balancer_pid(&mut self) -> anyhow::Result<u32> {
        self.balancer.pid().with_context(|| format!("the balancer has ended. {}", self.balancer.last_words()))
    }

    /// Waits until a backend's process ends that is not known to have, and returns its position. `gone` knows.
    /// Cancel safe.
    pub(super) async fn next_end(&mut self, gone: &[bool]) -> usize {
        let running = self.members.iter_mut().enumerate().zip(gone).filter(|(_, gone)| !**gone);
        let mut ends: Vec<_> = running
            .map(|((index, member), _)| {
                Box::pin(async move {
                    member.backend.ended().await;
                    index
                })
            })
            .collect();
        poll_fn(|context| {
            let ended = ends.iter_mut().find_map(|end| match end.as_mut().poll(context) {
                Poll::Ready(index) => Some(index),
                Poll::Pending => None,
            });
            ended.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Kills the backend at `index`, as `kill -9` would.
    pub(super) async fn kill(&mut self, index: usize) -> anyhow::Result<()> {
        self.members[index].backend.kill().await
    }

    /// Starts the backend at `index` again, where it was.
    pub(super) async fn start_again(&mut self, index: usize) -> anyhow::Result<()> {
        let member = &mut self.members[index];
        if let Some(mut agent) = member.agent.take() {
            agent.kill().await?; // it watched a process that is gone
        }
        member.backend = start_backend(&member.name, member.address, &self.folder.path).await?;
        member.start_agent(self.admin, &self.folder.path).await
    }

    /// Ends everything in the order in which nothing fails: who pushes to the balancer first, then the balancer, then what it
    /// forwards to.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        let (agents, backends): (Vec<_>, Vec<_>) =
            self.members.iter_mut().map(|member| (member.agent.as_mut(), &mut member.backend)).unzip();
        let mut result = Ok(());
        for child in agents.into_iter().flatten().chain([&mut self.balancer]).chain(backends) {
            result = result.and(child.end().await);
        }
        result
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            self.balancer_pid()?;
            let metrics = scrape::page(self.admin, "/metrics").await;
            let answer = scrape::page(self.web, "/").await;
            let missing = match (&metrics, &answer) {
                (Err(error), _) | (_, Err(error)) => format!("{error:#}"),
                (Ok(page), Ok(_)) => {
                    match self.members.iter().find(|member| member.value(page, UP) != Some(1.0)) {
                        None => return Ok(()),
                        Some(member) => format!("it does not show {} up", member.name),
                    }
                }
            };
            if Instant::now() > deadline {
                anyhow::bail!("the balancer is not ready: {missing}. {}", self.balancer.last_words());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The gauge that is 1 for a backend that the balancer takes for healthy.
pub(super) const UP: &str = "plimsoll_backend_up";

impl Member {
    async fn start(number: usize, folder: &Path) -> anyhow::Result<Member> {
        let name = format!("backend-{number}");
        let (reserved, address) = reserve().context("no port is free on 127.0.0.1")?;
        let backend = start_backend(&name, address, folder).await?;
        Ok(Member { name, address, backend, agent: None, _reserved: reserved })
    }

    /// Starts the agent of the backend, which pushes what it measures to the balancer.
    async fn start_agent(&mut self, admin: SocketAddr, folder: &Path) -> anyhow::Result<()> {
        let pid = self.backend.pid().with_context(|| self.backend.last_words())?;
        let (parent, watched, gateway) = (parent_option(), pid.to_string(), format!("http://{admin}"));
        let args = ["demo-process", "agent", &parent, "--listen", "127.0.0.1:0", "--process", &watched];
        let push = ["--push", &gateway, "--push-interval", "1s", "--instance", &self.name];
        let name = format!("agent-of-{}", self.name);
        let agent = self.agent.insert(Child::start(&name, args.into_iter().chain(push), folder)?);
        agent.address().await.map(drop)
    }

    /// The process id of the backend; None while there is no process.
    pub(super) fn pid(&mut self) -> Option<u32> {
        self.backend.pid()
    }

    /// The CPU usage in percent that its agent pushed last, in the page `metrics`. None when nothing is held.
    pub(super) fn cpu(&self, metrics: &str) -> Option<f64> {
        scrape::sum(metrics, "cpu_usage", &[&format!("instance=\"{}\"", self.name)])
    }

    /// This backend's value of the balancer's metric `name` in the page `metrics`, over all other labels.
    pub(super) fn value(&self, metrics: &str, name: &str) -> Option<f64> {
        scrape::sum(metrics, name, &[&format!("backend=\"{}\"", self.name)])
    }
}

async fn start_backend(name: &str, address: SocketAddr, folder: &Path) -> anyhow::Result<Child> {
    let (parent, address) = (parent_option(), address.to_string());
    let args = ["demo-process", "backend", &parent, "--listen", &address, "--name", name];
    let mut backend = Child::start(name, args, folder)?;
    backend.address().await?;
    Ok(backend)
}

/// Takes an address that no other program gets as long as the socket lives. A child may listen on it: of two
/// sockets that allow addresses to be reused, one may listen (SO_REUSEADDR in socket(7)).
fn reserve() -> std::io::Result<(TcpSocket, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// Ties a child to this very process.
fn parent_option() -> String {
    format!("--exit-with-parent={}", std::process::id())
}

fn configuration(web: SocketAddr, admin: SocketAddr, members: &[Member]) -> String {
    let backends: Vec<String> =
        members.iter().map(|member| format!("      - {}\n", member.address)).collect();
    format!(
        "# What this demo runs. With backends of your own, start it with: plimsoll run -c plimsoll.yaml\n\
         admin:\n  address: {admin}\n  push: {{expiry: 5s}} # the agents push every second\n\
         listeners:\n  web:\n    address: {web}\n\
         upstreams:\n  app:\n    response_header: true # names the backend in each answer\n    \
         health: {{http: /api/status}}\n    backends:\n{}",
        backends.concat()
    )
}

/// Waits for this demo's turn to choose ports. Between the choice of a port and the balancer's taking it, another
/// demo would find it free as well, and the two balancers would share its connections.
async fn turn() -> anyhow::Result<File> {
    let path =
        std::env::temp_dir().join(format!("plimsoll-demo-{}.lock", rustix::process::getuid().as_raw()));
    // Never truncated: whatever a link of that name may lead to stays as it is.
    let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    let deadline = Instant::now() + READY_TIMEOUT;
    while file.try_lock().is_err() {
        anyhow::ensure!(Instant::now() < deadline, "another demo has been starting for too long; try again");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(file)
}

/// The address to listen on: the port asked for, else the usual one, else any.
fn free_address(flag: &str, wanted: Option<u16>, usual: u16) -> anyhow::Result<SocketAddr> {
    let bind =
        |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|socket| socket.local_addr());
    match wanted {
        Some(port) => bind(port).with_context(|| {
            format!(
                "port {port} of {flag} is not free; choose another, or leave {flag} out to get a free one"
            )
        }),
        None => bind(usual).or_else(|_| bind(0)).context("no port is free on 127.0.0.1"),
    }
}

/// A folder for the configuration and the logs; gone with the demo.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> anyhow::Result<Folder> {
        let path = std::env::temp_dir().join(format!("plimsoll-demo-{}", std::process::id()));
        if path.is_dir() {
            std::fs::remove_dir_all(&path)?; // left by an earlier process of this id that was killed
        }
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Folder { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path); // what stays behind is in the folder for temporary files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_asked_for_and_taken_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = free_address("--port", Some(port), 0).unwrap_err().to_string();
        assert!(error.contains(&format!("port {port} of --port is not free")), "{error}");
        assert_ne!(free_address("--port", None, port).unwrap().port(), port);
    }

    #[test]
    fn the_folder_goes_with_the_demo() {
        let folder = Folder::new().unwrap();
        let path = folder.path.clone();
        assert!(path.is_dir());
        drop(folder);
        assert!(!path.exists());
    }
}
