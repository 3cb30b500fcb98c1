//! A cgroup with all its descendants.
//!
//! A container that manages its cgroup can nest cgroups without limit: deeper than PATH_MAX, the limit of open files or
//! the stack allow. So a walk has one directory open at a time and returns by `..`. This works from a removed
//! directory, too, and a cgroup cannot be moved to another parent. Only the names that are still to be visited are in
//! memory, which is a small part of the kernel's memory for each cgroup.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::NixPath;
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::dir::{is_gone, rmdir};
use crate::sys::again;

/// Calls `visit` with `top` and all its descendants, parents first. Skips a removed directory.
pub fn each(top: &Path, mut visit: impl FnMut(BorrowedFd) -> Result<(), Errno>) -> Result<(), Errno> {
    let Some(mut walk) = Walk::start(top)? else { return Ok(()) };
    visit(walk.here())?;
    loop {
        while let Some(name) = walk.next() {
            if walk.enter(name)? {
                visit(walk.here())?;
            }
        }
        if walk.leave()?.is_none() {
            return Ok(());
        }
    }
}

/// Removes `top` and all its descendants. A removed directory is no error. For a directory with processes the error is
/// `EBUSY`.
pub fn remove(top: &Path) -> Result<(), Errno> {
    let Some(mut walk) = Walk::start(top)? else { return Ok(()) };
    loop {
        while let Some(name) = walk.next() {
            match gone(rmdir_at(walk.here(), &name)) {
                Err(Errno::EBUSY) => drop(walk.enter(name)?),
                other => other?,
            }
        }
        match walk.leave()? {
            Some(name) => gone(rmdir_at(walk.here(), &name))?,
            None => return gone(rmdir(top)),
        }
    }
}

/// Ignores the error for a directory that does not exist.
fn gone(removed: Result<(), Errno>) -> Result<(), Errno> {
    match removed {
        Err(Errno::ENOENT) => Ok(()),
        other => other,
    }
}

fn rmdir_at(parent: BorrowedFd, name: &CStr) -> Result<(), Errno> {
    again(|| unlinkat(parent, name, UnlinkatFlags::RemoveDir))
}

struct Walk {
    /// The current directory.
    dir: Dir,
    /// For each level, the names to visit. The last list belongs to `dir`.
    left: Vec<Vec<CString>>,
    /// The names on the way from the top to `dir`.
    entered: Vec<CString>,
}

impl Walk {
    /// Starts at `top`. `None` if it does not exist.
    fn start(top: &Path) -> Result<Option<Walk>, Errno> {
        let Some((dir, names)) = open(AT_FDCWD, top)? else { return Ok(None) };
        Ok(Some(Walk { dir, left: vec![names], entered: Vec::new() }))
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// The next name in the current directory.
    fn next(&mut self) -> Option<CString> {
        self.left.last_mut()?.pop()
    }

    /// Enters a child. Returns whether it exists.
    fn enter(&mut self, name: CString) -> Result<bool, Errno> {
        let Some((dir, names)) = open(&self.dir, name.as_c_str())? else { return Ok(false) };
        self.dir = dir;
        self.left.push(names);
        self.entered.push(name);
        Ok(true)
    }

    /// Returns to the parent, with the name of the directory that it leaves. At the top it stays there, and the result
    /// is `None`.
    fn leave(&mut self) -> Result<Option<CString>, Errno> {
        let Some(name) = self.entered.pop() else { return Ok(None) };
        self.left.pop();
        self.dir = again(|| Dir::openat(&self.dir, "..", FLAGS, Mode::empty()))?;
        Ok(Some(name))
    }
}

const FLAGS: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Opens a directory and reads the names of its subdirectories. `None` if it does not exist.
fn open(parent: impl AsFd, path: &(impl NixPath + ?Sized)) -> Result<Option<(Dir, Vec<CString>)>, Errno> {
    let mut dir = match again(|| Dir::openat(&parent, path, FLAGS, Mode::empty())) {
        Ok(dir) => dir,
        Err(errno) if is_gone(errno) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let mut names = Vec::new();
    for entry in dir.iter() {
        let entry = entry?;
        // The cgroup file systems always report the type.
        if entry.file_type() == Some(Type::Directory) && !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(Some((dir, names)))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use nix::fcntl::openat;
    use nix::sys::stat::mkdirat;

    use super::*;

    /// Makes directories with long names, nested so deeply that no path leads to the last one.
    fn deep(name: &str) -> PathBuf {
        let top = std::env::temp_dir().join(format!("tare-tree-{name}-{}", std::process::id()));
        std::fs::create_dir_all(top.join("beside/one")).unwrap();
        let mut at = openat(AT_FDCWD, &top, FLAGS, Mode::empty()).unwrap();
        for _ in 0..40 {
            let name = "d".repeat(200);
            mkdirat(&at, name.as_str(), Mode::S_IRWXU).unwrap();
            at = openat(&at, name.as_str(), FLAGS, Mode::empty()).unwrap();
        }
        top
    }

    /// Removes plain directories: for a non-empty one the errno differs from that of a cgroup.
    fn clear(top: &Path) {
        let mut walk = Walk::start(top).unwrap().unwrap();
        loop {
            while let Some(name) = walk.next() {
                assert!(walk.enter(name).unwrap());
            }
            match walk.leave().unwrap() {
                Some(name) => rmdir_at(walk.here(), &name).unwrap(),
                None => return rmdir(top).unwrap(),
            }
        }
    }

    #[test]
    fn all_are_visited_however_deep() {
        let top = deep("each");
        let mut count = 0;
        each(&top, |_| {
            count += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(count, 43);
        clear(&top);
        assert!(!top.exists());
    }

    #[test]
    fn nothing_there_is_nothing_to_do() {
        let top = Path::new("/nosuch/cgroup");
        assert_eq!(each(top, |_| Err(Errno::EIO)), Ok(()));
        assert_eq!(remove(top), Ok(()));
    }
}
