//! Carrying out the members of a layer.

use std::ffi::CString;
use std::fs::File;
use std::io::BufRead;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use anyhow::{Context, Result, anyhow, bail};
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat, makedev, mkdirat, mknodat};
use nix::unistd::{LinkatFlags, Whence, ftruncate, linkat, lseek, symlinkat, write};

use super::archive::{Archive, MemberData};
use super::attributes::FileAttributes;
use super::limits::Budget;
use super::member::{Extent, Member, MemberKind, Shown};
use super::names::{Meaning, clean, meaning};
use super::target::{LayerDirectory, LayerTarget};
use crate::image::union::{self, Visible};
use crate::sys::{Call, Errno, again, reason};

const NEW: OFlag =
    OFlag::O_WRONLY.union(OFlag::O_CREAT).union(OFlag::O_EXCL).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Unpacks all members of a layer.
///
/// # Errors
/// A member that cannot be unpacked, with its name; a limit; an error of the stream.
pub fn apply_all<R: BufRead>(archive: &mut Archive<R>, target: &mut LayerTarget, budget: &mut Budget) -> Result<()> {
    while let Some(member) = archive.next()? {
        budget.member()?;
        apply(&member, archive.data(), target, budget).with_context(|| Shown(&member.path).to_string())?;
    }
    Ok(())
}

fn apply<R: BufRead>(
    member: &Member,
    data: MemberData<'_, R>,
    target: &mut LayerTarget,
    budget: &mut Budget,
) -> Result<()> {
    let names = clean(&member.path)?;
    let attributes = FileAttributes::of_member(member, &target.ids, &mut target.notes)?;
    let Some((name, above)) = names.split_last() else {
        if member.kind != MemberKind::Directory {
            bail!("the root is not a directory");
        }
        target.set_directory(Vec::new(), attributes);
        return Ok(());
    };
    match meaning(name)? {
        Meaning::Entry(name) => {
            let parent = target.parent(above)?;
            let place = Spot { parent: &parent, name: CString::new(name)?, path: &member.path };
            place.make(member, &attributes, data, target, budget)
        }
        Meaning::Whiteout(name) => {
            let parent = target.parent(above)?;
            Spot { parent: &parent, name: CString::new(name)?, path: &member.path }.delete(target)
        }
        Meaning::Opaque => {
            let parent = target.parent(above)?;
            target.make_opaque(parent.directory.as_fd())
        }
        Meaning::Aufs => Ok(()),
    }
}

/// The place of a member.
struct Spot<'a> {
    parent: &'a LayerDirectory,
    name: CString,
    path: &'a [u8],
}

