//! A root of layers: an overlay (overlayfs), mounted in the container's own mount namespace.

use core::ffi::CStr;

use super::super::files::{Fd, open_plain};
use super::super::op::{Text, why};
use super::super::path::{ShortBuffer, in_proc};
use super::super::sys::{self, Fault, Try};
use super::mounts::RootMounts;

/// The name that the mount table shows.
const SOURCE: &CStr = c"overlay";
/// The directories on the tmpfs of a union that has no upper directory.
const UPPER: &CStr = c"upper";
const WORK: &CStr = c"work";

/// mount(2) takes a page, with the NUL.
const LONGEST_DATA: usize = 4096;

/// An overlay to mount.
pub struct NewUnion<'a> {
    /// The mount point.
    pub path: &'a CStr,
    /// The base layer first.
    pub layers: &'static [Text],
    /// The upper and the work directory. Without them a tmpfs has both, and ends with the container.
    pub upper: Option<(&'a CStr, &'a CStr)>,
    /// Pairs of key and value.
    pub options: &'static [Text],
    /// The same options for mount(2), with each layer by its number.
    pub data: &'a CStr,
    /// The upper directory takes owner and mode of the highest layer.
    pub adopt: bool,
}

/// The open directories for the changes in a union.
struct Changes {
    upper: Fd,
    work: Fd,
}

impl RootMounts {
    #[cold]
    #[inline(never)]
    pub fn union(&mut self, it: &NewUnion<'_>) -> Try<()> {
        let mut place = Fd(open_plain(it.path)?);
        let (writable, adopt) = match it.upper {
            Some((upper, work)) => (Changes { upper: directory(upper)?, work: directory(work)? }, it.adopt),
            None => {
                place = tmpfs(it.path, &place)?;
                sys::mkdirat(place.0, UPPER, 0o755)?;
                sys::mkdirat(place.0, WORK, 0o700)?;
                let open = |name| sys::openat2(place.0, name, sys::O_DIRECTORY | sys::O_CLOEXEC, 0, 0).map(Fd);
                (Changes { upper: open(UPPER)?, work: open(WORK)? }, true)
            }
        };
        if adopt && let Some(highest) = it.layers.last() {
            adopt_owner(&writable.upper, &directory(self.program.text(*highest))?)?;
        }
        match self.union_by_descriptor(it, &writable)? {
            Some(made) => {
                sys::move_mount(made.0, place.0, c"")?;
                self.root = made.keep();
            }
            None => self.union_by_name(it, place)?,
        }
        Ok(())
    }

    /// Mount with descriptors, which take any number of layers and paths of any length. `None` if the kernel does not
    /// take them: before Linux 6.13 no descriptors, and before 6.15 none of `O_PATH`.
    #[inline(never)]
    fn union_by_descriptor(&self, it: &NewUnion<'_>, writable: &Changes) -> Try<Option<Fd>> {
        let context = match sys::fsopen(SOURCE) {
            Err(fault) if fault.errno == sys::ENOSYS => return Ok(None),
            other => Fd(other?),
        };
        sys::fsconfig_string(context.0, c"source", SOURCE)?;
        for (index, layer) in it.layers.iter().enumerate().rev() {
            let layer = directory(self.program.text(*layer)).map_err(|fault| of_layer(fault, index))?;
            match sys::fsconfig_descriptor(context.0, c"lowerdir+", layer.0) {
                Err(Fault { errno: sys::EINVAL | sys::EBADF, .. }) if index + 1 == it.layers.len() => return Ok(None),
                other => other.map_err(|fault| of_layer(fault, index))?,
            }
        }
        sys::fsconfig_descriptor(context.0, c"upperdir", writable.upper.0)?;
        sys::fsconfig_descriptor(context.0, c"workdir", writable.work.0)?;
        for option in it.options.as_chunks::<2>().0 {
            let key = self.program.text(option[0]);
            match option[1] {
                Text::NONE => sys::fsconfig_flag(context.0, key)?,
                value => sys::fsconfig_string(context.0, key, self.program.text(value))?,
            }
        }
        sys::fsconfig_create(context.0)?;
        sys::fsmount(context.0, 0).map(Fd).map(Some)
    }

