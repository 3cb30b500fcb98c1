//! What a program does before anything else, in place of the standard library's start-up.
//!
//! That one sets up a handler for stack overflows: it maps memory, reads `/proc/self/maps` and installs signal handlers,
//! and ends the process with a panic when one of those calls fails. Each costs every start of a container some time, and
//! none is of use to a program that recurses nowhere deep.

use std::io::Write;
use std::os::fd::IntoRawFd;

use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::stat::Mode;

use super::errno::again;
use super::process::borrow;

/// Make sure of three standard descriptors, so that no other file gets their numbers, and of room for more; and have writes
/// that find no reader or no room fail instead of ending the process. Programs that are started have both signals as they
/// were: the standard library sees to SIGPIPE, and execve(2) takes away a handler.
///
/// # Errors
/// What poll(2), open(2) or sigaction(2) answer.
pub fn begin() -> nix::Result<()> {
    let mut standard = [0, 1, 2].map(|number| PollFd::new(borrow(number), PollFlags::empty()));
    again(|| poll(&mut standard, PollTimeout::ZERO))?;
    for fd in &standard {
        if fd.revents().is_some_and(|events| events.contains(PollFlags::POLLNVAL)) {
            // The lowest number that is free, which is this one.
            let _: i32 = again(|| open("/dev/null", OFlag::O_RDWR, Mode::empty()))?.into_raw_fd();
        }
    }
    super::limits::make_room();
    std::panic::set_hook(Box::new(fail));
    // SAFETY: the one is ignored, and the handler of the other does nothing.
    unsafe {
        signal(Signal::SIGPIPE, SigHandler::SigIgn)?;
        if let SigHandler::SigIgn = signal(Signal::SIGXFSZ, SigHandler::Handler(nothing))? {
            signal(Signal::SIGXFSZ, SigHandler::SigIgn)?;
        }
    }
    Ok(())
}

/// The standard library panics where the kernel gives it no random numbers for its hash maps, which are made before
/// anything is touched. Whoever calls gets a line and a status instead of a signal.
fn fail(panic: &std::panic::PanicHookInfo<'_>) {
    let payload = panic.payload();
    let words =
        payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let place = panic.location().map(|place| format!(" ({}:{})", place.file(), place.line())).unwrap_or_default();
    // There is nobody left to tell of a failure.
    let _ = writeln!(std::io::stderr(), "internal error: {}{place}", words.unwrap_or("no words"));
    std::process::exit(1);
}

extern "C" fn nothing(_: libc::c_int) {}
