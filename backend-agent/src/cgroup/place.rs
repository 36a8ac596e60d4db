//! Where the control groups of this process are in the file system.

use std::path::{Component, Path, PathBuf};

use crate::reading::{ReadError, text};

/// The folder of one of this process's control groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where the hierarchy is mounted.
    pub(crate) mount: PathBuf,
    /// The group's folder, which is the mount or below it.
    pub(crate) folder: PathBuf,
    /// The path of the group as `/proc/self/cgroup` gives it is `/`.
    pub(crate) at_top: bool,
    /// Only a part of the hierarchy is mounted, as container runtimes do.
    pub(crate) partly_mounted: bool,
}

impl Place {
    /// Returns the place if its folder holds `file`, else the top of its mount if that does, else `None`.
    ///
    /// The top, because inside some containers the path that is given is one that only the host can see.
    pub(crate) fn holding(mut self, file: &str) -> Option<Self> {
        if !self.folder.join(file).exists() {
            self.folder.clone_from(&self.mount);
        }
        self.folder.join(file).exists().then_some(self)
    }

    /// Returns the group's folder and those above it, up to the mount.
    pub(crate) fn with_parents(&self) -> impl Iterator<Item = &Path> {
        self.folder.ancestors().take_while(|folder| folder.starts_with(&self.mount))
    }
}

/// All control groups of this process.
#[derive(Debug)]
pub(crate) struct Places {
    memberships: Vec<Membership>,
    mounts: Vec<Mount>,
}

impl Places {
    /// Reads `/proc/self/cgroup` and `/proc/self/mountinfo` under `root`.
    pub(crate) fn read(root: &Path) -> Result<Self, ReadError> {
        let memberships = text(&root.join("proc/self/cgroup"))?;
        let mounts = text(&root.join("proc/self/mountinfo"))?;
        Ok(Self {
            memberships: memberships.lines().filter_map(Membership::parse).collect(),
            mounts: mounts.lines().filter_map(|line| Mount::parse(line, root)).collect(),
        })
    }

    /// Returns the place in the version 1 hierarchy of `controller`, `None` when there is none.
    pub(crate) fn version_1(&self, controller: &str) -> Option<Place> {
        let controls = |list: &[String]| list.iter().any(|name| name == controller);
        let membership = self.memberships.iter().find(|group| controls(&group.controllers))?;
        let mount = self.mounts.iter().find(|mount| mount.version_1 && controls(&mount.options))?;
        Some(mount.place(membership))
    }

    /// Returns the place in the version 2 hierarchy, `None` when it is not mounted.
    pub(crate) fn version_2(&self) -> Option<Place> {
        let membership = self.memberships.iter().find(|group| group.controllers.is_empty())?;
        let mount = self.mounts.iter().find(|mount| !mount.version_1)?;
        Some(mount.place(membership))
    }
}

/// One line of `/proc/self/cgroup`: `4:cpu,cpuacct:/path`, or `0::/path` for version 2.
#[derive(Debug, PartialEq, Eq)]
struct Membership {
    controllers: Vec<String>,
    path: String,
}

impl Membership {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(3, ':');
        let (_hierarchy, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let controllers = controllers.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Some(Self { controllers, path: path.to_owned() })
    }
}

/// One line of `/proc/self/mountinfo` that is about a cgroup hierarchy.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// Which part of the hierarchy is mounted; `/` for all of it.
    part: String,
    /// Where, under the root folder that was given.
    point: PathBuf,
    version_1: bool,
    /// The options of the hierarchy, among them its controllers in version 1.
    options: Vec<String>,
}

impl Mount {
    /// Parses `31 23 0:28 PART POINT OPTIONS… - TYPE SOURCE OPTIONS` (proc_pid_mountinfo(5)).
    fn parse(line: &str, root: &Path) -> Option<Self> {
        let (front, back) = line.split_once(" - ")?;
        let mut back = back.split(' ');
        let version_1 = match back.next()? {
            "cgroup" => true,
            "cgroup2" => false,
            _ => return None,
        };
        let options = back.nth(1)?.split(',').map(str::to_owned).collect();
        let mut front = front.split(' ').skip(3);
        let part = unescaped(front.next()?);
        let point = unescaped(front.next()?);
        Some(Self { part, point: root.join(point.trim_start_matches('/')), version_1, options })
    }

