//! What a config says about resources.

use oci_spec::runtime::LinuxResources;

use crate::spec::Extras;

/// `linux.resources`, and what the types of `oci-spec` cannot hold of it.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub resources: &'a LinuxResources,
    pub extras: &'a Extras,
}
