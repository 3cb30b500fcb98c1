//! Masked and read-only paths.

use core::ffi::CStr;

use super::super::files::{self, Fd};
use super::super::op::{Attributes, Propagation, Rules, why};
use super::super::path::PathBuffer;
use super::super::sys::{self, Fault, Try};
use super::attributes::{MOUNT_ATTR_RDONLY, named, set_attributes};
use super::mounts::RootMounts;

/// A path to mask or to make read-only.
pub struct Hidden<'a> {
    pub path: &'a CStr,
    /// The mount of this config that contains the path, if it is open.
    pub mount: Option<i32>,
    /// The path on that mount.
    pub inside: &'a CStr,
}

/// The result of looking up such a path.
struct Places {
    /// The place on that mount.
    on_mount: Option<Fd>,
    /// The place by its name in the root.
    by_name: Option<Fd>,
}

const READ_ONLY: Attributes =
    Attributes { set: MOUNT_ATTR_RDONLY, clear: 0, tree_set: 0, tree_clear: 0, propagation: Propagation::NONE };

impl RootMounts {
    pub fn read_only(&mut self, it: &Hidden<'_>) -> Try<()> {
        let places = self.places(it)?;
        if let Some(place) = places.on_mount {
            self.read_only_place(&place)?;
        }
        match places.by_name {
            Some(place) if self.is_root(&place)? => set_attributes(self.root, &READ_ONLY, Rules::NONE),
            Some(place) => self.read_only_place(&place),
            None => Ok(()),
        }
    }

    fn read_only_place(&self, place: &Fd) -> Try<()> {
        let flags = sys::OPEN_TREE_CLONE | sys::AT_RECURSIVE | sys::AT_EMPTY_PATH;
        let tree = Fd(sys::open_tree(place.0, c"", flags)?);
        self.attach_tree(tree.0, place, &READ_ONLY, Rules::NONE)
    }

    pub fn mask(&mut self, it: &Hidden<'_>) -> Try<()> {
        let places = self.places(it)?;
        if let Some(place) = places.on_mount {
            self.mask_place(&place)?;
        }
        match places.by_name {
            Some(place) if self.is_root(&place)? => Err(Fault::because(why::IS_ROOT, sys::EINVAL)),
            Some(place) => self.mask_place(&place),
            None => Ok(()),
        }
    }

    fn mask_place(&mut self, place: &Fd) -> Try<()> {
        if sys::fstat(place.0)?.is_directory() { self.hide_directory(place) } else { self.hide_file(place) }
    }

    /// Look up a path. A path on a mount of this config is looked up from that mount: another container with the same
    /// root file system may move the mount at this moment, and a look-up by name would not find the path. If another
    /// mount covers the mount, for example through a symbolic link, the path is also looked up by its name.
    fn places(&mut self, it: &Hidden<'_>) -> Try<Places> {
        let by_name = || Ok(Places { on_mount: None, by_name: self.existing(it.path)? });
        let Some(mount) = it.mount else { return by_name() };
        let resolve = sys::RESOLVE_BENEATH | sys::RESOLVE_NO_MAGICLINKS;
        let place = if it.inside.is_empty() {
            sys::duplicate(mount)
        } else {
            sys::openat2(mount, it.inside, sys::O_PATH | sys::O_CLOEXEC, 0, resolve)
        };
        let on_mount = match place {
            Ok(fd) => Some(Fd(fd)),
            Err(fault) if matches!(fault.errno, sys::ENOENT | sys::ENOTDIR) => None,
            // A symbolic link in the path leads out of the mount.
            Err(fault) if fault.errno == sys::EXDEV => return by_name(),
            Err(fault) => return Err(fault),
        };
        if self.in_place == Some(mount) || self.is_in_place(mount, it)? {
            self.in_place = Some(mount);
            return Ok(Places { on_mount, by_name: None });
        }
        Ok(Places { on_mount, by_name: self.existing(it.path)? })
    }

