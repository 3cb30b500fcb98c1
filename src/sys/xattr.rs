//! Extended attributes (xattr(7)), for which `nix` has no functions.

use std::ffi::{CStr, CString};
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
