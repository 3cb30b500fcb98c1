//! What `config.json` may say and the types of `oci-spec` cannot hold.

/// Values of valid configs that `oci_spec::runtime::Spec` refuses or loses; taken out of the
/// document before it is parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// `linux.resources.pids.limit`: absent and 0 are different things (0 means 1 to the kernel's
    /// users, absent means "leave it").
    pub pids_limit: Option<i64>,
    /// `linux.resources.hugepageLimits[].limit` as `(pageSize, limit)`: `uint64` in the spec.
    pub hugepage_limits: Vec<(String, u64)>,
    /// `process.scheduler.flags` as spelled in the spec.
    pub scheduler_flags: Vec<String>,
    /// `process.execCPUAffinity.initial` and `.final`; `None` when absent or empty.
    pub exec_cpu_affinity: (Option<String>, Option<String>),
    /// Capability names this program does not know; a warning, not an error (config.md, process).
    pub unknown_capabilities: Vec<String>,
}
