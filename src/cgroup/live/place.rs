//! The cgroup of an additional process in a container: `exec --cgroup`.

use std::borrow::Cow;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

use super::cgroup::Cgroup;
use super::dir::{open_dir, write_file};
use super::entrance::{Entrance, not_added};
use crate::cgroup::layout::HostDir;
use crate::cgroup::path::clean;
use crate::cgroup::systemd::Unit;
use crate::sys::Call;
use crate::sys::clone::has_clone3;

/// A directory for a process in each of the container's hierarchies.
#[derive(Debug)]
pub struct ExecPlace<'a> {
    dirs: Cow<'a, [HostDir]>,
    /// The unit and its cgroup, if only the service manager may move a process there.
    unit: Option<(&'a Unit, &'a Path)>,
    /// The pid of the first process. Its cgroup is the fallback, unless the caller has named one.
    beside: Option<i32>,
}

/// Whether another cgroup may work after v2 has refused this one: it has child cgroups with controllers, or it was
/// removed.
fn elsewhere(errno: Errno) -> bool {
    matches!(errno, Errno::EBUSY | Errno::ENOENT | Errno::ENODEV)
}

impl Cgroup {
    /// The directories that `words` name: `PATH` for all hierarchies, or `CTRL[,CTRL]:PATH`. Without words it is the
    /// container's own or, if that accepts no processes (v2), the one of `init`. Paths are relative to the container's
    /// cgroup.
    ///
    /// Fails for another form, unknown controllers, and paths that lead out of the container's cgroup. A missing
    /// directory is an error only when it is used.
    pub fn place(&self, words: &[&str], init: i32) -> Result<ExecPlace<'_>> {
        let mut dirs = Cow::Borrowed(&self.dirs[..]);
        if let (Some(inside), true) = (&self.inside, words.is_empty()) {
            let place = |dir: &HostDir| HostDir { dir: dir.dir.join(inside), ..dir.clone() };
            dirs = self.dirs.iter().map(place).collect();
        }
        for (controllers, path) in split(words)? {
            if dirs.is_empty() {
                bail!("--cgroup {path}: the container has no cgroup");
            }
            if controllers.is_empty() {
                dirs = self.dirs.iter().map(|dir| below(dir, path)).collect::<Result<Vec<_>>>()?.into();
            }
            for controller in controllers {
                let has = |dir: &HostDir| dir.controllers.split(',').any(|name| name == controller);
                let index = self.dirs.iter().position(has);
                let index = index.ok_or_else(|| anyhow!("unknown controller {controller} in SubCgroupPaths"))?;
                let (own, wanted) = (&self.dirs[index], below(&self.dirs[index], path)?);
                // Several controllers may share a hierarchy.
                if dirs[index] != *own && dirs[index] != wanted {
                    bail!("invalid --cgroup argument(s): controllers {} cannot be in two cgroups", own.controllers);
                }
                dirs.to_mut()[index] = wanted;
            }
        }
        let unit = self.unit.as_ref().filter(|unit| unit.user).zip(self.path_for_v2());
        Ok(ExecPlace { dirs, unit, beside: words.is_empty().then_some(init) })
    }
}

/// Splits the words into lists of controllers, each with a path. An empty list means all controllers.
fn split<'a>(words: &[&'a str]) -> Result<Vec<(Vec<&'a str>, &'a str)>> {
    let mut found: Vec<(Vec<&str>, &str)> = Vec::new();
    for word in words {
        let Some((controllers, path)) = word.split_once(':') else {
            if words.len() != 1 {
                bail!("invalid --cgroup argument: {word} (missing <controller>: prefix)");
            }
            return Ok(vec![(Vec::new(), word)]);
        };
        let mut list = Vec::new();
        for controller in controllers.split(',') {
            if controller.is_empty() {
                bail!("invalid --cgroup argument: {word} (empty <controller> prefix)");
            }
            if list.contains(&controller) || found.iter().any(|(list, _)| list.contains(&controller)) {
                bail!("invalid --cgroup argument(s): controller {controller} specified multiple times");
            }
            list.push(controller);
        }
        found.push((list, path));
    }
    Ok(found)
}

