//! The merged view of a chain of layers, as overlayfs shows it.
//!
//! A layer is a directory in the form of overlayfs: a character device 0/0 (a whiteout) hides the entry of that name in the
//! layers below, and a directory with the attribute `overlay.opaque` hides all that these have in it. Layers come from
//! images, so their links may lead anywhere: every step opens one name in one open directory and follows no link. A link is
//! followed by [`Union::resolve`] only, inside the merged view.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{CStr, CString};
use std::fmt::{self, Write};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use anyhow::{Result, bail};
use nix::dir::{Dir, Type};
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use crate::sys::{Call, CallError, Errno, again, xattr};

/// The attributes that make a directory opaque: overlayfs's own, and the one that it uses with `userxattr`.
pub const OPAQUE: [&CStr; 2] = [c"trusted.overlay.opaque", c"user.overlay.opaque"];

/// The kernel's limit of links in one path.
const MOST_LINKS: usize = 40;
/// The descriptors of directories above the present one that stay open during a walk, for `..`.
const KEPT_OPEN: usize = 200;

const ENTRY: OFlag = OFlag::O_PATH.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// A chain of layers.
pub struct Union {
    root: Merged,
}

/// A directory of the merged view.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The directories that merge into it, the topmost first, each with the number of its layer.
    parts: Vec<(usize, Arc<OwnedFd>)>,
}

/// An entry of the merged view.
#[derive(Clone, Debug)]
pub struct Visible {
    /// The number of the topmost layer that has the entry; the base layer is 0.
    pub layer: usize,
    /// The entry in that layer: an open directory, or a descriptor with `O_PATH` for all else.
    pub file: Arc<OwnedFd>,
    /// The properties of the entry in that layer.
    pub stat: FileStat,
    /// The merged directory, if the entry is one.
    pub place: Option<Merged>,
}

/// The end of a walk through the merged view.
pub struct WayEnd {
    /// The names of the directories on the way, after links.
    pub names: Vec<CString>,
    /// The directory or file at the end. `None` if the first of the names that remain is missing.
    pub entry: Option<Visible>,
    /// The names that remain: below a file, or missing.
    pub rest: Vec<Vec<u8>>,
}

/// A position in the view: the names on the way from the root, and the last directories of the way, opened.
pub struct Way<'a> {
    root: &'a Merged,
    names: Vec<CString>,
    places: VecDeque<Merged>,
}

impl Union {
    /// The view of these directories, the base layer first.
    pub fn new(layers: Vec<OwnedFd>) -> Union {
        let parts = layers.into_iter().map(Arc::new).enumerate().rev().collect();
        Union { root: Merged { parts } }
    }

    /// The root directory.
    pub fn root(&self) -> &Merged {
        &self.root
    }

