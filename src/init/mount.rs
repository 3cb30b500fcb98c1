//! The file systems of the container.

use core::ffi::CStr;

use crate::files::{self, Fd, PathBuffer, Target};
use crate::op::{Attributes, Text, place, why};
use crate::sys::{self, Fault, Program, Try};

const MOUNT_ATTR_RDONLY: u64 = 1;
/// Every flag that a remount with exact flags takes away: `ro nosuid nodev noexec nosymfollow`.
const PLAIN_FLAGS: u64 = 0x20_000f;
/// The one of them that the kernel never locks.
const MOUNT_ATTR_NOSYMFOLLOW: u64 = 0x20_0000;
const MS_SLAVE: u64 = 1 << 19;
const MS_PRIVATE: u64 = 1 << 18;
/// `fsconfig(2)` takes values of at most 255 bytes; mount(2) takes a page of them.
const LONGEST_VALUE: u32 = 255;

pub fn bury(path: &CStr) -> Try<()> {
    // What is mounted below goes along, and the host must not see that.
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

/// What is known of the new root while it is built.
pub struct Mounts {
    program: Program,
    /// The root; targets are looked up below it.
    pub root: i32,
    directory: Option<Fd>,
    hidden: Option<Fd>,
    null: Option<Fd>,
}

/// One file system to mount, as the operation describes it.
pub struct FileSystem<'a> {
    pub target: &'a CStr,
    pub kind: &'a CStr,
    pub source: &'a CStr,
    pub instead: Option<&'a CStr>,
    pub options: &'a [Text],
    pub attributes: &'a Attributes,
    pub place: u32,
}

impl Mounts {
    pub fn new(program: Program) -> Mounts {
        Mounts { program, root: sys::AT_FDCWD, directory: None, hidden: None, null: None }
    }

    pub fn propagation(&self, flags: u64) -> Try<()> {
        propagate(sys::AT_FDCWD, c"/", true, flags)
    }

    /// Walk up to the mount that holds the path; it must not be shared when something is mounted
    /// on it, or the host would see it too.
    #[inline(never)]
    pub fn private_parent(&self, path: &CStr) -> Try<()> {
        let mut path = PathBuffer::new(path.to_bytes())?;
        loop {
            match propagate(sys::AT_FDCWD, path.as_cstr(), false, MS_PRIVATE) {
                Err(fault) if fault.errno == sys::EINVAL && path.pop() => {}
                other => return other,
            }
        }
    }

    pub fn bind_root(&mut self, path: &CStr) -> Try<()> {
        let tree = sys::open_tree(sys::AT_FDCWD, path, sys::OPEN_TREE_CLONE | sys::AT_RECURSIVE)?;
        sys::move_mount(tree, sys::AT_FDCWD, path)?;
        self.root = tree;
        Ok(())
    }

    pub fn take_root(&mut self, path: &CStr) -> Try<()> {
        self.root = sys::openat2(sys::AT_FDCWD, path, sys::O_PATH | sys::O_CLOEXEC | sys::O_DIRECTORY, 0, 0)?;
        Ok(())
    }

    pub fn mount(&mut self, it: &FileSystem<'_>) -> Try<()> {
        let target = files::target(self.root, it.target, true, it.place)?;
        let long = |text: &Text| *text != Text::NONE && text.len > LONGEST_VALUE;
        if it.options.iter().any(long) || it.source.count_bytes() > LONGEST_VALUE as usize {
            return self.mount_by_name(it, &target);
        }
        match self.mount_by_descriptor(it, &target) {
            Err(fault) if fault.errno == sys::ENOSYS => self.mount_by_name(it, &target),
            Err(Fault { errno: sys::EPERM | sys::EBUSY, .. }) if it.instead.is_some() => {
                let path = it.instead.unwrap_or_default();
                match sys::open_tree(sys::AT_FDCWD, path, sys::OPEN_TREE_CLONE | sys::AT_RECURSIVE).map(Fd) {
                    Ok(tree) => {
                        sys::move_mount(tree.0, target.fd.0, c"")?;
                        set_attributes(tree.0, it.attributes, it.place)
                    }
                    // Without a cgroup of its own the container must not see, let alone write,
                    // the one that it is in (CVE-2023-25809).
                    Err(fault) if fault.errno == sys::ENOENT => self.hide_directory(&target.fd),
                    Err(fault) => Err(fault),
                }
            }
            other => other,
        }
    }

