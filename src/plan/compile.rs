//! From a config and the facts about the host to a [`Plan`].

use std::path::PathBuf;

use anyhow::Result;

use super::context::Context;
use super::facts::Facts;
use super::hooks::Hooks;
use super::namespaces::Birth;
use super::net_devices::net_devices;
use super::options::Options;
use super::order;
use super::program::Program;
use super::rlimit::Limit;
use super::seccomp::Agent;
use crate::cgroup;
use crate::rdt::Rdt;
use crate::spec::{Config, annotation, refuse};

/// Everything that is going to happen.
#[derive(Debug)]
pub struct Plan {
    /// The program of `init`.
    pub program: Program,
    /// How `init` comes into being.
    pub birth: Birth,
    /// Control groups.
    pub cgroup: cgroup::CgroupPlan,
    /// `process.oomScoreAdj`, where `init` may not set it itself.
    pub oom_score_adj: Option<i32>,
    /// Limits that the parent sets from outside, where `init` may not.
    pub limits: Vec<Limit>,
    /// Hooks of all kinds.
    pub hooks: Hooks,
    /// Network devices to move in: name outside, name inside.
    pub net_devices: Vec<(String, String)>,
    /// `linux.intelRdt`.
    pub rdt: Option<Rdt>,
    /// The agent that gets the listener of the seccomp filter.
    pub agent: Option<Agent>,
    /// The root file system, absolute.
    pub rootfs: PathBuf,
    /// Warnings: a wish that is carried out only in part, or not at all.
    pub warnings: Vec<String>,
}

/// Compile a config into a plan.
pub fn compile(config: &Config, facts: &Facts, options: &Options) -> Result<Plan> {
    let mut context = Context::new(config, facts, options)?;
    let mut program = Program::new();
    refuse_label_without_selinux(&context)?;
    context.cgroup.needs_hierarchy()?;
    annotation::check(config)?;
    let net_devices = net_devices(config, &facts.caller)?;
    let rdt = Rdt::of(config.intel_rdt(), &options.id, facts.resctrl)?;
    let order::RuntimePart { birth, limits, score, agent } =
        order::container(&mut program, &mut context, &net_devices)?;
    let (cgroup, rootfs) = (context.cgroup, context.rootfs);
    let mut warnings = context.warnings;
    warnings.extend(cgroup.notes().iter().cloned());
    Ok(Plan {
        program,
        birth,
        cgroup,
        oom_score_adj: score,
        limits,
        hooks: Hooks::of(config)?,
        net_devices,
        rdt,
        agent,
        rootfs,
        warnings,
    })
}

/// A label that nothing enforces is refused, not ignored.
fn refuse_label_without_selinux(context: &Context<'_>) -> Result<()> {
    if context.config.mount_label().is_some() && !context.facts.selinux {
        refuse!("linux.mountLabel", "selinux label is specified in config, but selinux is disabled or not supported");
    }
    Ok(())
}