impl Spot<'_> {
    fn make<R: BufRead>(
        &self,
        member: &Member,
        attributes: &FileAttributes,
        data: MemberData<'_, R>,
        target: &mut LayerTarget,
        budget: &mut Budget,
    ) -> Result<()> {
        let directory = &self.parent.directory;
        let mode = Mode::from_bits_truncate(attributes.mode);
        match member.kind {
            MemberKind::Directory => return self.make_directory(attributes, target),
            MemberKind::HardLink => return self.make_link(member, target, budget),
            MemberKind::Regular => {
                let file = self.replacing(target, |name| openat(directory, name, NEW, mode)).context("open")?;
                fill(&file, member, data, budget)?;
                return attributes.set_new(file.as_fd(), self.path, &mut target.notes);
            }
            MemberKind::Symlink => {
                let link = CString::new(member.link.as_slice()).context("a NUL in the target of a link")?;
                self.replacing(target, |name| symlinkat(link.as_c_str(), directory, name)).context("symlink")?;
                return attributes.set_link(directory.as_fd(), &self.name, self.path, &mut target.notes);
            }
            MemberKind::Fifo => {
                self.replacing(target, |name| mknodat(directory, name, SFlag::S_IFIFO, mode, 0)).context("mkfifo")?;
            }
            MemberKind::CharacterDevice | MemberKind::BlockDevice => {
                if !self.make_device(member, mode, target)? {
                    return Ok(());
                }
            }
        }
        attributes.set_node(directory.as_fd(), &self.name, self.path, &mut target.notes)
    }

    /// Repeats a call that makes an entry if there is one already, which is removed.
    fn replacing<T>(
        &self,
        target: &mut LayerTarget,
        mut make: impl FnMut(&std::ffi::CStr) -> nix::Result<T>,
    ) -> Result<T> {
        match again(|| make(&self.name)) {
            Err(Errno::EEXIST) => {
                target.remove(self.parent, &self.name)?;
                make(&self.name)
            }
            made => made,
        }
        .map_err(|errno| anyhow!(reason(errno)))
    }

    fn stat(&self) -> Result<Option<FileStat>> {
        match fstatat(&self.parent.directory, self.name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => Ok(None),
            stat => stat.named("stat").map(Some),
        }
    }

    fn names(&self) -> Vec<Vec<u8>> {
        self.parent.names.iter().cloned().chain([self.name.to_bytes().to_vec()]).collect()
    }

    fn make_directory(&self, attributes: &FileAttributes, target: &mut LayerTarget) -> Result<()> {
        let directory = &self.parent.directory;
        match mkdirat(directory, self.name.as_c_str(), Mode::S_IRWXU) {
            Err(Errno::EEXIST) => {
                if self.stat()?.is_none_or(|stat| union::kind(&stat) != SFlag::S_IFDIR) {
                    target.remove(self.parent, &self.name)?;
                    mkdirat(directory, self.name.as_c_str(), Mode::S_IRWXU).named("mkdir")?;
                    // The entry that it replaces has hidden the content of the layers below, and so does the directory.
                    self.make_opaque(target)?;
                }
            }
            made => made.named("mkdir")?,
        }
        target.set_directory(self.names(), attributes.clone());
        Ok(())
    }

    fn make_opaque(&self, target: &LayerTarget) -> Result<()> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = openat(&self.parent.directory, self.name.as_c_str(), flags, Mode::empty()).named("open")?;
        target.make_opaque(opened.as_fd())
    }

    /// Makes a device node. Returns whether it was made.
    fn make_device(&self, member: &Member, mode: Mode, target: &mut LayerTarget) -> Result<bool> {
        let kind = match member.kind {
            MemberKind::BlockDevice => SFlag::S_IFBLK,
            _ => SFlag::S_IFCHR,
        };
        let device = makedev(member.device.0.into(), member.device.1.into());
        if kind == SFlag::S_IFCHR && device == 0 {
            target.notes.add("is left out: overlayfs takes a device 0/0 for a deleted file", self.path);
            return Ok(false);
        }
        // The kernel takes 12 and 20 bits of the numbers, and drops the others without an error.
        if member.device.0 >> 12 != 0 || member.device.1 >> 20 != 0 {
            bail!("the device {}/{} does not exist on Linux", member.device.0, member.device.1);
        }
        let directory = &self.parent.directory;
        let made = self.replacing(target, |name| match mknodat(directory, name, kind, mode, device) {
            Err(Errno::EPERM) => Ok(false),
            made => made.map(|()| true),
        });
        if !made.context("mknod")? {
            target.notes.add("is left out: this user may not make devices", self.path);
            return Ok(false);
        }
        Ok(true)
    }

    /// Makes another name of a file of this layer, or of a copy of a file below.
    fn make_link(&self, member: &Member, target: &mut LayerTarget, budget: &mut Budget) -> Result<()> {
        let names = clean(&member.link).context("the target of a hard link")?;
        let found = target.find(&names)?;
        let Some((parent, name, entry)) = found else {
            bail!("a hard link to {}, which is missing", Shown(&member.link))
        };
        if entry.place.is_some() {
            bail!("a hard link to {}, which is a directory", Shown(&member.link));
        }
        if parent.names == self.parent.names && name == self.name {
            return Ok(());
        }
        if !target.is_own(&entry) {
            copy_up(&parent, &name, &entry, target, budget).with_context(|| Shown(&member.link).to_string())?;
        }
        let directory = &self.parent.directory;
        self.replacing(target, |new| linkat(&parent.directory, name.as_c_str(), directory, new, LinkatFlags::empty()))
            .context("link")
    }

    /// Hides the entry of this name in the layers below.
    fn delete(&self, target: &mut LayerTarget) -> Result<()> {
        let below = target.below(&self.parent.names)?;
        let hidden = below.map_or(Ok(None), |below| below.get(self.name.to_bytes()))?;
        // Without an entry below there is nothing to hide, and overlayfs would list a whiteout in a directory of the
        // base layer.
        if hidden.is_none() {
            return Ok(());
        }
        match self.stat()? {
            // A whiteout is for the layers below only. What this layer has stays.
            Some(own) if union::kind(&own) == SFlag::S_IFDIR => self.make_opaque(target),
            Some(_) => Ok(()),
            None => {
                let directory = &self.parent.directory;
                mknodat(directory, self.name.as_c_str(), SFlag::S_IFCHR, Mode::empty(), 0).named("make a whiteout")
            }
        }
    }
}

