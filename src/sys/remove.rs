//! Removing a tree of files.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::dir::{Dir, Type};
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::{Errno, again};

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// A directory on the way from the tree's root to the present place.
struct Level {
    /// The name in its parent.
    name: CString,
    identity: (u64, u64),
    /// The directories in it that are not removed yet.
    below: Vec<CString>,
}

/// Removes a file, or a directory with all that is in it. A missing entry is no error.
///
/// `std::fs::remove_dir_all` is not used: it needs a descriptor and a stack frame for each level, and the trees of images
/// and containers are as deep as their makers like. This needs two descriptors. It follows no symbolic link.
///
/// # Errors
/// The error of openat(2), unlinkat(2) or getdents(2). ESTALE if a directory was moved meanwhile.
pub fn tree(parent: BorrowedFd<'_>, name: &CStr) -> nix::Result<()> {
    match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
        // EPERM is the answer of other systems for a directory, and Linux's for an immutable file.
        Err(Errno::EISDIR | Errno::EPERM) => {}
        Err(Errno::ENOENT) => return Ok(()),
        other => return other,
    }
    let Some(mut here) = enter(parent, name)? else { return Ok(()) };
    let mut levels = vec![level(&here, name.to_owned())?];
    while let Some(last) = levels.last_mut() {
        if let Some(below) = last.below.pop() {
            if let Some(next) = enter(here.as_fd(), &below)? {
                here = next;
                levels.push(level(&here, below)?);
            }
            continue;
        }
        let Some(done) = levels.pop() else { break };
        let above = match levels.last() {
            Some(above) => {
                let up = again(|| openat(&here, c"..", DIRECTORY, Mode::empty()))?;
                if identity(&fstat(&up)?) != above.identity {
                    return Err(Errno::ESTALE);
                }
                here = up;
                here.as_fd()
            }
            None => parent,
        };
        again(|| unlinkat(above, done.name.as_c_str(), UnlinkatFlags::RemoveDir))?;
    }
    Ok(())
}

/// Opens a directory that is not empty; removes one that is.
fn enter(parent: BorrowedFd<'_>, name: &CStr) -> nix::Result<Option<OwnedFd>> {
    match unlinkat(parent, name, UnlinkatFlags::RemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(None),
        Err(Errno::ENOTEMPTY | Errno::EEXIST) => again(|| openat(parent, name, DIRECTORY, Mode::empty())).map(Some),
        Err(errno) => Err(errno),
    }
}

/// Removes the files of a directory, and lists its directories.
fn level(directory: &OwnedFd, name: CString) -> nix::Result<Level> {
    let mut below = Vec::new();
    let again = openat(directory, c".", DIRECTORY, Mode::empty())?;
    for entry in Dir::from_fd(again)?.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let is_directory = match entry.file_type() {
            Some(kind) => kind == Type::Directory,
            None => false,
        };
        match if is_directory { Err(Errno::EISDIR) } else { unlinkat(directory, name, UnlinkatFlags::NoRemoveDir) } {
            Err(Errno::EISDIR) => below.push(name.to_owned()),
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(Level { name, identity: identity(&fstat(directory)?), below })
}

fn identity(stat: &FileStat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::fd::AsRawFd;
    use std::path::Path;

    fn scratch(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("tare-remove-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn remove(path: &Path, name: &CStr) -> nix::Result<()> {
        tree(File::open(path).unwrap().as_fd(), name)
    }

    #[test]
    fn files_links_and_directories() {
        let here = scratch("kinds");
        let outside = here.join("outside");
        fs::create_dir_all(here.join("tree/a/b")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        fs::write(here.join("tree/a/file"), "").unwrap();
        std::os::unix::fs::symlink(&outside, here.join("tree/a/link")).unwrap();
        remove(&here, c"tree").unwrap();
        remove(&here, c"tree").unwrap();
        assert!(!here.join("tree").exists() && outside.join("kept").exists());
        std::os::unix::fs::symlink(&outside, here.join("link")).unwrap();
        remove(&here, c"link").unwrap();
        assert!(fs::symlink_metadata(here.join("link")).is_err() && outside.join("kept").exists());
        fs::remove_dir_all(&here).unwrap();
    }

    /// Deeper than PATH_MAX, than the limit of descriptors and than the stack of a thread.
    #[test]
    fn ten_thousand_levels() {
        let here = scratch("deep");
        let mut place: OwnedFd = File::open(&here).unwrap().into();
        for _ in 0..10_000 {
            nix::sys::stat::mkdirat(&place, c"d", Mode::S_IRWXU).unwrap();
            place = openat(&place, c"d", DIRECTORY, Mode::empty()).unwrap();
        }
        assert!(place.as_raw_fd() < 1000);
        remove(&here, c"d").unwrap();
        assert_eq!(fs::read_dir(&here).unwrap().count(), 0);
        fs::remove_dir_all(&here).unwrap();
    }
}
