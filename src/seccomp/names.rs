//! Architectures and their system call numbers.
//!
//! The tables are those of the crate `syscalls`. This file adds x32, ARM's private calls, and names that the kernel and
//! profiles spell differently.

use anyhow::Result;
use oci_spec::runtime::Arch;
use syscalls::x86_64::Sysno;
use syscalls::{aarch64, arm, riscv64, x86};

use crate::spec::{Field, refuse};

/// The bit in the number of every x32 call.
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// The bit of little-endian architectures in `AUDIT_ARCH_*`; all known ones have it.
const AUDIT_ARCH_LE: u32 = 0x4000_0000;

/// The first of ARM's private calls, which are outside the growing table.
const ARM_PRIVATE: u32 = 0x000f_0000;

/// An ABI: a table of names and numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Abi {
    X86_64,
    X32,
    X86,
    Aarch64,
    Arm,
    Riscv64,
}

const ALL: [Abi; 6] = [Abi::X86_64, Abi::X32, Abi::X86, Abi::Aarch64, Abi::Arm, Abi::Riscv64];

/// A call that is made through another one, whose first argument selects it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Multiplexed {
    /// The number of `socketcall` or `ipc`.
    pub(super) number: u32,
    /// The bits of the first argument that the kernel compares.
    pub(super) mask: u32,
    /// The value of these bits.
    pub(super) call: u32,
}

impl Abi {
    fn of(arch: Arch) -> Option<Abi> {
        match arch {
            Arch::ScmpArchX86_64 => Some(Abi::X86_64),
            Arch::ScmpArchX32 => Some(Abi::X32),
            Arch::ScmpArchX86 => Some(Abi::X86),
            Arch::ScmpArchAarch64 => Some(Abi::Aarch64),
            Arch::ScmpArchArm => Some(Abi::Arm),
            Arch::ScmpArchRiscv64 => Some(Abi::Riscv64),
            _ => None,
        }
    }

    /// The `AUDIT_ARCH_*` value that a filter sees. x32 has that of x86_64.
    pub(super) fn audit_arch(self) -> u32 {
        match self {
            Abi::X86_64 | Abi::X32 => 0xc000_003e,
            Abi::X86 => 0x4000_0003,
            Abi::Aarch64 => 0xc000_00b7,
            Abi::Arm => 0x4000_0028,
            Abi::Riscv64 => 0xc000_00f3,
        }
    }

    /// Whether conditions compare all 64 bits of an argument. Otherwise they compare the lower 32 bits of both sides,
    /// as in libseccomp, so that -1 written in 64 bits matches.
    pub(super) fn is_64_bit(self) -> bool {
        matches!(self, Abi::X86_64 | Abi::Aarch64 | Abi::Riscv64)
    }

    pub(super) fn number(self, name: &str) -> Option<u32> {
        match self {
            Abi::X86_64 => name.parse::<Sysno>().ok().map(|call| call as u32),
            Abi::X32 => x32_number(name),
            Abi::X86 => name.parse::<x86::Sysno>().ok().map(|call| call as u32),
            Abi::Aarch64 => {
                let name = if name == "newfstatat" { "fstatat" } else { name };
                name.parse::<aarch64::Sysno>().ok().map(|call| call as u32).filter(|number| !of_32_bit(*number))
            }
            Abi::Arm => arm_number(name),
            Abi::Riscv64 => {
                name.parse::<riscv64::Sysno>().ok().map(|call| call as u32).filter(|number| !of_32_bit(*number))
            }
        }
    }

    /// Whether `number` is outside the table that grows with the kernel.
    pub(super) fn is_private(self, number: u32) -> bool {
        self == Abi::Arm && number >= ARM_PRIVATE
    }

    /// The way to call `name` through `socketcall` or `ipc`, which x86 has beside the direct calls.
    pub(super) fn multiplexed(self, name: &str) -> Option<Multiplexed> {
        if self != Abi::X86 {
            return None;
        }
        if let Some(index) = SOCKET_CALLS.iter().position(|call| *call == name) {
            return Some(Multiplexed { number: x86::Sysno::socketcall as u32, mask: u32::MAX, call: index as u32 + 1 });
        }
        let &(_, call) = IPC_CALLS.iter().find(|(call, _)| *call == name)?;
        // The upper half of the first argument is a version.
        Some(Multiplexed { number: x86::Sysno::ipc as u32, mask: 0xffff, call })
    }
}

