//! A backend with the agent beside it, as they are in one container.

use std::net::SocketAddr;

use tempfile::TempDir;

use super::free_address;
use super::program::Program;
use super::prometheus::Pace;

/// A place for a backend: its addresses, and while it is there its process and the agent beside it.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    pub(crate) backend: SocketAddr,
    pub(crate) agent: SocketAddr,
    gateways: Vec<SocketAddr>,
    pace: Pace,
    processes: Option<[Program; 2]>,
}

impl Place {
    /// Starts both; the agent pushes to `gateways` under the backend's name.
    #[track_caller]
    pub(crate) fn fill(name: &'static str, folder: &TempDir, gateways: &[SocketAddr], pace: Pace) -> Self {
        let (backend, agent) = (free_address(), free_address());
        let mut place = Self { name, backend, agent, gateways: gateways.to_vec(), pace, processes: None };
        place.start(folder);
        place
    }

    /// Kills both, so that the agent cannot say goodbye.
    pub(crate) fn kill(&mut self) {
        self.processes = None;
    }

    /// Starts both at the same addresses as before.
    #[track_caller]
    pub(crate) fn start(&mut self, folder: &TempDir) {
        let [listen, agent_listen] = [self.backend, self.agent].map(|address| format!("--listen={address}"));
        let name = format!("--name={}", self.name);
        let mut backend = Program::own(folder.path(), ["demo-process", "backend", &name, &listen]);
        backend.expect_ready(self.backend, "/");
        // Of the host, of which more is counted than of a process.
        let mut arguments: Vec<_> = ["demo-process", "agent", "--source=host"].map(str::to_owned).into();
        arguments.extend([agent_listen, format!("--instance={}", self.name)]);
        arguments.extend(self.gateways.iter().map(|gateway| format!("--push=http://{gateway}")));
        if self.pace == Pace::EverySecond {
            arguments.extend(["--interval=200ms".to_owned(), "--push-interval=500ms".to_owned()]);
        }
        let mut agent = Program::own(folder.path(), arguments);
        agent.expect_ready(self.agent, "/metrics");
        self.processes = Some([backend, agent]);
    }
}