/// Copies a file of a layer below to this layer.
fn copy_up(
    parent: &LayerDirectory,
    name: &CString,
    entry: &Visible,
    target: &mut LayerTarget,
    budget: &mut Budget,
) -> Result<()> {
    let attributes = FileAttributes::of_file(&entry.stat, entry.file.as_fd(), &target.ids)?;
    let spot = Spot { parent, name: name.clone(), path: name.to_bytes() };
    let directory = &parent.directory;
    let mode = Mode::from_bits_truncate(attributes.mode);
    let kind = union::kind(&entry.stat);
    match kind {
        SFlag::S_IFREG => {
            budget.bytes(entry.stat.st_size.cast_unsigned())?;
            let path = format!("/proc/self/fd/{}", entry.file.as_raw_fd());
            let mut from = File::open(&path).named("open")?;
            let mut file =
                File::from(spot.replacing(target, |name| openat(directory, name, NEW, mode)).context("open")?);
            std::io::copy(&mut from, &mut file).named("copy")?;
            return attributes.set_open(file.as_fd(), spot.path, &mut target.notes);
        }
        SFlag::S_IFLNK => {
            let link = nix::fcntl::readlinkat(entry.file.as_fd(), c"").named("readlink")?;
            spot.replacing(target, |name| symlinkat(link.as_os_str(), directory, name)).context("symlink")?;
            return attributes.set_link(directory.as_fd(), name, spot.path, &mut target.notes);
        }
        _ => {
            let device = entry.stat.st_rdev;
            spot.replacing(target, |name| mknodat(directory, name, kind, mode, device)).context("mknod")?;
        }
    }
    attributes.set_node(directory.as_fd(), name, spot.path, &mut target.notes)
}

/// Writes the data of a file.
fn fill<R: BufRead>(file: &OwnedFd, member: &Member, mut data: MemberData<'_, R>, budget: &mut Budget) -> Result<()> {
    let Some(extents) = &member.parts else {
        budget.bytes(member.size)?;
        return pour(file, member.size, &mut data);
    };
    for Extent { offset, length } in extents {
        budget.bytes(*length)?;
        let offset = i64::try_from(*offset).context("the offset in a sparse file")?;
        lseek(file, offset, Whence::SeekSet).named("lseek")?;
        pour(file, *length, &mut data)?;
    }
    ftruncate(file, i64::try_from(member.size).context("the size of a file")?).named("ftruncate")
}

/// Writes this many bytes from the buffers of the reader.
fn pour<R: BufRead>(file: &OwnedFd, mut left: u64, data: &mut MemberData<'_, R>) -> Result<()> {
    while left > 0 {
        let bytes = data.fill_buf()?;
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let written = again(|| write(file, &bytes[..most])).named("write")?;
        data.consume(written);
        left -= written as u64;
    }
    Ok(())
}
