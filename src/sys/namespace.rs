//! Facts about the namespaces of this process.

use std::fs::metadata;
use std::os::unix::fs::MetadataExt;

/// Whether this process is in a user namespace other than the initial one.
///
/// The initial one has a fixed inode. The id map does not tell: another namespace can map all ids to themselves.
pub fn in_user_namespace() -> bool {
    const PROC_USER_INIT_INO: u64 = 0xEFFF_FFFD;
    user_namespace("self").is_some_and(|inode| inode != PROC_USER_INIT_INO)
}

/// Whether process 1 is in this process's user namespace. If so, this is a whole system in a container with its own
/// service manager, not the session of a user.
pub fn first_process_is_here() -> bool {
    user_namespace("1").is_some_and(|first| Some(first) == user_namespace("self"))
}

fn user_namespace(pid: &str) -> Option<u64> {
    metadata(format!("/proc/{pid}/ns/user")).map(|file| file.ino()).ok()
}
