//! Compiles a config and the facts about the host into a [`Plan`].

use std::path::PathBuf;

use anyhow::Result;

use super::context::Context;
use super::facts::Facts;
use super::hooks::Hooks;
use super::layers::RootUnion;
use super::namespaces::Birth;
use super::net_devices::net_devices;
use super::options::Options;
use super::order;
use super::program::Program;
use super::rlimit::Limit;
use super::seccomp::Agent;
use super::union::union;
use crate::cgroup;
use crate::rdt::Rdt;
use crate::spec::{Config, annotation, refuse};

/// Everything that the runtime and `init` will do for a container.
#[derive(Debug)]
pub struct Plan {
    /// The program of `init`.
    pub program: Program,
    /// The namespaces and the clone of `init`.
    pub birth: Birth,
    /// The writes to cgroups.
    pub cgroup: cgroup::CgroupPlan,
    /// `process.oomScoreAdj`, if the runtime must write it because `init` may not.
    pub oom_score_adj: Option<i32>,
    /// Resource limits that the runtime sets with prlimit(2) because `init` may not.
    pub limits: Vec<Limit>,
    /// The hooks of all six lists.
    pub hooks: Hooks,
    /// Network devices that move into the container: name on the host, name in the container.
    pub net_devices: Vec<(String, String)>,
    /// `linux.intelRdt`.
    pub rdt: Option<Rdt>,
    /// The agent that receives the listener of the seccomp filter.
    pub agent: Option<Agent>,
    /// The absolute path of the root file system.
    pub rootfs: PathBuf,
    /// The layers of the root file system, if it is a union.
    pub union: Option<RootUnion>,
    /// A warning for each part of the config that is not carried out in full.
    pub warnings: Vec<String>,
}

/// Compiles a config into a plan.
pub fn compile(config: &Config, facts: &Facts, options: &Options) -> Result<Plan> {
    let mut context = Context::new(config, facts, options)?;
    let mut program = Program::new();
    refuse_label_without_selinux(&context)?;
    context.cgroup.needs_hierarchy()?;
    annotation::check(config)?;
    let net_devices = net_devices(config, &facts.caller)?;
    let rdt = Rdt::of(config.intel_rdt(), &options.id, facts.resctrl)?;
    context.union = union(&context)?;
    let order::RuntimePart { birth, limits, score, agent } =
        order::container(&mut program, &mut context, &net_devices)?;
    let (cgroup, rootfs, union) = (context.cgroup, context.rootfs, context.union);
    let mut warnings = context.warnings;
    warnings.extend(cgroup.notes().iter().cloned());
    Ok(Plan {
        program: program.whole()?,
        birth,
        cgroup,
        oom_score_adj: score,
        limits,
        hooks: Hooks::of(config)?,
        net_devices,
        rdt,
        agent,
        rootfs,
        union,
        warnings,
    })
}

/// Refuses `linux.mountLabel` on a host without SELinux: nothing would enforce the label.
fn refuse_label_without_selinux(context: &Context<'_>) -> Result<()> {
    if context.config.mount_label().is_some() && !context.facts.selinux {
        refuse!("linux.mountLabel", "selinux label is specified in config, but selinux is disabled or not supported");
    }
    Ok(())
}
