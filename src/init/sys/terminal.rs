//! Terminals.

use super::{O_CLOEXEC, O_NOCTTY, O_RDWR, Try};

/// Unlock the terminal behind a ptmx and open its peer without a name (`TIOCGPTPEER`).
pub fn terminal_peer(master: i32) -> Try<i32> {
    const TIOCSPTLCK: usize = 0x4004_5431;
    const TIOCGPTPEER: usize = 0x5441;
    let unlock = 0i32;
    done!(IOCTL, master, TIOCSPTLCK, &unlock as *const i32)?;
    call!(IOCTL, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC).map(|fd| fd as i32)
}

/// `TIOCSWINSZ`
pub fn set_window_size(terminal: i32, rows: u16, columns: u16) -> Try<()> {
    const TIOCSWINSZ: usize = 0x5414;
    let size = [rows, columns, 0, 0];
    done!(IOCTL, terminal, TIOCSWINSZ, size.as_ptr())
}

/// Make this the controlling terminal of the session (`TIOCSCTTY`).
pub fn take_terminal(terminal: i32) -> Try<()> {
    const TIOCSCTTY: usize = 0x540e;
    done!(IOCTL, terminal, TIOCSCTTY, 0)
}
