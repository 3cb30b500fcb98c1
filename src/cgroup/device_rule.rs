//! A rule of `linux.resources.devices`.

use std::fmt;

/// A set of accesses, as the bits of `BPF_DEVCG_ACC_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access(pub(super) u8);

impl Access {
    /// Make a device node.
    pub const MKNOD: Access = Access(1);
    /// Open for reading.
    pub const READ: Access = Access(2);
    /// Open for writing.
    pub const WRITE: Access = Access(4);
    /// All of them.
    pub const ALL: Access = Access(7);

    pub(super) fn parse(text: &str) -> Option<Access> {
        let bit = |letter| match letter {
            'r' => Some(Self::READ.0),
            'w' => Some(Self::WRITE.0),
            'm' => Some(Self::MKNOD.0),
            _ => None,
        };
        text.chars().try_fold(0, |bits, letter| Some(bits | bit(letter)?)).map(Access)
    }

    /// The accesses of both.
    pub(super) fn and(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }

    pub(super) fn has(self, other: Access) -> bool {
        other.0 & !self.0 == 0
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in [(Self::READ, "r"), (Self::WRITE, "w"), (Self::MKNOD, "m")] {
            if self.has(bit) {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

/// The kind of device that a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceKind {
    /// Block and character devices.
    All,
    /// Block devices.
    Block,
    /// Character devices.
    Char,
}

impl DeviceKind {
    pub(super) fn covers(self, other: DeviceKind) -> bool {
        self == DeviceKind::All || self == other
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeviceKind::All => "a",
            DeviceKind::Block => "b",
            DeviceKind::Char => "c",
        })
    }
}

/// A rule. The last rule about a device and an access decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    /// Whether the access is allowed.
    pub allow: bool,
    /// The kind of device.
    pub kind: DeviceKind,
    /// The major number; `None` is any.
    pub major: Option<u32>,
    /// The minor number; `None` is any.
    pub minor: Option<u32>,
    /// The accesses that the rule is about.
    pub access: Access,
}

impl DeviceRule {
    pub(super) const fn new(allow: bool, kind: DeviceKind, numbers: [Option<u32>; 2], access: Access) -> Self {
        DeviceRule { allow, kind, major: numbers[0], minor: numbers[1], access }
    }

    /// Whether the rule matches every access to every device.
    pub(super) fn is_total(&self) -> bool {
        self.covers(&Self::new(true, DeviceKind::All, [None, None], Access::ALL))
    }

    /// Whether the rule matches every device and every access that `other` matches.
    pub(super) fn covers(&self, other: &DeviceRule) -> bool {
        self.covers_devices(other) && self.access.has(other.access)
    }

    pub(super) fn covers_devices(&self, other: &DeviceRule) -> bool {
        let wider = |a: Option<u32>, b: Option<u32>| a.is_none() || a == b;
        self.kind.covers(other.kind) && wider(self.major, other.major) && wider(self.minor, other.minor)
    }

    /// Whether an access to some device matches both rules.
    pub(super) fn overlaps(&self, other: &DeviceRule) -> bool {
        let meet = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        (self.kind.covers(other.kind) || other.kind.covers(self.kind))
            && meet(self.major, other.major)
            && meet(self.minor, other.minor)
            && self.access.0 & other.access.0 != 0
    }

    /// The rule without its verdict, in the format of devices.allow, devices.deny and devices.list.
    pub(super) fn v1_text(&self) -> String {
        let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
        let (major, minor) = (number(self.major), number(self.minor));
        format!("{} {major}:{minor} {}", self.kind, self.access)
    }
}

impl fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.allow { "allow" } else { "deny" };
        write!(f, "{verdict} {}", self.v1_text())
    }
}