    fn mount_by_descriptor(&self, it: &FileSystem<'_>, target: &Target) -> Try<()> {
        let context = Fd(sys::fsopen(it.kind)?);
        if !it.source.is_empty() {
            sys::fsconfig_string(context.0, c"source", it.source)?;
        }
        if it.place & place::KEEP_MODE != 0 && !target.made {
            let mode = octal(sys::fstat(target.fd.0)?.mode & 0o7777);
            sys::fsconfig_string(context.0, c"mode", CStr::from_bytes_until_nul(&mode).unwrap_or(c"0755"))?;
        }
        for option in it.options.as_chunks::<2>().0 {
            let key = self.program.text(option[0]);
            match option[1] {
                Text::NONE => sys::fsconfig_flag(context.0, key)?,
                value => sys::fsconfig_string(context.0, key, self.program.text(value))?,
            }
        }
        sys::fsconfig_create(context.0)?;
        let made = Fd(sys::fsmount(context.0, it.attributes.set)?);
        if it.place & place::COPY_UP != 0 {
            files::copy_tree(target.fd.0, made.0)?;
        }
        sys::move_mount(made.0, target.fd.0, c"")?;
        let rest = Attributes { set: 0, clear: 0, ..*it.attributes };
        set_attributes(made.0, &rest, 0)
    }

    /// The old way, for option values that `fsconfig(2)` does not take (an overlay of many layers)
    /// and for hosts whose seccomp filter does not know the new one.
    #[inline(never)]
    fn mount_by_name(&self, it: &FileSystem<'_>, target: &Target) -> Try<()> {
        let mut data = PathBuffer::new(b"")?;
        for option in it.options.as_chunks::<2>().0 {
            if !data.as_cstr().is_empty() {
                data.append(b",")?;
            }
            data.append(self.program.text(option[0]).to_bytes())?;
            if option[1] != Text::NONE {
                data.append(b"=")?;
                data.append(self.program.text(option[1]).to_bytes())?;
            }
        }
        let old = Fd(sys::openat2(sys::AT_FDCWD, c".", sys::O_PATH | sys::O_CLOEXEC, 0, 0)?);
        sys::fchdir(target.fd.0)?;
        let result = sys::mount(it.source, c".", it.kind, legacy_flags(it.attributes.set), data.as_cstr());
        sys::fchdir(old.0)?;
        result?;
        let made = files::look(self.root, it.target, 0)?;
        let rest = Attributes { set: 0, clear: 0, ..*it.attributes };
        set_attributes(made.0, &rest, 0)
    }

