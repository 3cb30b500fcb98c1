//! `process.capabilities`.

use oci_spec::runtime::{Capabilities, LinuxCapabilities, Process};

use super::super::program::Program;
use crate::init::op;
use crate::spec::Field;
use crate::tables::capability;

/// `process.capabilities` as masks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Masks {
    pub bounding: u64,
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
    pub ambient: u64,
}

impl Masks {
    pub fn of(sets: &LinuxCapabilities) -> Masks {
        Masks {
            bounding: mask(sets.bounding()),
            effective: mask(sets.effective()),
            permitted: mask(sets.permitted()),
            inheritable: mask(sets.inheritable()),
            ambient: mask(sets.ambient()),
        }
    }
}

/// Steps that a joining process still has to take after the container's processes can see it, and that take rights
/// beyond its own capabilities.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Load a seccomp filter without `no_new_privs`: CAP_SYS_ADMIN.
    pub filter: bool,
    /// Raise resource limits: CAP_SYS_RESOURCE.
    pub limits: bool,
    /// Set the scheduler: CAP_SYS_NICE.
    pub scheduler: bool,
    /// Open a terminal and give it to the user: CAP_CHOWN, CAP_DAC_OVERRIDE.
    pub terminal: bool,
}

/// Drops the capabilities that neither the process nor the steps in `needs` require, and limits the bounding set. A
/// process of the pid namespace that is entered next may be allowed to trace this one, and would have its capabilities.
/// Returns whether the sets were limited: without `process.capabilities` the process keeps all capabilities.
pub fn shed(program: &mut Program, process: &Process, needs: Needs) -> bool {
    const CHOWN: u64 = 1;
    const DAC_OVERRIDE: u64 = 1 << 1;
    const SETGID: u64 = 1 << 6;
    const SETUID: u64 = 1 << 7;
    const SYS_ADMIN: u64 = 1 << 21;
    const SYS_NICE: u64 = 1 << 23;
    const SYS_RESOURCE: u64 = 1 << 24;
    let Some(masks) = process.capabilities().as_ref().map(Masks::of) else { return false };
    let some = |needed: bool, rights: u64| if needed { rights } else { 0 };
    let keep = masks.effective
        | masks.permitted
        | masks.inheritable
        | masks.ambient
        | SETGID
        | SETUID
        | some(needs.filter, SYS_ADMIN)
        | some(needs.limits, SYS_RESOURCE)
        | some(needs.scheduler, SYS_NICE)
        | some(needs.terminal, CHOWN | DAC_OVERRIDE);
    let field = Field::of("process.capabilities");
    program.push(&field, op::Rights::Bounding { keep: masks.bounding });
    program.push(&field, op::Rights::Shed { keep });
    true
}

fn mask(set: &Option<Capabilities>) -> u64 {
    set.iter().flatten().fold(0, |mask, capability| mask | 1 << capability::number_of(*capability))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_has_a_bit() {
        let sets = serde_json::json!({"bounding": capability::NAMES.as_slice()});
        let sets: LinuxCapabilities = serde_json::from_value(sets).unwrap();
        assert_eq!(Masks::of(&sets).bounding, (1 << 41) - 1);
        for (number, name) in capability::NAMES.iter().enumerate() {
            let capability = serde_json::from_value(serde_json::json!(name)).unwrap();
            assert_eq!(capability::number_of(capability), number as u32, "{name}");
        }
    }
}
