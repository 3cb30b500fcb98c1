//! The section `linux.resources` of a config.

use oci_spec::runtime::LinuxResources;

use crate::spec::Extras;

/// The resources, and the values that the types of `oci-spec` cannot hold.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub resources: &'a LinuxResources,
    pub extras: &'a Extras,
}
