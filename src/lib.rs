//! tare: the weight of an empty container.
//!
//! A runtime is a compiler with a very small machine. `config.json` becomes a [`spec`], the spec
//! and the facts about the [`host`] become a [`plan`], and the plan is carried out by the
//! [`executor`] on the host's side and by [`init`], the sealed program inside the new namespaces.
//!
//! Words that this code uses in one sense:
//!
//! - *container*: what `create` makes; *bundle*: the directory with its `config.json` and root file system.
//! - *field*: a place in `config.json`, such as `linux.resources.memory.limit`. Every refusal and every failure names one.
//! - *facts*: what the planner has to know of the host, read before; *plan*: all that is going to happen, as data.
//! - *operation*: one step of `init`; *program*: the list of operations, with the data that they refer to. The program
//!   that the user wants to run is called the user's program.
//! - *slot*: the number of a descriptor that the parent opens for `init`, or that `init` keeps for later operations.
//! - *first process*: the process of a container that runs the user's program. *Parent*: the runtime's process that has
//!   started `init`. *Caller*: the engine or person that has started the runtime.
//! - *gate*: the fifo at which `init` waits for `start`.
//! - *record*: `state.json`, what is kept of a container between two commands.
//! - *claim*: the lock on a cgroup that is being taken over; *mark*: the extended attribute that says whose a cgroup is.
//! - *scope*: the unit of systemd that a container's cgroup belongs to.
//!
//! `README.md` in this folder says which files a new field touches.

#![deny(unsafe_code)]

pub mod cgroup;
pub mod cli;
pub mod command;
#[cfg(feature = "criu")]
mod criu;
mod executor;
mod host;
#[cfg(test)]
mod house;
pub mod init;
mod mountinfo;
mod network;
#[cfg(test)]
mod page_tests;
pub mod plan;
mod rdt;
pub mod seccomp;
pub mod spec;
mod state;
#[allow(unsafe_code, reason = "the room of the system calls")]
pub mod sys;
mod tables;
