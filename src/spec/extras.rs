//! What `config.json` may say and the types of `oci-spec` cannot hold.

/// Values of valid configs that `oci_spec::runtime::Spec` refuses or loses; taken out of the
/// document before it is parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Scalars of `linux.resources` that `oci-spec` has no type for, or a wrong one, by field.
    pub limits: Vec<(&'static str, i64)>,
    /// `linux.resources.hugepageLimits[].limit` as `(pageSize, limit)`: `uint64` in the spec.
    pub hugepage_limits: Vec<(String, u64)>,
    /// `process.scheduler.flags` as spelled in the spec.
    pub scheduler_flags: Vec<String>,
    /// `process.execCPUAffinity.initial` and `.final`; `None` when absent or empty.
    pub exec_cpu_affinity: (Option<String>, Option<String>),
    /// Capability names this program does not know; a warning, not an error (config.md, process).
    pub unknown_capabilities: Vec<String>,
}

impl Extras {
    /// The value of a scalar of `linux.resources`.
    pub fn limit(&self, field: &str) -> Option<i64> {
        self.limits.iter().find(|(known, _)| *known == field).map(|(_, value)| *value)
    }
}