    pub fn bind(&self, target: &CStr, source: &CStr, recursive: bool, attributes: &Attributes, rules: u32) -> Try<()> {
        let mut tree = sys::OPEN_TREE_CLONE | if recursive { sys::AT_RECURSIVE } else { 0 };
        if rules & place::SOURCE_NO_FOLLOW != 0 {
            tree |= sys::AT_SYMLINK_NOFOLLOW;
        }
        match sys::open_tree(sys::AT_FDCWD, source, tree).map(Fd) {
            Ok(tree) => self.attach(target, tree.0, attributes, rules),
            Err(fault) if rules & place::OPTIONAL != 0 && fault.errno == sys::ENOENT => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    pub fn attach(&self, target: &CStr, tree: i32, attributes: &Attributes, rules: u32) -> Try<()> {
        let stat = sys::fstat(tree)?;
        if rules & place::COPY_LINK != 0 && stat.is_link() {
            return files::copy_link(self.root, target, tree);
        }
        let directory = stat.is_directory();
        if rules & place::PROC_ONLY != 0 && sys::fstatfs(tree)?.0 != files::PROC_SUPER_MAGIC {
            return Err(Fault::because(why::NOT_PROC, sys::EINVAL));
        }
        let target = files::target(self.root, target, directory, rules)?;
        match sys::move_mount(tree, target.fd.0, c"") {
            // mount(2) has this answer for it, which engines look for.
            Err(fault) if fault.errno == sys::EINVAL && sys::fstat(target.fd.0)?.is_directory() != directory => {
                return Err(Fault { errno: sys::ENOTDIR, ..fault });
            }
            result => result?,
        }
        if rules & place::SLAVE != 0 {
            set_attributes(tree, &Attributes { tree_propagation: MS_SLAVE, ..Attributes::default() }, 0)?;
        }
        set_attributes(tree, attributes, rules)
    }

    pub fn reattribute(&self, target: &CStr, attributes: &Attributes) -> Try<()> {
        let place = files::look(self.root, target, 0)?;
        set_attributes(place.0, attributes, 0)
    }

    pub fn directory(&mut self, path: &CStr) -> Try<()> {
        self.directory = Some(files::target(self.root, path, true, 0)?.fd);
        Ok(())
    }

    fn here(&self) -> i32 {
        self.directory.as_ref().map_or(self.root, |fd| fd.0)
    }

    pub fn node(&self, name: &CStr, mode: u32, device: u64, uid: u32, gid: u32) -> Try<()> {
        match sys::mknodat(self.here(), name, mode, device) {
            Ok(()) if uid == 0 && gid == 0 => Ok(()),
            Ok(()) => sys::fchownat(self.here(), name, uid, gid),
            Err(fault) if fault.errno == sys::EEXIST => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    pub fn bind_node(&self, name: &CStr, source: &CStr) -> Try<()> {
        let tree = Fd(sys::open_tree(sys::AT_FDCWD, source, sys::OPEN_TREE_CLONE)?);
        let create = sys::O_CREAT | sys::O_NOFOLLOW | sys::O_CLOEXEC | sys::O_NONBLOCK;
        let resolve = sys::RESOLVE_NO_SYMLINKS;
        match sys::openat2(self.here(), name, create | sys::O_EXCL, 0o666, resolve) {
            Ok(fd) => sys::close(fd),
            Err(fault) if fault.errno == sys::EEXIST => {}
            Err(fault) => return Err(fault),
        }
        let place = Fd(sys::openat2(self.here(), name, sys::O_PATH | sys::O_NOFOLLOW | sys::O_CLOEXEC, 0, resolve)?);
        sys::move_mount(tree.0, place.0, c"")
    }

    pub fn link(&self, name: &CStr, target: &CStr) -> Try<()> {
        match sys::symlinkat(target, self.here(), name) {
            Err(fault) if fault.errno == sys::EEXIST => Ok(()),
            other => other,
        }
    }

    pub fn relink(&self, name: &CStr, target: &CStr) -> Try<()> {
        match sys::unlinkat(self.here(), name) {
            Err(fault) if fault.errno != sys::ENOENT => return Err(fault),
            _ => {}
        }
        sys::symlinkat(target, self.here(), name)
    }

    /// Make the root the root of the namespace. The old one lies on top of the new one for a
    /// moment, at `.`, and is let go from there.
    pub fn pivot(&mut self, shared: bool) -> Try<()> {
        let old = Fd(sys::openat2(sys::AT_FDCWD, c"/", sys::O_PATH | sys::O_CLOEXEC | sys::O_DIRECTORY, 0, 0)?);
        sys::fchdir(self.root)?;
        sys::pivot_root(c".", c".")?;
        sys::fchdir(old.0)?;
        if shared {
            // The host must not see its own mounts go.
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

    pub fn read_only(&self, path: &CStr) -> Try<()> {
        let Some(place) = self.existing(path)? else { return Ok(()) };
        let flags = sys::OPEN_TREE_CLONE | sys::AT_RECURSIVE | sys::AT_EMPTY_PATH;
        let tree = Fd(sys::open_tree(place.0, c"", flags)?);
        let attributes = Attributes { set: MOUNT_ATTR_RDONLY, ..Attributes::default() };
        // Attached first: before Linux 5.12 only what is in the namespace can be changed.
        sys::move_mount(tree.0, place.0, c"")?;
        set_attributes(tree.0, &attributes, 0)
    }

    pub fn mask(&mut self, path: &CStr) -> Try<()> {
        let Some(place) = self.existing(path)? else { return Ok(()) };
        if sys::fstat(place.0)?.is_directory() { self.hide_directory(&place) } else { self.hide_file(&place) }
    }

    fn existing(&self, path: &CStr) -> Try<Option<Fd>> {
        match files::look(self.root, path, 0) {
            Ok(fd) => Ok(Some(fd)),
            Err(fault) if matches!(fault.errno, sys::ENOENT | sys::ENOTDIR) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// All hidden directories share one empty, read-only tmpfs: one superblock instead of many.
    fn hide_directory(&mut self, place: &Fd) -> Try<()> {
        if let Some(hidden) = &self.hidden {
            let tree = Fd(sys::open_tree(hidden.0, c"", sys::OPEN_TREE_CLONE | sys::AT_EMPTY_PATH)?);
            return sys::move_mount(tree.0, place.0, c"");
        }
        let context = match sys::fsopen(c"tmpfs").map(Fd) {
            Err(fault) if fault.errno == sys::ENOSYS => return hide_by_name(place),
            other => other?,
        };
        sys::fsconfig_string(context.0, c"source", c"tmpfs")?;
        sys::fsconfig_string(context.0, c"nr_blocks", c"1")?;
        sys::fsconfig_string(context.0, c"nr_inodes", c"1")?;
        sys::fsconfig_flag(context.0, c"ro")?;
        sys::fsconfig_create(context.0)?;
        let made = Fd(sys::fsmount(context.0, MOUNT_ATTR_RDONLY)?);
        sys::move_mount(made.0, place.0, c"")?;
        self.hidden = Some(made);
        Ok(())
    }

    /// A file is hidden by the container's `/dev/null`, once that is known to be the null device:
    /// an image may have put anything there.
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

    pub fn root_attributes(&self, attributes: &Attributes) -> Try<()> {
        set_attributes(self.root, attributes, 0)
    }
}

/// A tmpfs of its own, where the host's seccomp filter knows no `fsopen(2)`.
#[inline(never)]
fn hide_by_name(place: &Fd) -> Try<()> {
    let old = Fd(sys::openat2(sys::AT_FDCWD, c".", sys::O_PATH | sys::O_CLOEXEC, 0, 0)?);
    sys::fchdir(place.0)?;
    let result = sys::mount(c"tmpfs", c".", c"tmpfs", MOUNT_ATTR_RDONLY, c"nr_blocks=1,nr_inodes=1");
    sys::fchdir(old.0)?;
    result
}

fn octal(mode: u32) -> [u8; 5] {
    let mut text = [0u8; 5];
    for (at, digit) in text.iter_mut().take(4).enumerate() {
        *digit = b'0' + (mode >> (9 - 3 * at) & 7) as u8;
    }
    text
}

fn propagate(fd: i32, path: &CStr, recursive: bool, flags: u64) -> Try<()> {
    match sys::mount_setattr(fd, path, recursive, 0, 0, flags) {
        Err(fault) if fault.errno == sys::ENOSYS => {
            const MS_REC: u64 = 16384;
            sys::mount(c"", path, c"", flags | if recursive { MS_REC } else { 0 }, c"")
        }
        other => other,
    }
}

/// Flags and propagation of a mount, with as few calls as they need.
fn set_attributes(fd: i32, it: &Attributes, rules: u32) -> Try<()> {
    if it.set | it.clear | it.propagation != 0 || rules & place::EXACT != 0 {
        set_flags(fd, it, rules & place::EXACT != 0)?;
    }
    if it.tree_set | it.tree_clear | it.tree_propagation != 0 {
        let result = sys::mount_setattr(fd, c"", true, it.tree_set, it.tree_clear, it.tree_propagation);
        return match result {
            Err(fault) if fault.errno == sys::ENOSYS && it.tree_set | it.tree_clear == 0 => {
                let path = by_descriptor(fd)?;
                propagate(sys::AT_FDCWD, path.as_cstr(), true, it.tree_propagation)
            }
            other => other,
        };
    }
    Ok(())
}

fn set_flags(fd: i32, it: &Attributes, exact: bool) -> Try<()> {
    let set = |clear: u64| match sys::mount_setattr(fd, c"", false, it.set, clear & !it.set | it.clear, it.propagation) {
        Err(fault) if fault.errno == sys::ENOSYS => set_flags_by_name(fd, it),
        other => other,
    };
    match set(if exact { PLAIN_FLAGS } else { 0 }) {
        // The source has flags that this user namespace may not take away: they stay.
        Err(fault) if exact && fault.errno == sys::EPERM => set(MOUNT_ATTR_NOSYMFOLLOW),
        other => other,
    }
}

/// Linux before 5.12: a remount replaces all flags, so those that are there go along.
#[inline(never)]
fn set_flags_by_name(fd: i32, it: &Attributes) -> Try<()> {
    const MS_REMOUNT_BIND: u64 = 32 | 4096;
    const KEPT: u64 = 1 | 2 | 4 | 8 | 1024 | 2048 | 8192;
    let path = by_descriptor(fd)?;
    if it.set | it.clear != 0 {
        let had = sys::fstatfs(fd)?.1 & KEPT;
        let had = if had & 8192 != 0 { had & !8192 | 256 } else { had };
        let flags = had & !legacy_flags(it.clear) | legacy_flags(it.set);
        sys::mount(c"", path.as_cstr(), c"", flags | MS_REMOUNT_BIND, c"")?;
    }
    if it.propagation != 0 {
        return propagate(sys::AT_FDCWD, path.as_cstr(), false, it.propagation);
    }
    Ok(())
}

/// `/proc/self/fd/N`, for calls that take names only.
fn by_descriptor(fd: i32) -> Try<PathBuffer> {
    let mut path = PathBuffer::new(b"/proc/self/fd/")?;
    let mut digits = [0u8; 10];
    let (mut at, mut rest) = (digits.len(), fd);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    path.append(&digits[at..])?;
    Ok(path)
}

/// `MOUNT_ATTR_*` as the flags of mount(2).
fn legacy_flags(attributes: u64) -> u64 {
    const SAME: u64 = 0xf;
    const PAIRS: [(u64, u64); 4] = [(0x10, 1024), (0x20, 1 << 24), (0x80, 2048), (0x20_0000, 256)];
    PAIRS.iter().fold(attributes & SAME, |flags, (new, old)| if attributes & new != 0 { flags | old } else { flags })
}
