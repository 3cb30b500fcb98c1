//! Ordinary users with accounts and subordinate ids of the tests' own.

use super::{Call, Result, skip};
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A call of an ordinary user, who has this name and these lines in `/etc/subuid` and `/etc/subgid` of a mount namespace
/// of its own. `place` gives the path for a file with this name.
pub fn with_accounts(
    call: Call,
    (name, uid): (&str, u32),
    subordinate: &str,
    place: impl Fn(&str) -> PathBuf,
) -> Result<Call> {
    let mut covers = Vec::new();
    let passwd = format!("root:x:0:0::/:/bin/sh\n{name}:x:{uid}:{uid}::/:/bin/sh\n");
    for (file, text) in [("passwd", passwd.as_str()), ("subuid", subordinate), ("subgid", subordinate)] {
        let path = place(file);
        fs::write(&path, text)?;
        if !Path::new("/etc").join(file).exists() {
            return skip(format!("there is no /etc/{file} to cover"));
        }
        covers.push((CString::new(path.as_os_str().as_bytes())?, CString::new(format!("/etc/{file}"))?));
    }
    let call = call.in_child(move || {
        let none = std::ptr::null();
        // SAFETY: system calls with C strings that the closure owns.
        let done = unsafe {
            libc::unshare(libc::CLONE_NEWNS) == 0
                && libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()) == 0
                && covers
                    .iter()
                    .all(|(from, to)| libc::mount(from.as_ptr(), to.as_ptr(), none, libc::MS_BIND, none.cast()) == 0)
        };
        if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    });
    Ok(call.user(uid))
}
