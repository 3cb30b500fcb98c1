//! Black-box conformance tests of an OCI runtime's command line.
//!
//! `RUNTIME=/path/to/binary cargo test --test conformance [FILTER]` tests that binary. Without `RUNTIME` it tests this
//! repository's own `target/release/tare`. `RUNTIME_NAME` gives the runtime's name if `--version` does not. The table
//! in `differences.rs` lists the tests that each runtime is known to fail, and why. The suite needs root and runs in a
//! private mount namespace. Every container has its own bundle, state root and cgroup.
//!
//! The comment of a test states the rule that the test checks. A rule with "MUST" is the runtime specification's; the
//! others are what runc's callers rely on.

mod abused;
mod binary;
mod callers;
mod cgroups;
mod checkpoint;
mod cli;
mod create;
mod crowd;
mod delete;
mod differences;
mod errors;
mod escapes;
mod events;
mod exec;
mod extensions;
mod faults;
mod features;
mod harness;
mod hierarchies;
mod hooks;
mod hostile_images;
mod images;
mod interleaved;
mod kill;
mod labels;
mod lacking;
mod leftovers;
mod limits;
mod list;
mod log;
mod mount_words;
mod mounts;
mod namespaces;
mod ownership;
mod pack;
mod pause;
mod process;
mod ps;
mod quick;
mod resources;
mod rootfs;
mod rootless;
mod run;
mod seccomp;
mod setup;
mod soak;
mod sockets;
mod spec;
mod start;
mod state;
mod systemd;
mod systemd_faults;
mod terminal;
mod trace;
mod union;
mod update;

use harness::lacking as without;
use harness::{Skip, Test, machine, runtime};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::process::ExitCode;

const THEMES: &[&[Test]] = &[
    abused::TESTS,
    binary::TESTS,
    callers::TESTS,
    cgroups::TESTS,
    checkpoint::TESTS,
    cli::TESTS,
    create::TESTS,
    crowd::TESTS,
    delete::TESTS,
    errors::TESTS,
    escapes::TESTS,
    events::TESTS,
    exec::TESTS,
    extensions::TESTS,
    faults::TESTS,
    features::TESTS,
    hierarchies::TESTS,
    hooks::TESTS,
    hostile_images::TESTS,
    images::TESTS,
    interleaved::TESTS,
    kill::TESTS,
    labels::TESTS,
    lacking::TESTS,
    leftovers::TESTS,
    limits::TESTS,
    list::TESTS,
    log::TESTS,
    mount_words::TESTS,
    mounts::TESTS,
    ownership::TESTS,
    pack::TESTS,
    namespaces::TESTS,
    pause::TESTS,
    process::TESTS,
    ps::TESTS,
    quick::TESTS,
    resources::TESTS,
    rootfs::TESTS,
    rootless::TESTS,
    run::TESTS,
    seccomp::TESTS,
    setup::TESTS,
    soak::TESTS,
    sockets::TESTS,
    spec::TESTS,
    start::TESTS,
    state::TESTS,
    systemd::TESTS,
    systemd_faults::TESTS,
    terminal::TESTS,
    trace::TESTS,
    union::TESTS,
    update::TESTS,
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials: Vec<Trial> = tests().map(trial).collect();
    if arguments.list {
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    if let Err(error) = prepare(&trials) {
        eprintln!("conformance: {error:#}");
        return ExitCode::from(2);
    }
    let code = match escapes::asked_for() {
        Some(filter) => escapes::run(&filter),
        None => libtest_mimic::run(&arguments, trials).exit_code(),
    };
    harness::callers::leave();
    machine::leave();
    code
}

fn tests() -> impl Iterator<Item = &'static Test> {
    THEMES.iter().copied().flatten().chain(escapes::all().map(|attack| &attack.test))
}

/// Enters a private mount namespace, and finds the payload and the runtime. unshare(2) and setns(2) need a process with
/// one thread, so this runs before the tests.
fn prepare(trials: &[Trial]) -> anyhow::Result<()> {
    harness::reaper::continue_below_one()?;
    machine::enter()?;
    harness::payload::find()?;
    let runtime = runtime::find()?;
    differences::check_names(trials.iter().map(Trial::name))?;
    println!("runtime: {} ({}: {})", runtime.name, runtime.path.display(), runtime.version);
    println!("cgroups: {}", machine::get().layout);
    if let Some(lacking) = without::asked() {
        println!("lacking: {}", lacking.calls.join(" "));
    }
    Ok(())
}

fn trial(test: &'static Test) -> Trial {
    Trial::ignorable_test(test.name(), || judge(test))
}

/// The verdict on a test: passed, failed, or skipped with a reason. An expected difference that is gone is a failure.
fn judge(test: &Test) -> Result<Completion, Failed> {
    let expected = differences::find(&runtime::get().name, &test.name());
    match ((test.run)(), expected) {
        (Ok(()), Some(difference)) if difference.always => {
            Err(format!("difference gone: the test passes, yet the table says: {}", difference.reason).into())
        }
        (Ok(()), _) => Ok(Completion::Completed),
        (Err(error), _) if error.is::<Skip>() => Ok(Completion::ignored_with(error)),
        (Err(_), Some(known)) => Ok(Completion::ignored_with(format!("expected difference: {}", known.reason))),
        (Err(error), None) => refused_for_a_call(format!("{error:#}")),
    }
}

/// A failed test, or a skipped one if the runtime lacks a system call (`LACKING`) and its message names the call.
fn refused_for_a_call(error: String) -> Result<Completion, Failed> {
    match without::asked().and_then(|lacking| lacking.named_in(&error)) {
        Some(call) => Ok(Completion::ignored_with(format!("refused for want of {call}: {error}"))),
        None => Err(error.into()),
    }
}
