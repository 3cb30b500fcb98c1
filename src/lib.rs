//! tare: the weight of an empty container.
//!
//! A runtime is a compiler with a very small machine. `config.json` becomes a [`spec`]. The spec and the facts about the
//! [`host`] become a [`plan`]. The [`executor`] on the host and [`init`], the sealed program inside the new namespaces,
//! carry out the plan. Apart from that, [`image`] makes bundles of images, and images of containers.
//!
//! The code uses these words in one sense each:
//!
//! - *container*: the result of `create`; *bundle*: the directory with its `config.json` and its root file system.
//! - *field*: a place in `config.json`, such as `linux.resources.memory.limit`. Every refusal and every failure names one.
//! - *facts*: the properties of the host that the planner needs, read before; *plan*: all steps that will follow, as data.
//! - *operation*: one step of `init`; *program*: the list of operations, with the data that they refer to. *User's
//!   program*: the program that the user wants to run in the container.
//! - *slot*: an index for a descriptor that the runtime opens for `init`, or that `init` keeps for later operations.
//! - *runtime*: the process of tare that the caller has started, and the parent of `init`; *caller*: the engine or the
//!   user that has started the runtime; *first process*: the process of a container that executes the user's program.
//! - *gate*: the fifo at which `init` waits for `start`.
//! - *record*: `state.json`, the data about a container that tare keeps between two commands.
//! - *layer*: a directory with a part of a root file system, in overlayfs's form; *store*: the directory in which unpacked
//!   layers are kept; *writable layer*: the one that a container changes.
//! - *claim*: the lock on a cgroup while a container takes it over; *mark*: the extended attribute that names the owner
//!   of a cgroup.
//! - *scope*: the unit of systemd that a container's cgroup belongs to.
//!
//! `README.md` in this folder lists the files that a new field touches.

#![deny(unsafe_code)]

pub mod cgroup;
pub mod cli;
pub mod command;
mod criu;
mod executor;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod host;
#[cfg(test)]
mod house;
#[cfg(feature = "image")]
pub mod image;
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
mod trace;
