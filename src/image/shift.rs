//! Owners of files as the container sees them.

/// The id maps of a container whose files have other owners outside.
///
/// An id outside the maps stays: it belongs to a file that a layer brought and overlayfs copied up.
#[derive(Debug, Default)]
pub struct Shift {
    uid: Vec<Range>,
    gid: Vec<Range>,
}

/// A line of an id map.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    pub container: u32,
    pub host: u32,
    pub size: u32,
}

impl Shift {
    /// The shift of these maps. Without any the owners stay.
    pub fn new(uid: Vec<Range>, gid: Vec<Range>) -> Shift {
        Shift { uid, gid }
    }

    /// The uid in the container.
    pub fn uid(&self, uid: u32) -> u32 {
        inside(&self.uid, uid).unwrap_or(uid)
    }

    /// The gid in the container.
    pub fn gid(&self, gid: u32) -> u32 {
        inside(&self.gid, gid).unwrap_or(gid)
    }

    /// The attribute `security.capability` without the uid of a namespace's root, if that is the container's root.
    pub fn capabilities(&self, value: Vec<u8>) -> Vec<u8> {
        /// The revision in the highest byte of the first word, and the form without a uid.
        const WITH_ROOT: u8 = 3;
        const WITHOUT_ROOT: u8 = 2;
        let Ok::<[u8; 24], _>(mut bytes) = value.as_slice().try_into() else { return value };
        let root = u32::from_le_bytes([bytes[20], bytes[21], bytes[22], bytes[23]]);
        if bytes[3] != WITH_ROOT || inside(&self.uid, root) != Some(0) {
            return value;
        }
        bytes[3] = WITHOUT_ROOT;
        bytes[..20].to_vec()
    }
}

fn inside(ranges: &[Range], id: u32) -> Option<u32> {
    let found = ranges.iter().find(|range| id >= range.host && id - range.host < range.size)?;
    Some(found.container + (id - found.host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_and_capabilities() {
        let range = |container, host, size| Range { container, host, size };
        let shift = Shift::new(vec![range(0, 1000, 1), range(1, 100_000, 65535)], vec![]);
        for (host, container) in [(1000, 0), (100_000, 1), (165_534, 65535), (165_535, 165_535), (0, 0), (999, 999)] {
            assert_eq!(shift.uid(host), container);
        }
        assert_eq!(shift.gid(1000), 1000);
        let capabilities = |revision: u8, root: &[u8]| [&[1, 0, 0, revision][..], &[7; 16], root].concat();
        assert_eq!(shift.capabilities(capabilities(3, &1000u32.to_le_bytes())), capabilities(2, &[]));
        for same in [capabilities(3, &7u32.to_le_bytes()), capabilities(2, &[]), vec![]] {
            assert_eq!(shift.capabilities(same.clone()), same);
        }
    }
}
