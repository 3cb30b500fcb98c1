//! The changes that a writable layer makes to the layers below it.

use std::os::fd::BorrowedFd;

use anyhow::Result;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, SFlag, fstatat};

use super::tree::{TreeStep, TreeWalk};
use super::union::{Merged, Union, Visible, Way, is_opaque, is_whiteout, kind};
use crate::sys::{Call, Errno};

/// The kind of a change, with docker's letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// `A`: it does not exist below.
    Added,
    /// `C`: it exists below.
    Changed,
    /// `D`: it exists below only.
    Deleted,
}

impl ChangeKind {
    fn letter(self) -> char {
        match self {
            ChangeKind::Added => 'A',
            ChangeKind::Changed => 'C',
            ChangeKind::Deleted => 'D',
        }
    }
}

/// A change and its path, which begins with a slash.
pub type Change = (ChangeKind, Vec<u8>);

/// Finds the changes.
///
/// They are in docker's order: a directory before its content, and names in the order of their bytes. A directory that
/// exists below is changed if a property differs or if something in it changed. If a directory is deleted, what it had in
/// it is not reported.
///
/// # Errors
/// The error of reading a layer.
pub fn find(upper: BorrowedFd<'_>, below: &Union) -> Result<Vec<Change>> {
    let mut walk = TreeWalk::new(upper)?;
    let mut finder = Finder { below: below.way(), absent: 0, quiet: Vec::new(), found: Vec::new() };
    if is_opaque(upper).named("fgetxattr")? {
        finder.hidden(b"", below.root(), upper)?;
    }
    while let Some(step) = walk.next()? {
        match step {
            TreeStep::Left => finder.leave()?,
            TreeStep::Directory(stat) => finder.directory(walk.path(), &stat, walk.here())?,
            TreeStep::File(name, stat) => finder.file(walk.path(), name.to_bytes(), &stat)?,
        }
    }
    // The names that an opaque directory hides come after those that it has.
    finder.found.sort_by(|(_, one), (_, other)| names(one).cmp(names(other)));
    Ok(finder.found)
}

fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
}

struct Finder<'a> {
    /// The directory below that corresponds to the present one, or to the last one above it that exists below.
    below: Way<'a>,
    /// The number of directories from there to the present one.
    absent: usize,
    /// For each directory above and the present one: the length of its path if it is
    /// not noted, because nothing in it has been so far.
    quiet: Vec<Option<usize>>,
    found: Vec<Change>,
}

impl Finder<'_> {
    fn existing(&self, name: &[u8]) -> Result<Option<Visible>> {
        if self.absent > 0 { Ok(None) } else { self.below.place().get(name) }
    }

    fn file(&mut self, path: &[u8], name: &[u8], stat: &FileStat) -> Result<()> {
        match (self.existing(name)?, is_whiteout(stat)) {
            // A whiteout of nothing is left by overlayfs in directories that were renamed.
            (None, true) => {}
            (Some(_), true) => self.tell(ChangeKind::Deleted, path),
            (None, false) => self.tell(ChangeKind::Added, path),
            (Some(_), false) => self.tell(ChangeKind::Changed, path),
        }
        Ok(())
    }

    fn directory(&mut self, path: &[u8], stat: &FileStat, upper: BorrowedFd<'_>) -> Result<()> {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        match self.existing(name)? {
            None => {
                self.tell(ChangeKind::Added, path);
                self.absent += 1;
                self.quiet.push(None);
            }
            Some(Visible { place: None, .. }) => {
                self.tell(ChangeKind::Changed, path);
                self.absent += 1;
                self.quiet.push(None);
            }
            Some(Visible { place: Some(place), stat: old, .. }) => {
                if differs(stat, &old) {
                    self.tell(ChangeKind::Changed, path);
                    self.quiet.push(None);
                } else {
                    self.quiet.push(Some(path.len()));
                }
                if is_opaque(upper).named("fgetxattr")? {
                    self.hidden(path, &place, upper)?;
                }
                self.below.enter(name.to_vec(), place)?;
            }
        }
        Ok(())
    }

    /// Reports what an opaque directory hides and has no entry for.
    fn hidden(&mut self, path: &[u8], place: &Merged, upper: BorrowedFd<'_>) -> Result<()> {
        for name in place.list()? {
            match fstatat(upper, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
                Err(Errno::ENOENT) if path.is_empty() => self.tell(ChangeKind::Deleted, name.to_bytes()),
                Err(Errno::ENOENT) => self.tell(ChangeKind::Deleted, &[path, b"/", name.to_bytes()].concat()),
                stat => _ = stat.named("fstatat")?,
            }
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        self.quiet.pop();
        if self.absent > 0 {
            self.absent -= 1;
            return Ok(());
        }
        self.below.leave()
    }

    /// Notes a change, and the directories above it that have not been noted.
    fn tell(&mut self, change: ChangeKind, path: &[u8]) {
        for length in self.quiet.iter_mut().filter_map(Option::take) {
            self.found.push((ChangeKind::Changed, [b"/", &path[..length]].concat()));
        }
        self.found.push((change, [b"/", path].concat()));
    }
}

/// Whether a directory has other properties than the one below.
fn differs(new: &FileStat, old: &FileStat) -> bool {
    let facts = |stat: &FileStat| (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_mtime, stat.st_mtime_nsec);
    debug_assert_eq!(kind(new), SFlag::S_IFDIR);
    facts(new) != facts(old)
}

/// The line for a change, without a line break. Control characters, the backslash and bytes that are not UTF-8 are
/// escaped as in C (`\n`, `\033`, `\\`), so that no name forges a line or moves the cursor of a terminal.
pub fn line(change: ChangeKind, path: &[u8]) -> String {
    let mut text = format!("{} ", change.letter());
    for chunk in path.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                '\r' => text.push_str("\\r"),
                letter if letter.is_control() => {
                    let mut bytes = [0; 4];
                    letter.encode_utf8(&mut bytes).bytes().for_each(|byte| octal(&mut text, byte));
                }
                letter => text.push(letter),
            }
        }
        chunk.invalid().iter().for_each(|byte| octal(&mut text, *byte));
    }
    text
}

fn octal(text: &mut String, byte: u8) {
    text.push_str(&format!("\\{byte:03o}"));
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
