//! The files of a cgroup directory. Each is opened once, and read or written with one system call.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, read, unlinkat, write};

use crate::sys::again;

/// Opens a directory for `openat`, `CLONE_INTO_CGROUP` and device programs.
pub fn open_dir(path: &Path) -> Result<OwnedFd, Errno> {
    again(|| open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()))
}

/// Opens a file of the directory for writing, without `O_CREAT`: with it, a cgroup file system answers "permission
/// denied" for a missing file.
pub fn open_to_write(dir: impl AsFd, file: &(impl NixPath + ?Sized)) -> Result<OwnedFd, Errno> {
    again(|| openat(&dir, file, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty()))
}

/// Opens the list of enabled controllers for reading and writing.
pub fn open_subtree_control(dir: &Path) -> Result<OwnedFd, Errno> {
    let file = dir.join("cgroup.subtree_control");
    again(|| open(&file, OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()))
}

/// Writes `value` with one write(2), as cgroup files require.
pub fn put(file: impl AsFd, value: &str) -> Result<(), Errno> {
    again(|| write(&file, value.as_bytes())).map(drop)
}

/// Writes `value` to a file of the directory.
pub fn write_at(dir: impl AsFd, file: &(impl NixPath + ?Sized), value: &str) -> Result<(), Errno> {
    put(open_to_write(dir, file)?, value)
}

/// Writes `value` to the file at `path`.
pub fn write_file(path: &Path, value: &str) -> Result<(), Errno> {
    write_at(AT_FDCWD, path, value)
}

pub fn read_at(dir: impl AsFd, file: &(impl NixPath + ?Sized)) -> Result<String, Errno> {
    contents(again(|| openat(&dir, file, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()))?)
}

/// Reads an open file from its current position.
pub fn contents(file: impl AsFd) -> Result<String, Errno> {
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match again(|| read(&file, &mut chunk))? {
            0 => break,
            count => {
                text.extend_from_slice(&chunk[..count]);
                // seq_file fills the buffer as long as the next line fits. If half a page is free, there are no more
                // lines, so the last read is not necessary.
                if count < chunk.len() / 2 {
                    break;
                }
            }
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

pub fn read_file(path: &Path) -> Result<String, Errno> {
    read_at(AT_FDCWD, path)
}

/// The number after `key` in a file of lines `key number`.
pub fn number_of(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    line?.trim().parse().ok()
}

/// Removes one directory.
pub fn rmdir(path: &Path) -> Result<(), Errno> {
    again(|| unlinkat(AT_FDCWD, path, UnlinkatFlags::RemoveDir))
}

/// Whether the error says that the file or directory, or the cgroup of an open file, was removed.
pub fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENODEV)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_by_key() {
        let text = "populated 1\nfrozen 0\nfrozen_count 7\n";
        assert_eq!(number_of(text, "frozen"), Some(0));
        assert_eq!(number_of(text, "populated"), Some(1));
        assert_eq!(number_of(text, "froz"), None);
    }
}
