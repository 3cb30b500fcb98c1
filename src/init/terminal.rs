//! A terminal from the container's own devpts.

use super::files::{self, Fd};
use super::op::why;
use super::sys::{self, Fault, Try};

const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;
/// The device number of ptmx: `TTYAUX_MAJOR` and minor 2.
const PTMX: u64 = 5 << 8 | 2;
/// The majors of pty slaves: `UNIX98_PTY_SLAVE_MAJOR` and the next seven.
const PEERS: core::ops::Range<u64> = 136..144;

/// Both ends of a terminal. Neither is opened by a name that the container could have replaced (CVE-2025-52565).
pub struct Pty {
    /// The master, which is sent to the caller.
    pub master: Fd,
    /// The slave, which the process uses.
    pub peer: Fd,
}

impl Pty {
    pub fn open(root: i32) -> Try<Pty> {
        let master = match in_devpts(root) {
            // Without the option ptmxmode only root may open the ptmx of a devpts.
            Err(fault) if matches!(fault.errno, sys::EACCES | sys::ENOENT) => by_device(root).map_err(|_| fault)?,
            other => other?,
        };
        let peer = Fd(sys::terminal_peer(master.0)?);
        let number = sys::fstat(peer.0)?;
        if sys::fstatfs(peer.0)?.0 != DEVPTS_SUPER_MAGIC || !number.is_device() || !PEERS.contains(&(number.rdev >> 8))
        {
            return Err(Fault::because(why::NOT_TERMINAL, sys::EINVAL));
        }
        Ok(Pty { master, peer })
    }

    /// Mount the terminal on `/dev/console`, which is created if it is missing.
    pub fn console(&self, root: i32) -> Try<()> {
        let dev = files::look(root, c"/dev", sys::O_DIRECTORY)?;
        let create = sys::O_CREAT | sys::O_EXCL | sys::O_NOFOLLOW | sys::O_CLOEXEC;
        match sys::openat2(dev.0, c"console", create, 0o600, 0) {
            Ok(fd) => sys::close(fd),
            Err(fault) if fault.errno == sys::EEXIST => {}
            Err(fault) => return Err(fault),
        }
        let place = Fd(sys::openat2(dev.0, c"console", sys::O_PATH | sys::O_CLOEXEC | sys::O_NOFOLLOW, 0, 0)?);
        if sys::fstat(place.0)?.is_link() {
            return Err(Fault::because(why::NOT_PLAIN, sys::ELOOP));
        }
        let tree = Fd(sys::open_tree(self.peer.0, c"", sys::OPEN_TREE_CLONE | sys::AT_EMPTY_PATH)?);
        sys::move_mount(tree.0, place.0, c"")
    }

    /// Make the terminal the controlling terminal and the standard descriptors.
    pub fn take(&self, rows: u16, columns: u16) -> Try<()> {
        if rows != 0 || columns != 0 {
            sys::set_window_size(self.master.0, rows, columns)?;
        }
        sys::take_terminal(self.peer.0)?;
        (0..3).try_for_each(|fd| sys::dup_over(self.peer.0, fd))
    }
}

/// Open ptmx in the file system at `/dev/pts`. Only the kernel creates files in a devpts, so after a check of the file
/// system's type the name is safe.
fn in_devpts(root: i32) -> Try<Fd> {
    let pts = files::look(root, c"/dev/pts", sys::O_DIRECTORY)?;
    if sys::fstatfs(pts.0)?.0 != DEVPTS_SUPER_MAGIC {
        return Err(Fault::because(why::NOT_TERMINAL, sys::ENOENT));
    }
    let flags = sys::O_RDWR | sys::O_NOCTTY | sys::O_CLOEXEC;
    let ptmx = Fd(sys::openat2(pts.0, c"ptmx", flags, 0, sys::RESOLVE_NO_SYMLINKS | sys::RESOLVE_NO_XDEV)?);
    is_ptmx(&ptmx).map(|()| ptmx)
}

/// Open the device `/dev/ptmx`. Check it before and after the open.
fn by_device(root: i32) -> Try<Fd> {
    is_ptmx(&files::look(root, c"/dev/ptmx", 0)?)?;
    let resolve = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS;
    let flags = sys::O_RDWR | sys::O_NOCTTY | sys::O_CLOEXEC | sys::O_NONBLOCK;
    let ptmx = Fd(sys::openat2(root, c"/dev/ptmx", flags, 0, resolve)?);
    is_ptmx(&ptmx)?;
    sys::set_blocking(ptmx.0)?;
    Ok(ptmx)
}

fn is_ptmx(fd: &Fd) -> Try<()> {
    let stat = sys::fstat(fd.0)?;
    if stat.is_device() && stat.rdev == PTMX { Ok(()) } else { Err(Fault::because(why::NOT_TERMINAL, sys::EINVAL)) }
}
