//! An entry of `process.rlimits`.

use anyhow::Result;
use oci_spec::runtime::PosixRlimit;

use crate::spec::{Field, refuse};
use crate::tables::rlimit;

/// A resource limit in the form of setrlimit(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// `RLIMIT_*`
    pub resource: u32,
    pub soft: u64,
    pub hard: u64,
}

impl Limit {
    /// Checks an entry. A second entry for a resource of `earlier` is refused.
    pub fn of(limit: &PosixRlimit, earlier: &[Limit], field: &Field) -> Result<Limit> {
        let (resource, soft, hard) = (rlimit::number(limit.typ()), limit.soft(), limit.hard());
        let name = rlimit::NAMES.get(resource as usize).copied().unwrap_or_default();
        if earlier.iter().any(|known| known.resource == resource) {
            refuse!(field.member("type"), "{name} is given twice");
        }
        if soft > hard {
            refuse!(field.member("soft"), "{soft} is above the hard limit {hard} of {name}");
        }
        Ok(Limit { resource, soft, hard })
    }
}