    /// Mount with mount(2), whose options have a page for all paths together. Each layer is bound at a short name on a
    /// tmpfs, so the page is enough for all layers that the kernel takes.
    #[inline(never)]
    fn union_by_name(&mut self, it: &NewUnion<'_>, place: Fd) -> Try<()> {
        if it.data.count_bytes() >= LONGEST_DATA {
            return Err(Fault::because(why::TOO_LONG, sys::ENAMETOOLONG));
        }
        // Without an upper directory there is a tmpfs already.
        let place = if it.upper.is_some() { tmpfs(it.path, &place)? } else { place };
        for (index, layer) in it.layers.iter().enumerate().rev() {
            let name = number(index)?;
            sys::mkdirat(place.0, name.as_cstr(), 0o755)?;
            let tree = sys::open_tree(sys::AT_FDCWD, self.program.text(*layer), sys::OPEN_TREE_CLONE).map(Fd);
            sys::move_mount(tree.map_err(|fault| of_layer(fault, index))?.0, place.0, name.as_cstr())?;
        }
        let before = Fd(sys::openat2(sys::AT_FDCWD, c".", sys::O_PATH | sys::O_CLOEXEC, 0, 0)?);
        sys::fchdir(place.0)?;
        let mounted = sys::mount(SOURCE, c".", SOURCE, 0, it.data);
        sys::fchdir(before.0)?;
        mounted?;
        self.root = open_plain(it.path)?;
        Ok(())
    }
}

/// The fault, with the layer that it is about.
fn of_layer(fault: Fault, index: usize) -> Fault {
    Fault { detail: index as u64 + 1, ..fault }
}

fn directory(path: &CStr) -> Try<Fd> {
    let open = |flags| sys::openat2(sys::AT_FDCWD, path, flags | sys::O_DIRECTORY | sys::O_CLOEXEC, 0, 0).map(Fd);
    match open(0) {
        // To look names up is enough.
        Err(fault) if fault.errno == sys::EACCES => open(sys::O_PATH),
        other => other,
    }
}

/// Mount a tmpfs over the directory `place` at `path`, and return its root.
fn tmpfs(path: &CStr, place: &Fd) -> Try<Fd> {
    match sys::fsopen(c"tmpfs") {
        Err(fault) if fault.errno == sys::ENOSYS => {
            sys::mount(c"tmpfs", path, c"tmpfs", 0, c"mode=0755")?;
            open_plain(path).map(Fd)
        }
        other => {
            let context = Fd(other?);
            sys::fsconfig_string(context.0, c"source", c"tmpfs")?;
            sys::fsconfig_string(context.0, c"mode", c"0755")?;
            sys::fsconfig_create(context.0)?;
            let made = Fd(sys::fsmount(context.0, 0)?);
            sys::move_mount(made.0, place.0, c"")?;
            Ok(made)
        }
    }
}

/// overlayfs shows the upper directory as the root, with its owner and its mode.
fn adopt_owner(upper: &Fd, layer: &Fd) -> Try<()> {
    let stat = sys::fstat(layer.0)?;
    match sys::fchown(upper.0, stat.uid, stat.gid) {
        // The owner has no id in this user namespace. As the owner of the root it would be nobody.
        Err(fault) if fault.errno == sys::EINVAL => {}
        other => other?,
    }
    sys::fchmod(upper.0, stat.mode & 0o7777)
}

/// A number as a name.
fn number(index: usize) -> Try<ShortBuffer> {
    let path = in_proc(index as i32)?;
    ShortBuffer::new(&path.as_cstr().to_bytes()[b"self/fd/".len()..])
}
