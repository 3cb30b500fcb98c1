//! One table per vocabulary, which the parser, `features`, the printer and the tests all read.

pub mod capability;
pub mod errno;
pub mod hook;
pub mod limit;
pub mod memory_policy;
pub mod mount_option;
pub mod namespace;
pub mod rlimit;
pub mod seccomp;
pub mod signal;
