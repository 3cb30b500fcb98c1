//! `bpf(2)`, as far as the device program of a cgroup needs it.
//!
//! The structures are those of `include/uapi/linux/bpf.h`. All commands below are older than Linux 5.10.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

/// One eBPF instruction, `struct bpf_insn`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insn {
    /// The operation.
    pub code: u8,
    /// Destination register in the low four bits, source register in the high four.
    pub regs: u8,
    /// The target of a jump, counted in instructions from the next one; or the offset of a load.
    pub off: i16,
    /// The immediate operand.
    pub imm: i32,
}

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_ATTACH: libc::c_long = 8;
const BPF_PROG_DETACH: libc::c_long = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
const BPF_PROG_QUERY: libc::c_long = 16;

const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 1 << 1;
const BPF_F_REPLACE: u32 = 1 << 2;

/// An upper bound of the programs on one cgroup: the kernel allows 64 (BPF_CGROUP_MAX_PROGS).
const MAX_PROGRAMS: usize = 64;

/// `union bpf_attr` with slack: for the commands about cgroups, Linux 6.17 to 7.1 write their answer past the size that
/// they were given, so the memory behind it must belong to this structure.
#[repr(C, align(8))]
struct Attr([u8; 512]);

impl Attr {
    fn new() -> Attr {
        Attr([0; 512])
    }

    fn u32(mut self, offset: usize, value: u32) -> Attr {
        self.0[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn fd(self, offset: usize, fd: BorrowedFd) -> Attr {
        self.u32(offset, fd.as_raw_fd().cast_unsigned())
    }

    fn pointer<T>(mut self, offset: usize, memory: *const T) -> Attr {
        let address = memory.expose_provenance() as u64;
        self.0[offset..offset + 8].copy_from_slice(&address.to_ne_bytes());
        self
    }

    /// Calls the kernel with the first `size` bytes.
    ///
    /// # Safety
    ///
    /// Pointers in the attributes must be valid for what `command` does with them.
    unsafe fn call(&mut self, command: libc::c_long, size: usize) -> Result<i32, Errno> {
        // SAFETY: the attributes are `size` bytes of owned, writable memory, with slack for kernels that write more.
        // The caller guarantees the pointers in them.
        let result = unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_mut_ptr(), size as u64) };
        // Every command returns a descriptor or 0, and both fit.
        Errno::result(result).map(|value| value as i32)
    }
}

/// Takes ownership of a descriptor that the kernel has just made.
fn owned(fd: RawFd) -> OwnedFd {
    // SAFETY: called only with the result of a command that returns a new descriptor.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Loads a program of type `BPF_PROG_TYPE_CGROUP_DEVICE`. The descriptor is close-on-exec.
///
/// The verifier's log is not requested: it takes longer than loading the program. Fails with `EPERM` without CAP_BPF
/// and CAP_NET_ADMIN, as in any user namespace, and with `EINVAL` or `EACCES` if the verifier refuses the program;
/// [`explain_device_program`] returns the reason.
pub fn load_device_program(program: &[Insn]) -> Result<OwnedFd, Errno> {
    load(program, &mut [])
}

/// Loads the program once more, with the verifier's log, and returns the log.
pub fn explain_device_program(program: &[Insn]) -> String {
    let mut log = vec![0; 64 << 10];
    match load(program, &mut log) {
        Ok(_) => String::new(),
        Err(_) => {
            let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
            String::from_utf8_lossy(&log[..end]).trim().to_owned()
        }
    }
}

fn load(program: &[Insn], log: &mut [u8]) -> Result<OwnedFd, Errno> {
    // The licence matters only to programs that call helpers.
    let licence = c"Apache-2.0";
    let mut attr = Attr::new()
        .u32(0, BPF_PROG_TYPE_CGROUP_DEVICE)
        .u32(4, program.len() as u32)
        .pointer(8, program.as_ptr())
        .pointer(16, licence.as_ptr());
    if !log.is_empty() {
        attr = attr.u32(24, 1).u32(28, log.len() as u32).pointer(32, log.as_mut_ptr());
    }
    attr.0[48..60].copy_from_slice(b"tare_devices");
    // SAFETY: the program, the licence and the log outlive the call, each pointer is followed by its own length, and
    // the kernel writes only to the log.
    let fd = unsafe { attr.call(BPF_PROG_LOAD, 64) }?;
    Ok(owned(fd))
}

/// Attaches `program` to the cgroup; programs of sub-cgroups still run. If `replaced` is given, replaces that program
/// atomically.
///
/// `cgroup` may be an `O_PATH` descriptor.
pub fn attach_device_program(
    cgroup: BorrowedFd,
    program: BorrowedFd,
    replaced: Option<BorrowedFd>,
) -> Result<(), Errno> {
    let mut attr = Attr::new().fd(0, cgroup).fd(4, program).u32(8, BPF_CGROUP_DEVICE);
    attr = match replaced {
        Some(old) => attr.u32(12, BPF_F_ALLOW_MULTI | BPF_F_REPLACE).fd(16, old),
        None => attr.u32(12, BPF_F_ALLOW_MULTI),
    };
    // SAFETY: the attributes of this command hold no pointers.
    unsafe { attr.call(BPF_PROG_ATTACH, 20) }.map(drop)
}

/// Detaches `program` from the cgroup.
pub fn detach_device_program(cgroup: BorrowedFd, program: BorrowedFd) -> Result<(), Errno> {
    let mut attr = Attr::new().fd(0, cgroup).fd(4, program).u32(8, BPF_CGROUP_DEVICE);
    // SAFETY: the attributes of this command hold no pointers.
    unsafe { attr.call(BPF_PROG_DETACH, 20) }.map(drop)
}

/// The device programs attached to the cgroup itself, not to its ancestors.
pub fn device_programs(cgroup: BorrowedFd) -> Result<Vec<OwnedFd>, Errno> {
    let mut ids = [0_u32; MAX_PROGRAMS];
    let mut attr =
        Attr::new().fd(0, cgroup).u32(4, BPF_CGROUP_DEVICE).pointer(16, ids.as_mut_ptr()).u32(24, MAX_PROGRAMS as u32);
    // SAFETY: `ids` outlives the call, is writable, and has as many entries as the attributes say.
    unsafe { attr.call(BPF_PROG_QUERY, 32) }?;
    let count = u32::from_ne_bytes([attr.0[24], attr.0[25], attr.0[26], attr.0[27]]) as usize;
    ids.iter().take(count).map(|id| program_by_id(*id)).collect()
}

fn program_by_id(id: u32) -> Result<OwnedFd, Errno> {
    let mut attr = Attr::new().u32(0, id);
    // SAFETY: the attributes of this command hold no pointers.
    let fd = unsafe { attr.call(BPF_PROG_GET_FD_BY_ID, 12) }?;
    Ok(owned(fd))
}
