//! Facts about the namespaces of this process.

use std::fs::read_link;
use std::io::{ErrorKind, Result};

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
    inode(pid, "user").ok()
}

/// The inode number of a process's namespace, which identifies it (namespaces(7)). The text of the link has the number;
/// to follow the link takes the kernel longer.
///
/// # Errors
/// The process or the kind of namespace does not exist, or the caller may not see it.
pub fn inode(pid: &str, kind: &str) -> Result<u64> {
    let link = read_link(format!("/proc/{pid}/ns/{kind}"))?;
    let number = link.to_str().and_then(|text| text.strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']'));
    number.and_then(|number| number.parse().ok()).ok_or_else(|| ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn the_link_has_the_inode_of_its_target() {
        for kind in ["user", "pid", "net"] {
            let target = std::fs::metadata(format!("/proc/self/ns/{kind}")).unwrap();
            assert_eq!(inode("self", kind).unwrap(), target.ino());
        }
        assert_eq!(inode("self", "none").unwrap_err().kind(), ErrorKind::NotFound);
    }
}
