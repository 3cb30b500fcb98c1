//! The file systems of the container.

use core::ffi::CStr;

use crate::files::{self, Fd, PathBuffer, Target};
use crate::op::{Attributes, Message, Propagation, Slot, Text, kind, place, why};
use crate::sys::{self, Fault, Program, Try};

const MOUNT_ATTR_RDONLY: u64 = 1;
const MOUNT_ATTR_NODEV: u64 = 4;
/// Every flag that a remount with exact flags takes away: `ro nosuid nodev noexec nosymfollow`.
const PLAIN_FLAGS: u64 = 0x20_000f;
/// The one of them that the kernel never locks.
const MOUNT_ATTR_NOSYMFOLLOW: u64 = 0x20_0000;
const MS_SLAVE: u64 = 1 << 19;
const MS_PRIVATE: u64 = 1 << 18;
const MS_I_VERSION: u64 = 1 << 23;
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
    /// Number of the operation.
    pub index: u32,
    /// The root; targets are looked up below it.
    pub root: i32,
    directory: Option<Fd>,
    hidden: Option<Fd>,
    null: Option<Fd>,
    /// A mount that was kept open and is known to be at its place.
    in_place: Option<i32>,
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

/// What is attached where.
pub struct Graft<'a> {
    pub target: &'a CStr,
    pub attributes: &'a Attributes,
    pub place: u32,
    /// Where it stays open.
    pub keep: Slot,
}

/// A path that is hidden or made read-only.
pub struct Hidden<'a> {
    pub path: &'a CStr,
    /// The mount of this config that it lies on, where that was kept open.
    pub mount: Option<i32>,
    /// The path on that mount.
    pub inside: &'a CStr,
}

/// Where such a path is.
struct Places {
    /// On the mount.
    on_mount: Option<Fd>,
    /// Where its name leads.
    by_name: Option<Fd>,
}

const READ_ONLY: Attributes =
    Attributes { set: MOUNT_ATTR_RDONLY, clear: 0, tree_set: 0, tree_clear: 0, propagation: Propagation::NONE };

/// A node of `/dev`.
pub struct Node<'a> {
    pub mode: u32,
    pub device: u64,
    pub uid: u32,
    pub gid: u32,
    /// The host's, to be bound where none can be made.
    pub host: &'a CStr,
}

impl Mounts {
    pub fn new(program: Program) -> Mounts {
        Mounts { program, index: 0, root: sys::AT_FDCWD, directory: None, hidden: None, null: None, in_place: None }
    }

    pub fn propagation(&self, flags: u64) -> Try<()> {
        propagate(sys::AT_FDCWD, c"/", true, flags)
    }

