//! A plan as lines of text.

use super::compile::CgroupPlan;
use crate::cgroup::layout::SYSTEMD;
use crate::cgroup::systemd::Scope;
use crate::cgroup::writes::{PlanLine, Target};
use crate::spec::Field;
use crate::spec::annotation::DELEGATE_CGROUP_FIELD;

impl CgroupPlan {
    /// The operations in the order in which [`Cgroup::create`](crate::cgroup::Cgroup::create) carries them out.
    pub fn lines(&self) -> impl Iterator<Item = PlanLine> + '_ {
        let by_systemd = |target: &&Target| self.scope.is_some() && (target.is_v2() || target.controllers == SYSTEMD);
        let made = self.writes.targets.iter().filter(move |target| !by_systemd(target)).map(|target| PlanLine {
            field: Field::of("linux.cgroupsPath"),
            operation: format!("mkdir {}", target.dir().display()),
        });
        let started = self.scope.iter().flat_map(Scope::lines);
        let written = self.writes.all.iter().map(|write| PlanLine {
            field: write.field.clone(),
            operation: format!("write {} = {}", write.file, write.value),
        });
        let ruled = self.program.iter().flat_map(|program| {
            let rules = self
                .rules
                .iter()
                .map(|(rule, field)| PlanLine { field: field.clone(), operation: format!("device {rule}") });
            rules.chain(std::iter::once(PlanLine {
                field: Field::of("linux.resources.devices"),
                operation: format!("attach device program of {} instructions", program.len()),
            }))
        });
        let handed_over = self.delegate_to.filter(|_| self.writes.v2_target().is_some()).map(|owner| PlanLine {
            field: Field::of(if self.inside.is_some() { DELEGATE_CGROUP_FIELD } else { "linux.cgroupsPath" }),
            operation: match &self.inside {
                Some(inside) => format!("mkdir {} inside, for {owner}", inside.display()),
                None => format!("hand it over to {owner}"),
            },
        });
        started.chain(made).chain(written).chain(ruled).chain(handed_over)
    }
}
