//! System calls without a function in `nix`, and the only `unsafe` outside `init`.

pub mod ahead;
pub mod bpf;
pub mod clock;
pub mod clone;
#[cfg(all(target_arch = "x86_64", target_env = "musl"))]
mod copy;
pub mod directory;
pub mod entry;
mod errno;
pub mod heap;
pub mod limits;
pub mod lock;
pub mod mount;
pub mod namespace;
pub mod proc;
pub mod process;
pub mod regex;
pub mod remove;
pub mod socket;
pub mod stamps;
pub mod terminal;
pub mod threads;
mod write;
pub mod xattr;

pub use errno::{Call, CallError, Errno, again, io, reason};
pub use write::write_all;
