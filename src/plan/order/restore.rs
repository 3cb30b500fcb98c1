//! The steps of a restore before CRIU continues the processes.

use std::path::Path;

use anyhow::Result;

use super::super::context::Context;
use super::super::program::{NO_ATTRIBUTES, Program};
use super::super::{devices, mounts};
use super::container;
use crate::init::op::{self, Ask, Rules, Slot, Text};
use crate::spec::Field;
use crate::tables::mount_option as option;

/// The mounts and nodes of a container, with every mount point that is missing, in the root file
/// system of a mount namespace that goes with the process.
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

/// Input of the program that becomes CRIU.
#[derive(Debug)]
pub struct CriuProgram<'a> {
    /// The executable.
    pub criu: &'a Path,
    /// The descriptor that it gets its orders through.
    pub line: i32,
    /// The root file system.
    pub rootfs: &'a Path,
    /// A directory to mount it at.
    pub root: &'a Path,
    /// CRIU exchanges the root, which an initramfs does not allow: it is given another one.
    pub no_pivot: bool,
}

impl CriuProgram<'_> {
    /// The program that becomes CRIU, for a mount namespace of its own in which the root file system
    /// is mounted where nothing else is: CRIU takes no root that lies on another mount. When the
    /// restore is over, or is cut off, nothing of it is left on the host.
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
