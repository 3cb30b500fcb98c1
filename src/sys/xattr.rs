//! Extended attributes (xattr(7)), for which `nix` has no functions.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

/// Sets an attribute of the file at a path.
///
/// # Errors
/// The error of `setxattr(2)`.
pub fn set(path: &Path, name: &CStr, value: &[u8]) -> nix::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: two C strings and a slice with its own length, all of which outlive the call.
    let set = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Errno::result(set).map(drop)
}

/// Reads an attribute of the file at a path; `None` if it is not set. A value of more than 256 bytes is an error.
///
/// # Errors
/// The error of `getxattr(2)`.
pub fn get(path: &Path, name: &CStr) -> nix::Result<Option<Vec<u8>>> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let mut value = [0u8; 256];
    // SAFETY: two C strings and a buffer with its own length, all of which outlive the call.
    let got = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    match Errno::result(got) {
        Ok(count) => Ok(Some(value[..count as usize].to_vec())),
        Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// [`get`] for an open file. The descriptor is not one with `O_PATH`.
///
/// # Errors
/// The error of `fgetxattr(2)`.
pub fn get_open(file: BorrowedFd<'_>, name: &CStr) -> nix::Result<Option<Vec<u8>>> {
    let mut value = [0u8; 256];
    // SAFETY: an open descriptor, a C string, and a buffer with its own length, all of which outlive the call.
    let got = unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    match Errno::result(got) {
        Ok(count) => Ok(Some(value[..count as usize].to_vec())),
        Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Sets an attribute like [`set`], but of a symbolic link itself.
///
/// # Errors
/// The error of `lsetxattr(2)`.
pub fn set_of_link(path: &Path, name: &CStr, value: &[u8]) -> nix::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: two C strings and a slice with its own length, all of which outlive the call.
    let set = unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Errno::result(set).map(drop)
}

/// All attributes of the file at a path, sorted by name. None where the file system has none.
///
/// # Errors
/// The error of `listxattr(2)` or `getxattr(2)`.
pub fn all(path: &Path) -> nix::Result<Vec<(CString, Vec<u8>)>> {
    // SAFETY: the C strings and the buffer with its own length outlive the call.
    collect(
        path,
        |path, place, size| unsafe { libc::listxattr(path, place, size) },
        |path, name, place, size| unsafe { libc::getxattr(path, name, place, size) },
    )
}

/// [`all`], but of a symbolic link itself.
///
/// # Errors
/// The error of `llistxattr(2)` or `lgetxattr(2)`.
pub fn all_of_link(path: &Path) -> nix::Result<Vec<(CString, Vec<u8>)>> {
    // SAFETY: the C strings and the buffer with its own length outlive the call.
    collect(
        path,
        |path, place, size| unsafe { libc::llistxattr(path, place, size) },
        |path, name, place, size| unsafe { libc::lgetxattr(path, name, place, size) },
    )
}

type CharPointer = *const libc::c_char;

fn collect(
    path: &Path,
    list: impl Fn(CharPointer, *mut libc::c_char, usize) -> isize,
    get: impl Fn(CharPointer, CharPointer, *mut libc::c_void, usize) -> isize,
) -> nix::Result<Vec<(CString, Vec<u8>)>> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let names = match grown(|place, size| list(path.as_ptr(), place.cast(), size)) {
        Err(Errno::EOPNOTSUPP) => return Ok(Vec::new()),
        names => names?,
    };
    let mut found = Vec::new();
    for name in names.split_inclusive(|byte| *byte == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok()) {
        match grown(|place, size| get(path.as_ptr(), name.as_ptr(), place.cast(), size)) {
            Ok(value) => found.push((name.to_owned(), value)),
            // The attribute was removed meanwhile, or this user may not read it.
            Err(Errno::ENODATA) => {}
            Err(errno) => return Err(errno),
        }
    }
    found.sort();
    Ok(found)
}

/// Calls a function that fills a buffer with a larger one each time that it answers ERANGE. The kernel's limit is 64 KiB.
fn grown(call: impl Fn(*mut u8, usize) -> isize) -> nix::Result<Vec<u8>> {
    let mut buffer = vec![0u8; 256];
    loop {
        match Errno::result(call(buffer.as_mut_ptr(), buffer.len())) {
            Err(Errno::ERANGE) if buffer.len() < 1 << 17 => buffer.resize(buffer.len() * 4, 0),
            Ok(count) => {
                buffer.truncate(count as usize);
                return Ok(buffer);
            }
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_any_size() {
        let path = std::env::temp_dir().join(format!("tare-xattr-{}", std::process::id()));
        std::fs::write(&path, "").unwrap();
        let (long, name) = (vec![b'x'; 2000], CString::new(format!("user.{}", "n".repeat(240))).unwrap());
        let set = set_of_link(&path, &name, &long).and_then(|()| set_of_link(&path, c"user.a", b"\n"));
        match set {
            Err(Errno::EOPNOTSUPP) => eprintln!("skipped: no attributes in {}", path.display()),
            set => {
                set.unwrap();
                let wanted = [(c"user.a".to_owned(), b"\n".to_vec()), (name, long)];
                assert_eq!(all_of_link(&path).unwrap(), wanted);
                assert_eq!(all(&path).unwrap(), wanted);
            }
        }
        std::fs::remove_file(&path).unwrap();
    }
}
