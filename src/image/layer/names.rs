//! The names in a layer.

use anyhow::{Result, bail};

use super::member::Shown;

/// The kernel's limit for a path, with its NUL.
const PATH_MAX: usize = 4096;
/// The prefix of the names by which a layer removes entries.
pub const WHITEOUT: &[u8] = b".wh.";

/// A name by its meaning (image specification, layer.md, "Whiteouts").
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning<'a> {
    /// A file or directory in this directory.
    Entry(&'a [u8]),
    /// The entry with this name is deleted.
    Whiteout(&'a [u8]),
    /// All of the directory in the layers below is hidden.
    Opaque,
    /// A file in which AUFS keeps its own data.
    Aufs,
}

/// A path, cleaned: without `.` and empty names, and `..` carried out. Empty for the root.
///
/// # Errors
/// A path out of the root, with a NUL, or longer than the kernel's limit.
pub fn clean(path: &[u8]) -> Result<Vec<&[u8]>> {
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                if names.pop().is_none() {
                    bail!("{}: the name leads out of the root", Shown(path));
                }
            }
            name if name.contains(&0) => bail!("{}: a NUL in a name", Shown(path)),
            name => names.push(name),
        }
    }
    if path.len() >= PATH_MAX {
        bail!("{}: the name is longer than {} bytes", Shown(path), PATH_MAX - 1);
    }
    Ok(names)
}

/// The meaning of the last name of a path.
///
/// # Errors
/// A whiteout of no file.
pub fn meaning(name: &[u8]) -> Result<Meaning<'_>> {
    Ok(match name.strip_prefix(WHITEOUT) {
        None => Meaning::Entry(name),
        Some(b".wh..opq") => Meaning::Opaque,
        Some(b"" | b"." | b"..") => bail!("{}: a whiteout of no file", Shown(name)),
        Some(rest) if rest.starts_with(WHITEOUT) => Meaning::Aufs,
        Some(rest) => Meaning::Whiteout(rest),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (path, wanted) in [
            ("a/b", &["a", "b"][..]),
            ("/a//./b/", &["a", "b"]),
            ("./", &[]),
            ("", &[]),
            ("a/../b", &["b"]),
            ("...", &["..."]),
        ] {
            let wanted: Vec<&[u8]> = wanted.iter().map(|name| name.as_bytes()).collect();
            assert_eq!(clean(path.as_bytes()).unwrap(), wanted, "{path}");
        }
        for bad in [&b".."[..], b"/../a", b"a/../../b", b"a\0b", &[b'a'; 4096]] {
            assert!(clean(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn meanings() {
        for (name, wanted) in [
            ("a", Meaning::Entry(b"a")),
            (".wh", Meaning::Entry(b".wh")),
            (".wh.a", Meaning::Whiteout(b"a")),
            (".wh..a", Meaning::Whiteout(b".a")),
            (".wh..wh..opq", Meaning::Opaque),
            (".wh..wh.plnk", Meaning::Aufs),
            (".wh..wh..a", Meaning::Aufs),
        ] {
            assert_eq!(meaning(name.as_bytes()).unwrap(), wanted, "{name}");
        }
        for bad in [".wh.", ".wh..", ".wh..."] {
            assert!(meaning(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
