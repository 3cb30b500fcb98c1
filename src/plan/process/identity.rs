//! `process.user`, and the change from the privileges of the runtime to those of the process.

use anyhow::Result;
use oci_spec::runtime::Process;

use super::super::context::Context;
use super::super::program::Program;
use super::super::seccomp::Filtered;
use super::capabilities::Masks;
use crate::init::op;
use crate::spec::{Field, annotation, refuse};

/// From the privileges of the runtime to those of the process: working directory, capabilities, user. `bounded` says
/// that an earlier step has limited the bounding set.
///
/// A seccomp filter that takes privileges is loaded in between. With `no_new_privs` it takes none, and
/// [`Filtered::late`] loads it at the end.
pub fn become_user(
    program: &mut Program,
    context: &mut Context<'_>,
    process: &Process,
    filtered: &Filtered,
    bounded: bool,
) -> Result<()> {
    let masks = process.capabilities().as_ref().map(Masks::of);
    let field = Field::of("process.capabilities");
    let cwd = program.text(&process.cwd().to_string_lossy());
    program.push(&Field::of("process.cwd"), op::Process::Chdir { path: cwd, later: true });
    if process.no_new_privileges() != Some(true) {
        filtered.load(program);
    }
    if let Some(masks) = masks {
        if !bounded {
            program.push(&field, op::Rights::Bounding { keep: masks.bounding });
        }
        user(program, context, process, true)?;
        let Masks { effective, permitted, inheritable, ambient, .. } = masks;
        program.push(&field, op::Rights::Capabilities { effective, permitted, inheritable, ambient });
    } else {
        // Without `process.capabilities` the kernel derives them from the uid, as with runc. Only the inheritable set
        // that init itself was given must not reach the process.
        let all = u64::MAX;
        program.push(&field, op::Rights::Capabilities { effective: all, permitted: all, inheritable: 0, ambient: 0 });
        user(program, context, process, false)?;
    }
    // A second try: the new user may have the right to enter the directory that the old one lacked.
    program.push(&Field::of("process.cwd"), op::Process::Chdir { path: cwd, later: false });
    Ok(())
}

fn user(program: &mut Program, context: &mut Context<'_>, process: &Process, keep: bool) -> Result<()> {
    let user = process.user();
    let field = Field::of("process.user");
    // setresuid(2) takes this number as "leave the id as it is": root would stay root.
    for (id, name) in [(user.uid(), "uid"), (user.gid(), "gid")] {
        if id == u32::MAX {
            refuse!(field.member(name), "{id} is not an id");
        }
        context.check_mapped(id, name, || field.member(name))?;
    }
    if let Some(mask) = user.umask().filter(|mask| *mask > 0o777) {
        refuse!(field.member("umask"), "{mask:o} has bits that no mask has");
    }
    // Engines always pass the groups that the image lists, so the annotation wins, as with crun.
    let kept = annotation::keeps_groups(context.config);
    let additional = if kept { &[] } else { user.additional_gids().as_deref().unwrap_or_default() };
    let denied = context.facts.denies_setgroups;
    let set_groups = context.may_set_groups() && !kept && !denied;
    if denied && !additional.is_empty() {
        context.warn(format!("{field}.additionalGids: left out, for the runtime's user namespace denies setgroups"));
    } else if !set_groups && !additional.is_empty() {
        refuse!(field.member("additionalGids"), "cannot set any additional groups in a rootless container");
    }
    for (index, id) in additional.iter().enumerate().filter(|_| set_groups) {
        context.check_mapped(*id, "gid", || Field::item("process.user.additionalGids", index))?;
    }
    let groups = program.numbers(additional);
    program.push(&field, op::Rights::User { uid: user.uid(), gid: user.gid(), groups, set_groups, keep });
    Ok(())
}