    /// A way that begins at the root.
    pub fn way(&self) -> Way<'_> {
        Way { root: &self.root, names: Vec::new(), places: VecDeque::new() }
    }

    /// Looks a path up without following any link. The path is relative to the root, with or without a slash in front.
    /// `None` if there is no such entry, or if a part of the way to it is no directory.
    ///
    /// # Errors
    /// `..` in the path; the error of openat(2) or fstat(2).
    pub fn lookup(&self, path: &[u8]) -> Result<Option<Visible>> {
        let mut names = components(path).peekable();
        let mut place = self.root.clone();
        while let Some(name) = names.next() {
            let Some(entry) = place.get(name)? else { return Ok(None) };
            match entry.place {
                _ if names.peek().is_none() => return Ok(Some(entry)),
                Some(next) => place = next,
                None => return Ok(None),
            }
        }
        place.into_entry().map(Some)
    }

    /// Looks a path up as a process does that has the merged view as its root: links are followed, the last one, too, and
    /// neither they nor `..` lead out of it.
    ///
    /// # Errors
    /// More than 40 links on the way; the error of openat(2), fstat(2) or readlinkat(2).
    pub fn resolve(&self, path: &[u8]) -> Result<Option<Visible>> {
        self.walk(path).map(|end| end.entry.filter(|_| end.rest.is_empty()))
    }

    /// [`Union::resolve`] as far as the path leads.
    ///
    /// # Errors
    /// As for [`Union::resolve`].
    pub fn walk(&self, path: &[u8]) -> Result<WayEnd> {
        let mut walk = self.way();
        let mut links = 0;
        // The names that are still to walk, the next one last.
        let mut ahead: Vec<Vec<u8>> = reversed(path);
        while let Some(name) = ahead.pop() {
            if name == b".." {
                walk.leave()?;
                continue;
            }
            let entry = walk.place().get(&name)?;
            match entry {
                Some(Visible { place: Some(place), .. }) => walk.enter(name, place)?,
                Some(entry) if kind(&entry.stat) == SFlag::S_IFLNK => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(CallError::new(display(path), Errno::ELOOP).into());
                    }
                    let target =
                        readlinkat(entry.file.as_fd(), c"").named(format_args!("readlink {}", display(&name)))?;
                    let target = std::os::unix::ffi::OsStringExt::into_vec(target);
                    if target.starts_with(b"/") {
                        walk.names.clear();
                        walk.places.clear();
                    }
                    ahead.extend(reversed(&target));
                }
                entry => {
                    if entry.is_none() {
                        ahead.push(name);
                    }
                    ahead.reverse();
                    return Ok(WayEnd { names: walk.names, entry, rest: ahead });
                }
            }
        }
        let entry = walk.place().clone().into_entry().map(Some)?;
        Ok(WayEnd { names: walk.names, entry, rest: Vec::new() })
    }

    /// Reads a file of the view whose path is [resolved](Union::resolve). `None` if there is none.
    ///
    /// # Errors
    /// The entry is not a regular file, or longer than `limit`; the error of reading.
    pub fn read(&self, path: &[u8], limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(entry) = self.resolve(path)? else { return Ok(None) };
        if kind(&entry.stat) != SFlag::S_IFREG {
            bail!("{}: not a regular file", display(path));
        }
        let name = format!("/proc/self/fd/{}", entry.file.as_raw_fd());
        let file = again(|| open(name.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()));
        let mut content = Vec::new();
        let file = File::from(file.named(format_args!("open {}", display(path)))?);
        file.take(limit + 1).read_to_end(&mut content).named(format_args!("read {}", display(path)))?;
        if content.len() as u64 > limit {
            bail!("{}: longer than {limit} bytes", display(path));
        }
        Ok(Some(content))
    }
}

impl Merged {
    /// The directories that merge into this one, the topmost first, each with the number of its layer.
    pub fn parts(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        self.parts.iter().map(|(layer, part)| (*layer, part.as_fd()))
    }

    /// The directory of one layer, if that layer has a part in this directory.
    pub fn part(&self, layer: usize) -> Option<BorrowedFd<'_>> {
        self.parts().find(|(number, _)| *number == layer).map(|(_, part)| part)
    }

    /// This directory without the layers from this one on. `None` if nothing is left.
    pub fn below(mut self, layer: usize) -> Option<Merged> {
        self.parts.retain(|(number, _)| *number < layer);
        (!self.parts.is_empty()).then_some(self)
    }

    /// The entry with this name.
    ///
    /// # Errors
    /// A name that is empty, `.`, `..`, or has a slash or a NUL; the error of openat(2), fstat(2) or fgetxattr(2).
    pub fn get(&self, name: &[u8]) -> Result<Option<Visible>> {
        let name = file_name(name)?;
        self.found(&name).named(format_args!("open {}", display(name.to_bytes())))
    }

    /// The directory with this name. `None` if there is no such entry, or if it is no directory.
    ///
    /// # Errors
    /// As for [`Merged::get`].
    pub fn enter(&self, name: &[u8]) -> Result<Option<Merged>> {
        Ok(self.get(name)?.and_then(|entry| entry.place))
    }

    /// The names in this directory, sorted by their bytes.
    ///
    /// # Errors
    /// The error of getdents(2) or fstatat(2).
    pub fn list(&self) -> Result<Vec<CString>> {
        self.names().named("read a directory of a layer")
    }

    fn found(&self, name: &CStr) -> nix::Result<Option<Visible>> {
        let mut top: Option<(usize, Arc<OwnedFd>, FileStat)> = None;
        let mut parts = Vec::new();
        for (layer, part) in &self.parts {
            let file = match again(|| openat(part, name, ENTRY, Mode::empty())) {
                Ok(file) => file,
                Err(Errno::ENOENT) => continue,
                Err(errno) => return Err(errno),
            };
            let stat = fstat(&file)?;
            if kind(&stat) != SFlag::S_IFDIR {
                if top.is_none() && !is_whiteout(&stat) {
                    top = Some((*layer, Arc::new(file), stat));
                }
                break;
            }
            let directory = Arc::new(again(|| openat(&file, c".", DIRECTORY, Mode::empty()))?);
            let opaque = is_opaque(directory.as_fd())?;
            top.get_or_insert_with(|| (*layer, directory.clone(), stat));
            parts.push((*layer, directory));
            if opaque {
                break;
            }
        }
        let place = (!parts.is_empty()).then_some(Merged { parts });
        Ok(top.map(|(layer, file, stat)| Visible { layer, file, stat, place }))
    }

    fn names(&self) -> nix::Result<Vec<CString>> {
        // Whether the topmost entry of a name is visible.
        let mut seen = BTreeMap::new();
        for (_, part) in &self.parts {
            let own = again(|| openat(part, c".", DIRECTORY, Mode::empty()))?;
            for entry in Dir::from_fd(own)?.iter() {
                let entry = entry?;
                let name = entry.file_name();
                if matches!(name.to_bytes(), b"." | b"..") || seen.contains_key(name) {
                    continue;
                }
                // Some file systems do not report the type.
                let may_hide = matches!(entry.file_type(), None | Some(Type::CharacterDevice));
                let hides = may_hide && is_whiteout(&fstatat(part, name, AtFlags::AT_SYMLINK_NOFOLLOW)?);
                seen.insert(name.to_owned(), !hides);
            }
        }
        Ok(seen.into_iter().filter(|(_, visible)| *visible).map(|(name, _)| name).collect())
    }

    fn into_entry(self) -> Result<Visible> {
        let Some((layer, file)) = self.parts.first().cloned() else { bail!("the union has no layers") };
        let stat = fstat(&file).named("fstat of a layer's directory")?;
        Ok(Visible { layer, file, stat, place: Some(self) })
    }
}

