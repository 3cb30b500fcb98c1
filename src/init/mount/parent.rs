//! Mount points that are looked up by their name in a directory that stays open.

use core::ffi::CStr;

use super::super::files::{self, Fd, PROC_SUPER_MAGIC};
use super::super::op::Rules;
use super::super::path::ShortBuffer;
use super::super::sys::{self, Try};

/// The directory in which the last bind was mounted, if it is still the directory at its path.
pub struct Parent(Option<Open>);

struct Open {
    /// Its path in the root, without a slash at the end.
    path: &'static [u8],
    directory: Fd,
    /// The index of the operation that has used it last.
    index: u32,
}

/// A directory to attach.
pub struct Grafted {
    /// The detached tree.
    pub tree: i32,
    /// The path of the mount point in the root.
    pub target: &'static CStr,
    pub rules: Rules,
    /// The index of the operation.
    pub index: u32,
}

impl Parent {
    pub const NONE: Parent = Parent(None);

    /// Attach the tree by the name of its mount point in the parent directory, and create the mount point if it is
    /// missing. Returns false if the path must be looked up as a whole.
    ///
    /// The parent directory stays open for the next operation: the mount points of many volumes are side by side, and
    /// looking up each takes longer. The look-up of the parent stays in the root, and the kernel looks up the name
    /// without following a symbolic link. It attaches a directory to a directory only, so nothing is mounted on a link.
    pub fn attach(&mut self, root: i32, it: &Grafted) -> bool {
        // Rules that say something about the mount point need its look-up.
        if it.rules.without(Rules::EXACT | Rules::SLAVE | Rules::SOURCE_NO_FOLLOW) != Rules::NONE {
            return false;
        }
        let Some((path, name)) = split(it.target) else { return false };
        let Some(parent) = self.open(root, path, it.index) else { return false };
        let attach = || sys::move_mount(it.tree, parent, name);
        match attach() {
            Err(fault) if fault.errno == sys::ENOENT => sys::mkdirat(parent, name, 0o755).is_ok() && attach().is_ok(),
            result => result.is_ok(),
        }
    }

    fn open(&mut self, root: i32, path: &'static [u8], index: u32) -> Option<i32> {
        // Any other operation in between may have covered the directory with a mount.
        if let Some(last) = &mut self.0
            && last.index + 1 == index
            && last.path.iter().eq(path)
        {
            last.index = index;
            return Some(last.directory.0);
        }
        let directory = open_parent(root, path).ok()?;
        // Nothing is mounted in a procfs; the look-up of the whole path has the error.
        if sys::fstatfs(directory.0).ok()?.0 == PROC_SUPER_MAGIC {
            return None;
        }
        Some(self.0.insert(Open { path, directory, index }).directory.0)
    }
}

#[inline(never)]
fn open_parent(root: i32, path: &[u8]) -> Try<Fd> {
    let mut text = ShortBuffer::new(path)?;
    text.append(b"/")?;
    files::look(root, text.as_cstr(), sys::O_DIRECTORY)
}

/// The path of the parent directory and the name in it. `None` if the last part is not a name.
fn split(target: &'static CStr) -> Option<(&'static [u8], &'static CStr)> {
    let bytes = target.to_bytes_with_nul();
    let slash = bytes.iter().rposition(|byte| *byte == b'/')?;
    let name = CStr::from_bytes_until_nul(bytes.get(slash + 1..)?).ok()?;
    let is_name = !matches!(name.to_bytes(), b"" | b"." | b"..");
    is_name.then(|| (&bytes[..slash], name))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_target_has_a_parent_and_a_name() {
        for (target, wanted) in [
            (c"/a/bc", Some((&b"/a"[..], c"bc"))),
            (c"/a", Some((b"", c"a"))),
            (c"/a/..", None),
            (c"/a/.", None),
            (c"/a/", None),
            (c"/", None),
            (c"a", None),
            (c"", None),
        ] {
            assert_eq!(split(target), wanted, "{target:?}");
        }
    }
}
