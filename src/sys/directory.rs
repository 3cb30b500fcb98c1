//! Reading directories.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::dir::{Dir, Type};
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, lstat};

use super::again;

/// The names in a directory, each with whether it is a directory itself.
///
/// `std::fs::read_dir` is not used, because it panics if the directory cannot be closed.
///
/// # Errors
/// The error of opening or reading the directory.
pub fn entries(path: &Path) -> nix::Result<Vec<(OsString, bool)>> {
    read(&mut open(path)?, path)
}

/// Opens a directory for [`read`].
///
/// # Errors
/// The error of openat(2).
pub fn open(path: &Path) -> nix::Result<Dir> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    again(|| Dir::open(path, flags, Mode::empty()))
}

/// [`entries`] of an open directory; `path` is its path.
///
/// # Errors
/// The error of reading the directory.
pub fn read(directory: &mut Dir, path: &Path) -> nix::Result<Vec<(OsString, bool)>> {
    let mut found = Vec::new();
    for entry in directory.iter() {
        let entry = entry?;
        let name = std::ffi::OsStr::from_bytes(entry.file_name().to_bytes());
        if matches!(name.as_bytes(), b"." | b"..") {
            continue;
        }
        let is_directory = match entry.file_type() {
            Some(kind) => kind == Type::Directory,
            // Some file systems do not report the type.
            None => {
                lstat(&path.join(name)).is_ok_and(|stat| stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits())
            }
        };
        found.push((name.to_owned(), is_directory));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_the_directory_itself() {
        let path = std::env::temp_dir().join(format!("tare-directory-{}", std::process::id()));
        std::fs::create_dir_all(path.join("below")).unwrap();
        std::fs::write(path.join("file"), "").unwrap();
        let mut found = entries(&path).unwrap();
        found.sort();
        assert_eq!(found, [("below".into(), true), ("file".into(), false)]);
        std::fs::remove_dir_all(&path).unwrap();
        assert_eq!(entries(&path), Err(nix::errno::Errno::ENOENT));
    }
}
