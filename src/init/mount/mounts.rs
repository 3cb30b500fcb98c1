//! The file systems of the container.

use core::ffi::CStr;

use super::super::copy;
use super::super::files::{self, Fd, MountPoint};
use super::super::op::{Attributes, Message, Rules, Slot, Text, kind, why};
use super::super::path::{PathBuffer, last_part, octal};
use super::super::sys::{self, Fault, Mapped, Try};
use super::attributes::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_RDONLY, MS_SLAVE, legacy_flags, named, propagate_here, set_attributes, set_flags,
    set_flags_by_name, set_propagation,
};
use super::parent::{Grafted, Parent};

const MS_I_VERSION: u64 = 1 << 23;
/// The longest option value for `fsconfig(2)`. mount(2) takes a page for all options together.
const LONGEST_VALUE: u32 = 255;

/// The new root, while its mounts are made.
pub struct RootMounts {
    pub(super) program: Mapped,
    pub index: u32,
    /// The root, from which targets are looked up.
    pub root: i32,
    /// The SELinux label of [`Label`](super::super::op::Mount::Label), or empty.
    pub label: &'static CStr,
    directory: Option<Fd>,
    pub(super) hidden: Option<Fd>,
    pub(super) null: Option<Fd>,
    /// An open mount that is certainly at its place.
    pub(super) in_place: Option<i32>,
    parent: Parent,
}

/// A file system to mount.
pub struct NewMount<'a> {
    pub target: &'a CStr,
    pub kind: &'a CStr,
    pub source: &'a CStr,
    pub instead: Option<&'a CStr>,
    pub options: &'a [Text],
    pub attributes: &'a Attributes,
    pub rules: Rules,
}

/// The place of a tree to attach, and its attributes.
pub struct Attachment<'a> {
    pub target: &'static CStr,
    pub attributes: &'a Attributes,
    pub rules: Rules,
    /// The slot that keeps the mount open.
    pub keep: Slot,
}

impl RootMounts {
    pub fn new(program: Mapped) -> RootMounts {
        let (index, root) = (0, sys::AT_FDCWD);
        RootMounts {
            program,
            index,
            root,
            label: c"",
            directory: None,
            hidden: None,
            null: None,
            in_place: None,
            parent: Parent::NONE,
        }
    }