/// The tables for a profile that lists `archs`, each once; the host's own is always included, as the first. An
/// architecture without a table cannot run on a known host, so it is left out. So does runc, except for architectures
/// that it refuses.
pub(super) fn listed(archs: &[Arch], native: Arch) -> Result<Vec<Abi>> {
    let Some(native) = Abi::of(native) else {
        refuse!("linux.seccomp", "the system calls of this architecture are not known here");
    };
    let mut abis = vec![native];
    for (index, arch) in archs.iter().enumerate() {
        match Abi::of(*arch) {
            Some(abi) if abis.contains(&abi) => {}
            Some(abi) => abis.push(abi),
            None if *arch == Arch::ScmpArchNative || *arch as u32 & AUDIT_ARCH_LE != 0 => {}
            None => refuse!(
                Field::item("linux.seccomp.architectures", index),
                "{arch} has another byte order than this host"
            ),
        }
    }
    Ok(abis)
}

/// Whether any architecture has a call of this name.
pub(super) fn is_known(name: &str) -> bool {
    ALL.iter().any(|abi| abi.number(name).is_some() || abi.multiplexed(name).is_some())
}

fn x32_number(name: &str) -> Option<u32> {
    let call = name.parse::<Sysno>().ok()?;
    if X32_LACKS.contains(&call) {
        return None;
    }
    // Numbers are compared, since a profile has hundreds of names.
    match X32_OWN.iter().position(|own| *own == call) {
        Some(index) => Some(X32_BIT | (512 + index as u32)),
        None => Some(X32_BIT | call as u32),
    }
}

fn arm_number(name: &str) -> Option<u32> {
    if let Some(index) = ARM_OWN.iter().position(|own| *own == name) {
        return Some(ARM_PRIVATE + 1 + index as u32);
    }
    let name = if name == "sync_file_range2" { "arm_sync_file_range" } else { name };
    name.parse::<arm::Sysno>().ok().map(|call| call as u32)
}

/// Whether the number belongs to the 32-bit variants only: calls with 64-bit times, which the crate lists for 64-bit
/// architectures too.
fn of_32_bit(number: u32) -> bool {
    matches!(number, 403..=414 | 416..=423)
}

/// The calls that x32 numbers differently, from 512 up.
#[rustfmt::skip]
const X32_OWN: [Sysno; 36] = [
    Sysno::rt_sigaction, Sysno::rt_sigreturn, Sysno::ioctl, Sysno::readv, Sysno::writev, Sysno::recvfrom,
    Sysno::sendmsg, Sysno::recvmsg, Sysno::execve, Sysno::ptrace, Sysno::rt_sigpending, Sysno::rt_sigtimedwait,
    Sysno::rt_sigqueueinfo, Sysno::sigaltstack, Sysno::timer_create, Sysno::mq_notify, Sysno::kexec_load,
    Sysno::waitid, Sysno::set_robust_list, Sysno::get_robust_list, Sysno::vmsplice, Sysno::move_pages, Sysno::preadv,
    Sysno::pwritev, Sysno::rt_tgsigqueueinfo, Sysno::recvmmsg, Sysno::sendmmsg, Sysno::process_vm_readv,
    Sysno::process_vm_writev, Sysno::setsockopt, Sysno::getsockopt, Sysno::io_setup, Sysno::io_submit,
    Sysno::execveat, Sysno::preadv2, Sysno::pwritev2,
];

/// The calls of x86_64 that x32 does not have.
#[rustfmt::skip]
const X32_LACKS: [Sysno; 14] = [
    Sysno::uselib, Sysno::_sysctl, Sysno::create_module, Sysno::get_kernel_syms, Sysno::query_module,
    Sysno::nfsservctl, Sysno::set_thread_area, Sysno::get_thread_area, Sysno::epoll_ctl_old, Sysno::epoll_wait_old,
    Sysno::vserver, Sysno::uretprobe, Sysno::uprobe, Sysno::map_shadow_stack,
];

/// ARM's private calls, from `ARM_PRIVATE + 1` up.
const ARM_OWN: [&str; 6] = ["breakpoint", "cacheflush", "usr26", "usr32", "set_tls", "get_tls"];

/// The calls behind `socketcall`, from 1 up.
#[rustfmt::skip]
const SOCKET_CALLS: [&str; 20] = [
    "socket", "bind", "connect", "listen", "accept", "getsockname", "getpeername", "socketpair", "send", "recv",
    "sendto", "recvfrom", "shutdown", "setsockopt", "getsockopt", "sendmsg", "recvmsg", "accept4", "recvmmsg",
    "sendmmsg",
];

/// The calls behind `ipc`.
#[rustfmt::skip]
const IPC_CALLS: [(&str, u32); 12] = [
    ("semop", 1), ("semget", 2), ("semctl", 3), ("semtimedop", 4), ("msgsnd", 11), ("msgrcv", 12), ("msgget", 13),
    ("msgctl", 14), ("shmat", 21), ("shmdt", 22), ("shmget", 23), ("shmctl", 24),
];