/// The directory `path` below the container's own. It compares whole names: `/a/boxer` is not below `/a/box`.
fn below(own: &HostDir, path: &str) -> Result<HostDir> {
    let dir = own.dir.join(path.trim_start_matches('/'));
    let dir = Path::new("/").join(clean(&dir));
    if !dir.starts_with(&own.dir) {
        bail!("bad sub cgroup path: {path} is not a sub cgroup path");
    }
    Ok(HostDir { dir, ..own.clone() })
}

impl ExecPlace<'_> {
    /// The way into the cgroups. `None` if the service manager moves the process, or if clone3(2) is missing for a v2
    /// directory.
    ///
    /// `init` is a pidfd of the first process. Fails if a directory cannot be opened, nor the fallback of the v2 one.
    pub fn open(&self, init: BorrowedFd) -> Result<Option<Entrance>> {
        let own = self.dirs.iter().find(|place| place.controllers.is_empty());
        if self.unit.is_some() || own.is_some() && !has_clone3() {
            return Ok(None);
        }
        let open = |place: &HostDir| {
            open_dir(&place.dir).or_else(|errno| self.instead(init, errno).ok_or_else(|| not_added(&place.dir, errno)))
        };
        Entrance::new(own.map(open).transpose()?, &self.dirs).map(Some)
    }

    /// The v2 directory of the first process, if the error was EBUSY, ENOENT or ENODEV.
    ///
    /// If this fails as well, the caller reports the first error.
    pub fn instead(&self, init: BorrowedFd, refused: Errno) -> Option<OwnedFd> {
        open_dir(&self.of_init(init).filter(|_| elsewhere(refused))?).ok()
    }

    fn of_init(&self, init: BorrowedFd) -> Option<PathBuf> {
        let own = self.dirs.iter().find(|dir| dir.controllers.is_empty())?;
        let text = std::fs::read_to_string(format!("/proc/{}/cgroup", self.beside?)).ok()?;
        // The process still runs, so its pid has not been reused.
        if poll(&mut [PollFd::new(init, PollFlags::POLLIN)], PollTimeout::ZERO) != Ok(0) {
            return None;
        }
        let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
        // The path of a cgroup outside the cgroup namespace begins with "..". The path of a removed one ends in "
        // (deleted)".
        (!path.starts_with("..")).then(|| own.mount.join(path))
    }

    /// Moves the process `pid` there in every hierarchy. `init` is a pidfd of the first process.
    ///
    /// The error names the directory that refused the process.
    pub fn attach(&self, init: BorrowedFd, pid: Pid) -> Result<()> {
        if let Some((unit, own)) = self.unit {
            return self.attach_to(unit, own, init, pid);
        }
        for place in &*self.dirs {
            let file = place.dir.join("cgroup.procs");
            let put = |file: &Path| write_file(file, &pid.to_string());
            let put_instead =
                |errno| match self.of_init(init).filter(|_| place.controllers.is_empty() && elsewhere(errno)) {
                    Some(dir) => put(&dir.join("cgroup.procs")).map_err(|_| errno),
                    None => Err(errno),
                };
            put(&file)
                .or_else(put_instead)
                .named(format_args!("error adding pid {pid} to cgroups: {}", file.display()))?;
        }
        Ok(())
    }

    /// Moves a process into a unit of the user's service manager. An ordinary user may not move a process from outside
    /// into the manager's cgroups, but the manager may.
    fn attach_to(&self, unit: &Unit, own: &Path, init: BorrowedFd, pid: Pid) -> Result<()> {
        let attach = |dir: &Path| {
            let below = dir.strip_prefix(own).unwrap_or(Path::new(""));
            unit.attach(below, pid)
        };
        let place = self.dirs.first().map_or(own, |place| place.dir.as_path());
        attach(place).or_else(|error| match self.of_init(init).filter(|dir| dir.starts_with(own) && dir != place) {
            Some(dir) => attach(&dir),
            None => Err(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::cgroup::layout::Mode;

    fn dirs(cgroup: &Cgroup, words: &[&str]) -> Result<Vec<String>, String> {
        let place = cgroup.place(words, 1).map_err(|error| error.to_string())?;
        Ok(place.dirs.iter().map(|dir| dir.dir.display().to_string()).collect())
    }

    #[test]
    fn one_path_is_for_all() {
        let (v2, v1) =
            (Cgroup::example(Mode::Unified, &[""]), Cgroup::example(Mode::Hybrid, &["pids", "cpu,cpuacct", ""]));
        for (word, wanted) in [
            ("a/b", "/a/b"),
            ("/a", "/a"),
            ("/", ""),
            ("", ""),
            ("./a/../b", "/b"),
            ("../box/a", "/a"),
            ("..a", "/..a"),
        ] {
            assert_eq!(dirs(&v2, &[word]).unwrap(), [format!("/c/box{wanted}")], "{word}");
            let all = ["pids", "cpu,cpuacct", ""].map(|name| {
                format!("{}/box{wanted}", Path::new("/c").join(name).display().to_string().trim_end_matches('/'))
            });
            assert_eq!(dirs(&v1, &[word]).unwrap(), all, "{word}");
        }
    }

    #[test]
    fn controllers_have_paths_of_their_own_on_v1() {
        let v1 = Cgroup::example(Mode::Legacy, &["pids", "cpu,cpuacct", "name=systemd"]);
        for (words, wanted) in [
            (&["pids:a"][..], ["/c/pids/box/a", "/c/cpu,cpuacct/box", "/c/name=systemd/box"]),
            (&["pids,cpu:a"], ["/c/pids/box/a", "/c/cpu,cpuacct/box/a", "/c/name=systemd/box"]),
            (&["cpu:a", "cpuacct:a"], ["/c/pids/box", "/c/cpu,cpuacct/box/a", "/c/name=systemd/box"]),
            (&["name=systemd:/b", "pids:/"], ["/c/pids/box", "/c/cpu,cpuacct/box", "/c/name=systemd/box/b"]),
        ] {
            assert_eq!(dirs(&v1, words).unwrap(), wanted, "{words:?}");
        }
    }

    #[test]
    fn other_words_are_refused() {
        let v1 = Cgroup::example(Mode::Legacy, &["pids", "cpu,cpuacct"]);
        for (words, wanted) in [
            (&[":a"][..], "invalid --cgroup argument: :a (empty <controller> prefix)"),
            (&["pids,:a"], "invalid --cgroup argument: pids,:a (empty <controller> prefix)"),
            (&["a", "b"], "invalid --cgroup argument: a (missing <controller>: prefix)"),
            (&["pids:a", "b"], "invalid --cgroup argument: b (missing <controller>: prefix)"),
            (&["pids:a", "cpu,pids:b"], "invalid --cgroup argument(s): controller pids specified multiple times"),
            (&["cpu,cpu:b"], "invalid --cgroup argument(s): controller cpu specified multiple times"),
            (&["cpu:a", "cpuacct:b"], "invalid --cgroup argument(s): controllers cpu,cpuacct cannot be in two cgroups"),
            (&["foo:a"], "unknown controller foo in SubCgroupPaths"),
            (&["pids:.."], "bad sub cgroup path: .. is not a sub cgroup path"),
            (&["pids:../boxer"], "bad sub cgroup path: ../boxer is not a sub cgroup path"),
            (&["/../../x"], "bad sub cgroup path: /../../x is not a sub cgroup path"),
        ] {
            assert_eq!(dirs(&v1, words).unwrap_err(), wanted, "{words:?}");
        }
        let v2 = Cgroup::example(Mode::Unified, &[""]);
        assert_eq!(dirs(&v2, &["pids:a"]).unwrap_err(), "unknown controller pids in SubCgroupPaths");
        assert_eq!(dirs(&Cgroup::default(), &["a"]).unwrap_err(), "--cgroup a: the container has no cgroup");
    }

    #[test]
    fn whoever_names_a_place_is_not_led_elsewhere() {
        let v2 = Cgroup::example(Mode::Unified, &[""]);
        let own = std::process::id() as i32;
        let pidfd = crate::sys::process::pidfd_open(own).unwrap();
        assert_eq!(v2.place(&["/"], own).unwrap().of_init(pidfd.as_fd()), None);
        let error = v2.place(&["nosuch"], own).unwrap().open(pidfd.as_fd()).unwrap_err().to_string();
        assert_eq!(error, "error adding a process to cgroups: /c/box/nosuch: no such file or directory");
    }
}
