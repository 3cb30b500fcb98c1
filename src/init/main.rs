//! The sealed program: it enters the namespaces in place of the runtime.
//!
//! It maps a list of operations, carries them out in order, and becomes the container's process. It decides nothing,
//! formats nothing and allocates nothing. The parent has the same list, so a failure is reported by index.
//!
//! `build.rs` compiles this file; see `mod.rs` for how the library compiles the others.

#![no_std]
#![no_main]
#![deny(unsafe_code, unsafe_op_in_unsafe_fn)]

#[allow(dead_code, reason = "the parent reads the names")]
mod calls;
mod copy;
mod enter;
mod files;
mod machine;
mod mount;
#[allow(dead_code, unused_imports, reason = "the parent makes operations")]
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
