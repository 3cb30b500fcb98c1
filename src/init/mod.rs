//! `init`, the sealed program that enters the namespaces: its image, its operations and the system calls that it makes.
//!
//! `build.rs` compiles `main.rs` and its modules to a separate program. The library compiles the modules too: for
//! tests, for fuzzing, and so that `cargo fmt` and `clippy` check them.

pub mod calls;
pub mod op;

#[cfg(any(test, fuzzing))]
mod copy;
#[cfg(any(test, fuzzing))]
mod enter;
#[cfg(any(test, fuzzing))]
mod files;
#[cfg(any(test, fuzzing))]
mod machine;
#[cfg(any(test, fuzzing))]
mod mount;
#[cfg(any(test, fuzzing))]
pub mod passwd;
#[cfg(any(test, fuzzing))]
pub mod path;
#[cfg(any(test, fuzzing))]
mod proc_file;
#[cfg(any(test, fuzzing))]
mod process;
#[cfg(any(test, fuzzing))]
mod rights;
#[cfg(any(test, fuzzing))]
#[allow(dead_code, reason = "the program's first code calls it")]
mod run;
#[cfg(any(test, fuzzing))]
mod stdio;
#[cfg(any(test, fuzzing))]
#[allow(unsafe_code, reason = "the room of the system calls")]
mod sys;
#[cfg(any(test, fuzzing))]
pub use sys::fake;
#[cfg(any(test, fuzzing))]
mod talk;
#[cfg(any(test, fuzzing))]
mod terminal;

/// The static ELF image of `init`.
pub const IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));
