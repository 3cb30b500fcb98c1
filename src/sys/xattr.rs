//! Extended attributes (xattr(7)), which `nix` does not have.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

/// Set an attribute of the file at a path.
///
/// # Errors
/// What `setxattr(2)` answers.
pub fn set(path: &Path, name: &CStr, value: &[u8]) -> nix::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: two C strings, and as many bytes as are said, which live here.
    let set = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Errno::result(set).map(drop)
}

/// Read an attribute of the file at a path; `None` if it is not set. A value of more than 256 bytes is an error.
///
/// # Errors
/// What `getxattr(2)` answers.
pub fn get(path: &Path, name: &CStr) -> nix::Result<Option<Vec<u8>>> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let mut value = [0u8; 256];
    // SAFETY: two C strings, and room for as many bytes as are said, which lives here.
    let got = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    match Errno::result(got) {
        Ok(count) => Ok(Some(value[..count as usize].to_vec())),
        Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno),
    }
}
