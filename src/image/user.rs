//! The ids that an ordinary user's images have.

use std::path::Path;

use anyhow::{Context, Result};
use nix::unistd::User;

use crate::executor::enter_user_namespace;
use crate::plan::{Caller, Maps};

/// The files with the ranges of ids that users may map, and their column in a map.
const FILES: [&str; 2] = ["/etc/subuid", "/etc/subgid"];

/// Moves an ordinary user's process into a user namespace, in which it may set the owners of files. Returns the maps of
/// the namespace, and a warning if only the user's own id is mapped. Does nothing for root, also in a user namespace.
///
/// # Errors
/// The namespace cannot be made.
pub fn enter(caller: &Caller) -> Result<(Option<Maps>, Option<String>)> {
    if caller.euid == 0 {
        return Ok((None, None));
    }
    let reason = match ranges(caller.euid) {
        Ok(Some([uid, gid])) => {
            let maps = Maps {
                uid: format!("0 {} 1\n{}", caller.euid, lines(&uid)),
                gid: format!("0 {} 1\n{}", caller.egid, lines(&gid)),
            };
            match enter_user_namespace(caller, &maps) {
                Ok(()) => return Ok((Some(maps), None)),
                Err(error) => format!("{error:#}"),
            }
        }
        Ok(None) => format!("{} have no ids for this user", FILES.join(" and ")),
        Err(error) => format!("{error:#}"),
    };
    let maps = Maps { uid: format!("0 {} 1\n", caller.euid), gid: format!("0 {} 1\n", caller.egid) };
    enter_user_namespace(caller, &maps).context("a user namespace")?;
    Ok((Some(maps), Some(format!("{reason}: all files of the image belong to root of the container"))))
}

/// Ranges of ids: the first one, and their number.
type Ranges = Vec<(u32, u32)>;

/// The subordinate ids of a user; `None` if the user has none.
fn ranges(uid: u32) -> Result<Option<[Ranges; 2]>> {
    let name = User::from_uid(uid.into()).ok().flatten().map(|user| user.name);
    let read = |file: &str| match std::fs::read_to_string(Path::new(file)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        text => text.map(|text| own(&text, uid, name.as_deref())).with_context(|| file.to_owned()),
    };
    let [uids, gids] = FILES.map(read);
    let (uids, gids) = (uids?, gids?);
    Ok((!uids.is_empty() && !gids.is_empty()).then_some([uids, gids]))
}

/// The ranges of one user: lines `USER:FIRST:COUNT`, where USER is a name or a number (subuid(5)).
fn own(text: &str, uid: u32, name: Option<&str>) -> Ranges {
    let line = |line: &str| {
        let (user, range) = line.trim().split_once(':')?;
        let (first, count) = range.split_once(':')?;
        let range = (first.parse().ok()?, count.parse().ok()?);
        (Some(user) == name || user.parse() == Ok(uid)).then_some(range)
    };
    text.lines().filter_map(line).filter(|(_, count)| *count > 0).collect()
}

/// The lines of a map that put the ranges one after the other, from 1 on.
fn lines(ranges: &[(u32, u32)]) -> String {
    let mut next = 1u32;
    let mut text = String::new();
    for (first, count) in ranges {
        text += &format!("{next} {first} {count}\n");
        next = next.saturating_add(*count);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_user() {
        let text = "root:1:2\nme:100000:65536\n1000:300000:10\nother:5:5\nme:x:1\n\nme:7:0\n";
        assert_eq!(own(text, 1000, Some("me")), [(100_000, 65536), (300_000, 10)]);
        assert_eq!(own(text, 1000, None), [(300_000, 10)]);
        assert_eq!(own(text, 3, Some("nobody")), []);
        assert_eq!(lines(&[(100_000, 65536), (300_000, 10)]), "1 100000 65536\n65537 300000 10\n");
    }
}
