//! System calls that the runtime under test lacks, as on an old kernel or in a narrow sandbox: a seccomp filter answers
//! them with an error. `LACKING=openat2,clone3:EPERM` starts every runtime of the suite so; a container's own program has
//! the same filter.

use super::{Call, Result};
use anyhow::{Context, bail};
use nix::errno::Errno;
use std::sync::OnceLock;

/// The calls that have come after Linux 3.16, and that runtimes use if they can.
pub const CALLS: [(&str, libc::c_long); 12] = [
    ("memfd_create", libc::SYS_memfd_create),
    ("open_tree", libc::SYS_open_tree),
    ("move_mount", libc::SYS_move_mount),
    ("fsopen", libc::SYS_fsopen),
    ("fsconfig", libc::SYS_fsconfig),
    ("fsmount", libc::SYS_fsmount),
    ("pidfd_open", libc::SYS_pidfd_open),
    ("clone3", libc::SYS_clone3),
    ("close_range", libc::SYS_close_range),
    ("openat2", libc::SYS_openat2),
    ("pidfd_getfd", libc::SYS_pidfd_getfd),
    ("mount_setattr", libc::SYS_mount_setattr),
];

/// Some calls, and the error that they answer.
#[derive(Clone, Debug)]
pub struct Lacking {
    pub calls: Vec<&'static str>,
    numbers: Vec<libc::c_long>,
    errno: Errno,
}

impl Lacking {
    pub fn new(calls: &[&str], errno: Errno) -> Result<Lacking> {
        let known = |name: &&str| CALLS.iter().find(|(known, _)| known == name);
        let rows = calls.iter().map(|name| known(name).with_context(|| format!("LACKING: no call {name}")));
        let rows: Vec<_> = rows.collect::<Result<_>>()?;
        let (calls, numbers) = rows.into_iter().copied().unzip();
        Ok(Lacking { calls, numbers, errno })
    }

    fn parse(text: &str) -> Result<Lacking> {
        let (calls, errno) = text.split_once(':').context("LACKING: not CALL[,CALL]:ERRNO")?;
        let errno = match errno {
            "ENOSYS" => Errno::ENOSYS,
            "EPERM" => Errno::EPERM,
            other => bail!("LACKING: ENOSYS or EPERM, not {other}"),
        };
        Lacking::new(&calls.split(',').collect::<Vec<_>>(), errno)
    }

    /// The call of these that a text names.
    pub fn named_in(&self, text: &str) -> Option<&'static str> {
        self.calls.iter().copied().find(|name| text.contains(name))
    }

    /// The filter. It loads the number of the call, compares it with each of them, and then allows it.
    fn filter(&self) -> Vec<libc::sock_filter> {
        const LOAD: u16 = 0x20;
        const JUMP_IF_EQUAL: u16 = 0x15;
        const RETURN: u16 = 0x06;
        const ERRNO: u32 = 0x0005_0000;
        const ALLOW: u32 = 0x7fff_0000;
        let step = |code, jt, k| libc::sock_filter { code, jt, jf: 0, k };
        let mut filter = vec![step(LOAD, 0, 0)];
        for (at, number) in self.numbers.iter().enumerate() {
            filter.push(step(JUMP_IF_EQUAL, (self.numbers.len() - at) as u8, *number as u32));
        }
        filter.extend([step(RETURN, 0, ALLOW), step(RETURN, 0, ERRNO | self.errno as u32)]);
        filter
    }

    /// A function that loads the filter into the calling process. It makes one system call.
    pub fn loader(&self) -> impl FnMut() -> std::io::Result<()> + Send + Sync + 'static {
        let filter = self.filter();
        move || {
            let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
            // SAFETY: the program lives until the call returns. Root may load a filter without no_new_privs.
            match unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        }
    }
}

impl Call {
    /// Makes the call without these system calls.
    pub fn lacking(mut self, lacking: &Lacking) -> Self {
        self.lacking = Some(lacking.clone());
        self
    }
}

/// The calls that all runtimes of this run lack.
pub fn asked() -> Option<&'static Lacking> {
    static ASKED: OnceLock<Option<Lacking>> = OnceLock::new();
    let parse = |text: String| Lacking::parse(&text).unwrap_or_else(|error| panic!("{error}"));
    ASKED.get_or_init(|| std::env::var("LACKING").ok().map(parse)).as_ref()
}