    /// Walk up to the mount that holds the path; it must not be shared when something is mounted
    /// on it, or the host would see it too.
    pub fn private_parent(&self, path: &CStr) -> Try<()> {
        let mut here = Fd(open_plain(path)?);
        loop {
            match propagate_here(here.0, false, MS_PRIVATE) {
                // It is not the root of a mount. That of the whole tree is one, so this ends.
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

    /// The path was looked at before, but by name: no link may lead there now either.
    pub fn bind_root(&mut self, path: &CStr) -> Try<()> {
        let place = Fd(open_plain(path)?);
        let tree = sys::open_tree(place.0, c"", sys::OPEN_TREE_CLONE | sys::AT_RECURSIVE | sys::AT_EMPTY_PATH)?;
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

    pub fn mount(&mut self, it: &FileSystem<'_>, keep: Slot) -> Try<()> {
        let target = files::target(self.root, it.target, true, it.place)?;
        let long = |text: &Text| *text != Text::NONE && text.len > LONGEST_VALUE;
        let by_name = it.place & place::I_VERSION != 0
            || it.options.iter().any(long)
            || it.source.count_bytes() > LONGEST_VALUE as usize;
        let made = match if by_name { self.mount_by_name(it, &target) } else { self.mount_by_descriptor(it, &target) } {
            Err(fault) if fault.errno == sys::ENOSYS && !by_name => self.mount_by_name(it, &target)?,
            Err(Fault { errno: sys::EPERM | sys::EBUSY, .. }) if it.instead.is_some() => {
                match self.mount_instead(it, &target)? {
                    Some(tree) => tree,
                    None => return Ok(()),
                }
            }
            other => other?,
        };
        self.keep(keep, made);
        Ok(())
    }

    /// Show a path of the host where the file system itself may not be mounted.
    fn mount_instead(&mut self, it: &FileSystem<'_>, target: &Target) -> Try<Option<Fd>> {
        let path = it.instead.unwrap_or_default();
        match sys::open_tree(sys::AT_FDCWD, path, sys::OPEN_TREE_CLONE | sys::AT_RECURSIVE).map(Fd) {
            Ok(tree) => self.attach_tree(tree.0, &target.fd, it.attributes, it.place).map(|()| Some(tree)),
            // Without a cgroup of its own the container must not see, let alone write,
            // the one that it is in (CVE-2023-25809).
            Err(fault) if fault.errno == sys::ENOENT => self.hide_directory(&target.fd).map(|()| None),
            Err(fault) => Err(fault),
        }
    }

    fn keep(&self, slot: Slot, mount: Fd) {
        if slot != Slot::NONE {
            self.program.keep(slot, mount.keep());
        }
    }

    fn mount_by_descriptor(&self, it: &FileSystem<'_>, target: &Target) -> Try<Fd> {
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
                Text::NONE => match sys::fsconfig_flag(context.0, key) {
                    // A file system that does not know these words has such lists always or never.
                    Err(fault) if fault.errno == sys::EINVAL && is_one_of(key, [c"acl", c"noacl"]) => {}
                    other => other?,
                },
                value => sys::fsconfig_string(context.0, key, self.program.text(value))?,
            }
        }
        sys::fsconfig_create(context.0)?;
        let copies = it.place & place::COPY_UP != 0;
        let first = if copies { it.attributes.set & !MOUNT_ATTR_RDONLY } else { it.attributes.set };
        let made = Fd(sys::fsmount(context.0, first)?);
        if copies {
            copy_covered(&target.fd, &made)?;
        }
        let rest = Attributes { set: it.attributes.set & !first, clear: 0, ..*it.attributes };
        self.attach_tree(made.0, &target.fd, &rest, it.place & place::LIVING)?;
        Ok(made)
    }

    /// The old way, for option values that `fsconfig(2)` does not take (an overlay of many layers), for options
    /// that it does not have, and for hosts whose seccomp filter does not know the new one.
    #[inline(never)]
    fn mount_by_name(&self, it: &FileSystem<'_>, target: &Target) -> Try<Fd> {
        if it.place & place::LIVING != 0 {
            return Err(Fault::because(why::NEEDS_SETATTR, sys::EINVAL));
        }
        let mut data = PathBuffer::new(b"")?;
        if it.place & place::KEEP_MODE != 0 && !target.made {
            data.append(b"mode=")?;
            data.append(&octal(sys::fstat(target.fd.0)?.mode & 0o7777)[..4])?;
        }
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
        let flags = legacy_flags(it.attributes.set) | if it.place & place::I_VERSION != 0 { MS_I_VERSION } else { 0 };
        named(target.fd.0, &|path| sys::mount(it.source, path, it.kind, flags, data.as_cstr()))?;
        let made = files::look(self.root, it.target, 0)?;
        if it.place & place::COPY_UP != 0 {
            copy_covered(&target.fd, &made)?;
        }
        set_attributes(made.0, &Attributes { set: 0, clear: 0, ..*it.attributes }, 0)?;
        Ok(made)
    }

    pub fn bind(&self, source: &CStr, instead: Option<&CStr>, recursive: bool, graft: &Graft<'_>) -> Try<()> {
        let rules = graft.place;
        let mut tree = sys::OPEN_TREE_CLONE | if recursive { sys::AT_RECURSIVE } else { 0 };
        if rules & place::SOURCE_NO_FOLLOW != 0 {
            tree |= sys::AT_SYMLINK_NOFOLLOW;
        }
        match sys::open_tree(sys::AT_FDCWD, source, tree).map(Fd) {
            Ok(tree) => self.attach(tree, graft),
            Err(fault) if fault.errno == sys::ENOENT => {
                let tree = match sys::open_tree(sys::AT_FDCWD, instead.ok_or(fault)?, tree) {
                    // In a cgroup namespace it may be out of reach.
                    Err(fault) if fault.errno == sys::ENOENT => return Ok(()),
                    other => Fd(other?),
                };
                // What is not the container's own it may not write to.
                let set = graft.attributes.set | MOUNT_ATTR_RDONLY;
                let attributes = Attributes { set, clear: graft.attributes.clear & !MOUNT_ATTR_RDONLY, ..*graft.attributes };
                self.attach(tree, &Graft { attributes: &attributes, ..*graft })
            }
            Err(fault) => Err(fault),
        }
    }

    pub fn attach(&self, tree: Fd, graft: &Graft<'_>) -> Try<()> {
        let Graft { target, attributes, place: rules, keep } = *graft;
        let stat = sys::fstat(tree.0)?;
        if rules & place::COPY_LINK != 0 && stat.is_link() {
            return files::copy_link(self.root, target, tree.0, rules);
        }
        let directory = stat.is_directory();
        if rules & place::PROC_ONLY != 0 && sys::fstatfs(tree.0)?.0 != files::PROC_SUPER_MAGIC {
            return Err(Fault::because(why::NOT_PROC, sys::EINVAL));
        }
        let target = files::target(self.root, target, directory, rules)?;
        match self.attach_tree(tree.0, &target.fd, attributes, rules) {
            // mount(2) has this answer for it, which engines look for.
            Err(fault) if fault.errno == sys::EINVAL && sys::fstat(target.fd.0)?.is_directory() != directory => {
                return Err(Fault { errno: sys::ENOTDIR, ..fault });
            }
            result => result?,
        }
        self.keep(keep, tree);
        Ok(())
    }

    /// Give a detached tree its flags, and attach it. Before Linux 5.12 only what is attached can be given flags.
    fn attach_tree(&self, tree: i32, target: &Fd, attributes: &Attributes, rules: u32) -> Try<()> {
        let living = rules & place::LIVING != 0;
        let late = match set_flags(tree, attributes, rules) {
            Err(fault) if fault.errno == sys::ENOSYS && !living => true,
            Err(fault) if fault.errno == sys::ENOSYS => return Err(Fault::because(why::NEEDS_SETATTR, fault.errno)),
            other => other.map(|()| false)?,
        };
        if living {
            if rules & place::SLAVE != 0 {
                propagate_here(tree, true, MS_SLAVE)?;
            }
            set_propagation(tree, attributes.propagation)?;
            self.announce(tree)?;
            return sys::move_mount(tree, target.0, c"");
        }
        sys::move_mount(tree, target.0, c"")?;
        if late {
            set_flags_by_name(tree, attributes, rules)?;
        }
        if rules & place::SLAVE != 0 {
            propagate_here(tree, true, MS_SLAVE)?;
        }
        set_propagation(tree, attributes.propagation)
    }

    /// Tell the parent which mount the container is about to get, and wait until that is written down: it can be
    /// found again by its number only.
    #[inline(never)]
    fn announce(&self, tree: i32) -> Try<()> {
        let detail = sys::mount_id(tree)?.0;
        let channel = self.program.channel();
        sys::send(channel, &Message { kind: kind::MOUNTED, index: self.index, detail, ..Message::default() })?;
        let mut byte = [0u8];
        match sys::read(channel, &mut byte)? {
            0 => Err(Fault::because(why::ORPHAN, 0)),
            _ => Ok(()),
        }
    }

    pub fn reattribute(&self, mount: Slot, attributes: &Attributes) -> Try<()> {
        // Without a mount there was nothing to mount either: an optional source.
        let Some(mount) = self.program.kept(mount) else { return Ok(()) };
        set_attributes(mount, attributes, 0)
    }

    pub fn remount(&self, target: &CStr, attributes: &Attributes, rules: u32) -> Try<()> {
        let target = files::target(self.root, target, false, rules | place::EXISTING)?;
        if !sys::mount_id(target.fd.0)?.1 {
            return Err(Fault::because(why::NOT_MOUNTED, sys::EINVAL));
        }
        set_attributes(target.fd.0, attributes, rules)
    }

    /// Detach the mount with this id and no other. The path says only where it was seen last: the container may
    /// have changed everything there since.
    #[inline(never)]
    pub fn unmount(&self, path: &CStr, id: u64) -> Try<()> {
        let there = files::plain(self.root, path, sys::O_NOFOLLOW)?;
        if sys::mount_id(there.0)? != (id, true) {
            return Err(Fault::because(why::NOT_MOUNTED, sys::EINVAL));
        }
        if sys::fstat(there.0)?.is_directory() {
            return named(there.0, &sys::detach);
        }
        // A file is no working directory, the one that it is in is; a mount point keeps its name in its own namespace.
        let mut parent = PathBuffer::new(path.to_bytes())?;
        parent.pop();
        let directory = files::plain(self.root, parent.as_cstr(), sys::O_DIRECTORY)?;
        let name = PathBuffer::new(files::last_part(path).unwrap_or_default())?;
        if sys::mount_id(files::plain(directory.0, name.as_cstr(), sys::O_NOFOLLOW)?.0)? != (id, true) {
            return Err(Fault::because(why::NOT_MOUNTED, sys::EINVAL));
        }
        named(directory.0, &|_| sys::detach(name.as_cstr()))
    }

    pub fn hold(&self, path: &CStr, rules: u32, keep: Slot) -> Try<()> {
        self.keep(keep, files::target(self.root, path, true, rules)?.fd);
        Ok(())
    }

    pub fn directory(&mut self, base: Slot, path: &CStr, rules: u32) -> Try<()> {
        let base = match self.program.kept(base) {
            Some(base) => base,
            None if base == Slot::NONE => self.root,
            None => return Err(Fault::because(why::NOT_MOUNTED, sys::ENOENT)),
        };
        self.directory = Some(files::target(base, path, true, rules)?.fd);
        Ok(())
    }

    fn here(&self) -> i32 {
        self.directory.as_ref().map_or(self.root, |fd| fd.0)
    }

    pub fn node(&self, name: &CStr, it: &Node<'_>) -> Try<()> {
        match sys::mknodat(self.here(), name, it.mode, it.device) {
            Ok(()) if it.uid == 0 && it.gid == 0 => Ok(()),
            Ok(()) => sys::fchownat(self.here(), name, it.uid, it.gid),
            Err(fault) if fault.errno == sys::EEXIST => self.is_node(name, it),
            // The caller lacks the capability, or its device rules forbid it.
            Err(fault) if fault.errno == sys::EPERM && !it.host.is_empty() => {
                self.bind_node(name, it.host, it.mode, it.device).map_err(|_| fault)
            }
            Err(fault) => Err(fault),
        }
    }

    /// What is there already must be the device that is asked for.
    #[inline(never)]
    fn is_node(&self, name: &CStr, it: &Node<'_>) -> Try<()> {
        let there = Fd(sys::openat2(self.here(), name, sys::O_PATH | sys::O_NOFOLLOW | sys::O_CLOEXEC, 0, 0)?);
        match sys::fstat(there.0)?.is_node(it.mode, it.device) {
            true => Ok(()),
            false => Err(Fault::because(why::NOT_DEVICE, sys::EEXIST)),
        }
    }

    pub fn bind_node(&self, name: &CStr, source: &CStr, mode: u32, device: u64) -> Try<()> {
        let tree = Fd(sys::open_tree(sys::AT_FDCWD, source, sys::OPEN_TREE_CLONE)?);
        if !sys::fstat(tree.0)?.is_node(mode, device) {
            return Err(Fault::because(why::OTHER_DEVICE, sys::EINVAL));
        }
        self.attach_node(name, tree.0)
    }

    pub fn attach_node(&self, name: &CStr, tree: i32) -> Try<()> {
        let create = sys::O_CREAT | sys::O_NOFOLLOW | sys::O_CLOEXEC | sys::O_NONBLOCK;
        let resolve = sys::RESOLVE_NO_SYMLINKS;
        match sys::openat2(self.here(), name, create | sys::O_EXCL, 0o666, resolve) {
            Ok(fd) => sys::close(fd),
            Err(fault) if fault.errno == sys::EEXIST => {}
            Err(fault) => return Err(fault),
        }
        let place = Fd(sys::openat2(self.here(), name, sys::O_PATH | sys::O_NOFOLLOW | sys::O_CLOEXEC, 0, resolve)?);
        sys::move_mount(tree, place.0, c"")
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

    pub fn read_only(&mut self, it: &Hidden<'_>) -> Try<()> {
        let places = self.places(it)?;
        if let Some(place) = places.on_mount {
            self.read_only_place(&place)?;
        }
        match places.by_name {
            Some(place) if self.is_root(&place)? => set_attributes(self.root, &READ_ONLY, 0),
            Some(place) => self.read_only_place(&place),
            None => Ok(()),
        }
    }

    fn read_only_place(&self, place: &Fd) -> Try<()> {
        let flags = sys::OPEN_TREE_CLONE | sys::AT_RECURSIVE | sys::AT_EMPTY_PATH;
        let tree = Fd(sys::open_tree(place.0, c"", flags)?);
        self.attach_tree(tree.0, place, &READ_ONLY, 0)
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

    /// Where a path is, if it is anywhere. On a mount of this config it is looked up from there, since another
    /// container that shares the root file system may move the mount while this one is made, and what is to be
    /// hidden would seem to be missing. Where the mount is not found at its place (a later one may cover it, through
    /// a link), the path is taken by its name as well.
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
            // A link leads away from the mount.
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

    /// Is a place the root itself, not only the same directory mounted elsewhere?
    fn is_root(&self, place: &Fd) -> Try<bool> {
        if !sys::fstat(self.root)?.is_same_file(&sys::fstat(place.0)?) {
            return Ok(false);
        }
        Ok(match (sys::mount_id(place.0), sys::mount_id(self.root)) {
            (Ok((one, _)), Ok((other, _))) => one == other,
            _ => true,
        })
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

fn is_one_of(word: &CStr, words: [&CStr; 2]) -> bool {
    words.iter().any(|known| known.to_bytes().iter().eq(word.to_bytes()))
}

/// A directory that no link leads to.
fn open_plain(path: &CStr) -> Try<i32> {
    let flags = sys::O_PATH | sys::O_CLOEXEC | sys::O_DIRECTORY;
    sys::openat2(sys::AT_FDCWD, path, flags, 0, sys::RESOLVE_NO_SYMLINKS)
}

/// Fill a tmpfs with what it covers, seen through a mount on which devices cannot be opened: what is copied may be
/// exchanged for one at any moment.
fn copy_covered(covered: &Fd, made: &Fd) -> Try<()> {
    let flags = sys::OPEN_TREE_CLONE | sys::AT_RECURSIVE | sys::AT_EMPTY_PATH;
    let tree = Fd(sys::open_tree(covered.0, c"", flags)?);
    match sys::mount_setattr(tree.0, c"", true, MOUNT_ATTR_NODEV, 0, 0) {
        Err(fault) if fault.errno != sys::ENOSYS => return Err(fault),
        _ => {}
    }
    files::copy_tree(tree.0, made.0)
}

/// A tmpfs of its own, where the host's seccomp filter knows no `fsopen(2)`.
#[inline(never)]
fn hide_by_name(place: &Fd) -> Try<()> {
    named(place.0, &|path| sys::mount(c"tmpfs", path, c"tmpfs", MOUNT_ATTR_RDONLY, c"nr_blocks=1,nr_inodes=1"))
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

/// The same for a mount that is open.
fn propagate_here(fd: i32, recursive: bool, flags: u64) -> Try<()> {
    match sys::mount_setattr(fd, c"", recursive, 0, 0, flags) {
        Err(fault) if fault.errno == sys::ENOSYS => {
            named(fd, &|path| propagate(sys::AT_FDCWD, path, recursive, flags))
        }
        other => other,
    }
}

fn set_propagation(fd: i32, it: Propagation) -> Try<()> {
    it.changes().try_for_each(|(flags, recursive)| propagate_here(fd, recursive, flags))
}

/// Flags and propagation of a mount that is attached.
fn set_attributes(fd: i32, it: &Attributes, rules: u32) -> Try<()> {
    match set_flags(fd, it, rules) {
        Err(fault) if fault.errno == sys::ENOSYS => set_flags_by_name(fd, it, rules)?,
        other => other?,
    }
    set_propagation(fd, it.propagation)
}

/// The flags, with as few calls as they need.
fn set_flags(fd: i32, it: &Attributes, rules: u32) -> Try<()> {
    let exact = rules & place::EXACT != 0;
    if it.set | it.clear != 0 || exact {
        let set = |clear: u64| sys::mount_setattr(fd, c"", false, it.set, clear & !it.set | it.clear, 0);
        match set(if exact { PLAIN_FLAGS } else { 0 }) {
            // The source has flags that this user namespace may not take away: they stay.
            Err(fault) if exact && fault.errno == sys::EPERM => set(MOUNT_ATTR_NOSYMFOLLOW)?,
            other => other?,
        }
    }
    if it.tree_set | it.tree_clear != 0 {
        sys::mount_setattr(fd, c"", true, it.tree_set, it.tree_clear, 0)?;
    }
    Ok(())
}

/// Linux before 5.12: a remount replaces all flags, so those that are to stay go along. It changes one mount, never
/// all below it.
#[inline(never)]
fn set_flags_by_name(fd: i32, it: &Attributes, rules: u32) -> Try<()> {
    const MS_REMOUNT_BIND: u64 = 32 | 4096;
    const KEPT: u64 = 1 | 2 | 4 | 8 | 1024 | 2048 | 8192;
    if it.tree_set | it.tree_clear != 0 {
        return Err(Fault::because(why::NEEDS_SETATTR, sys::ENOSYS));
    }
    let exact = rules & place::EXACT != 0;
    if it.set | it.clear == 0 && !exact {
        return Ok(());
    }
    let had = sys::fstatfs(fd)?.1 & KEPT;
    let had = if had & 8192 != 0 { had & !8192 | 256 } else { had };
    let change = |clear: u64| {
        let flags = had & !legacy_flags(clear) | legacy_flags(it.set);
        named(fd, &|path| sys::mount(c"", path, c"", flags | MS_REMOUNT_BIND, c""))
    };
    match change(it.clear | if exact { PLAIN_FLAGS } else { 0 }) {
        Err(fault) if exact && fault.errno == sys::EPERM => change(it.clear),
        other => other,
    }
}

/// Do what a call by name does to a descriptor: a directory is `.` for it, so that no name of the container's is
/// looked up. For another file there is procfs, once that is known to be one.
#[inline(never)]
fn named(fd: i32, call: &dyn Fn(&CStr) -> Try<()>) -> Try<()> {
    const PROC_ROOT_INO: u64 = 1;
    let old = Fd(sys::openat2(sys::AT_FDCWD, c".", sys::O_PATH | sys::O_CLOEXEC, 0, 0)?);
    let result = if sys::fstat(fd)?.is_directory() {
        sys::fchdir(fd)?;
        call(c".")
    } else {
        let proc = Fd(open_plain(c"/proc")?);
        if sys::fstatfs(proc.0)?.0 != files::PROC_SUPER_MAGIC || sys::fstat(proc.0)?.inode != PROC_ROOT_INO {
            return Err(Fault::because(why::NOT_PROC, sys::EINVAL));
        }
        sys::fchdir(proc.0)?;
        call(in_proc(fd)?.as_cstr())
    };
    sys::fchdir(old.0)?;
    result
}

/// `self/fd/N`
fn in_proc(fd: i32) -> Try<PathBuffer> {
    let mut path = PathBuffer::new(b"self/fd/")?;
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
