//! The exchange of two names, which makes races between an attacker and a runtime.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Two paths to exchange (`RENAME_EXCHANGE`, renameat2(2)).
pub struct Exchange {
    a: CString,
    b: CString,
}

impl Exchange {
    pub fn new(a: &Path, b: &Path) -> io::Result<Exchange> {
        let name = |path: &Path| CString::new(path.as_os_str().as_bytes());
        Ok(Exchange { a: name(a)?, b: name(b)? })
    }

    pub fn once(&self) -> io::Result<()> {
        let here = libc::AT_FDCWD;
        // SAFETY: both paths are C strings that this value owns. Not every C library has a function for the call.
        let result = unsafe {
            libc::syscall(libc::SYS_renameat2, here, self.a.as_ptr(), here, self.b.as_ptr(), libc::RENAME_EXCHANGE)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}
