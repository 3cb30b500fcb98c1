//! `init`, the sealed program that enters the namespaces: its image, its operations and the system calls that it makes.
//!
//! `build.rs` compiles `main.rs` and its modules to a separate program. In tests the library compiles these modules
//! too, so that they have unit tests and `cargo fmt` and `clippy` check them.

pub mod calls;
pub mod op;

#[cfg(test)]
mod copy;
#[cfg(test)]
mod enter;
#[cfg(test)]
mod files;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod mount;
#[cfg(test)]
mod passwd;
#[cfg(test)]
mod path;
#[cfg(test)]
mod proc_file;
#[cfg(test)]
mod process;
#[cfg(test)]
#[allow(dead_code, reason = "the program's first code calls it")]
mod run;
#[cfg(test)]
mod stdio;
#[cfg(test)]
#[allow(unsafe_code, reason = "the room of the system calls")]
mod sys;
#[cfg(test)]
mod talk;
#[cfg(test)]
mod terminal;

/// The static ELF image of `init`.
pub const IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));
