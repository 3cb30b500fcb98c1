//! The owners of files, as far as this process may set them.

use anyhow::{Result, bail};
use nix::unistd::{Gid, Uid};

use crate::sys::Call;

/// The ids that this process's user namespace maps.
#[derive(Clone, Debug)]
pub struct MappedIds {
    uids: Vec<(u32, u32)>,
    gids: Vec<(u32, u32)>,
    /// The owner of the files that this process makes.
    own: (u32, u32),
}

impl MappedIds {
    /// Reads the maps of this process's user namespace.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn here() -> Result<MappedIds> {
        let read = |file: &str| std::fs::read_to_string(file).named(file).map(|text| ranges(&text));
        let own = (Uid::effective().as_raw(), Gid::effective().as_raw());
        Ok(MappedIds { uids: read("/proc/self/uid_map")?, gids: read("/proc/self/gid_map")?, own })
    }

    /// Whether there is one id only. Then all files belong to it.
    pub fn is_single(&self) -> bool {
        let single = |ranges: &[(u32, u32)]| matches!(ranges, [(_, 1)]);
        single(&self.uids) || single(&self.gids)
    }

    /// The owner to set on a new file. `None` if it belongs to this owner from the beginning.
    pub fn to_set(&self, owner: (u32, u32)) -> Option<(u32, u32)> {
        (owner != self.own).then_some(owner)
    }

    /// The owner of a file: its own, or root if that one is not mapped. Returns whether it is its own.
    ///
    /// # Errors
    /// A number that is no id: they have 32 bits, and the last one means none.
    pub fn owner(&self, uid: u64, gid: u64) -> Result<((u32, u32), bool)> {
        let id = |number: u64| u32::try_from(number).ok().filter(|id| *id != u32::MAX);
        let (Some(uid), Some(gid)) = (id(uid), id(gid)) else { bail!("no user or group has the id {uid} or {gid}") };
        let mapped =
            |ranges: &[(u32, u32)], id: u32| ranges.iter().any(|(first, count)| id.wrapping_sub(*first) < *count);
        match mapped(&self.uids, uid) && mapped(&self.gids, gid) {
            true => Ok(((uid, gid), true)),
            false => Ok(((0, 0), false)),
        }
    }
}

/// The first and third column of a map: the first id inside, and their number.
fn ranges(text: &str) -> Vec<(u32, u32)> {
    let line = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse);
        Some((numbers.next()?.ok()?, numbers.nth(1)?.ok()?))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_by_the_map() {
        let ids = MappedIds {
            uids: ranges("         0       1000          1\n         1     100000      65536\n"),
            gids: vec![(0, 10)],
            own: (0, 0),
        };
        assert!(!ids.is_single() && MappedIds { uids: vec![(0, 1)], gids: vec![(0, 5)], own: (0, 0) }.is_single());
        assert_eq!(ids.owner(65536, 9).unwrap(), ((65536, 9), true));
        assert_eq!(ids.owner(65537, 9).unwrap(), ((0, 0), false));
        assert_eq!(ids.owner(5, 10).unwrap(), ((0, 0), false));
        let all = MappedIds { uids: ranges("0 0 4294967295"), gids: ranges("0 0 4294967295"), own: (0, 0) };
        assert_eq!(all.owner(4_294_967_294, 0).unwrap().0, (4_294_967_294, 0));
        assert_eq!((all.to_set((0, 0)), all.to_set((0, 1))), (None, Some((0, 1))));
        assert!(all.owner(4_294_967_295, 0).is_err() && all.owner(0, 1 << 32).is_err());
    }
}
