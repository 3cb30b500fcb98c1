//! The table of mounts, proc_pid_mountinfo(5).

use std::path::PathBuf;

/// One line of it. Paths are as the kernel writes them until somebody asks: few of many lines are of interest.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The mount's id.
    pub id: u64,
    root: &'a str,
    point: &'a str,
    /// The type of file system.
    pub kind: &'a str,
    /// The super block's options.
    pub options: &'a str,
}

/// The lines of a table; what is none is left out.
pub fn lines(table: &str) -> impl Iterator<Item = Line<'_>> {
    table.lines().filter_map(|line| {
        let (mount, super_block) = line.split_once(" - ")?;
        let (mut mount, mut super_block) = (mount.split(' '), super_block.split(' '));
        let (id, root, point) = (mount.next()?.parse().ok()?, mount.nth(2)?, mount.next()?);
        Some(Line { id, root, point, kind: super_block.next()?, options: super_block.nth(1)? })
    })
}

impl Line<'_> {
    /// What of the file system is mounted.
    pub fn root(&self) -> PathBuf {
        unescape(self.root)
    }

    /// Where, seen from the root of the process whose table it is.
    pub fn point(&self) -> PathBuf {
        unescape(self.point)
    }

    /// Whether it is the whole file system.
    pub fn is_whole(&self) -> bool {
        self.root == "/"
    }
}

/// A path as the kernel writes it: space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let code = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                out.push(char::from(code));
                rest = &after[3..];
            }
            None => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    PathBuf::from(out)
}
