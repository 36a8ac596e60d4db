//! What is measured, as it is asked for, and the choice that `auto` makes.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::ReadError;
use crate::cgroup::Cgroup;
use crate::host::{self, Host};
use crate::process_tree::ProcessTree;
use crate::reading::Target;

/// What an agent measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The container when the agent runs in one or under a CPU quota, else the host.
    Auto,
    /// The whole machine.
    Host,
    /// The control group that the agent itself runs in.
    Container,
    /// The process with this id, and its descendants.
    Process(u32),
}

impl Source {
    /// Finds what to measure, with `/proc` and `/sys` looked up under `root`.
    ///
    /// A process need not exist: it may end, and so it may have ended already.
    ///
    /// # Errors
    /// When the container or the number of CPUs cannot be found, or processes cannot be listed.
    pub(crate) fn find(self, root: &Path) -> Result<Box<dyn Target>, SourceError> {
        let cores = host::cores(root).map_err(SourceError::Host)?;
        match self {
            Self::Host => Ok(Box::new(Host::new(root))),
            Self::Container => Ok(Box::new(Cgroup::find(root, cores).map_err(SourceError::Container)?)),
            Self::Process(pid) => {
                Ok(Box::new(ProcessTree::new(pid, root, cores).map_err(SourceError::Process)?))
            }
            Self::Auto => match Cgroup::find(root, cores) {
                Ok(cgroup) if cgroup.confines() => Ok(Box::new(cgroup)),
                _ => Ok(Box::new(Host::new(root))),
            },
        }
    }
}

/// Tells whether this process runs in a container, or under a CPU quota.
pub(crate) fn confined(root: &Path) -> bool {
    // The number of CPUs does not matter to the question.
    Cgroup::find(root, 1).is_ok_and(|cgroup| cgroup.confines())
}

/// Why there is nothing to measure.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The machine itself cannot be read.
    #[error("cannot tell how many CPUs this machine has; is /proc mounted?")]
    Host(#[source] ReadError),
    /// There is no control group that accounts for CPU time.
    #[error("cannot find the control group of this container; use `--source host` to measure the machine")]
    Container(#[source] ReadError),
    /// Processes cannot be listed on this system.
    #[error("cannot list the processes of this system; use `--source host` to measure the machine")]
    Process(#[source] sysinfo::Error),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Host => f.write_str("host"),
            Self::Container => f.write_str("container"),
            Self::Process(pid) => write!(f, "process:{pid}"),
        }
    }
}

impl FromStr for Source {
    type Err = UnknownSource;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownSource(text.to_owned());
        match text {
            "auto" => Ok(Self::Auto),
            "host" => Ok(Self::Host),
            "container" => Ok(Self::Container),
            _ => {
                let pid = text.strip_prefix("process:").ok_or_else(unknown)?;
                pid.parse().map(Self::Process).map_err(|_| unknown())
            }
        }
    }
}

/// A text that names no source.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no source; use auto, host, container or process:PID, for example `process:4711`")]
pub struct UnknownSource(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_read_as_it_is_written() {
        for source in [Source::Auto, Source::Host, Source::Container, Source::Process(4711)] {
            assert_eq!(source.to_string().parse::<Source>().unwrap(), source);
        }
        for text in ["", "Host", "process", "process:", "process:-1", "4711"] {
            assert!(text.parse::<Source>().is_err(), "{text:?}");
        }
    }
}