    pub fn mount(&mut self, it: &NewMount<'_>, keep: Slot) -> Try<()> {
        let target = files::target(self.root, it.target, true, it.rules)?;
        let long = |text: &Text| *text != Text::NONE && text.len > LONGEST_VALUE;
        let by_name = it.rules.has(Rules::I_VERSION)
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
        if it.rules.has(Rules::LABEL_ROOT) {
            self.label_root(&made)?;
        }
        self.keep(keep, made);
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn label_root(&self, mount: &Fd) -> Try<()> {
        let root = Fd(sys::openat2(mount.0, c".", sys::O_DIRECTORY | sys::O_CLOEXEC, 0, 0)?);
        sys::fsetxattr(root.0, c"security.selinux", self.label.to_bytes())
    }

    /// Bind a path of the host, because the kernel refuses to mount the file system itself.
    fn mount_instead(&mut self, it: &NewMount<'_>, target: &MountPoint) -> Try<Option<Fd>> {
        let path = it.instead.unwrap_or_default();
        match sys::open_tree(sys::AT_FDCWD, path, sys::OPEN_TREE_CLONE | sys::AT_RECURSIVE).map(Fd) {
            Ok(tree) => self.attach_tree(tree.0, &target.fd, it.attributes, it.rules).map(|()| Some(tree)),
            // Without a cgroup of its own the container must neither see nor write the caller's cgroup
            // (CVE-2023-25809).
            Err(fault) if fault.errno == sys::ENOENT => self.hide_directory(&target.fd).map(|()| None),
            Err(fault) => Err(fault),
        }
    }

    fn keep(&self, slot: Slot, mount: Fd) {
        if slot != Slot::NONE {
            self.program.keep(slot, mount.keep());
        }
    }

    fn mount_by_descriptor(&self, it: &NewMount<'_>, target: &MountPoint) -> Try<Fd> {
        let context = Fd(sys::fsopen(it.kind)?);
        if !it.source.is_empty() {
            sys::fsconfig_string(context.0, c"source", it.source)?;
        }
        if it.rules.has(Rules::KEEP_MODE) && !target.made {
            let mode = octal(sys::fstat(target.fd.0)?.mode & 0o7777);
            sys::fsconfig_string(context.0, c"mode", CStr::from_bytes_until_nul(&mode).unwrap_or(c"0755"))?;
        }
        for option in it.options.as_chunks::<2>().0 {
            let key = self.program.text(option[0]);
            match option[1] {
                Text::NONE => match sys::fsconfig_flag(context.0, key) {
                    // A file system that does not know these options always has ACLs, or never has them.
                    Err(fault) if fault.errno == sys::EINVAL && is_one_of(key, [c"acl", c"noacl"]) => {}
                    other => other?,
                },
                value => sys::fsconfig_string(context.0, key, self.program.text(value))?,
            }
        }
        sys::fsconfig_create(context.0)?;
        let copies = it.rules.has(Rules::COPY_UP);
        let first = if copies { it.attributes.set & !MOUNT_ATTR_RDONLY } else { it.attributes.set };
        let made = Fd(sys::fsmount(context.0, first)?);
        if copies {
            copy_covered(&target.fd, &made)?;
        }
        let rest = Attributes { set: it.attributes.set & !first, clear: 0, ..*it.attributes };
        self.attach_tree(made.0, &target.fd, &rest, it.rules.only(Rules::LIVING))?;
        Ok(made)
    }

    /// Mount with mount(2): for option values that `fsconfig(2)` does not take (an overlay of many layers), for options
    /// that it does not have, and for hosts whose seccomp filter forbids the new calls.
    #[inline(never)]
    fn mount_by_name(&self, it: &NewMount<'_>, target: &MountPoint) -> Try<Fd> {
        if it.rules.has(Rules::LIVING) {
            return Err(Fault::because(why::NEEDS_SETATTR, sys::EINVAL));
        }
        let mut data = PathBuffer::new(b"")?;
        if it.rules.has(Rules::KEEP_MODE) && !target.made {
            data.append(b"mode=")?;
            data.append(&octal(sys::fstat(target.fd.0)?.mode & 0o7777)[..4])?;
        }
        for option in it.options.as_chunks::<2>().0 {
            if !data.as_cstr().is_empty() {
                data.append(b",")?;
            }
            let key = self.program.text(option[0]).to_bytes();
            data.append(key)?;
            if option[1] != Text::NONE {
                // The label of `context=` and the like has commas.
                let quote: &[u8] = if key.ends_with(b"context") { b"\"" } else { b"" };
                data.append(b"=")?;
                data.append(quote)?;
                data.append(self.program.text(option[1]).to_bytes())?;
                data.append(quote)?;
            }
        }
        let flags = legacy_flags(it.attributes.set) | if it.rules.has(Rules::I_VERSION) { MS_I_VERSION } else { 0 };
        named(target.fd.0, &|path| sys::mount(it.source, path, it.kind, flags, data.as_cstr()))?;
        let made = files::look(self.root, it.target, 0)?;
        if it.rules.has(Rules::COPY_UP) {
            copy_covered(&target.fd, &made)?;
        }
        set_attributes(made.0, &Attributes { set: 0, clear: 0, ..*it.attributes }, Rules::NONE)?;
        Ok(made)
    }

    pub fn bind(&mut self, source: &CStr, instead: Option<&CStr>, recursive: bool, graft: &Attachment<'_>) -> Try<()> {
        let rules = graft.rules;
        let mut tree = sys::OPEN_TREE_CLONE | if recursive { sys::AT_RECURSIVE } else { 0 };
        if rules.has(Rules::SOURCE_NO_FOLLOW) {
            tree |= sys::AT_SYMLINK_NOFOLLOW;
        }
        match sys::open_tree(sys::AT_FDCWD, source, tree).map(Fd) {
            Ok(tree) => self.attach(tree, graft),
            Err(fault) if fault.errno == sys::ENOENT => {
                let tree = match sys::open_tree(sys::AT_FDCWD, instead.ok_or(fault)?, tree) {
                    // In a cgroup namespace the path of a cgroup may be unreachable.
                    Err(fault) if fault.errno == sys::ENOENT => return Ok(()),
                    other => Fd(other?),
                };
                // The container must not write to files that belong to the host.
                let set = graft.attributes.set | MOUNT_ATTR_RDONLY;
                let attributes =
                    Attributes { set, clear: graft.attributes.clear & !MOUNT_ATTR_RDONLY, ..*graft.attributes };
                self.attach(tree, &Attachment { attributes: &attributes, ..*graft })
            }
            Err(fault) => Err(fault),
        }
    }

    pub fn attach(&mut self, tree: Fd, graft: &Attachment<'_>) -> Try<()> {
        let Attachment { target, attributes, rules, keep } = *graft;
        let stat = sys::fstat(tree.0)?;
        if rules.has(Rules::COPY_LINK) && stat.is_link() {
            return files::copy_link(self.root, target, tree.0, rules);
        }
        let directory = stat.is_directory();
        if rules.has(Rules::PROC_ONLY) && sys::fstatfs(tree.0)?.0 != files::PROC_SUPER_MAGIC {
            return Err(Fault::because(why::NOT_PROC, sys::EINVAL));
        }
        if directory && !rules.has(Rules::LIVING) {
            let late = set_flags_early(tree.0, attributes, rules)?;
            let grafted = Grafted { tree: tree.0, target, rules, index: self.index };
            if self.parent.attach(self.root, &grafted) {
                finish(tree.0, late, attributes, rules)?;
                self.keep(keep, tree);
                return Ok(());
            }
        }
        let target = files::target(self.root, target, directory, rules)?;
        match self.attach_tree(tree.0, &target.fd, attributes, rules) {
            // Engines expect the errno of mount(2).
            Err(fault) if fault.errno == sys::EINVAL && sys::fstat(target.fd.0)?.is_directory() != directory => {
                return Err(Fault { errno: sys::ENOTDIR, ..fault });
            }
            result => result?,
        }
        self.keep(keep, tree);
        Ok(())
    }

    /// Set the flags of a detached tree and attach it.
    pub(super) fn attach_tree(&self, tree: i32, target: &Fd, attributes: &Attributes, rules: Rules) -> Try<()> {
        if rules.has(Rules::LIVING) {
            return self.attach_living(tree, target, attributes, rules);
        }
        let late = set_flags_early(tree, attributes, rules)?;
        sys::move_mount(tree, target.0, c"")?;
        finish(tree, late, attributes, rules)
    }

    fn attach_living(&self, tree: i32, target: &Fd, attributes: &Attributes, rules: Rules) -> Try<()> {
        match set_flags(tree, attributes, rules) {
            Err(fault) if fault.errno == sys::ENOSYS => return Err(Fault::because(why::NEEDS_SETATTR, fault.errno)),
            other => other?,
        }
        if rules.has(Rules::SLAVE) {
            propagate_here(tree, true, MS_SLAVE)?;
        }
        set_propagation(tree, attributes.propagation)?;
        self.announce(tree)?;
        sys::move_mount(tree, target.0, c"")
    }

    /// Report the mount's id to the runtime and wait until the runtime has saved it: later commands can find the mount
    /// only by its id.
    #[inline(never)]
    fn announce(&self, tree: i32) -> Try<()> {
        let detail = sys::mount_id(tree)?.0;
        let channel = self.program.channel();
        sys::send(channel, &Message { kind: kind::MOUNTED, index: self.index, detail, ..Message::default() })?;
        sys::hear(channel)
    }

    pub fn reattribute(&self, mount: Slot, attributes: &Attributes) -> Try<()> {
        // The source is optional and missing, so nothing was mounted.
        let Some(mount) = self.program.kept(mount) else { return Ok(()) };
        set_attributes(mount, attributes, Rules::NONE)
    }

    pub fn remount(&self, target: &CStr, attributes: &Attributes, rules: Rules) -> Try<()> {
        let target = files::target(self.root, target, false, rules | Rules::EXISTING)?;
        if !sys::mount_id(target.fd.0)?.1 {
            return Err(Fault::because(why::NOT_MOUNTED, sys::EINVAL));
        }
        set_attributes(target.fd.0, attributes, rules)
    }

    /// Detach the mount with this id. The path is the place where it was last seen: the container may have changed it
    /// since then.
    #[inline(never)]
    pub fn unmount(&self, path: &CStr, id: u64) -> Try<()> {
        let there = files::plain(self.root, path, sys::O_NOFOLLOW)?;
        if sys::mount_id(there.0)? != (id, true) {
            return Err(Fault::because(why::NOT_MOUNTED, sys::EINVAL));
        }
        if sys::fstat(there.0)?.is_directory() {
            return named(there.0, &sys::detach);
        }
        // A file cannot be the working directory, but its parent can. A mount point cannot be renamed in its own mount
        // namespace.
        let mut parent = PathBuffer::new(path.to_bytes())?;
        parent.pop();
        let directory = files::plain(self.root, parent.as_cstr(), sys::O_DIRECTORY)?;
        let name = PathBuffer::new(last_part(path).unwrap_or_default())?;
        if sys::mount_id(files::plain(directory.0, name.as_cstr(), sys::O_NOFOLLOW)?.0)? != (id, true) {
            return Err(Fault::because(why::NOT_MOUNTED, sys::EINVAL));
        }
        named(directory.0, &|_| sys::detach(name.as_cstr()))
    }

    pub fn hold(&self, path: &CStr, rules: Rules, keep: Slot) -> Try<()> {
        self.keep(keep, files::target(self.root, path, true, rules)?.fd);
        Ok(())
    }

    pub fn directory(&mut self, base: Slot, path: &CStr, rules: Rules) -> Try<()> {
        let base = match self.program.kept(base) {
            Some(base) => base,
            None if base == Slot::NONE => self.root,
            None => return Err(Fault::because(why::NOT_MOUNTED, sys::ENOENT)),
        };
        self.directory = Some(files::target(base, path, true, rules)?.fd);
        Ok(())
    }

    pub(super) fn here(&self) -> i32 {
        self.directory.as_ref().map_or(self.root, |fd| fd.0)
    }
}

/// Set the flags of a detached tree. Returns true if they can be set only after it is attached: before Linux 5.12.
fn set_flags_early(tree: i32, attributes: &Attributes, rules: Rules) -> Try<bool> {
    match set_flags(tree, attributes, rules) {
        Err(fault) if fault.errno == sys::ENOSYS => Ok(true),
        other => other.map(|()| false),
    }
}

/// Set the propagation of a tree that is attached, and the flags that are `late`.
fn finish(tree: i32, late: bool, attributes: &Attributes, rules: Rules) -> Try<()> {
    if late {
        set_flags_by_name(tree, attributes, rules)?;
    }
    if rules.has(Rules::SLAVE) {
        propagate_here(tree, true, MS_SLAVE)?;
    }
    set_propagation(tree, attributes.propagation)
}

fn is_one_of(word: &CStr, words: [&CStr; 2]) -> bool {
    words.iter().any(|known| known.to_bytes().iter().eq(word.to_bytes()))
}

/// Fill a tmpfs with the directory that it covers. The source is read through a `nodev` mount, because another process
/// may replace a file by a device at any moment.
fn copy_covered(covered: &Fd, made: &Fd) -> Try<()> {
    let flags = sys::OPEN_TREE_CLONE | sys::AT_RECURSIVE | sys::AT_EMPTY_PATH;
    let tree = Fd(sys::open_tree(covered.0, c"", flags)?);
    match sys::mount_setattr(tree.0, c"", true, MOUNT_ATTR_NODEV, 0, 0) {
        Err(fault) if fault.errno != sys::ENOSYS => return Err(fault),
        _ => {}
    }
    copy::copy_tree(tree.0, made.0)
}
