//! The steps of a restore before CRIU continues the processes, in their order.

use std::path::Path;

use anyhow::Result;

use super::super::context::Context;
use super::super::program::{NO_ATTRIBUTES, Program};
use super::super::{devices, mounts};
use super::container;
use crate::init::op::{self, Ask, Rules, Slot, Text};
use crate::spec::Field;
use crate::tables::mount_option as option;

/// Makes the mounts and device nodes of a container, and with them every missing mount point in the root file system.
/// The mount namespace, and so each mount, ends with the process.
pub fn mount_points(program: &mut Program, context: &mut Context<'_>) -> Result<()> {
    let field = Field::of("root.path");
    program.push(&field, op::Rootfs::Propagation { flags: option::SLAVE });
    let path = program.text(&context.rootfs.to_string_lossy());
    program.push(&field, op::Rootfs::Bind { path });
    devices::hold(program, context);
    mounts::plan(program, context)?;
    devices::plan(program, context)?;
    container::working_directory(program, context);
    program.push(&field, op::Talk::Ask { what: Ask::Ready });
    Ok(())
}

/// The program that becomes CRIU.
#[derive(Debug)]
pub struct CriuProgram<'a> {
    /// The path of the executable.
    pub criu: &'a Path,
    /// The descriptor of the socket for its requests.
    pub line: i32,
    /// The root file system of the container.
    pub rootfs: &'a Path,
    /// The directory at which the root file system is mounted for CRIU.
    pub root: &'a Path,
    /// CRIU calls pivot_root(2), which fails in an initramfs. With this, CRIU gets another root.
    pub no_pivot: bool,
}

impl CriuProgram<'_> {
    /// The steps, for a mount namespace of its own. CRIU's `--root` must be a mount point, and no other mount may cover
    /// its parent, so the root file system is bound at a directory of its own. After the restore, or after a crash, no
    /// mount is left on the host.
    pub fn program(&self, environment: &[String]) -> Program {
        let mut program = Program::new();
        let field = Field::of("root.path");
        program.push(&field, op::Enter::Signals);
        program.push(&field, op::Rootfs::Propagation { flags: option::SLAVE });
        let host = program.text("/");
        if self.no_pivot {
            program.push(&field, op::Rootfs::Bind { path: host });
            program.push(&field, op::Rootfs::Chroot);
        } else {
            program.push(&field, op::Rootfs::Open { path: host, follow: false });
        }
        let target = program.text(&self.root.to_string_lossy());
        let source = program.text(&self.rootfs.to_string_lossy());
        program.push(
            &field,
            op::Mount::Bind {
                target,
                source,
                instead: Text::NONE,
                recursive: true,
                attributes: NO_ATTRIBUTES,
                rules: Rules::NONE,
                keep: Slot::NONE,
            },
        );
        let criu = program.text(&self.criu.to_string_lossy());
        let candidates = program.texts(&[criu]);
        program.push(&field, op::Process::Find { candidates });
        program.push(&field, op::Talk::Ask { what: Ask::Ready });
        let argv = [criu, program.text("swrk"), program.text(&self.line.to_string())];
        let argv = program.addresses(&argv, 0);
        let envp: Vec<_> = environment.iter().map(|text| program.text(text)).collect();
        let envp = program.addresses(&envp, 0);
        program.push(&field, op::Process::Exec { argv, envp });
        program
    }
}