    fn is_in_place(&self, mount: i32, it: &Hidden<'_>) -> Try<bool> {
        let mut destination = PathBuffer::new(it.path.to_bytes())?;
        for _ in it.inside.to_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
            destination.pop();
        }
        let Some(there) = self.existing(destination.as_cstr())? else { return Ok(false) };
        match (sys::mount_id(there.0), sys::mount_id(mount)) {
            (Ok((one, _)), Ok((other, _))) => Ok(one == other),
            _ => Ok(false),
        }
    }

    fn existing(&self, path: &CStr) -> Try<Option<Fd>> {
        match files::look(self.root, path, 0) {
            Ok(fd) => Ok(Some(fd)),
            Err(fault) if matches!(fault.errno, sys::ENOENT | sys::ENOTDIR) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Whether this is the root itself, and not the same directory at another mount point.
    fn is_root(&self, place: &Fd) -> Try<bool> {
        if !sys::fstat(self.root)?.is_same_file(&sys::fstat(place.0)?) {
            return Ok(false);
        }
        Ok(match (sys::mount_id(place.0), sys::mount_id(self.root)) {
            (Ok((one, _)), Ok((other, _))) => one == other,
            _ => true,
        })
    }

    /// All masked directories share one empty read-only tmpfs, which saves superblocks.
    pub(super) fn hide_directory(&mut self, place: &Fd) -> Try<()> {
        if let Some(hidden) = &self.hidden {
            let tree = Fd(sys::open_tree(hidden.0, c"", sys::OPEN_TREE_CLONE | sys::AT_EMPTY_PATH)?);
            return sys::move_mount(tree.0, place.0, c"");
        }
        let context = match sys::fsopen(c"tmpfs").map(Fd) {
            Err(fault) if fault.errno == sys::ENOSYS => return hide_by_name(place, self.label),
            other => other?,
        };
        sys::fsconfig_string(context.0, c"source", c"tmpfs")?;
        sys::fsconfig_string(context.0, c"nr_blocks", c"1")?;
        sys::fsconfig_string(context.0, c"nr_inodes", c"1")?;
        if !self.label.is_empty() {
            sys::fsconfig_string(context.0, c"context", self.label)?;
        }
        sys::fsconfig_flag(context.0, c"ro")?;
        sys::fsconfig_create(context.0)?;
        let made = Fd(sys::fsmount(context.0, MOUNT_ATTR_RDONLY)?);
        sys::move_mount(made.0, place.0, c"")?;
        self.hidden = Some(made);
        Ok(())
    }

    /// Mask a file with the container's `/dev/null`. First check that it is the null device: an image may contain any
    /// file of that name.
    fn hide_file(&mut self, place: &Fd) -> Try<()> {
        let null = match self.null.take() {
            Some(null) => null,
            None => files::look(self.root, c"/dev/null", sys::O_NOFOLLOW)?,
        };
        if !sys::fstat(null.0)?.is_null_device() {
            return Err(Fault::because(why::NOT_NULL, sys::EINVAL));
        }
        let tree = Fd(sys::open_tree(null.0, c"", sys::OPEN_TREE_CLONE | sys::AT_EMPTY_PATH)?);
        self.null = Some(null);
        sys::move_mount(tree.0, place.0, c"")
    }
}

/// A separate tmpfs, for a host whose seccomp filter forbids `fsopen(2)`.
#[inline(never)]
fn hide_by_name(place: &Fd, label: &CStr) -> Try<()> {
    let mut data = PathBuffer::new(b"nr_blocks=1,nr_inodes=1")?;
    if !label.is_empty() {
        data.append(b",context=\"")?;
        data.append(label.to_bytes())?;
        data.append(b"\"")?;
    }
    named(place.0, &|path| sys::mount(c"tmpfs", path, c"tmpfs", MOUNT_ATTR_RDONLY, data.as_cstr()))
}
