//! tare: the weight of an empty container.
//!
//! A runtime is a compiler with a very small machine. `config.json` becomes a [`spec`], the spec
//! and the facts about the [`host`] become a [`plan`], and the plan is carried out by the
//! [`executor`] on the host's side and by [`init`], the sealed program inside the new namespaces.

#![deny(unsafe_code)]

pub mod cgroup;
pub mod cli;
pub mod command;
#[cfg(feature = "criu")]
pub mod criu;
pub mod executor;
pub mod host;
pub mod init;
pub mod mountinfo;
pub mod network;
pub mod plan;
pub mod rdt;
pub mod seccomp;
pub mod spec;
pub mod state;
#[allow(unsafe_code, reason = "the room of the system calls")]
pub mod sys;
pub mod tables;
