//! The sealed program, which enters the namespaces instead of the runtime.
//!
//! It maps a list of operations, carries them out in order, and executes the user's program. It decides nothing,
//! formats nothing and allocates nothing. The runtime has the same list, so a failure is reported by index.
//!
//! `build.rs` compiles this file; see `mod.rs` for how the library compiles the others.

#![no_std]
#![no_main]
#![deny(unsafe_code, unsafe_op_in_unsafe_fn)]

#[allow(dead_code, reason = "only the runtime reads the names")]
mod calls;
mod copy;
mod enter;
mod files;
mod machine;
mod mount;
#[allow(dead_code, unused_imports, reason = "only the runtime makes operations")]
mod op;
mod passwd;
mod path;
mod proc_file;
mod process;
mod rights;
mod run;
mod stdio;
#[allow(unsafe_code, reason = "the room of the system calls")]
mod sys;
mod talk;
mod terminal;
