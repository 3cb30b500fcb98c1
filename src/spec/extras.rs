//! Values of `linux.resources` that the types of `oci-spec` cannot hold.

/// Limits of valid configs that `oci_spec::runtime::Spec` refuses or loses. The loader takes them out of the document
/// before it parses the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Scalars of `linux.resources` that `oci-spec` has no type for, or a wrong one, each with its field.
    pub limits: Vec<(&'static str, i64)>,
    /// `linux.resources.hugepageLimits[]` as `(pageSize, limit)`: the limit is a `uint64` in the specification.
    pub hugepage_limits: Vec<(String, u64)>,
}

impl Extras {
    /// The value of a scalar of `linux.resources`.
    pub fn limit(&self, field: &str) -> Option<i64> {
        self.limits.iter().find(|(known, _)| *known == field).map(|(_, value)| *value)
    }
}
