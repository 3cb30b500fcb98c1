//! The words of `linux.memoryPolicy`: set_mempolicy(2).

use oci_spec::runtime::{MemoryPolicyFlagType, MemoryPolicyModeType};

#[derive(Clone, Copy, Debug)]
pub struct PolicyMode {
    /// The mode in the types of `oci-spec`.
    pub kind: MemoryPolicyModeType,
    /// The name in `config.json`.
    pub name: &'static str,
    /// `MPOL_*`, `linux/mempolicy.h`.
    pub number: u32,
    /// Whether nodes must be named (`true`), must not be named (`false`), or may be named (`None`).
    pub nodes: Option<bool>,
}

const fn mode(kind: MemoryPolicyModeType, name: &'static str, number: u32, nodes: Option<bool>) -> PolicyMode {
    PolicyMode { kind, name, number, nodes }
}

/// All modes, in the order of their numbers.
pub const MODES: [PolicyMode; 7] = [
    mode(MemoryPolicyModeType::MpolDefault, "MPOL_DEFAULT", 0, Some(false)),
    mode(MemoryPolicyModeType::MpolPreferred, "MPOL_PREFERRED", 1, None),
    mode(MemoryPolicyModeType::MpolBind, "MPOL_BIND", 2, Some(true)),
    mode(MemoryPolicyModeType::MpolInterleave, "MPOL_INTERLEAVE", 3, Some(true)),
    mode(MemoryPolicyModeType::MpolLocal, "MPOL_LOCAL", 4, Some(false)),
    mode(MemoryPolicyModeType::MpolPreferredMany, "MPOL_PREFERRED_MANY", 5, Some(true)),
    mode(MemoryPolicyModeType::MpolWeightedInterleave, "MPOL_WEIGHTED_INTERLEAVE", 6, Some(true)),
];

/// All flags: type, name and bit (`MPOL_F_*`, `linux/mempolicy.h`).
pub const FLAGS: [(MemoryPolicyFlagType, &str, u32); 3] = [
    (MemoryPolicyFlagType::MpolFNumaBalancing, "MPOL_F_NUMA_BALANCING", 1 << 13),
    (MemoryPolicyFlagType::MpolFRelativeNodes, "MPOL_F_RELATIVE_NODES", 1 << 14),
    (MemoryPolicyFlagType::MpolFStaticNodes, "MPOL_F_STATIC_NODES", 1 << 15),
];

pub fn mode_of(kind: MemoryPolicyModeType) -> PolicyMode {
    *MODES.iter().find(|mode| mode.kind == kind).unwrap_or(&MODES[0])
}

pub fn flag_of(kind: MemoryPolicyFlagType) -> u32 {
    FLAGS.iter().find(|(known, _, _)| *known == kind).map_or(0, |(_, _, bit)| *bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_specification() {
        for mode in MODES {
            assert_eq!(serde_json::to_value(mode.kind).unwrap(), mode.name);
            assert_eq!(mode_of(mode.kind).number, mode.number);
        }
        for (kind, name, bit) in FLAGS {
            assert_eq!(serde_json::to_value(kind).unwrap(), name);
            assert_eq!(flag_of(kind), bit);
        }
    }
}
