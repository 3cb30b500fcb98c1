//! Notification of OOM events.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use anyhow::Result;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::stat::Mode;

use super::cgroup::Cgroup;
use super::dir::{is_gone, number_of, read_file, write_file};
use crate::sys::{self, CallError};

/// Reports that the OOM killer has killed a process of a cgroup or, on v1 with the OOM killer disabled, has stopped
/// one.
///
/// This is own code: cgroups-rs opens a v1 file on v2, and needs a thread and a channel.
#[derive(Debug)]
pub struct Oom {
    dir: PathBuf,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// v1: an eventfd of `cgroup.event_control` (cgroup-v1/memory.rst, "OOM Control").
    Event(EventFd),
    /// v2: an inotify watch of `memory.events` (cgroup-v2.rst), with the number of kills so far.
    Watch(Inotify, u64),
}

impl Cgroup {
    /// Starts to listen. `None` if the container has no memory controller.
    pub fn oom(&self) -> Result<Option<Oom>> {
        let (dir, source) = match (self.path_for_v1("memory"), self.path_for_v2()) {
            (Some(dir), _) => (dir, event(dir)),
            (None, Some(dir)) => (dir, watch(dir)),
            (None, None) => return Ok(None),
        };
        match source {
            Ok(source) => Ok(Some(Oom { dir: dir.to_owned(), source })),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(CallError::new(format_args!("listen for OOM events of {}", dir.display()), errno).into()),
        }
    }
}

fn event(dir: &Path) -> Result<Source, Errno> {
    let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    let control = open(&dir.join("memory.oom_control"), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let words = format!("{} {}", event.as_fd().as_raw_fd(), control.as_raw_fd());
    write_file(&dir.join("cgroup.event_control"), &words)?;
    Ok(Source::Event(event))
}

fn watch(dir: &Path) -> Result<Source, Errno> {
    let watch = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    watch.add_watch(&dir.join("memory.events"), AddWatchFlags::IN_MODIFY)?;
    Ok(Source::Watch(watch, kills(dir)?))
}

fn kills(dir: &Path) -> Result<u64, Errno> {
    Ok(number_of(&read_file(&dir.join("memory.events"))?, "oom_kill").unwrap_or(0))
}

impl Oom {
    /// Whether an OOM event happened since the last call. False for a removed cgroup.
    pub fn happened(&mut self) -> Result<bool> {
        let failed = |errno| CallError::new(format_args!("OOM events of {}", self.dir.display()), errno);
        match &mut self.source {
            Source::Event(event) => match event.read() {
                // The removal of the cgroup is reported as an event, too.
                Ok(_) => self.dir.join("cgroup.event_control").try_exists().map_err(sys::io),
                Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
                Err(errno) => Err(failed(errno).into()),
            },
            Source::Watch(watch, known) => {
                while watch.read_events().is_ok_and(|events| !events.is_empty()) {}
                let kills = match kills(&self.dir) {
                    Err(errno) if is_gone(errno) => return Ok(false),
                    other => other.map_err(failed)?,
                };
                let more = kills > *known;
                *known = kills.max(*known);
                Ok(more)
            }
        }
    }
}

impl AsFd for Oom {
    /// The descriptor is readable when `happened` may have a new answer.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            Source::Event(event) => event.as_fd(),
            Source::Watch(watch, _) => watch.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::layout::{HostDir, Mode as Layout};

    /// A plain directory reports changes of its files like cgroup v2.
    #[test]
    fn on_v2_only_kills_count() {
        let dir = std::env::temp_dir().join(format!("tare-oom-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let place = HostDir { controllers: String::new(), mount: dir.clone(), dir: dir.clone() };
        let cgroup = Cgroup { mode: Layout::Unified, dirs: vec![place], ..Cgroup::default() };
        assert!(cgroup.oom().unwrap().is_none());
        let say = |kills: u64| std::fs::write(dir.join("memory.events"), format!("oom 9\noom_kill {kills}\n")).unwrap();
        say(3);
        let mut oom = cgroup.oom().unwrap().unwrap();
        assert!(!oom.happened().unwrap());
        say(3);
        assert!(!oom.happened().unwrap());
        say(4);
        assert!(oom.happened().unwrap());
        assert!(!oom.happened().unwrap());
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(!oom.happened().unwrap());
    }
}
