//! The break-out suite: one attack, or more, for each published vulnerability of runc, crun and youki.
//!
//! An attack fails with [`verdict::Broken`] if its effect has appeared. `hack/escapes` runs the attacks on any runtime
//! and prints a table. The suite runs all of them, races with few rounds; `ROUNDS` gives another number.

mod cgroups;
mod descriptors;
mod dev;
mod host;
mod page;
mod proc;
mod report;
mod targets;
mod users;
mod verdict;

pub use page::TESTS;
pub use report::{asked_for, run};

use crate::harness::Test;

/// A published vulnerability of a runtime.
pub struct Concern {
    pub id: &'static str,
    pub runtime: &'static str,
    pub versions: &'static str,
}

/// One attack. Several may belong to one vulnerability, and one to several.
pub struct Attack {
    pub test: Test,
    /// The effect that must not appear.
    pub effect: &'static str,
    /// Empty for an attack on a fault that nobody has published yet.
    pub concerns: &'static [Concern],
}

/// A vulnerability that no attack stands for.
pub struct NotApplicable {
    pub concern: Concern,
    pub reason: &'static str,
}

/// Lists a module's attacks in `ATTACKS`: `FUNCTION: EFFECT, [ID, RUNTIME, VERSIONS], …;`.
macro_rules! attacks {
    ($($function:ident: $effect:literal $(, [$id:literal, $runtime:literal, $versions:literal])*;)+) => {
        pub const ATTACKS: &[$crate::escapes::Attack] = &[$($crate::escapes::Attack {
            test: $crate::harness::Test { module: "escapes", function: stringify!($function), run: $function },
            effect: $effect,
            concerns: &[$($crate::escapes::Concern { id: $id, runtime: $runtime, versions: $versions }),*],
        }),+];
    };
}
use attacks;

const PARTS: [&[Attack]; 6] =
    [users::ATTACKS, descriptors::ATTACKS, targets::ATTACKS, proc::ATTACKS, dev::ATTACKS, cgroups::ATTACKS];

/// All attacks.
pub fn all() -> impl Iterator<Item = &'static Attack> {
    PARTS.into_iter().flatten()
}

const fn not_applicable(
    id: &'static str,
    runtime: &'static str,
    versions: &'static str,
    reason: &'static str,
) -> NotApplicable {
    NotApplicable { concern: Concern { id, runtime, versions }, reason }
}

pub const NOT_APPLICABLE: [NotApplicable; 3] = [
    not_applicable("CVE-2025-24965", "crun", "before 1.20", "it is in the handler krun, and tare has no handlers"),
    not_applicable("CVE-2026-84042", "crun", "1.29 to 1.30", "it is in the handler krun, and tare has no handlers"),
    not_applicable("CVE-2026-10722", "runc", "before 1.5.2", "it is in a parser of BTF, and tare reads no BTF"),
];
