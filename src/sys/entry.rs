//! Start-up of the program, in place of the standard library's.
//!
//! The standard library's start-up maps memory, reads `/proc/self/maps` and installs signal handlers for stack
//! overflows, and panics if one of these calls fails. That costs time at every start of a container, and this program
//! does not recurse deeply.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::io::Write;
use std::os::fd::IntoRawFd;
use std::os::unix::ffi::OsStrExt;

use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::stat::Mode;

use super::errno::again;
use super::process::borrow;

/// Opens missing standard descriptors, so that no other file gets their numbers; raises low limits; and handles SIGPIPE
/// and SIGXFSZ, so that a write without a reader or above the file size limit fails instead of ending the process.
/// Child programs get the default actions of both signals: the standard library resets SIGPIPE, and execve(2) removes a
/// handler.
///
/// # Errors
/// The error of poll(2), open(2) or sigaction(2).
pub fn begin() -> nix::Result<()> {
    let mut standard = [0, 1, 2].map(|number| PollFd::new(borrow(number), PollFlags::empty()));
    again(|| poll(&mut standard, PollTimeout::ZERO))?;
    for fd in &standard {
        if fd.revents().is_some_and(|events| events.contains(PollFlags::POLLNVAL)) {
            // open(2) returns the lowest free number, which is the missing one.
            let _: i32 = again(|| open("/dev/null", OFlag::O_RDWR, Mode::empty()))?.into_raw_fd();
        }
    }
    super::limits::make_room();
    std::panic::set_hook(Box::new(fail));
    // SAFETY: one signal is ignored; the handler of the other does nothing.
    unsafe {
        signal(Signal::SIGPIPE, SigHandler::SigIgn)?;
        if let SigHandler::SigIgn = signal(Signal::SIGXFSZ, SigHandler::Handler(nothing))? {
            signal(Signal::SIGXFSZ, SigHandler::SigIgn)?;
        }
    }
    Ok(())
}

/// The second argument of the C function `main`: a null-terminated list of strings, which nothing changes. Only the C
/// library makes such a value.
#[repr(transparent)]
#[derive(Debug)]
pub struct Arguments(*const *const c_char);

impl Arguments {
    /// The words of the command line. A caller may pass none at all, not even a name.
    pub fn to_vec(&self) -> Vec<OsString> {
        let mut words = Vec::new();
        // SAFETY: the type's promise: the list goes on until a null pointer.
        let word = |index| unsafe { *self.0.add(index) };
        while !word(words.len()).is_null() {
            // SAFETY: the same: a string ends with a zero byte.
            let bytes = unsafe { CStr::from_ptr(word(words.len())) }.to_bytes();
            words.push(OsStr::from_bytes(bytes).to_os_string());
        }
        words
    }
}

/// Replaces the message of a panic. The standard library panics if the kernel has no random numbers for its hash maps,
/// before the runtime has changed anything on the host. The caller then gets one line and an exit status instead of a
/// signal.
fn fail(panic: &std::panic::PanicHookInfo<'_>) {
    let payload = panic.payload();
    let words =
        payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let place = panic.location().map(|place| format!(" ({}:{})", place.file(), place.line())).unwrap_or_default();
    // Nothing can report this failure.
    let _ = writeln!(std::io::stderr(), "internal error: {}{place}", words.unwrap_or("no words"));
    std::process::exit(1);
}

extern "C" fn nothing(_: c_int) {}