impl Way<'_> {
    /// The directory at the end of the way.
    pub fn place(&self) -> &Merged {
        self.places.back().unwrap_or(self.root)
    }

    /// Goes on to a directory of the present one.
    ///
    /// # Errors
    /// `name` is not the name of a file.
    pub fn enter(&mut self, name: Vec<u8>, place: Merged) -> Result<()> {
        self.names.push(file_name(&name)?);
        self.places.push_back(place);
        while self.places.len() > 1 && self.places.iter().map(|place| place.parts.len()).sum::<usize>() > KEPT_OPEN {
            self.places.pop_front();
        }
        Ok(())
    }

    /// Goes to the directory above; the root is its own.
    ///
    /// # Errors
    /// The error of openat(2); ESTALE if a directory of the way is gone.
    pub fn leave(&mut self) -> Result<()> {
        self.names.pop();
        self.places.pop_back();
        if !self.places.is_empty() || self.names.is_empty() {
            return Ok(());
        }
        for name in std::mem::take(&mut self.names) {
            let Some(place) = self.place().enter(name.to_bytes())? else {
                return Err(CallError::new(format_args!("open {}", display(name.to_bytes())), Errno::ESTALE).into());
            };
            self.enter(name.into_bytes(), place)?;
        }
        Ok(())
    }
}

/// Whether an entry of a layer is a whiteout.
pub fn is_whiteout(stat: &FileStat) -> bool {
    kind(stat) == SFlag::S_IFCHR && stat.st_rdev == 0
}

/// Whether a directory of a layer hides the content of those below.
///
/// # Errors
/// The error of fgetxattr(2).
pub fn is_opaque(directory: BorrowedFd<'_>) -> nix::Result<bool> {
    for name in OPAQUE {
        if xattr::get_open(directory, name)?.is_some_and(|value| value == b"y") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The type of a file.
pub fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// The names of a path, without `.`.
fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."))
}

fn reversed(path: &[u8]) -> Vec<Vec<u8>> {
    components(path).rev().map(<[u8]>::to_vec).collect()
}

/// A name in a directory, for a system call.
fn file_name(name: &[u8]) -> Result<CString> {
    match CString::new(name) {
        Ok(fit) if !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/') => Ok(fit),
        _ => bail!("{}: not the name of a file", display(name)),
    }
}

/// A name of an image for a message: control characters are escaped when it is printed.
pub fn display(name: &[u8]) -> Escaped<'_> {
    Escaped(name)
}

/// The printed form of a name.
pub struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(self.0).chars().try_for_each(|letter| match letter.is_control() {
            true => letter.escape_default().fmt(f),
            false => f.write_char(letter),
        })
    }
}

#[cfg(test)]
#[path = "union_tests.rs"]
mod tests;