    fn place(&self, membership: &Membership) -> Place {
        let below = Path::new(&membership.path).strip_prefix(&self.part).unwrap_or(Path::new(""));
        // A path that leads out of the mount (`/../sibling`) is one that a cgroup namespace hides.
        let inside = below.components().all(|part| matches!(part, Component::Normal(_)));
        let folder =
            if inside && below != Path::new("") { self.point.join(below) } else { self.point.clone() };
        Place {
            mount: self.point.clone(),
            folder,
            at_top: membership.path == "/",
            partly_mounted: self.part != "/",
        }
    }
}

/// Undoes the kernel's escapes for blanks and backslashes: `\040` and the like.
fn unescaped(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (escape, character)| text.replace(escape, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(cgroup: &str, mountinfo: &str) -> Places {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proc/self");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("cgroup"), cgroup).unwrap();
        std::fs::write(folder.join("mountinfo"), mountinfo).unwrap();
        let mut places = Places::read(root.path()).unwrap();
        for mount in &mut places.mounts {
            mount.point = Path::new("/").join(mount.point.strip_prefix(root.path()).unwrap());
        }
        places
    }

    fn folder(place: Option<Place>) -> String {
        place.unwrap().folder.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_group_is_found_below_its_mount() {
        let places = places(
            "4:cpu,cpuacct:/system.slice/app.service\n1:name=systemd:/x\n0::/unified.slice\n",
            "24 1 0:5 / /proc rw - proc proc rw\n\
             33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        );
        let cpu = "/sys/fs/cgroup/cpu,cpuacct/system.slice/app.service";
        assert_eq!(folder(places.version_1("cpu")), cpu);
        assert_eq!(folder(places.version_1("cpuacct")), cpu);
        assert_eq!(places.version_1("memory"), None);
        assert_eq!(folder(places.version_2()), "/sys/fs/cgroup/unified/unified.slice");
    }

    #[test]
    fn a_part_that_is_mounted_is_taken_off_the_path() {
        let mount = |part: &str| format!("33 31 0:30 {part} /c rw - cgroup cgroup rw,cpuacct\n");
        let found = |path: &str, part: &str| {
            places(&format!("2:cpuacct:{path}\n"), &mount(part)).version_1("cpuacct").unwrap()
        };
        let own = found("/docker/abc", "/docker/abc");
        assert_eq!((own.folder.as_path(), own.partly_mounted), (Path::new("/c"), true));
        assert_eq!(found("/docker/abc/inner", "/docker/abc").folder, Path::new("/c/inner"));
        assert_eq!(found("/elsewhere", "/docker/abc").folder, Path::new("/c"));
        assert_eq!(found("/../sibling", "/").folder, Path::new("/c"), "never out of the mount");
        assert_eq!(found("/a b", "/a\\040b").folder, Path::new("/c"));
    }

    #[test]
    fn parents_end_at_the_mount() {
        let found =
            places("2:cpu:/a/b\n", "1 1 0:1 / /c rw - cgroup cgroup rw,cpu\n").version_1("cpu").unwrap();
        let parents: Vec<_> = found.with_parents().collect();
        assert_eq!(parents, [Path::new("/c/a/b"), Path::new("/c/a"), Path::new("/c")]);
    }

    #[test]
    fn lines_that_the_kernel_never_writes_are_passed_over() {
        let none = places("\n:\n::\nx\n", " - cgroup\n1 2 - cgroup2 a b\n - \nx - cgroup cgroup\n");
        assert_eq!(none.version_1("cpu"), None);
        assert_eq!(none.version_2(), None);
    }
}
