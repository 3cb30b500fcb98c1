//! The size of terminals (ioctl_tty(2)).

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// `struct winsize`: rows, columns, and two unused numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Size {
    /// Lines of text.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
    pixels: [u16; 2],
}

/// The size of a terminal.
///
/// # Errors
/// ENOTTY if the descriptor is not a terminal.
pub fn size(terminal: BorrowedFd<'_>) -> nix::Result<Size> {
    let mut size = Size::default();
    // SAFETY: the kernel writes one struct winsize, which outlives the call.
    Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) })?;
    Ok(size)
}

/// Changes the size of a terminal. The kernel sends SIGWINCH to the foreground processes.
///
/// # Errors
/// ENOTTY if the descriptor is not a terminal.
pub fn resize(terminal: BorrowedFd<'_>, size: Size) -> nix::Result<()> {
    // SAFETY: the kernel reads one struct winsize, which outlives the call.
    Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }).map(drop)
}
