//! The root: binding, entering and leaving it.

use core::ffi::CStr;

use super::super::files::{Fd, open_plain};
use super::super::op::{Attributes, Rules};
use super::super::sys::{self, Try};
use super::attributes::{MS_PRIVATE, MS_SLAVE, propagate, propagate_here, set_attributes};
use super::mounts::RootMounts;

pub fn bury(path: &CStr) -> Try<()> {
    // This detaches the mounts below, too, and the host must not see that.
    if let Err(fault) = propagate(sys::AT_FDCWD, path, true, MS_SLAVE)
        && !matches!(fault.errno, sys::EINVAL | sys::ENOENT)
    {
        return Err(fault);
    }
    match sys::detach(path) {
        Err(fault) if matches!(fault.errno, sys::EINVAL | sys::EPERM) => sys::mount(c"tmpfs", path, c"tmpfs", 0, c""),
        Err(fault) if fault.errno == sys::ENOENT => Ok(()),
        other => other,
    }
}

impl RootMounts {
    pub fn propagation(&self, flags: u64) -> Try<()> {
        propagate(sys::AT_FDCWD, c"/", true, flags)
    }

    /// Make the mount that contains the path private, so that the host does not see the mounts on it. The function
    /// walks up the path to the root of that mount.
    pub fn private_parent(&self, path: &CStr) -> Try<()> {
        let mut here = Fd(open_plain(path)?);
        loop {
            match propagate_here(here.0, false, MS_PRIVATE) {
                // The path is not the root of a mount. `/` is one, so the loop ends.
                Err(fault) if fault.errno == sys::EINVAL => {
                    let flags = sys::O_PATH | sys::O_CLOEXEC | sys::O_DIRECTORY;
                    let above = Fd(sys::openat2(here.0, c"..", flags, 0, 0)?);
                    if sys::fstat(above.0)?.is_same_file(&sys::fstat(here.0)?) {
                        return Err(fault);
                    }
                    here = above;
                }
                other => return other,
            }
        }
    }

    /// Bind the root file system onto itself. The runtime has checked the path by name. This fails if a symbolic link has
    /// replaced a part of the path since then.
    pub fn bind_root(&mut self, path: &CStr) -> Try<()> {
        let place = Fd(open_plain(path)?);
        let tree = sys::open_tree(place.0, c"", sys::OPEN_TREE_CLONE | sys::AT_RECURSIVE | sys::AT_EMPTY_PATH)?;
        sys::move_mount(tree, place.0, c"")?;
        self.root = tree;
        Ok(())
    }

    /// Mount a tree that the runtime opened at the path of the root.
    pub fn attach_root(&mut self, path: &CStr, tree: i32) -> Try<()> {
        let place = Fd(open_plain(path)?);
        sys::move_mount(tree, place.0, c"")?;
        self.root = tree;
        Ok(())
    }

    pub fn take_root(&mut self, path: &CStr, follow: bool) -> Try<()> {
        self.root = match follow {
            true => sys::openat2(sys::AT_FDCWD, path, sys::O_PATH | sys::O_CLOEXEC | sys::O_DIRECTORY, 0, 0)?,
            false => open_plain(path)?,
        };
        Ok(())
    }

    /// Make the new root the root of the mount namespace. After pivot_root(2) the old root is mounted over the new one,
    /// at `.`, and is detached from there.
    pub fn pivot(&mut self, shared: bool) -> Try<()> {
        let old = Fd(sys::openat2(sys::AT_FDCWD, c"/", sys::O_PATH | sys::O_CLOEXEC | sys::O_DIRECTORY, 0, 0)?);
        sys::fchdir(self.root)?;
        sys::pivot_root(c".", c".")?;
        sys::fchdir(old.0)?;
        if shared {
            // The host must not see that its own mounts are detached here.
            propagate(sys::AT_FDCWD, c".", true, MS_SLAVE)?;
        }
        sys::detach(c".")?;
        sys::chdir(c"/")
    }

    pub fn move_root(&mut self) -> Try<()> {
        sys::fchdir(self.root)?;
        sys::move_mount(self.root, sys::AT_FDCWD, c"/")?;
        self.chroot()
    }

    pub fn chroot(&mut self) -> Try<()> {
        sys::fchdir(self.root)?;
        sys::chroot(c".")?;
        sys::chdir(c"/")
    }

    pub fn root_attributes(&self, attributes: &Attributes) -> Try<()> {
        set_attributes(self.root, attributes, Rules::NONE)
    }
}
